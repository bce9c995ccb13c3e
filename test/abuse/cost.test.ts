/** What is short to write and dear to answer: each bound attacked directly, and what is just below it. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { finishErrors } from '../../src/graphql/errors.ts'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
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

const codes = async (source: string, variables: object = {}): Promise<string[]> => {
  const { errors = [] } = await api.run(tenant, source, variables)
  return [...new Set(errors.map(({ originalError }) => (originalError as Data)?.code ?? 'none'))]
}

describe('the rows of an answer', () => {
  const nested = (inner: string) =>
    `{ projects(first: 1, orderBy: [{ rowId: ASC }]) { nodes { tasks(first: 60) { nodes { project { tasks(first: 60) { nodes ${inner} } } } } } } }`

  it('are counted as they multiply, also those that the loaders have already', async () => {
    expect(await codes(nested('{ rowId }'))).toEqual(['QUERY_TOO_COMPLEX'])
    expect(await codes('{ tasks(first: 60) { nodes { rowId project { name } } } }')).toEqual([])
  })

  it('are counted through fragments and aliases too', async () => {
    const pages = Array.from({ length: 10 }, (_, i) => `p${i}: tasks(first: 60) { ...page }`).join(' ')
    expect(await codes(`{ ${pages} } fragment page on TaskConnection { nodes { rowId } }`)).toEqual([
      'QUERY_TOO_COMPLEX',
    ])
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
})
