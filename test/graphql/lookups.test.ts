/** One row by a unique key: each key a field of a @oneOf input, batched, and never another tenant's row. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant
let other: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1, rows: 4 })
  tenant = world.tenants[0]!
  other = world.tenants[1]!
  await world.sql(
    tenant.shard,
    `alter table app.tasks add column day date;
     create unique index tasks_day_key on app.tasks (tenant_id, day);
     create unique index tasks_effort_done_key on app.tasks (effort, tenant_id, id);
     create unique index tasks_partial_key on app.tasks (tenant_id, title) where done;
     update app.tasks set day = date '2026-01-01' + id`,
  )
  api = await openWorldApi(world)
})
afterAll(async () => {
  api.end()
  await world.stop()
})

const statements = () => api.gate.events.filter(({ kind }) => kind === 'statement.done').length
const task = async (by: object, of = tenant) =>
  (await api.data(of, 'query($by: TaskKey!) { taskBy(by: $by) { id rowId title effort day } }', { by }))
    .taskBy

describe('a lookup by a unique key', () => {
  it('finds the row by its primary key, its id, and each unique key', async () => {
    const first = await task({ rowId: 1 })
    expect(first).toMatchObject({ rowId: 1, day: '2026-01-02' })
    expect(await task({ id: first.id })).toEqual(first)
    expect(await task({ day: '2026-01-02' })).toEqual(first)
    expect(await task({ effortAndRowId: { effort: first.effort, rowId: 1 } })).toEqual(first)
    const labels = await api.data(tenant, '{ labels(first: 1) { nodes { taskId word } } }')
    const { taskId, word } = labels.labels.nodes[0]
    const by = `{ taskIdAndWord: { taskId: ${taskId}, word: ${JSON.stringify(word)} } }`
    expect((await api.data(tenant, `{ labelBy(by: ${by}) { word } }`)).labelBy).toEqual({ word })
  })

  it('is null where there is none, in the bytes of one that is another tenant’s', async () => {
    const { name } = (
      await world.sql(other.shard, 'select name from app.projects where tenant_id = $1', [other.id])
    )[0]!
    const ask = (value: unknown) =>
      api.run(tenant, 'query($by: ProjectKey!) { projectBy(by: $by) { name } }', { by: { name: value } })
    expect(JSON.stringify(await ask(name))).toBe(JSON.stringify(await ask('no such project')))
    expect(await ask(name)).toEqual({ data: { projectBy: null } })
  })

  it('is one statement for many, also with the rows that relations load', async () => {
    const before = statements()
    const fields = [1, 2, 3, 99].map((n) => `t${n}: taskBy(by: { rowId: ${n} }) { rowId }`)
    const data = await api.data(
      tenant,
      `{ ${fields.join(' ')} task(id: "${(await task({ rowId: 1 })).id}") { rowId } }`,
    )
    expect(statements() - before).toBe(2)
    expect(data).toMatchObject({ t1: { rowId: 1 }, t3: { rowId: 3 }, t99: null, task: { rowId: 1 } })
  })

  it('with a value that Postgres refuses takes no other one with it', async () => {
    const source =
      '{ bad: taskBy(by: { day: "2026-02-30" }) { rowId } good: taskBy(by: { day: "2026-01-02" }) { rowId } }'
    const { data, errors } = await api.run(tenant, source)
    expect(data).toEqual({ bad: null, good: { rowId: 1 } })
    expect(errors).toEqual([expect.objectContaining({ path: ['bad'] })])
    expect(errors?.[0]?.originalError).toMatchObject({ code: 'BAD_USER_INPUT' })
  })

  it.each([
    [{}, 'Exactly one key'],
    [{ rowId: 1, day: '2026-01-02' }, 'Exactly one key'],
    [{ rowId: null }, 'must be non-null'],
    [{ id: 'nonsense' }, '"by.id" is not an id'],
    [{ effortAndRowId: { effort: '1' } }, 'rowId'],
    [{ title: 'task' }, 'not defined'],
  ])('by %j is refused', async (by, message) => {
    const { errors } = await api.run(tenant, 'query($by: TaskKey!) { taskBy(by: $by) { rowId } }', { by })
    expect(errors?.[0]?.message).toContain(message)
  })

  it('refuses U+0000 in a key', async () => {
    const source = 'query($by: ProjectKey!) { projectBy(by: $by) { name } }'
    const { errors } = await api.run(tenant, source, { by: { name: 'a\u0000' } })
    expect(errors?.[0]?.originalError).toMatchObject({ code: 'BAD_USER_INPUT' })
  })

  it('has no field for a key that does not hold for all rows', () => {
    expect(Object.keys(api.schema.getTypeMap())).toContain('TaskKeyEffortAndRowId')
    const fields = api.schema.getType('TaskKey')!.toConfig() as { fields: object }
    expect(Object.keys(fields.fields).sort()).toEqual(['day', 'effortAndRowId', 'id', 'rowId'])
  })
})
