/**
 * Rows of tenants: making, finishing and reading them.
 *
 *     (none) ──reserve──▶ creating ──activate──▶ active
 *
 * `creating` is the reservation of an id, a subdomain and a shard. Routers do not see it (placements.ts), so
 * a creation that dies half-way leaves nothing that answers requests, only a row that remembers which shard
 * was chosen and lets the same command finish what it began (control/lifecycle.ts).
 */

import type { Limits } from '../base/config-limits.ts'
import { fail } from '../base/errors.ts'
import { type TenantId, tenantId } from '../base/ids.ts'
import type { Queryable } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'
import { SHARD_OF_TENANT } from './placements.ts'
import type { Isolation, Tenant, TenantSettings, TenantState } from './types.ts'

/** A tenant as operators see it, unfinished ones included. */
export interface TenantRecord extends Omit<Tenant, 'state'> {
  readonly state: TenantState | 'creating' | 'purging'
  readonly bucket: number
  readonly shard: string
  readonly isolation: Isolation
  readonly namespace: string
  /** What decided the shard: the tenant's bucket, or a placement row of its own. */
  readonly placedBy: 'bucket' | 'placement'
  readonly epoch: number
  readonly settings: TenantSettings
  /** Its own, over those of its plan. */
  readonly limits: Limits
  /** From when on a tenant in quarantine may be purged, Postgres text of a timestamptz; null for the others. */
  readonly purgeAfter: string | null
}

export interface TenantReservation {
  readonly id: TenantId
  readonly name: string
  readonly subdomain: string
  readonly plan: string
  /** Default is none. */
  readonly settings?: TenantSettings
  readonly bucket: number
  /** A placement row of its own; without one the tenant follows its bucket, in shared tables. */
  readonly own?: { readonly shard: string; readonly isolation: Isolation; readonly namespace: string }
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
 *
 * One whose id was purged begins after the last epoch of the former one: whoever still knows that one is late, and a
 * backup that brings it back is older than the tombstone.
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
          as w (id text, name text, subdomain text, plan text, settings jsonb, bucket int,
            shard text, isolation text, namespace text)
      ), made as (
        insert into directory.tenant (id, name, subdomain, plan, settings, bucket, epoch)
        select id, name, subdomain, plan, coalesce(settings, '{}'), bucket, coalesce(tombstone.epoch, 0) + 1
        from wanted left join directory.tombstone on tombstone.tenant_id = wanted.id
        on conflict do nothing
        returning id
      ), placed as (
        insert into directory.placement (tenant_id, shard, isolation, namespace)
        select made.id, wanted.shard, wanted.isolation, wanted.namespace
        from made join wanted on wanted.id = made.id
        where wanted.shard is not null
      )
      select id from made`),
  )
  return new Set(rows.map(({ id }) => tenantId(id)))
}

/** Give up the reservation of a tenant whose creation is not complete. */
export async function releaseTenant(db: Queryable, tenant: TenantId): Promise<void> {
  await db.query(
    compile(sql`delete from directory.tenant where id = ${sql.value(tenant)} and state = 'creating'`),
  )
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
    coalesce(placement.isolation, 'shared') as isolation,
    coalesce(placement.namespace, (select value from directory.setting where key = 'namespace')) as namespace,
    case when placement.tenant_id is null then 'bucket' else 'placement' end as placed_by,
    tenant.settings, tenant.limits, tenant.created_at, tenant.purge_after
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

/** What a list of tenants holds; left out, everything. */
export interface TenantFilter {
  readonly state?: TenantRecord['state']
  readonly isolation?: Isolation
  readonly shard?: string
  /** Those after this id. */
  readonly after?: string
}

/** Up to `limit` tenants by id. */
export async function listTenants(
  db: Queryable,
  limit: number,
  { after = '', ...filter }: TenantFilter = {},
): Promise<TenantRecord[]> {
  const where = Object.entries(filter).map(
    ([column, value]) => sql`and ${sql.identifier('found', column)} = ${sql.value(value)}`,
  )
  const rows = await db.query<RecordRow>(
    compile(sql`
      select * from (${RECORD}) as found
      where id collate "C" > ${sql.value(after)} collate "C" ${sql.join(where, ' ')}
      order by id collate "C"
      limit ${sql.value(limit)}::int`),
  )
  return rows.map(recordFrom)
}

/** Tenants that one statement reads. */
const PAGE = 10_000

/** All tenants by id. */
export async function everyTenant(db: Queryable): Promise<TenantRecord[]> {
  const found: TenantRecord[] = []
  for (;;) {
    const page = await listTenants(db, PAGE, { after: found.at(-1)?.id ?? '' })
    found.push(...page)
    if (page.length < PAGE) return found
  }
}

interface RecordRow extends Record<string, string | null> {
  id: string
  name: string
  subdomain: string
  plan: string
  state: string
  bucket: string
  epoch: string
  shard: string
  isolation: string
  namespace: string
  placed_by: string
  settings: string
  limits: string
  created_at: string
  purge_after: string | null
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
    isolation: row.isolation as Isolation,
    namespace: row.namespace,
    placedBy: row.placed_by as TenantRecord['placedBy'],
    epoch: Number(row.epoch),
    settings: JSON.parse(row.settings) as TenantSettings,
    limits: JSON.parse(row.limits) as Limits,
    createdAt: row.created_at,
    purgeAfter: row.purge_after,
  }
}
