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
  readonly state: TenantState | 'creating' | 'purging'
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
 * Write the rows of new tenants in state `creating`, and their own placements where they have one, in one
 * statement. Gives the ids that were made; of the others an id or a subdomain is taken, and nothing has changed.
 */
export async function reserveTenants(
  db: Queryable,
  wanted: readonly TenantReservation[],
): Promise<Set<TenantId>> {
  const list = JSON.stringify(wanted.map(({ own, ...tenant }) => ({ ...tenant, ...own })))
  const rows = await db.query(
    compile(sql`
      with wanted as (
        select * from jsonb_to_recordset(${sql.value(list)}::jsonb)
          as w (id text, name text, subdomain text, plan text, bucket int, shard text, namespace text)
      ), made as (
        insert into directory.tenant (id, name, subdomain, plan, bucket)
        select id, name, subdomain, plan, bucket from wanted
        on conflict do nothing
        returning id
      ), placed as (
        insert into directory.placement (tenant_id, shard, namespace)
        select made.id, wanted.shard, wanted.namespace
        from made join wanted on wanted.id = made.id
        where wanted.shard is not null
      )
      select id from made`),
  )
  return new Set(rows.map(({ id }) => tenantId(id)))
}

/** Let routers see tenants whose creation is complete. Those in any other state stay as they are. */
export async function activateTenants(db: Queryable, tenants: readonly TenantId[]): Promise<void> {
  await db.query(
    compile(sql`
      update directory.tenant set state = 'active'
      where id = any(${sql.value(tenants)}::text[]) and state = 'creating'`),
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
  return (await findTenants(db, [tenant])).get(tenant) ?? null
}

/** Read those of `tenants` that there are. */
export async function findTenants(
  db: Queryable,
  tenants: readonly TenantId[],
): Promise<Map<TenantId, TenantRecord>> {
  const rows = await db.query<RecordRow>(
    compile(sql`${RECORD} where tenant.id = any(${sql.value(tenants)}::text[])`),
  )
  return new Map(rows.map(recordFrom).map((tenant) => [tenant.id, tenant]))
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
