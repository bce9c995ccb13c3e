/**
 * Reading placements: one SQL decides where a tenant is, and nothing else may.
 *
 * A placement row of the tenant's own wins over its bucket. A tenant whose creation is not finished has no
 * placement yet: its shard may not have been told of it. One that is being purged has none any more, and never again
 * one up to the epoch of its tombstone, whatever a restored backup says.
 */

import { fail, isGatewayError } from '../base/errors.ts'
import { type TenantId, tenantId } from '../base/ids.ts'
import type { Queryable } from '../db/client.ts'
import { compile, type SQL, type Statement, sql } from '../db/sql.ts'
import type { Placement } from './types.ts'

// One column of JSON, because this runs through clients that give rows as objects and through pipelined
// connections that give them as arrays.
const PLACEMENT = sql`
  select json_build_object(
    'tenant', tenant.id,
    'shard', coalesce(placement.shard, bucket.shard),
    'isolation', coalesce(placement.isolation, 'shared'),
    'namespace', coalesce(placement.namespace, (select value from directory.setting where key = 'namespace')),
    'state', tenant.state,
    'epoch', tenant.epoch,
    'subdomain', tenant.subdomain,
    'name', tenant.name,
    'plan', tenant.plan,
    'settings', tenant.settings,
    'limits', tenant.limits) as placement
  from directory.tenant
  join directory.bucket on bucket.no = tenant.bucket
  left join directory.placement on placement.tenant_id = tenant.id
  where tenant.state not in ('creating', 'purging')
    and not exists (
      select from directory.tombstone
      where tombstone.tenant_id = tenant.id and tombstone.epoch >= tenant.epoch)`

/** The statement that reads one placement: no row, or one row of one column for `placementFrom`. */
export function placementStatement(tenant: TenantId): Statement {
  return compile(sql`${PLACEMENT} and tenant.id = ${sql.value(tenant)}`)
}

/** The statement that reads up to `limit` placements, newest tenants first, as `placementStatement` does. */
export function placementsStatement(limit: number): Statement {
  return compile(sql`${PLACEMENT} order by tenant.created_at desc, tenant.id limit ${sql.value(limit)}::int`)
}

/**
 * The statement that reads what has changed lately: rows of a tenant's id and a mark that differs for each change.
 *
 * @param ms  how far to look back, by the directory's clock
 */
export function changesStatement(ms: number): Statement {
  return compile(sql`
    select id, changed_at::text as mark from directory.tenant
    where changed_at > clock_timestamp() - ${sql.value(ms)}::int * interval '1 millisecond'`)
}

/** A placement from the one column of the two statements above. */
export function placementFrom(text: string | null | undefined): Placement {
  const read = JSON.parse(text ?? 'null') as Placement
  return Object.freeze({ ...read, tenant: tenantId(read.tenant) })
}

/**
 * Read a tenant's placement from the directory itself, past every cache; null when there is no such tenant.
 *
 * @throws DIRECTORY_UNAVAILABLE  the directory cannot be asked
 */
export async function findPlacement(db: Queryable, tenant: TenantId): Promise<Placement | null> {
  const [row] = await asked(() => db.query(placementStatement(tenant)))
  return row ? placementFrom(row.placement) : null
}

/**
 * Read up to `limit` placements, newest tenants first.
 *
 * @throws DIRECTORY_UNAVAILABLE  the directory cannot be asked
 */
export async function listPlacements(db: Queryable, limit: number): Promise<Placement[]> {
  const rows = await asked(() => db.query(placementsStatement(limit)))
  return rows.map((row) => placementFrom(row.placement))
}

/** The SQL of a tenant's shard, for queries that have `tenant`, `bucket` and `placement` joined. */
export const SHARD_OF_TENANT: SQL = sql`coalesce(placement.shard, bucket.shard)`

/** Ask the directory; any failure becomes DIRECTORY_UNAVAILABLE. */
export async function asked<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (cause) {
    if (isGatewayError(cause, 'DIRECTORY_UNAVAILABLE')) throw cause
    return fail('DIRECTORY_UNAVAILABLE', 'The directory cannot be read now.', {}, { cause })
  }
}
