/** Tombstones: that a tenant was purged, up to which epoch, and where it lay. */

import type { TenantId } from '../../base/ids.ts'
import { tenantId } from '../../base/ids.ts'
import type { Queryable, TextRow } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { Isolation } from '../../directory/types.ts'
import type { Place } from './subject.ts'

export interface Tombstone extends Place {
  readonly tenant: TenantId
  /** No life of the tenant up to this epoch may be served again; the next one begins above it. */
  readonly epoch: number
  readonly receipt: number | null
  readonly purgedAt: string
}

export async function findTombstone(directory: Queryable, tenant: TenantId): Promise<Tombstone | null> {
  const [row] = await directory.query(
    compile(sql`select * from directory.tombstone where tenant_id = ${sql.value(tenant)}`),
  )
  return row ? tombstoneFrom(row) : null
}

export async function listTombstones(directory: Queryable): Promise<Tombstone[]> {
  const rows = await directory.query('select * from directory.tombstone order by tenant_id')
  return rows.map(tombstoneFrom)
}

/** Those of `tenants` that were purged and have no new life, with when that was. */
export async function findBuried(
  directory: Queryable,
  tenants: readonly TenantId[],
): Promise<Map<TenantId, string>> {
  const rows = await directory.query(
    compile(sql`
      select tombstone.tenant_id as id, purged_at from directory.tombstone
      left join directory.tenant on tenant.id = tombstone.tenant_id
      where tombstone.tenant_id = any(${sql.value(tenants)}::text[])
        and coalesce(tenant.epoch, 0) <= tombstone.epoch`),
  )
  return new Map(rows.map(({ id, purged_at }) => [tenantId(id), purged_at ?? '']))
}

/** Set a tombstone, over an earlier one of the same id. */
export async function setTombstone(
  directory: Queryable,
  { tenant, epoch, shard, isolation, namespace, receipt }: Omit<Tombstone, 'purgedAt'>,
): Promise<void> {
  await directory.query(
    compile(sql`
      insert into directory.tombstone (tenant_id, epoch, shard, isolation, namespace, receipt)
      values (${sql.value(tenant)}, ${sql.value(epoch)}, ${sql.value(shard)}, ${sql.value(isolation)},
        ${sql.value(namespace)}, ${sql.value(receipt)})
      on conflict (tenant_id) do update set epoch = greatest(tombstone.epoch, excluded.epoch),
        shard = excluded.shard, isolation = excluded.isolation, namespace = excluded.namespace,
        receipt = excluded.receipt, purged_at = excluded.purged_at`),
  )
}

function tombstoneFrom(row: TextRow): Tombstone {
  return {
    tenant: tenantId(row.tenant_id),
    epoch: Number(row.epoch),
    shard: row.shard ?? '',
    isolation: row.isolation as Isolation,
    namespace: row.namespace ?? '',
    receipt: typeof row.receipt === 'string' ? Number(row.receipt) : null,
    purgedAt: row.purged_at ?? '',
  }
}
