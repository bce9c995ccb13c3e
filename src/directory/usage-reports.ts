/**
 * The ledger of what tenants use: reading it.
 *
 * Hours that are old have been moved into their months (usage.ts). What is asked by month or in sum is both tables
 * together; what is asked by hour or day is hours alone, and says which months it leaves out.
 */

import type { TenantId } from '../base/ids.ts'
import { type Queryable, sqlState } from '../db/client.ts'
import { compile, type SQL, type Statement, sql } from '../db/sql.ts'
import { MEASURES, type Measure, type TenantTable } from './usage.ts'
import { type Grain, monthsOf, type Span } from './usage-periods.ts'

/** What was used in a period. */
export interface Figures extends Readonly<Record<Measure, number>> {
  /** Bytes, the most that was measured. */
  readonly storageBytes: number
  /** Different subjects of tokens; from 1,024 on an estimate. */
  readonly activeUsers: number
}

export interface PeriodUsage extends Figures {
  /** '2026-10', '2026-10-31' or '2026-10-31T23:00Z' */
  readonly period: string
}

export interface TenantUsage {
  readonly tenant: string
  readonly by: Grain
  /** Moments of UTC, ISO 8601; `to` is not part of it. */
  readonly from: string
  readonly to: string
  /** Those in which there was something. */
  readonly periods: readonly PeriodUsage[]
  readonly total: Figures
  /** Months that are asked for and are known by month alone, by now. */
  readonly onlyByMonth: readonly string[]
}

const NAMES = { ...MEASURES, storageBytes: 'storage_bytes', activeUsers: 'active_users' } as const

/** What tenants can be ranked by. */
export const RANKS = Object.keys(NAMES) as (keyof Figures)[]

const SUMS: Readonly<Record<keyof Figures, SQL>> = {
  ...(Object.fromEntries(
    Object.entries(MEASURES).map(([key, name]) => [key, sql`sum(${sql.identifier(name)})`]),
  ) as Record<Measure, SQL>),
  storageBytes: sql`max(storage_bytes)`,
  activeUsers: sql`greatest(max(active_users), directory.users_in(directory.all_users(users)))`,
}

const FIGURES = sql.join(
  RANKS.map((key) => sql`${SUMS[key]} as ${sql.identifier(NAMES[key])}`),
  ', ',
)

const COLUMNS = sql.join(
  [...Object.values(MEASURES), 'storage_bytes', 'users'].map((name) => sql.identifier(name)),
  ', ',
)

const PERIODS: Readonly<Record<Grain, string>> = {
  hour: 'YYYY-MM-DD"T"HH24:00"Z"',
  day: 'YYYY-MM-DD',
  month: 'YYYY-MM',
}

const moment = (ms: number): SQL => sql`${sql.value(new Date(ms).toISOString())}::timestamptz`

/** Rows of a span, those of months that are wholly in it included where they are wanted. */
function rowsOf({ from, to }: Span, withMonths: boolean): SQL {
  const hours = sql`
    select tenant_id, hour, ${COLUMNS}, 0 as active_users from directory.usage_hour
    where hour >= ${moment(from)} and hour < ${moment(to)}`
  if (!withMonths) return sql`(${hours})`
  const utc = sql`at time zone 'UTC'`
  return sql`(${hours}
    union all
    select tenant_id, month::timestamp ${utc}, ${COLUMNS}, active_users from directory.usage_month
    where month >= ${moment(from)} ${utc} and month + interval '1 month' <= ${moment(to)} ${utc})`
}

/** What a tenant has used; nothing at all for one that is not known. By month it is whole months. */
export async function readUsage(
  db: Queryable,
  tenant: TenantId,
  { span, by }: { readonly span: Span; readonly by: Grain },
): Promise<TenantUsage> {
  const asked = by === 'month' ? monthsOf(span) : span
  const rows = await db.query(
    compile(sql`
      select period, ${FIGURES} from (
        select to_char(hour at time zone 'UTC', ${sql.value(PERIODS[by])}) as period, used.*
        from ${rowsOf(asked, by === 'month')} as used where tenant_id = ${sql.value(tenant)}) as used
      group by grouping sets ((period), ()) order by period nulls last`),
  )
  const total = figuresOf(rows.at(-1) ?? {})
  const periods = rows.slice(0, -1).map((row) => ({ period: row.period ?? '', ...figuresOf(row) }))
  const onlyByMonth = by === 'month' ? [] : await movedMonths(db, tenant, asked)
  return { tenant, by, from: isoOf(asked.from), to: isoOf(asked.to), periods, total, onlyByMonth }
}

const isoOf = (ms: number): string => new Date(ms).toISOString()

async function movedMonths(db: Queryable, tenant: TenantId, span: Span): Promise<string[]> {
  const { from, to } = monthsOf(span)
  const rows = await db.query(
    compile(sql`
      select to_char(month, 'YYYY-MM') as month from directory.usage_month
      where tenant_id = ${sql.value(tenant)} and month >= ${moment(from)} at time zone 'UTC'
        and month < ${moment(to)} at time zone 'UTC' order by 1`),
  )
  return rows.map(({ month }) => month ?? '')
}

/** The statement that reads what a tenant has used in a span: one row of one column for `figuresFrom`. */
export function figuresStatement(tenant: TenantId, span: Span): Statement {
  return compile(sql`
    select to_json(found) from (
      select ${FIGURES} from ${rowsOf(span, true)} as used where tenant_id = ${sql.value(tenant)}) as found`)
}

export function figuresFrom(text: string | null | undefined): Figures {
  return figuresOf(JSON.parse(text ?? '{}') as Record<string, number | null>)
}

export interface RankedTenant extends Figures {
  readonly tenant: string
  readonly plan: string
}

/** Tenants by what they have used in a span, the most first. */
export async function topUsage(
  db: Queryable,
  { span, by, limit }: { readonly span: Span; readonly by: keyof Figures; readonly limit: number },
): Promise<RankedTenant[]> {
  const used = rowsOf(span, true)
  const order = sql`order by ${SUMS[by]} desc, tenant_id`
  const rows = await db.query(
    compile(sql`
      with first as (
        select tenant_id from ${used} as used group by tenant_id ${order} limit ${sql.value(limit)}::int
      )
      select tenant_id, tenant.plan, ${FIGURES} from ${used} as used
      join directory.tenant on tenant.id = used.tenant_id
      where tenant_id in (select tenant_id from first)
      group by tenant_id, tenant.plan ${order}`),
  )
  return rows.map((row) => ({ tenant: row.tenant_id ?? '', plan: row.plan ?? '', ...figuresOf(row) }))
}

export interface ExportedUsage extends PeriodUsage, RankedTenant {}

/** Tenants of one page of an export. */
const PAGE = 1_000

/** What all tenants have used, by tenant and period, in pages. By month it is whole months. */
export async function* exportUsage(
  db: Queryable,
  { span, by }: { readonly span: Span; readonly by: Grain },
): AsyncGenerator<readonly ExportedUsage[]> {
  const used = rowsOf(by === 'month' ? monthsOf(span) : span, by === 'month')
  for (let after = ''; ; ) {
    const ids = await db.query(
      compile(sql`
        select id from directory.tenant where id collate "C" > ${sql.value(after)} collate "C"
        order by id collate "C" limit ${sql.value(PAGE)}::int`),
    )
    if (ids.length === 0) return
    const page = sql.value(ids.map(({ id }) => id ?? ''))
    const rows = await db.query(
      compile(sql`
        select tenant_id, plan, period, ${FIGURES} from (
          select to_char(hour at time zone 'UTC', ${sql.value(PERIODS[by])}) as period, tenant.plan, used.*
          from ${used} as used join directory.tenant on tenant.id = used.tenant_id
          where tenant_id = any(${page}::text[])) as used
        group by tenant_id, plan, period order by tenant_id collate "C", period`),
    )
    yield rows.map((row) => ({
      tenant: row.tenant_id ?? '',
      plan: row.plan ?? '',
      period: row.period ?? '',
      ...figuresOf(row),
    }))
    after = ids.at(-1)?.id ?? ''
  }
}

function figuresOf(row: Readonly<Record<string, string | number | null>>): Figures {
  const entries = Object.entries(NAMES).map(([key, name]) => [key, Number(row[name] ?? 0)])
  return Object.fromEntries(entries) as unknown as Figures
}

export interface StoredTable extends TenantTable {
  readonly isolation: string
  readonly measuredAt: string
}

/** What a tenant holds, as it was measured last; the largest table first. */
export async function readStorage(db: Queryable, tenant: TenantId): Promise<StoredTable[]> {
  const rows = await db.query(
    compile(sql`
      select table_name, isolation, rows, bytes, measured_at from directory.usage_storage
      where tenant_id = ${sql.value(tenant)} order by bytes desc, table_name`),
  )
  return rows.map((row) => ({
    table: row.table_name ?? '',
    isolation: row.isolation ?? '',
    rows: Number(row.rows),
    bytes: Number(row.bytes),
    measuredAt: row.measured_at ?? '',
  }))
}

/** Days whose load says what a tenant's is: a week has each day of it once. */
const LOAD_DAYS = 7

/**
 * Milliseconds of database time by tenant, of the last seven days. Empty where nothing was metered, as in a directory
 * that was set up before there was a ledger.
 */
export async function readLoads(db: Queryable): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .query(
      compile(sql`
        select tenant_id, sum(database_ms) as ms from directory.usage_hour
        where hour > now() - make_interval(days => ${sql.value(LOAD_DAYS)}::int)
        group by 1 having sum(database_ms) > 0`),
    )
    .catch((error: unknown) => {
      if (sqlState(error) === '42P01') return []
      throw error
    })
  return new Map(rows.map(({ tenant_id, ms }) => [tenant_id ?? '', Number(ms)]))
}
