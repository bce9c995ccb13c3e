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

import { tenantDatabase, tenantRole, tenantSchema } from '../../directory/namespaces.ts'
import { recordTarget } from '../../directory/targets.ts'
import type { Isolation } from '../../directory/types.ts'
import { APP_ROLE, placeOf } from '../migrate/place.ts'
import { stateOf } from '../migrate/target.ts'
import { DEFAULT_TENANCY, type Fleet, onDirectory } from '../reach.ts'
import { bearTables, filesOf } from './births.ts'
import { requireSafe } from './check.ts'
import { dropDatabase, makeDatabase } from './database-home.ts'
import { removeFence, writeFence } from './fences.ts'
import { requireMaker } from './makers.ts'
import { accessTo, type Home, onItsHome, onItsShard } from './reach-home.ts'
import { dropSchema, makeSchema, type SchemaNames } from './schema-home.ts'
import { ensureTemplate } from './templates.ts'

export type { Home } from './reach-home.ts'

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
  const { isolation, shard } = place
  if (isolation === 'shared') return
  await onItsShard(fleet, place, async (client) => {
    await filesOf(fleet, client, shard)
    await requireMaker(client, isolation)
  })
}

/**
 * Make the schema with its role, or the database as a copy of one that has the tables. For shared tables there is
 * nothing to make.
 */
export async function makePlace(fleet: Fleet, home: Home): Promise<void> {
  if (home.isolation === 'shared') return
  await onItsShard(fleet, home, async (client, shardId) => {
    if (home.isolation === 'schema') return makeSchema(client, namesOf(home, shardId))
    const files = await filesOf(fleet, client, home.shard)
    const shard = accessTo(fleet, home.shard)
    const template = await ensureTemplate(fleet, shard, { shardId, files })
    return makeDatabase(fleet, shard, { name: home.namespace, shardId, template })
  })
}

/**
 * Make the tables, by the migrations that the shared tables of the shard have had, and record the target. The
 * directory has to know the tenant by then.
 */
export async function makeTables(fleet: Fleet, home: Home): Promise<void> {
  if (home.isolation === 'shared') return
  const files = await onItsShard(fleet, home, (client) => filesOf(fleet, client, home.shard))
  await onItsHome(fleet, home, async (client, shardId) => {
    const target = { ...home, shardId }
    const place = placeOf(target, fleet.tenancy ?? DEFAULT_TENANCY)
    await bearTables(client, place, files)
    const state = await stateOf(client, place)
    await onDirectory(fleet.directoryUrl, (directory) => recordTarget(directory, target, state))
  })
}

/** @throws TABLE_UNSAFE  the tables would not keep the tenant apart; with each reason */
export async function checkHome(fleet: Fleet, home: Home): Promise<void> {
  if (home.isolation === 'shared') return
  await onItsHome(fleet, home, (client, shardId) => {
    const role = home.isolation === 'schema' ? namesOf(home, shardId).role : APP_ROLE
    return requireSafe(client, fleet, home, role)
  })
}

/** Write the fence, as the last of all. @throws SHARD_UNSAFE  there is one of another life of this tenant */
export async function fenceHome(fleet: Fleet, home: Home): Promise<void> {
  await onItsHome(fleet, home, (client, shardId) => {
    const role = home.isolation === 'schema' ? namesOf(home, shardId).role : null
    return writeFence(client, { ...home, role })
  })
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
  await onItsShard(fleet, home, async (client, shardId) => {
    await removeFence(client, home, grave)
    if (home.isolation === 'schema') await dropSchema(client, namesOf(home, shardId), grave)
    if (home.isolation === 'database') await dropDatabase(accessTo(fleet, home.shard), home.namespace)
  })
}

const namesOf = ({ namespace, tenant }: Home, shardId: string): SchemaNames => {
  return { schema: namespace, role: tenantRole(shardId, tenant) }
}
