/** What is short to write and dear to answer: each bound attacked directly, and what is just below it. */

import { GraphQLError } from 'graphql'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { finishErrors } from '../../src/graphql/errors.ts'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { startEdge } from '../kit/edge.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1 })
  tenant = world.tenants[0]!
  await world.sql(
    tenant.shard,
    `insert into app.tasks (tenant_id, id, project_id, title)
     select $1, 1000 + n, (select min(id) from app.projects where tenant_id = $1), 'task ' || n from generate_series(1, 60) n`,
    [tenant.id],
  )
  api = await openWorldApi(world, [], { rows: 500 })
})
afterAll(async () => {
  api.end()
  await world.stop()
})

afterEach(() => vi.restoreAllMocks())

const codes = async (source: string, variables: object = {}): Promise<string[]> => {
  const { errors = [] } = await api.run(tenant, source, variables)
  return [...new Set(errors.map(({ originalError }) => (originalError as Data)?.code ?? 'none'))]
}

describe('the arguments of a list below many rows', () => {
  const BELOW = `query($all: [TaskFilter!]) { tasks(first: 60, filter: { rowId: { gt: 1000 } }) { nodes {
    project { tasks(first: 1, filter: { and: [{ and: $all }, { or: $all }] }) { totalCount nodes { rowId } } } } } }`

  it('are made a plan and a name once, not once for each row', async () => {
    const named = vi.spyOn(JSON, 'stringify')
    const filter = { title: { in: Array.from({ length: 500 }, (_, i) => `task ${i}`) } }
    const { tasks } = await api.data(tenant, BELOW, { all: [filter] })
    const isPlan = (value: unknown) =>
      ['parentColumns', 'measures'].some((key) => Object.hasOwn(Object(value), key))
    const plans = named.mock.calls.filter(([value]) => isPlan(value))
    expect(tasks.nodes[59].project.tasks).toMatchObject({ totalCount: 60, nodes: [{}] })
    expect(plans).toHaveLength(2) // for the rows, for their number
  })

  it('are found wrong once', async () => {
    const { errors = [] } = await api.run(tenant, BELOW, { all: [{ title: { eq: null } }] })
    expect(errors).toHaveLength(60)
    expect(new Set(errors.map(({ originalError }) => originalError)).size).toBe(1)
  })

  it('are kept apart where two fields ask for the same with other arguments', async () => {
    const { tasks } = await api.data(
      tenant,
      `{ tasks(first: 2, filter: { rowId: { gt: 1000 } }) { nodes { project {
        one: tasks(first: 1, orderBy: [{ rowId: DESC }]) { nodes { rowId } } ...more } } } }
       fragment more on Project { two: tasks(first: 2, orderBy: [{ rowId: DESC }]) { nodes { rowId } } }`,
    )
    for (const { project } of tasks.nodes) {
      expect(project.one.nodes).toEqual([{ rowId: 1060 }])
      expect(project.two.nodes).toEqual([{ rowId: 1060 }, { rowId: 1059 }])
    }
  })
})

describe('a filter', () => {
  const FILTERED = 'query($filter: TaskFilter) { tasks(first: 1, filter: $filter) { nodes { rowId } } }'
  const conditions = (count: number) => ({
    or: Array.from({ length: count }, (_, i) => ({ title: { eq: `${i}` } })),
  })

  it.each([
    ['too many conditions', conditions(300)],
    ['too many conditions, nested', { not: { and: [conditions(150), conditions(150)] } }],
    ['too many empty conditions', { and: Array.from({ length: 300 }, () => ({})) }],
    ['a list too long', { title: { in: Array.from({ length: 1_001 }, (_, i) => `${i}`) } }],
    ['a pattern too long', { title: { contains: 'x'.repeat(1_001) } }],
    ['a pattern too long for ilike', { title: { ilike: '%'.repeat(1_001) } }],
  ])('with %s is refused', async (_, filter) => {
    expect(await codes(FILTERED, { filter })).toEqual(['QUERY_TOO_COMPLEX'])
  })

  it.each([
    ['many conditions', conditions(90)],
    ['a long list', { title: { in: Array.from({ length: 1_000 }, (_, i) => `${i}`) } }],
    ['a long pattern', { title: { contains: 'x'.repeat(1_000) } }],
  ])('with %s is answered', async (_, filter) => {
    expect(await codes(FILTERED, { filter })).toEqual([])
  })

  it('keeps the statements that a connection prepares within bounds of size, not only of number', async () => {
    for (let count = 1; count <= 95; count += 2) {
      const filter = {
        or: Array.from({ length: count }, (_, i) => ({ title: { in: [`${i}`] }, effort: { eq: '1' } })),
      }
      await api.run(tenant, FILTERED, { filter })
    }
    const [{ statements, characters } = {}] = (await api.gate
      .ask(tenant.id, 'select count(*), sum(length(statement)) from pg_prepared_statements')
      .then(([row]) => [{ statements: Number(row?.[0]), characters: Number(row?.[1]) }])) as Data[]
    expect(statements).toBeGreaterThan(5)
    expect(characters).toBeLessThanOrEqual(520_000)
  })
})

describe('an order', () => {
  it('of more columns than any table has is refused', async () => {
    const ORDERED =
      'query($orderBy: [TaskOrderBy!]) { tasks(first: 1, orderBy: $orderBy) { nodes { rowId } } }'
    const orderBy = (count: number) => Array.from({ length: count }, () => ({ title: 'ASC' }))
    expect(await codes(ORDERED, { orderBy: orderBy(51) })).toEqual(['QUERY_TOO_COMPLEX'])
    expect(await codes(ORDERED, { orderBy: orderBy(50) })).toEqual([])
  })
})

describe('the errors of an answer', () => {
  const scope = { requestId: 'r', emit: () => {}, hideSuggestions: false }

  it('are twenty, and the number of the rest', async () => {
    const source = `{ tasks(first: 60) { nodes { ${Array.from({ length: 10 }, (_, i) => `p${i}: project { tasks(first: 60) { nodes { rowId } } }`).join(' ')} } } }`
    const { errors = [] } = await api.run(tenant, source)
    expect(errors.length).toBeGreaterThan(20)
    const told = finishErrors(errors, scope)
    expect(told).toHaveLength(21)
    expect(told.at(-1)?.message).toBe(`${errors.length - 20} more errors were left out.`)
  })

  it("of variables are the caller's, however many there are", async () => {
    const source = 'query($ids: [ID!]!) { nodes(ids: $ids) { id } }'
    const { errors = [] } = await api.run(tenant, source, { ids: Array.from({ length: 80 }, () => ({})) })
    const told = finishErrors(errors, scope)
    expect(new Set(told.map(({ extensions }) => extensions.code))).toEqual(new Set(['BAD_USER_INPUT']))
  })

  it('that says that there are too many is told as one of them, wherever it stands', () => {
    const emit = vi.fn()
    const limitReached = new GraphQLError(
      'Too many errors processing variables, error limit reached. Execution aborted.',
    )
    const [told] = finishErrors([limitReached], { ...scope, emit })
    expect(told?.extensions.code).toBe('BAD_USER_INPUT')
    expect(emit).not.toHaveBeenCalled()
  })

  it.each([20, 50, 51, 900])(
    '%s of variables over HTTP: no fault of the server, a short answer',
    async (count) => {
      const edge = await startEdge({ mode: 'production' })
      try {
        const variables = { where: { and: Array.from({ length: count }, () => ({ color: 'x'.repeat(40) })) } }
        const query = 'query($where: Where) { echo(where: $where) }'
        const { json, status, text } = await edge.post({ query, variables })
        expect(status).toBe(200) // as GraphQL over HTTP wants it for application/json
        expect(new Set(json.errors?.map(({ extensions }) => extensions.code))).toEqual(
          new Set(['BAD_USER_INPUT']),
        )
        expect(json.errors?.length).toBe(Math.min(count, 21))
        expect(text.length).toBeLessThan(10_000)
        const accept = 'application/graphql-response+json'
        expect((await edge.post({ query, variables }, { accept })).status).toBe(400)
        expect(edge.events.filter(({ kind }) => kind === 'request.failed')).toEqual([])
      } finally {
        await edge.close()
      }
    },
  )
})
