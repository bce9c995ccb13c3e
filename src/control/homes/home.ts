/**
 * A tenant's home: where its tables are, and the fence that says that it lives there.
 *
 *     shared     rows in the tables of the shard     fence row
 *     schema     a schema and a role                 + tables     + fence row with the role
 *     database   a database like a small shard       + tables     + fence row inside it
 *
 * Every function finds what is there and does what is missing, so whoever is killed runs it again. Nothing here writes
 * a placement: without one nobody is sent to a home, and without a fence nobody is let in.
 */

import { fail } from '../../base/errors.ts'
import { tenantDatabase, tenantRole, tenantSchema } from '../../directory/namespaces.ts'
import { recordTarget } from '../../directory/targets.ts'
import type { Isolation, Placement } from '../../directory/types.ts'
import { identityOf } from '../install.ts'
import { placeOf } from '../migrate/place.ts'
import { stateOf } from '../migrate/target.ts'
import { DEFAULT_TENANCY, type Fleet, onDirectory, onHome, onShard, type ShardAccess } from '../reach.ts'
import { bearTables, filesOf } from './births.ts'
import { requireSafe } from './check.ts'
import { dropDatabase, makeDatabase } from './database-home.ts'
import { type FenceState, removeFence, writeFence } from './fences.ts'
import { requireMaker } from './makers.ts'
import { dropSchema, makeSchema } from './schema-home.ts'
import { ensureTemplate } from './templates.ts'

/** What a home is made from; a placement whose state is that of the fence. */
export type Home = Pick<Placement, 'tenant' | 'shard' | 'isolation' | 'namespace' | 'epoch'> & {
  readonly state: FenceState
}

/** The namespace of a tenant that is put on a shard. @param shared  schema of the tables that tenants share */
export function namespaceOf(
  isolation: Isolation,
  { tenant, shardId, shared }: { tenant: Home['tenant']; shardId: string; shared: string },
): string {
  if (isolation === 'schema') return tenantSchema(tenant)
  return isolation === 'database' ? tenantDatabase(shardId, tenant) : shared
}

/**
 * Make the home of a tenant, empty tables included, and let nobody in who comes with another epoch.
 *
 * @throws SHARD_UNAVAILABLE  its shard cannot be reached
 * @throws SHARD_UNKNOWN      the configuration has no such shard
 * @throws SETUP_FAILED       the owner may not make it, or a migration fails
 * @throws REFUSED            there are no migrations to make tables by
 * @throws TABLE_UNSAFE       the tables would not keep tenants apart; what was made is left to `removeHome`
 * @throws SHARD_UNSAFE       the shard has a fence of another life of this tenant
 */
export async function makeHome(fleet: Fleet, home: Home): Promise<void> {
  await makePlace(fleet, home)
  await makeTables(fleet, home)
  await checkHome(fleet, home)
  await fenceHome(fleet, home)
}

/**
 * Whether a home of that kind can be made on the shard; changes nothing.
 *
 * @throws SETUP_FAILED  the owner may not make it, with the SQL that a superuser has to run
 * @throws REFUSED       there are no migrations to make tables by
 */
export async function requireMakeable(fleet: Fleet, place: Pick<Home, 'shard' | 'isolation'>): Promise<void> {
  const { isolation } = place
  if (isolation === 'shared') return
  const shard = accessTo(fleet, place.shard)
  await filesOf(fleet, shard)
  await onShard(shard, (client) => requireMaker(client, isolation))
}

/**
 * Make the schema with its role, or the database as a copy of one that has the tables. For shared tables there is
 * nothing to make.
 */
export async function makePlace(fleet: Fleet, home: Home): Promise<void> {
  const shard = accessTo(fleet, home.shard)
  if (home.isolation === 'shared') return
  const files = await filesOf(fleet, shard)
  const shardId = await shardIdOf(shard)
  const { tenant, namespace } = home
  if (home.isolation === 'schema') {
    const names = { schema: namespace, role: tenantRole(shardId, tenant) }
    return onShard(shard, (client) => makeSchema(client, names))
  }
  const template = await ensureTemplate(fleet, shard, { shardId, files })
  await makeDatabase(fleet, shard, { name: namespace, shardId, template })
}

/**
 * Make the tables, by the migrations that the shared tables of the shard have had, and record the target. The
 * directory has to know the tenant by then.
 */
export async function makeTables(fleet: Fleet, home: Home): Promise<void> {
  if (home.isolation === 'shared') return
  const shard = accessTo(fleet, home.shard)
  const files = await filesOf(fleet, shard)
  const target = { ...home, shardId: await shardIdOf(shard) }
  const place = placeOf(target, fleet.tenancy ?? DEFAULT_TENANCY)
  await onDirectory(fleet.directoryUrl, (directory) =>
    onHome(shard, home, async (client) => {
      await bearTables(client, place, files)
      await recordTarget(directory, target, await stateOf(client, place))
    }),
  )
}

/** @throws TABLE_UNSAFE  the tables would not keep the tenant apart; with each reason */
export async function checkHome(fleet: Fleet, home: Home): Promise<void> {
  if (home.isolation === 'shared') return
  const shard = accessTo(fleet, home.shard)
  const role = (await roleOf(shard, home)) ?? 'shardgate_app'
  await onHome(shard, home, (client) => requireSafe(client, fleet, home, role))
}

/** Write the fence, as the last of all. @throws SHARD_UNSAFE  there is one of another life of this tenant */
export async function fenceHome(fleet: Fleet, home: Home): Promise<void> {
  const shard = accessTo(fleet, home.shard)
  const role = await roleOf(shard, home)
  await onHome(shard, home, (client) => writeFence(client, { ...home, role }))
}

/**
 * Remove the schema with its role, or the database, and the fence; of shared tables only the fence: somebody else
 * removes the rows. What is not there is no fault.
 *
 * @param grave  leave a fence in the state 'purged' on the shard, at the epoch of the home, so that this life of the
 *   tenant cannot come back
 * @throws SHARD_UNAVAILABLE  the shard cannot be reached
 * @throws SETUP_FAILED       sessions of others hold the database
 */
export async function removeHome(fleet: Fleet, home: Home, grave = false): Promise<void> {
  const shard = accessTo(fleet, home.shard)
  await onShard(shard, (client) => removeFence(client, home, grave))
  const role = await roleOf(shard, home)
  if (role !== null) await onShard(shard, (client) => dropSchema(client, { schema: home.namespace, role }))
  if (home.isolation === 'database') await dropDatabase(shard, home.namespace)
}

/** @throws SHARD_UNKNOWN  the configuration has no such shard */
export function accessTo(fleet: Fleet, key: string): Fleet['shards'][number] {
  return (
    fleet.shards.find((shard) => shard.key === key) ??
    fail('SHARD_UNKNOWN', `The configuration has no shard "${key}", where the tenant belongs.`, {
      shard: key,
    })
  )
}

/** The role of a tenant with a schema of its own; null for the others. */
async function roleOf(shard: ShardAccess, { isolation, tenant }: Home): Promise<string | null> {
  return isolation === 'schema' ? tenantRole(await shardIdOf(shard), tenant) : null
}

const shardIdOf = (shard: ShardAccess): Promise<string> =>
  onShard(shard, async (client) => {
    const id = await identityOf(client)
    return id ?? fail('SHARD_UNSAFE', `The database behind ${shard.key} is no shard.`, { shard: shard.key })
  })
