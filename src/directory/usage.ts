/**
 * The ledger of what tenants use: writing it. Everything is added, in one statement each time, and may be sent again.
 *
 *     counts of a gateway ──(gateway, flush: once)──▶ usage_hour ──(old enough: moved)──▶ usage_month
 */

import type { TenantId } from '../base/ids.ts'
import type { Client, Queryable } from '../db/client.ts'
import { compile, type SQL, sql } from '../db/sql.ts'
import type { Isolation } from './types.ts'

/** What is added up, with the columns that hold it. */
export const MEASURES = {
  requests: 'requests',
  operations: 'operations',
  errors: 'errors',
  cost: 'cost',
  databaseMs: 'database_ms',
  rows: 'rows',
  bytesIn: 'bytes_in',
  bytesOut: 'bytes_out',
  cacheHits: 'cache_hits',
} as const
export type Measure = keyof typeof MEASURES

/** Hashes of users that are kept, the smallest: as `directory.user_union` does. */
export const USERS_KEPT = 1_024

/** What one tenant has used in one hour, or in a part of it. */
export interface UsageCount extends Readonly<Record<Measure, number>> {
  readonly tenant: string
  /** Its first moment, in milliseconds since 1970. */
  readonly hour: number
  /** 15 hexadecimal digits each. */
  readonly users: readonly string[]
}

export interface UsageFlush {
  /** Of the process, a UUID. */
  readonly gateway: string
  /** Counts up from 1. */
  readonly flush: number
  readonly counts: readonly UsageCount[]
}

const columns = Object.values(MEASURES).map((name) => sql.identifier(name))

/** `known` and `excluded` together, of an insert that meets a row. */
const SUMS: SQL = sql.join(
  [
    ...columns.map((name) => sql`${name} = known.${name} + excluded.${name}`),
    sql`storage_bytes = greatest(known.storage_bytes, excluded.storage_bytes)`,
    // Written anew only where somebody is new: the list may be 8 kB.
    sql`users = case when excluded.users = '{}' then known.users
      else directory.user_union(known.users, excluded.users) end`,
  ],
  ', ',
)

const MEASURE_COLUMNS = sql.join(columns, ', ')

/**
 * Add what a gateway has counted. The same flush may be sent again, also while it is still being written: it is added
 * once. A gateway sends its flushes in their order, each until it is answered. Tenants that are gone are left out.
 */
export async function addUsage(db: Queryable, { gateway, flush, counts }: UsageFlush): Promise<void> {
  const list = JSON.stringify(counts.map(({ users, ...count }) => ({ ...count, users: users.map(numberOf) })))
  const fields = sql.join(
    (Object.keys(MEASURES) as Measure[]).map((name) => sql`${sql.identifier(name)} double precision`),
    ', ',
  )
  const values = sql.join(
    (Object.keys(MEASURES) as Measure[]).map((name) => sql`coalesce(l.${sql.identifier(name)}, 0)`),
    ', ',
  )
  await db.query(
    compile(sql`
      with turn as (
        insert into directory.usage_flush as known (gateway, flush)
        values (${sql.value(gateway)}::uuid, ${sql.value(flush)}::bigint)
        on conflict (gateway) do update set flush = excluded.flush, written_at = now()
          where known.flush < excluded.flush
        returning flush
      )
      insert into directory.usage_hour as known (tenant_id, hour, ${MEASURE_COLUMNS}, users)
      select tenant.id, to_timestamp(l.hour / 1000), ${values}, directory.user_union('{}', l.users)
      from jsonb_to_recordset(${sql.value(list)}::jsonb)
        as l (tenant text, hour double precision, ${fields}, users bigint[])
      join directory.tenant on tenant.id = l.tenant
      where exists (select from turn)
      order by tenant.id, l.hour -- two gateways that write at once must lock in one order
      on conflict (tenant_id, hour) do update set ${SUMS}`),
  )
}

/** As Postgres holds it: an integer of 60 bits, as text, because a number of JSON has 53. */
function numberOf(user: string): string {
  return BigInt(`0x${user}`).toString()
}

/** Hours that one roll-up moves. */
const MOVED_MAX = 50_000

/** Months that keep hashes of users after their last hour has been moved, for flushes that come late. */
const MONTHS_WITH_USERS = 1

/**
 * Move hours that are older than `days` into their months, and forget whose hashes were counted in months that are
 * complete. May run twice, and on several processes at once: an hour that another one is moving is left to it.
 *
 * @returns how many hours were moved; call again while they are many
 */
export async function rollUpUsage(db: Queryable, days: number): Promise<number> {
  const first = sql`(date_trunc('day', now(), 'UTC') - make_interval(days => ${sql.value(days)}::int))`
  const added = sql.join(
    columns.map((name) => sql`sum(${name})`),
    ', ',
  )
  const [moved] = await db.query(
    compile(sql`
      with old as (
        select tenant_id, hour from directory.usage_hour where hour < ${first}
        order by tenant_id, hour limit ${sql.value(MOVED_MAX)}::int
        for update skip locked
      ), gone as (
        delete from directory.usage_hour using old
        where usage_hour.tenant_id = old.tenant_id and usage_hour.hour = old.hour
        returning usage_hour.*
      ), added as (
        insert into directory.usage_month as known
          (tenant_id, month, ${MEASURE_COLUMNS}, storage_bytes, users)
        select tenant_id, date_trunc('month', hour at time zone 'UTC')::date as month, ${added},
          max(storage_bytes), directory.all_users(users)
        from gone group by 1, 2 order by 1, 2
        on conflict (tenant_id, month) do update set ${SUMS}
      )
      select count(*) as hours from gone`),
  )
  await db.query(
    compile(sql`
      update directory.usage_month
      set active_users = greatest(active_users, directory.users_in(users)), users = '{}'
      where users <> '{}'
        and (month + make_interval(months => ${sql.value(1 + MONTHS_WITH_USERS)}::int)) at time zone 'UTC' < ${first}`),
  )
  await db.query(compile(sql`delete from directory.usage_flush where written_at < ${first}`))
  return Number(moved?.hours)
}

/** How much of one table is a tenant's. */
export interface TenantTable {
  /** 'schema.name' */
  readonly table: string
  readonly rows: number
  readonly bytes: number
}

export interface MeasuredTenant {
  readonly tenant: TenantId
  readonly isolation: Isolation
  readonly tables: readonly TenantTable[]
}

/** Write down what tenants hold, in place of what was known of them. May be sent again. */
export function setStorage(db: Client, measured: readonly MeasuredTenant[]): Promise<void> {
  const tables = measured.flatMap(({ tenant, isolation, tables: own }) =>
    own.map((table) => ({ tenant, isolation, ...table })),
  )
  const ids = sql`${sql.value(measured.map(({ tenant }) => tenant))}::text[]`
  const list = sql`jsonb_to_recordset(${sql.value(JSON.stringify(tables))}::jsonb)
    as l (tenant text, "table" text, isolation text, rows bigint, bytes bigint)
    join directory.tenant on tenant.id = l.tenant`
  return db.atomically(async () => {
    await db.query(
      compile(sql`
        insert into directory.usage_storage as known (tenant_id, table_name, isolation, rows, bytes)
        select l.tenant, l."table", l.isolation, l.rows, l.bytes from ${list} order by 1, 2
        on conflict (tenant_id, table_name) do update set isolation = excluded.isolation, rows = excluded.rows,
          bytes = excluded.bytes, measured_at = excluded.measured_at`),
    )
    // What was not measured now is no more.
    await db.query(
      compile(sql`delete from directory.usage_storage where tenant_id = any(${ids}) and measured_at < now()`),
    )
    await db.query(
      compile(sql`
        insert into directory.usage_hour as known (tenant_id, hour, storage_bytes)
        select l.tenant, date_trunc('hour', now(), 'UTC'), sum(l.bytes) from ${list} group by 1 order by 1
        on conflict (tenant_id, hour) do update
          set storage_bytes = greatest(known.storage_bytes, excluded.storage_bytes)`),
    )
  })
}
