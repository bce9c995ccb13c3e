/** The tenant that a command is about, as the directory has it now, in whatever state of its life. */

import { fail } from '../../base/errors.ts'
import { type TenantId, tenantId } from '../../base/ids.ts'
import type { Client, Queryable, TextRow } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { SHARD_OF_TENANT } from '../../directory/placements.ts'
import type { Isolation, TenantState } from '../../directory/types.ts'
import { accessTo, knownId, requireIdentity } from '../homes/reach-home.ts'
import { type Fleet, onHome, onShard } from '../reach.ts'

export type LifeState = TenantState | 'creating' | 'purging'

/** Where a tenant's rows are. */
export interface Place {
  readonly shard: string
  readonly isolation: Isolation
  readonly namespace: string
}

export interface Subject extends Place {
  readonly tenant: TenantId
  readonly name: string
  readonly state: LifeState
  readonly epoch: number
  /** Of a tenant in quarantine: what it was before. */
  readonly stateBefore: TenantState | null
  /** Postgres text of a timestamptz. */
  readonly offboardedAt: string | null
  readonly purgeAfter: string | null
  /** Whether `purgeAfter` has passed, by the directory's clock. */
  readonly mayBePurged: boolean
  readonly changedAt: string
}

/** Read a tenant's row; null when there is none. */
export async function findSubject(db: Queryable, tenant: TenantId): Promise<Subject | null> {
  const [row] = await db.query(
    compile(sql`
      select tenant.*, ${SHARD_OF_TENANT} as shard,
        coalesce(placement.isolation, 'shared') as isolation,
        coalesce(placement.namespace, (select value from directory.setting where key = 'namespace')) as namespace,
        coalesce(purge_after <= clock_timestamp(), false) as may_be_purged
      from directory.tenant
      join directory.bucket on bucket.no = tenant.bucket
      left join directory.placement on placement.tenant_id = tenant.id
      where tenant.id = ${sql.value(tenant)}`),
  )
  return row ? subjectFrom(row) : null
}

/** @throws TENANT_UNKNOWN */
export async function requireSubject(db: Queryable, tenant: TenantId): Promise<Subject> {
  const hint = 'See "shardgate tenant list".'
  return (
    (await findSubject(db, tenant)) ??
    fail('TENANT_UNKNOWN', `There is no tenant "${tenant}".`, { tenant }, { hint })
  )
}

function subjectFrom(row: TextRow): Subject {
  return {
    tenant: tenantId(row.id),
    name: row.name ?? '',
    state: row.state as LifeState,
    epoch: Number(row.epoch),
    shard: row.shard ?? '',
    isolation: row.isolation as Isolation,
    namespace: row.namespace ?? '',
    stateBefore: row.state_before as TenantState | null,
    offboardedAt: row.offboarded_at ?? null,
    purgeAfter: row.purge_after ?? null,
    mayBePurged: row.may_be_purged === 't',
    changedAt: row.changed_at ?? '',
  }
}

/**
 * Work as owner on the database that holds a tenant's tables, once it has said that it is the shard that the
 * directory means: a swapped URL must not close, or empty, somebody else.
 *
 * @throws SHARD_UNAVAILABLE  it cannot be reached
 * @throws SHARD_UNSAFE       it is another database
 */
export function onPlace<T>(
  fleet: Fleet,
  directory: Queryable,
  place: Place,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  return onHome(accessTo(fleet, place.shard), place, async (client) => {
    await requireIdentity(client, place.shard, await knownId(directory, place.shard))
    return work(client)
  })
}

/** The same on the shard's own database, wherever the tenant's tables are. */
export function onShardOf<T>(
  fleet: Fleet,
  directory: Queryable,
  key: string,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  return onShard(accessTo(fleet, key), async (client) => {
    await requireIdentity(client, key, await knownId(directory, key))
    return work(client)
  })
}

/** Whether the schema or the database of a place is there; shared tables always are. Throws as `onShardOf`. */
export function isThere(
  fleet: Fleet,
  directory: Queryable,
  { shard, isolation, namespace }: Place,
): Promise<boolean> {
  if (isolation === 'shared') return Promise.resolve(true)
  const name = sql.value(namespace)
  const found =
    isolation === 'schema'
      ? sql`select from pg_namespace where nspname = ${name}`
      : sql`select from pg_database where datname = ${name}`
  return onShardOf(fleet, directory, shard, async (client) => (await client.query(compile(found))).length > 0)
}
