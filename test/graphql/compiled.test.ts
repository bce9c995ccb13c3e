/** The compiled lane, feature by feature: the very text that the resolver lane's answer is as JSON. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'
import { addTiedTasks } from '../kit/tied-tasks.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1, rows: 3 })
  tenant = world.tenants[0]!
  await addTiedTasks(world, tenant, 'task "')
  api = await openWorldApi(world)
})
afterAll(async () => {
  api.end()
  await world.stop()
})

/** The answer of both lanes, which must be one. */
async function same(source: string, variables: object = {}): Promise<string> {
  const compiled = await api.compiled(tenant, source, variables)
  const { data, errors } = await api.run(tenant, source, variables)
  expect(errors).toBeUndefined()
  expect(compiled).toBe(JSON.stringify({ data }))
  return compiled as string
}

describe('lists', () => {
  it('nodes, edges, pageInfo and totalCount of a page', async () => {
    const answer = await same(`{ tasks(first: 3, orderBy: [{ title: DESC }, { dueOn: ASC_NULLS_FIRST }]) {
      totalCount nodes { id rowId title state effort done dueOn __typename }
      edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`)
    expect(answer).toContain('"totalCount":6')
  })

  it('pages in both directions, by variables', async () => {
    const page = `query ($first: Int, $last: Int, $after: String, $before: String, $offset: Int) {
      tasks(first: $first, last: $last, after: $after, before: $before, offset: $offset) {
        nodes { title } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`
    const first = await same(page, { first: 5 })
    const { endCursor } = JSON.parse(first).data.tasks.pageInfo
    await same(page, { first: 5, after: endCursor })
    await same(page, { last: 5, before: endCursor })
    await same(page, { last: 2 })
    await same(page, { first: 2, offset: 4 })
    await same(page, { first: 0 })
    await same(page, {})
  })

  it('cursors of an order by another table are what Postgres sends, also of booleans', async () => {
    await same(
      `{ labels(first: 3, orderBy: [{ task: { done: DESC } }, { task: { project: { tasks: { avg: { effort: ASC } } } } }]) {
        totalCount edges { cursor } } }`,
    )
  })

  it('reads one row more than it shows only where somebody asks whether there are any', async () => {
    const rowsRead = async (selected: string): Promise<unknown> => {
      const source = `query ($n: Int) { tasks(first: $n) { nodes { title } ${selected} } }`
      const { ran } = await api.record(() => api.compiled(tenant, source, { n: 5 }))
      return ran[0]?.values.at(-1)
    }
    expect(await rowsRead('')).toBe(5)
    expect(await rowsRead('pageInfo { endCursor }')).toBe(5)
    expect(await rowsRead('pageInfo { hasNextPage }')).toBe(6)
  })

  it('filters by constants and by variables', async () => {
    await same(
      '{ tasks(filter: { title: { startsWith: "task", in: ["task \\"1"] }, effort: { isNull: true } }) { nodes { title effort } } }',
    )
    const source =
      'query ($filter: TaskFilter) { tasks(filter: $filter) { totalCount nodes { title effort state } } }'
    await same(source, { filter: { or: [{ effort: { gt: 2 } }, { state: { eq: 'DOING' } }] } })
    await same(source, {
      filter: { not: { title: { endsWith: '1' } }, project: { name: { isNull: false } } },
    })
    await same(source, { filter: null })
    await same(source, {})
  })
})

describe('relations', () => {
  it('to one row, selected twice with other fields each time', async () => {
    await same(
      '{ tasks(first: 8) { nodes { a: project { name } b: project { rowId id } a2: project { name } } } }',
    )
  })

  it('to one and to many, below each other', async () => {
    await same(`{ projects { nodes { name tasks(first: 2, orderBy: [{ effort: DESC }]) {
      totalCount nodes { title project { name tasks(last: 1) { nodes { title } pageInfo { startCursor } } } } } } } }`)
  })
})

describe('one row', () => {
  it('by its id, and none', async () => {
    const found = JSON.parse(await same('{ tasks(first: 1) { nodes { id } } }')).data.tasks.nodes[0].id
    const source =
      'query ($id: ID!) { task(id: $id) { id title project { name } } again: task(id: $id) { done } }'
    expect(await same(source, { id: found })).toContain('title')
    const none = Buffer.from(JSON.stringify(['Task', '999999'])).toString('base64url')
    expect(await same(source, { id: none })).toBe('{"data":{"task":null,"again":null}}')
  })
})

describe('rows of any table', () => {
  it('by their ids, some of which are none', async () => {
    const ids = JSON.parse(
      await same('{ tasks(first: 3) { nodes { id } } projects(first: 2) { nodes { id } } }'),
    ).data
    const [tasks, projects] = [ids.tasks.nodes, ids.projects.nodes].map((nodes) =>
      nodes.map((node: { id: string }) => node.id),
    )
    const none = Buffer.from(JSON.stringify(['Task', '999999'])).toString('base64url')
    const source = `query ($one: ID!, $ids: [ID!]!) {
      node(id: $one) { __typename id ... on Task { title } }
      nodes(ids: $ids) { id ... on Task { title project { name } } ... on Project { name tasks(first: 1) { totalCount nodes { title } } } } }`
    const mixed = [tasks[1], projects[0], none, tasks[0], tasks[1]]
    expect(await same(source, { one: projects[1], ids: mixed })).toContain('null')
    await same(source, { one: none, ids: [] })
  })

  it('has its children once, however often it is asked for', async () => {
    const { projects } = JSON.parse(await same('{ projects(last: 1) { nodes { id } } }')).data
    const ids = [projects.nodes[0].id, projects.nodes[0].id]
    const source =
      'query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Project { tasks { nodes { id } totalCount } } } }'
    const [first, second] = JSON.parse(await same(source, { ids })).data.nodes
    expect(second).toEqual(first)
  })
})

describe('aggregates', () => {
  it('of a list and of the children of each row', async () => {
    await same(`{ tasks(filter: { done: { eq: true } }) { aggregates { count sum { effort } avg { effort } min { title dueOn } distinctCount { state } } }
      projects { nodes { tasks { aggregates { count max { effort } } groups(by: [{ state: VALUE }]) { key { state } count } } } } }`)
    await same(
      `query ($zone: String) { tasks { groups(by: [{ dueOn: MONTH }, { done: VALUE }], having: { count: { gt: 1 } }, orderBy: [{ count: DESC }], timeZone: $zone, first: 3) {
      key { dueOn done title } count sum { effort } } } }`,
      { zone: 'Europe/Berlin' },
    )
  })
})

describe('selections', () => {
  it('of which @skip leaves nothing', async () => {
    expect(
      await same(
        '{ tasks(first: 1) { nodes { id @skip(if: true) } pageInfo @include(if: false) { endCursor } } }',
      ),
    ).toBe('{"data":{"tasks":{"nodes":[{}]}}}')
    await same(`{ tasks @skip(if: true) { totalCount } }`)
    await same(
      `query ($no: Boolean!) { tasks { edges { cursor @include(if: $no) } pageInfo { endCursor @include(if: $no) }
      aggregates { count @include(if: $no) } groups(by: [{ done: VALUE }]) { key { done @include(if: $no) } } } }`,
      { no: false },
    )
  })
})
