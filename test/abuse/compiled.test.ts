/** The compiled lane in the hands of somebody who means harm: its caches, its connections, its faults, its fallback. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { Answer } from '../../src/graphql/compiled/answer.ts'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

/** The large caches have a fiftieth of their bounds in this file, so that a flood of seconds reaches them. */
vi.mock('lru-cache', async (original) => {
  const own = await original<typeof import('lru-cache')>()
  const smaller = (bound: number): number => Math.ceil(bound / 50)
  class Small extends own.LRUCache<string, object> {
    constructor({ max, maxSize, ...rest }: { readonly max: number; readonly maxSize?: number }) {
      super(
        maxSize && max >= 2_000
          ? { ...rest, max: smaller(max), maxSize: smaller(maxSize) }
          : { ...rest, max, ...(maxSize && { maxSize }) },
      )
    }
  }
  return { ...own, LRUCache: Small }
})

let world: World
let api: WorldApi
let tenant: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1 })
  tenant = world.tenants[0]!
  api = await openWorldApi(world)
  setFlagsFromString('--expose_gc')
})
afterAll(async () => {
  api?.end()
  await world?.stop()
})
afterEach(() => vi.restoreAllMocks())

/** Bytes that are in use once what is not has been given up. */
function used(): number {
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}

const MB = 1_000_000

/** Of many conditions; each number another shape, whose statement has some 10,000 characters. */
const filter = (shape: number): Data => ({
  or: Array.from({ length: 40 }, (_, i) => {
    const title = { [(shape >> (i % 16)) & 1 ? 'eq' : 'neq']: `${i}` }
    return { title, effort: { gt: '1' }, [(shape >> (i % 7)) & 1 ? 'rowId' : 'parentId']: { lt: 5 } }
  }),
})

describe('what the lane keeps', () => {
  const flood = async (from: number, to: number, ask: (n: number) => Promise<unknown>): Promise<number> => {
    const before = used()
    for (let n = from; n < to; n++) expect(await ask(n)).not.toBe(null)
    return used() - before
  }
  // A mock would keep every call, which is what is measured.
  const withoutDatabase = async (work: () => Promise<unknown>): Promise<void> => {
    const { batch } = api.gate.door
    const none: typeof batch = async (_, __, ___, asked) => asked.map(() => [])
    Object.assign(api.gate.door, { batch: none })
    await work().finally(() => Object.assign(api.gate.door, { batch }))
  }

  it.each([
    [
      'shapes, which filters in variables have at will',
      (n: number) => {
        const query = 'query ($filter: TaskFilter) { tasks(filter: $filter) { nodes { rowId } } }'
        return api.compiled(tenant, query, { filter: filter(n) })
      },
    ],
    [
      'variants, which conditions in variables have at will',
      (n: number) => {
        const names = Array.from({ length: 10 }, (_, i) => `v${i}`)
        const nested =
          '{ nodes { title project { name tasks { nodes { title labels { nodes { word } } } } } } }'
        const query = `query (${names.map((name) => `$${name}: Boolean!`)}) {
          ${names.map((name) => `${name}: __typename @include(if: $${name})`).join(' ')}
          ${names
            .slice(0, 5)
            .map((name) => `t${name}: tasks ${nested}`)
            .join(' ')} }`
        return api.compiled(
          tenant,
          query,
          Object.fromEntries(names.map((name, i) => [name, ((n >> i) & 1) === 1])),
        )
      },
    ],
    [
      'documents',
      (n: number) =>
        api.compiled(
          tenant,
          `query q${n} { tasks { nodes { title project { name } } } labels { nodes { word } } }`,
        ),
    ],
  ])('has a bound: %s', async (_, ask) => {
    await withoutDatabase(async () => {
      await flood(0, 150, ask)
      expect(await flood(150, 600, ask)).toBeLessThan(2 * MB)
    })
  })

  it('is right also when it was pushed out and made again', async () => {
    const query = 'query ($filter: TaskFilter) { tasks(filter: $filter) { nodes { rowId } } }'
    for (let round = 0; round < 2; round++) {
      for (let shape = 0; shape < 60; shape += 7) {
        const variables = { filter: filter(shape) }
        const right = JSON.stringify(await api.run(tenant, query, variables))
        expect(await api.compiled(tenant, query, variables)).toBe(right)
      }
    }
  })

  it('on a connection has a bound too: statements are closed there', async () => {
    const query = 'query ($filter: TaskFilter) { tasks(filter: $filter) { nodes { rowId } } }'
    const { ran } = await api.record(async () => {
      for (let shape = 0; shape < 110; shape++)
        expect(await api.compiled(tenant, query, { filter: filter(shape) })).not.toBe(null)
    })
    const sent = new Map(ran.map(({ text }) => [text, text.length]))
    expect([...sent.values()].reduce((sum, length) => sum + length)).toBeGreaterThan(520_000)
    const [[statements, characters] = []] = await api.gate.ask(
      tenant.id,
      'select count(*), sum(length(statement)) from pg_prepared_statements',
    )
    expect(Number(statements)).toBeGreaterThan(20)
    expect(Number(characters)).toBeLessThanOrEqual(520_000)
  })
})

describe('an operation that could read more than is ever answered', () => {
  it('is left to the other lane before anything is sent', async () => {
    const wide = (first: number): string =>
      `{ ${Array.from({ length: 11 }, (_, i) => `p${i}: projects(first: 100) { nodes { tasks(first: ${first}) { nodes { rowId } } } }`).join(' ')} }`
    const { value, ran } = await api.record(() => api.compiled(tenant, wide(100)))
    expect([value, ran]).toEqual([null, []])
    expect(await api.compiled(tenant, wide(20))).toContain('rowId')
  })
})

describe('a fault of our own', () => {
  const fault = (error: Error = new TypeError('a fault of our own')) =>
    vi.spyOn(Answer.prototype, 'take').mockImplementation(() => {
      throw error
    })

  it.each([new TypeError('of JavaScript'), new Error('of a check')])(
    'in the writer of a read leaves it to the other lane, and is told: %s',
    async (error) => {
      const query = '{ tasks(first: 2) { nodes { title project { name } } } }'
      api.gate.events.splice(0)
      const faulty = fault(error)
      expect(await api.compiled(tenant, query)).toBe(null)
      expect(faulty).toHaveBeenCalled()
      const told = api.gate.events.filter(({ kind }) => kind === 'request.failed')
      expect(told).toMatchObject([{ requestId: 'test', tenant: tenant.id, error }])
      vi.restoreAllMocks()
      expect(await api.compiled(tenant, query)).toBe(JSON.stringify(await api.run(tenant, query)))
    },
  )

  it('in the writer of a write is told, and the write is not done again', async () => {
    const create =
      'mutation { createTask(input: { rowId: 900, title: "once", projectId: "$" }) { ... on Task { title project { name } } } }'
    const query = create.replace('$', String(tenant.values.projectIds[0]))
    const faulty = fault()
    const answer = await api.compiled(tenant, query)
    expect(faulty).toHaveBeenCalled()
    expect(answer).toMatchObject({ errors: [{ originalError: { code: 'OUTCOME_UNKNOWN' } }] })
    expect(await world.sql(tenant.shard, 'select title from app.tasks where id = 900')).toEqual([
      { title: 'once' },
    ])
  })
})

describe('values of any kind', () => {
  const BY = 'query ($filter: TaskFilter, $n: Int) { tasks(filter: $filter, first: $n) { totalCount } }'

  it.each<[string, string]>([
    ['a prototype', '{ "filter": { "__proto__": { "title": { "eq": "x" } } } }'],
    ['a constructor', '{ "filter": { "constructor": { "prototype": {} } } }'],
    ['a variable of that name', '{ "__proto__": { "n": 1 }, "n": 1 }'],
    ['numbers that are none', '{ "n": 1e400 }'],
    ['a depth without end', `{ "filter": ${'{"not":'.repeat(5_000)}{}${'}'.repeat(5_000)} }`],
    ['a list for a number', '{ "n": [1] }'],
  ])('are as in the other lane: %s', async (_, json) => {
    const variables = JSON.parse(json)
    const compiled = await api.compiled(tenant, BY, variables)
    const { data, errors } = await api.run(tenant, BY, variables)
    expect(compiled).toBe(errors ? null : JSON.stringify({ data }))
    expect(Object.hasOwn(Object.prototype, 'title') || Object.hasOwn(Object.prototype, 'n')).toBe(false)
  })
})
