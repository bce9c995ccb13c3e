/**
 * How large an answer may get: rows are few, values may be long, and one of them may stand in many places.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deadlineIn } from '../../src/base/time.ts'
import { Connection } from '../../src/db/connection.ts'
import { prepared } from '../../src/db/sql.ts'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

describe('the bytes of an answer', () => {
  const ALLOWED = 20_000
  let world: World
  let api: WorldApi
  let tenant: WorldTenant

  beforeAll(async () => {
    world = await startWorld({ tenants: 1, shards: 1 })
    tenant = world.tenants[0]!
    await world.sql(
      tenant.shard,
      `insert into app.projects (tenant_id, id, name, aliases) values ($1, 1, repeat('n', 1000), array[repeat('a', 1000)])`,
      [tenant.id],
    )
    await world.sql(
      tenant.shard,
      `insert into app.tasks (tenant_id, id, project_id, title) select $1, 1000 + n, 1, 'x' from generate_series(1, 60) n`,
      [tenant.id],
    )
    api = await openWorldApi(world, [], { answerBytes: ALLOWED })
  })
  afterAll(async () => {
    api?.end()
    await world?.stop()
  })

  const below = (first: number, fields: string) =>
    `{ tasks(first: ${first}, filter: { rowId: { gt: 1000 } }) { nodes { project { ${fields} } } } }`

  it.each([
    ['one value behind many rows', below(20, 'name'), below(21, 'name')],
    ['a list', below(19, 'aliases'), below(20, 'aliases')],
    ['under other names', below(10, 'a: name b: name'), below(11, 'a: name b: name')],
    [
      'measures and keys of groups',
      `{ projects(filter: { rowId: { eq: "1" } }) { groups(by: [{ name: VALUE }]) { key { name } ${'max { name } '.repeat(9)} } } }`,
      `{ ${[0, 1, 2].map((n) => `g${n}: projects(filter: { rowId: { eq: "1" } }) { groups(by: [{ name: VALUE }]) { ${[...'abcdefghij'].map((a) => `${a}: key { name }`).join(' ')} } }`).join(' ')} }`,
    ],
  ])('are counted: %s', async (_what, fits, tooMuch) => {
    expect((await api.run(tenant, fits)).errors).toBeUndefined()
    const { errors = [] } = await api.run(tenant, tooMuch)
    expect(errors[0]?.originalError).toMatchObject({
      code: 'QUERY_TOO_COMPLEX',
      details: { limit: 'answerBytes', allowed: ALLOWED },
    })
  })

  it('are bounded together where they are read and not shown', async () => {
    await world.sql(
      tenant.shard,
      `insert into app.tasks (tenant_id, id, project_id, title) select $1, 5000 + n, 1, repeat('t', 1000000) from generate_series(1, 35) n`,
      [tenant.id],
    )
    const list = (name: string) =>
      `${name}: tasks(first: 35, filter: { rowId: { gt: 5000 } }) { nodes { rowId } }`
    expect((await api.run(tenant, `{ ${list('a')} }`)).errors).toBeUndefined()
    const { errors = [] } = await api.run(tenant, `{ ${list('a')} ${list('b')} }`)
    expect(errors[0]?.originalError).toMatchObject({
      code: 'QUERY_TOO_COMPLEX',
      details: { limit: 'bytesRead' },
    })
    await world.sql(tenant.shard, 'delete from app.tasks where id > 5000')
  })

  it('of a mutation keep it from being kept', async () => {
    const longest = `createTask(input: { rowId: 7000, projectId: "1", title: "${'t'.repeat(10_001)}" }) { ... on Task { title again: title } }`
    const { errors = [] } = await api.run(tenant, `mutation { ${longest} }`)
    expect(errors[0]?.originalError).toMatchObject({ code: 'QUERY_TOO_COMPLEX' })
    expect(await world.sql(tenant.shard, 'select from app.tasks where id = 7000')).toEqual([])
  })

  it.each(['1e1000', '-1.5E+1000', '1e-131071'])(
    'do not grow from a short number: %s is refused',
    async (number) => {
      const create = (given: string) =>
        api.run(
          tenant,
          `mutation { createProject(input: { rowId: "5", name: "x", ${given} }) { __typename } }`,
        )
      await expect(create(`share: "${number}"`)).rejects.toThrow('A Decimal was wanted')
      await expect(create(`notes: { n: [${number}] }`)).rejects.toThrow('three digits at most')
    },
  )
})

describe('the bytes of a batch', () => {
  let database: FreshDatabase
  let connection: Connection

  beforeAll(async () => {
    database = await freshDatabase()
    connection = await Connection.open({ url: database.url, connectMs: 5_000, applicationName: 'bytes' })
  })
  afterAll(async () => {
    connection?.destroy('the end')
    await database?.drop()
  })

  it('are not kept above a bound, and the batches beside it are answered', async () => {
    const long = prepared(`select repeat('x', 1000000) from generate_series(1, $1::int)`, [68])
    const before = connection.batch([prepared('select 1')], deadlineIn(20_000))
    const refused = connection.batch([long], deadlineIn(20_000)).catch((error: Data) => error)
    const after = connection.batch([prepared('select 2')], deadlineIn(20_000))
    expect((await before)[0]?.rows).toEqual([['1']])
    expect(await refused).toMatchObject({ code: 'QUERY_TOO_COMPLEX', details: { limit: 'bytesRead' } })
    expect((await after)[0]?.rows).toEqual([['2']])
    expect(connection.idle).toBe(true)
    expect((await connection.batch([{ ...long, values: [60] }], deadlineIn(20_000)))[0]?.rows).toHaveLength(
      60,
    )
  })
})
