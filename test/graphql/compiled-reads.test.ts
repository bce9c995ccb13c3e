/** Rows that the compiled lane reads and does not show: what is bounded for them must be missing nowhere. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant

/** Five projects with two tasks each: the first has one child with one label, the second 11 with 11 each. */
beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1 })
  tenant = world.tenants[0]!
  const add = (text: string) => world.sql(tenant.shard, text, [tenant.id])
  const PAIRS = 'generate_series(1, 5) p, generate_series(1, 2) t'
  const CHILDREN = `${PAIRS}, generate_series(1, 11) c`
  await add(`insert into app.projects (tenant_id, id, name)
    select $1, 9000 + p, 'p' || p from generate_series(1, 5) p`)
  await add(`insert into app.tasks (tenant_id, id, project_id, title)
    select $1, 90000 + p * 1000 + t, 9000 + p, 't' || t from ${PAIRS}`)
  await add(`insert into app.tasks (tenant_id, id, project_id, parent_id, title)
    select $1, 90000 + p * 1000 + t * 100 + c, 9000 + p, 90000 + p * 1000 + t, 'c' || c
    from ${CHILDREN} where t = 2 or c = 1`)
  await add(`insert into app.labels (tenant_id, task_id, word)
    select $1, 90000 + p * 1000 + t * 100 + c, 'w' || w
    from ${CHILDREN}, generate_series(1, 11) w where t = 2 or c = 1 and w = 1`)
  api = await openWorldApi(world, [], { rows: 70 })
})
afterAll(async () => {
  api?.end()
  await world?.stop()
})

const QUERY = `query ($first: Int) {
  projects(filter: { rowId: { gt: 9000 } }, first: $first, orderBy: [{ rowId: ASC }]) { nodes { name
    tasks(first: 1, orderBy: [{ rowId: ASC }]) { pageInfo { hasNextPage } nodes { title
      tasksByParent(first: 10) { nodes { title labels(first: 10) { pageInfo { hasNextPage } nodes { word } } } } } } } } }`

it('a short answer is whole, also where the rows behind its pages have long lists below them', async () => {
  const { data, errors } = await api.run(tenant, QUERY, { first: 5 })
  expect(errors).toBeUndefined()
  expect(JSON.stringify(data).match(/"word"/g)).toHaveLength(5)
  // What is read for nothing is more than the bound: it is the resolver lane's.
  expect([null, JSON.stringify({ data })]).toContain(await api.compiled(tenant, QUERY, { first: 5 }))
})

it('within the bound the compiled lane answers', async () => {
  const { data } = await api.run(tenant, QUERY, { first: 1 })
  expect(await api.compiled(tenant, QUERY, { first: 1 })).toBe(JSON.stringify({ data }))
})
