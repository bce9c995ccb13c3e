/** The rows of an answer: estimated before it is made, counted while it is made, and refused whole. */

import { getOperationAST, parse, validate } from 'graphql'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { demandOf } from '../../src/graphql/limits/demand.ts'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { type Caller, openCaller } from '../kit/refusal.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant
const LIMITS = { pageSize: 100, pageSizeDefault: 20, rows: 500 }
/** What the API reads at each list. */
let limits = { ...LIMITS }

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1 })
  tenant = world.tenants[0]!
  await world.sql(
    tenant.shard,
    `insert into app.tasks (tenant_id, id, project_id, title)
     select $1, 1000 + n, (select min(id) from app.projects where tenant_id = $1), 'task ' || n from generate_series(1, 60) n`,
    [tenant.id],
  )
  api = await openWorldApi(world, [], {
    get rows() {
      return limits.rows
    },
  })
})
afterAll(async () => {
  api.end()
  await world.stop()
})

afterEach(() => {
  limits = { ...LIMITS }
  vi.restoreAllMocks()
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

describe('the limit of rows', () => {
  it.each([
    ['a list', '{ tasks(first: 60) { nodes { rowId } } }', 60],
    [
      'two lists',
      '{ a: tasks(first: 60) { nodes { rowId } } b: tasks(first: 7) { pageInfo { endCursor } } }',
      67,
    ],
    ['each with a row behind it', '{ tasks(first: 60) { nodes { project { rowId } } } }', 120],
    [
      'a list in a list',
      '{ projects(first: 1, orderBy: [{ rowId: ASC }]) { edges { node { tasks(first: 60) { edges { node { rowId } } } } } } }',
      61,
    ],
    [
      'a list behind each, the same one',
      '{ tasks(first: 3, filter: { rowId: { gt: 1000 } }) { nodes { project { tasks(first: 60) { nodes { rowId } } } } } }',
      186,
    ],
  ])('is reached by %s, and may be reached: %s', async (_, source, rows) => {
    limits.rows = rows
    expect(await codes(source)).toEqual([])
    expect(await api.compiled(tenant, source)).toBe(JSON.stringify(await api.run(tenant, source)))
    limits.rows = rows - 1
    expect(await codes(source)).toEqual(['QUERY_TOO_COMPLEX'])
    expect(await api.compiled(tenant, source)).toBe(null)
  })

  it('counts what is asked for by id', async () => {
    const { projects } = await api.data(tenant, '{ projects(first: 1) { nodes { id } } }')
    const source = `{ nodes(ids: [${`"${projects.nodes[0].id}" `.repeat(10)}]) { id } }`
    limits.rows = 10
    expect(await codes(source)).toEqual([])
    expect(await api.compiled(tenant, source)).toContain('nodes')
    limits.rows = 9
    expect(await codes(source)).toEqual(['QUERY_TOO_COMPLEX'])
    expect(await api.compiled(tenant, source)).toBe(null)
  })

  it('holds for what is read too: many parents do not fill the memory before their rows are counted', async () => {
    await world.sql(
      tenant.shard,
      `insert into app.projects (tenant_id, id, name) select $1, 5000 + n, 'many ' || n from generate_series(1, 90) n`,
      [tenant.id],
    )
    await world.sql(
      tenant.shard,
      `insert into app.tasks (tenant_id, id, project_id, title)
       select $1, 10000 + 10 * n + i, 5000 + n, 'one of many' from generate_series(1, 90) n, generate_series(1, 9) i`,
      [tenant.id],
    )
    const batch = vi.spyOn(api.gate.door, 'batch')
    const source =
      '{ projects(first: 90, filter: { rowId: { gt: "5000" } }) { nodes { tasks(first: 8) { nodes { rowId } } } } }'
    limits.rows = 90 + 90 * 8
    expect(await codes(source)).toEqual([])
    limits.rows = 200
    batch.mockClear()
    expect(await codes(source)).toEqual(['QUERY_TOO_COMPLEX'])
    const read = (await Promise.all(batch.mock.results.map(({ value }) => value as Promise<Data[][]>))).flat()
    // A page may be read one row longer than it is, and one row more says that there is too much.
    expect(Math.max(...read.map((rows) => rows.length))).toBeLessThanOrEqual(200 - 90 + 90 + 1)
    expect(read).toHaveLength(2)
  })
})

describe('an estimate', () => {
  const estimate = (source: string, variableValues: Record<string, unknown> = {}): number => {
    const document = parse(source)
    expect(validate(api.schema, document)).toEqual([])
    return demandOf(api.schema, document, getOperationAST(document)!, variableValues, LIMITS).rows
  }
  const RING = '{ nodes { project { tasks(first: 100) '

  it.each<[string, string, object, number]>([
    ['a list', '{ tasks(first: 7) { nodes { rowId } } }', {}, 7],
    ['a list from its end', '{ tasks(last: 7) { nodes { rowId } } }', {}, 7],
    ['a list that asks for no number', '{ tasks { nodes { rowId } } }', {}, 20],
    ['a list with null for a number', '{ tasks(first: null) { nodes { rowId } } }', {}, 20],
    ['a variable', 'query($n: Int) { tasks(first: $n) { nodes { rowId } } }', { n: 9 }, 9],
    ['a variable that is not there', 'query($n: Int) { tasks(first: $n) { nodes { rowId } } }', {}, 20],
    ['a variable with a default', 'query($n: Int = 8) { tasks(first: $n) { totalCount } }', {}, 8],
    ['null in it', 'query($n: Int = 8) { tasks(first: $n) { totalCount } }', { n: null }, 20],
    ['more than any page', '{ tasks(first: 5000) { nodes { rowId } } }', {}, 100],
    ['less than nothing', '{ tasks(first: -5) { nodes { rowId } } }', {}, 0],
    ['two lists', '{ a: tasks(first: 7) { totalCount } projects(first: 3) { totalCount } }', {}, 10],
    [
      'rows that others refer to',
      '{ tasks(first: 7) { nodes { project { name } a: parent { project { name } } } } }',
      {},
      7 * (1 + 1 + 2),
    ],
    [
      'rows by their ids',
      'query($ids: [ID!]!) { nodes(ids: $ids) { id } a: nodes(ids: ["x"]) { id } }',
      { ids: ['x', 'y'] },
      3,
    ],
    ['one id where a list belongs', 'query($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids: 'x' }, 1],
    ['one row', '{ __typename project(id: "x") { name } }', {}, 0],
    ['lists in a list', '{ projects(first: 3) { nodes { tasks(first: 7) { totalCount } } } }', {}, 3 + 3 * 7],
    ['edges', '{ projects(first: 3) { edges { node { tasks(first: 7) { totalCount } } } } }', {}, 3 + 3 * 7],
    [
      'both, and under two names',
      '{ projects(first: 2) { nodes { tasks(first: 5) { totalCount } } edges { node { a: tasks(first: 5) { totalCount } b: tasks(first: 5) { totalCount } } } } }',
      {},
      2 + 2 * 15,
    ],
    [
      'fragments, each as often as the executor meets it: fields of one name are one',
      `query { a: projects(first: 2) { ...P } b: projects(first: 3) { nodes { ... on Project { ...T } } ... { ...P } } }
       fragment P on ProjectConnection { nodes { ...T } } fragment T on Project { tasks(first: 5) { totalCount } }`,
      {},
      2 + 2 * 5 + (3 + 3 * 5),
    ],
    [
      'what is skipped',
      'query($x: Boolean!) { tasks(first: 7) @skip(if: $x) { totalCount } projects(first: 3) @include(if: $x) { totalCount } }',
      { x: true },
      3,
    ],
    ['a ring', `{ tasks(first: 100) ${RING.repeat(2)}{ totalCount } ${'} } }'.repeat(2)} }`, {}, 1_020_200],
    ['groups', '{ tasks(first: 7) { groups(by: [{ state: VALUE }], first: 5) { count } } }', {}, 7 + 5],
    [
      'groups of children, once for each list and not for each of its rows',
      `{ projects(first: 3) { nodes { tasks(first: 7) { ...G nodes { rowId } } } groups(by: [{ name: VALUE }]) { count } } }
       fragment G on TaskConnection { groups(by: [{ state: VALUE }], first: 5) { count key { state } } aggregates { count } }`,
      {},
      3 + 3 * (7 + 5) + 20,
    ],
    [
      'rows that are created, and lists behind each',
      'mutation($p: [CreateProjectInput!]!) { a: createProjects(input: $p) { ...C } b: createProjects(input: [{ rowId: 1, name: "x" }]) { ...C } } fragment C on ProjectChanges { count nodes { tasks(first: 5) { totalCount } } }',
      { p: [{}, {}, {}] },
      3 + 3 * 5 + (1 + 5),
    ],
    [
      'rows that may be changed',
      'mutation($n: Int!) { updateProjects(filter: {}, patch: {}, atMost: $n) { ... on ProjectChanges { nodes { tasks(first: 5) { totalCount } } } } deleteProjects(filter: {}) { __typename } }',
      { n: 7 },
      7 + 7 * 5 + 1,
    ],
    ['rows behind a mutation', 'mutation { deleteTask(id: "x") { __typename } }', {}, 0],
  ])('of %s: %s', (_, source, variables, rows) => {
    expect(estimate(source, { ...variables })).toBe(rows)
  })

  it('has an end, however deep the lists are', () => {
    const deep = `{ tasks(first: 100) ${RING.repeat(40)}{ totalCount } ${'} } }'.repeat(40)} }`
    expect(estimate(deep)).toBe(Number.MAX_SAFE_INTEGER)
    expect(estimate(deep.replace('first: 100', 'first: 0'))).toBe(0)
  })
})

describe('the whole gateway', () => {
  let gateway: Gateway
  let caller: Caller
  beforeAll(async () => {
    gateway = await startGateway(world)
    caller = openCaller(world, gateway, tenant, await worldToken(world, tenant))
  })
  afterAll(async () => {
    caller?.close()
    await gateway?.stop()
  })

  const ring = (first: number): string => {
    const around = `{ nodes { project { tasks(first: ${first}) `
    return `tasks(first: ${first}) ${around.repeat(2)}{ nodes { rowId } } ${'} } }'.repeat(2)}`
  }

  it('refuses a ring of full pages by its estimate, and lets wide queries pass', async () => {
    expect(await caller.refused({ query: `{ ${ring(100)} }` }, 'QUERY_TOO_COMPLEX')).toBe(
      'The operation asks for up to 1020200 rows; 1000000 are allowed. Ask for shorter lists.',
    )
    const query = '{ projects(first: 100) { nodes { tasks(first: 100) { nodes { parent { title } } } } } }'
    expect((await caller.data({ query })).projects.nodes.length).toBeGreaterThan(90)
  })

  it('gives no answer with holes in it: one that gets too large is refused whole', async () => {
    expect(await caller.refused({ query: `{ ${ring(99)} }` }, 'QUERY_TOO_COMPLEX')).toBe(
      'The answer would hold more than 10000 rows; ask for shorter lists.',
    )
  })

  it('keeps nothing of a mutation whose answer gets too large', async () => {
    const [before, { tasks }] = [
      await world.contents(tenant),
      await caller.data({ query: '{ tasks(first: 1) { nodes { id } } }' }),
    ]
    const query = `mutation($id: ID!) {
      updateTask(id: $id, patch: { title: "changed" }) { ... on Task { project { ${ring(60)} } } } }`
    await caller.refused({ query, variables: { id: tasks.nodes[0].id } }, 'QUERY_TOO_COMPLEX')
    expect(await world.contents(tenant)).toBe(before)
  })
})
