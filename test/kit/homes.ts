/** Tenants of a test with a schema or a database of their own, and the end of those. */

import { join } from 'node:path'
import type { TenantId } from '../../src/base/ids.ts'
import { type Home, makeHome, namespaceOf, removeHome } from '../../src/control/homes/home.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { withClient } from '../../src/db/client.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import { compile, sql } from '../../src/db/sql.ts'
import { tenantRole } from '../../src/directory/namespaces.ts'
import type { Isolation } from '../../src/directory/types.ts'
import type { TestShard } from './fleet.ts'
import { ownPlace, type RowsPlace, sharedPlace } from './places-of-rows.ts'

/** Folder of the migrations of the world's tables. */
export const WORLD_FOLDER = join(import.meta.dirname, 'world')

export interface HomeParts {
  readonly fleet: Fleet
  readonly shard: TestShard
  /** Schema of the tables that tenants share. */
  readonly schema: string
}

/** Move a tenant that has no rows yet out of the shared tables. */
export async function giveHome(parts: HomeParts, tenant: TenantId, isolation: Isolation): Promise<Home> {
  const { fleet, shard, schema } = parts
  const shardId = await idOf(shard)
  const namespace = namespaceOf(isolation, { tenant, shardId, shared: schema })
  const home: Home = { tenant, shard: shard.key, isolation, namespace, epoch: 1, state: 'active' }
  if (isolation === 'shared') return home
  await removeHome(fleet, { ...home, isolation: 'shared', namespace: schema })
  await makeHome({ ...fleet, migrations: WORLD_FOLDER }, home)
  await withClient(fleet.directoryUrl, (directory) =>
    directory.query(
      compile(sql`insert into directory.placement (tenant_id, shard, isolation, namespace)
        values (${sql.value(tenant)}, ${sql.value(shard.key)}, ${sql.value(isolation)}, ${sql.value(namespace)})`),
    ),
  )
  return home
}

/** Where a tenant's rows are. @param schema  of shared tables */
export async function placeOfHome(
  shard: TestShard,
  home: Pick<Home, 'tenant' | 'isolation' | 'namespace'>,
  schema: string,
): Promise<RowsPlace> {
  if (home.isolation === 'shared') return sharedPlace(shard.superuserUrl, schema)
  const role = tenantRole(await idOf(shard), home.tenant)
  return ownPlace(shard.superuserUrl, home, { sharedSchema: schema, role })
}

/** Remove the databases of a shard's tenants. Call before its own one goes. @returns their roles, to go after it */
export async function dropDatabases(shard: TestShard): Promise<string[]> {
  const prefix = `shardgate\\_${(await idOf(shard)).slice(0, 8)}\\_%`
  return withClient(shard.superuserUrl, async (client) => {
    const databases = await client.query(`select datname from pg_database where datname like '${prefix}'`)
    for (const { datname } of databases) {
      await client.query(`alter database "${datname}" is_template false`)
      await client.query(`drop database "${datname}" with (force)`)
    }
    const roles = await client.query(`select rolname from pg_roles where rolname like '${prefix}'`)
    return roles.map(({ rolname }) => rolname ?? '')
  })
}

/** @param superuserUrl  leads to any database of the server */
export function dropRoles(superuserUrl: string, roles: readonly string[]): Promise<void> {
  return withClient(databaseUrl(superuserUrl, 'postgres'), async (client) => {
    for (const role of roles) await client.query(`drop role if exists "${role}"`)
  })
}

const idOf = (shard: TestShard): Promise<string> =>
  withClient(shard.superuserUrl, async (client) => {
    const [row] = await client.query('select id from shardgate.identity')
    return row?.id ?? ''
  })
