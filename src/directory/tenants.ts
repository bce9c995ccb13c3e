/**
 * Rows of tenants: making, finishing and reading them.
 *
 *     (none) ──reserve──▶ creating ──activate──▶ active
 *
 * `creating` is the reservation of an id, a subdomain and a shard. Routers do not see it (placements.ts), so
 * a creation that dies half-way leaves nothing that answers requests, only a row that remembers which shard
 * was chosen and lets the same command finish what it began (control/lifecycle.ts).
 */

import { fail } from '../base/errors.ts'
import { type TenantId, tenantId } from '../base/ids.ts'
import type { Queryable } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'
import { SHARD_OF_TENANT } from './placements.ts'
import type { Tenant, TenantState } from './types.ts'

/** A tenant as operators see it, unfinished ones included. */
export interface TenantRecord extends Omit<Tenant, 'state'> {
  readonly state: TenantState | 'creating'
  readonly bucket: number
  readonly shard: string
  /** What decided the shard: the tenant's bucket, or a placement row of its own. */
  readonly placedBy: 'bucket' | 'placement'
  readonly epoch: number
}

export interface TenantReservation {
  readonly id: TenantId
  readonly name: string
  readonly subdomain: string
  readonly plan: string
  readonly bucket: number
  /** A placement row of its own; without one the tenant follows its bucket. */
  readonly own?: { readonly shard: string; readonly namespace: string }
}

const SUBDOMAIN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** @throws USAGE  `value` cannot be a host label in lower case */
export function subdomain(value: string): string {
  if (SUBDOMAIN.test(value) && !value.endsWith('\n')) return value
  return fail(
    'USAGE',
    `A subdomain is 1 to 63 characters of a-z, 0-9 and "-"; ${JSON.stringify(value.slice(0, 70))} is not one.`,
  )
}

/**
 * Write the row of a new tenant in state `creating`, and its own placement if it has one, in one statement.
 * False when its id or its subdomain is taken; then nothing has changed.
 */
export async function reserveTenant(db: Queryable, wanted: TenantReservation): Promise<boolean> {
  const rows = await db.query(
    compile(sql`
      with made as (
        insert into directory.tenant (id, name, subdomain, plan, bucket)
        values (${sql.value(wanted.id)}, ${sql.value(wanted.name)}, ${sql.value(wanted.subdomain)},
          ${sql.value(wanted.plan)}, ${sql.value(wanted.bucket)}::int)
        on conflict do nothing
        returning id
      ), placed as (
        insert into directory.placement (tenant_id, shard, namespace)
        select id, ${sql.value(wanted.own?.shard ?? '')}, ${sql.value(wanted.own?.namespace ?? '')}
        from made
        where ${sql.value(wanted.own !== undefined)}::boolean
      )
      select id from made`),
  )
  return rows.length === 1
}

/** Let routers see a tenant whose creation is complete. A tenant in any other state stays as it is. */
export async function activateTenant(db: Queryable, tenant: TenantId): Promise<void> {
  await db.query(
    compile(sql`
      update directory.tenant set state = 'active'
      where id = ${sql.value(tenant)} and state = 'creating'`),
  )
}

const RECORD = sql`
  select tenant.id, tenant.name, tenant.subdomain, tenant.plan, tenant.state, tenant.bucket, tenant.epoch,
    ${SHARD_OF_TENANT} as shard,
    case when placement.tenant_id is null then 'bucket' else 'placement' end as placed_by,
    tenant.created_at
  from directory.tenant
  join directory.bucket on bucket.no = tenant.bucket
  left join directory.placement on placement.tenant_id = tenant.id`

/** Read one tenant; null when there is none. */
export async function findTenant(db: Queryable, tenant: TenantId): Promise<TenantRecord | null> {
  const [row] = await db.query<RecordRow>(compile(sql`${RECORD} where tenant.id = ${sql.value(tenant)}`))
  return row ? recordFrom(row) : null
}

/** The tenant that has a subdomain; null when none has. */
export async function findTenantBySubdomain(db: Queryable, label: string): Promise<TenantRecord | null> {
  const [row] = await db.query<RecordRow>(
    compile(sql`${RECORD} where tenant.subdomain = ${sql.value(label)}`),
  )
  return row ? recordFrom(row) : null
}

/** Up to `limit` tenants by id, those after the id `after` if given. */
export async function listTenants(db: Queryable, limit: number, after = ''): Promise<TenantRecord[]> {
  const rows = await db.query<RecordRow>(
    compile(sql`
      ${RECORD}
      where tenant.id collate "C" > ${sql.value(after)} collate "C"
      order by tenant.id collate "C"
      limit ${sql.value(limit)}::int`),
  )
  return rows.map(recordFrom)
}

interface RecordRow extends Record<string, string> {
  id: string
  name: string
  subdomain: string
  plan: string
  state: string
  bucket: string
  epoch: string
  shard: string
  placed_by: string
  created_at: string
}

function recordFrom(row: RecordRow): TenantRecord {
  return {
    id: tenantId(row.id),
    name: row.name,
    subdomain: row.subdomain,
    plan: row.plan,
    state: row.state as TenantRecord['state'],
    bucket: Number(row.bucket),
    shard: row.shard,
    placedBy: row.placed_by as TenantRecord['placedBy'],
    epoch: Number(row.epoch),
    createdAt: row.created_at,
  }
}
