/** Homes of the three models: made, made again after a kill anywhere, closed to everybody else, and removed. */

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { type Home, makeHome, namespaceOf, removeHome } from '../../src/control/homes/home.ts'
import { migrate } from '../../src/control/migrate/migrate.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { withClient } from '../../src/db/client.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import { tenantRole } from '../../src/directory/namespaces.ts'
import { reserveTenants } from '../../src/directory/tenants.ts'
import type { Isolation } from '../../src/directory/types.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'

let world: TestFleet
let fleet: Fleet
let shardId: string

beforeAll(async () => {
  world = await freshFleet({ weights: { 'shard-a': 1 } })
  const folder = join(import.meta.dirname, '../kit/world')
  fleet = { ...world.fleet, migrations: folder }
  await migrate({ shard: world.fleet.shards[0]!, folder, schema: 'app' })
  const [row] = await sql(`select id from shardgate.identity`)
  shardId = row!.id!
})
afterAll(() => world?.drop())

const shardUrl = (): string => world.shards[0]!.superuserUrl
const sql = (text: string, database?: string) =>
  withClient(database === undefined ? shardUrl() : databaseUrl(shardUrl(), database), (db) => db.query(text))

function homeOf(id: string, isolation: Isolation): Home {
  const tenant = tenantId(id)
  const namespace = namespaceOf(isolation, { tenant, shardId, shared: 'app' })
  return { tenant, shard: 'shard-a', isolation, namespace, epoch: 1, state: 'active' }
}

/** The home of a tenant that the directory knows and has not placed. */
async function reserved(id: string, isolation: Isolation): Promise<Home> {
  await withClient(world.directoryUrl, (db) =>
    reserveTenants(db, [{ id: tenantId(id), name: id, subdomain: id, plan: 'standard', bucket: 0 }]),
  )
  return homeOf(id, isolation)
}

const fencesOf = async (id: TenantId, database?: string) =>
  (
    await sql(`select state, epoch, role from shardgate.tenant_fence where tenant_id = '${id}'`, database)
  ).map(({ state, epoch, role }) => `${state} ${epoch} ${role ?? '-'}`)

describe('a schema', () => {
  it('has the tables, the role and the fence, and the same again changes nothing', async () => {
    const home = await reserved('one', 'schema')
    await makeHome(fleet, home)
    await makeHome(fleet, home)
    const role = tenantRole(shardId, home.tenant)
    expect(await fencesOf(home.tenant)).toEqual([`active 1 ${role}`])
    const tables = (schema: string) =>
      sql(
        `select relname from pg_class where relnamespace = '"${schema}"'::regnamespace and relkind = 'r' order by 1`,
      )
    expect(await tables('tenant_one')).toEqual(await tables('app'))
  })

  it('is gone with its role when it is removed, twice', async () => {
    const home = await reserved('two', 'schema')
    await makeHome(fleet, home)
    await removeHome(fleet, home)
    await removeHome(fleet, home)
    expect(await sql(`select from pg_namespace where nspname = 'tenant_two'`)).toEqual([])
    expect(await sql(`select from pg_roles where rolname = '${tenantRole(shardId, home.tenant)}'`)).toEqual(
      [],
    )
    expect(await fencesOf(home.tenant)).toEqual([])
  })
})

describe('a database', () => {
  it('is a small shard of its own', async () => {
    const own = await reserved('three', 'database')
    await makeHome(fleet, own)
    await makeHome(fleet, own)
    expect(await fencesOf(own.tenant, own.namespace)).toEqual(['active 1 -'])
    expect(await sql('select id from shardgate.identity', own.namespace)).toEqual([{ id: shardId }])
    await removeHome(fleet, own)
    expect(await sql(`select from pg_database where datname = '${own.namespace}'`)).toEqual([])
  })
})
