/**
 * How much tenants hold, for `tenant advise`: rows are counted, and bytes are those of the tables with their indexes.
 * Of a table that is shared a tenant has the part that its rows are of all rows, as Postgres estimates these.
 */

import type { TenantId } from '../base/ids.ts'
import type { Client } from '../db/client.ts'
import { compile, type SQL, sql } from '../db/sql.ts'
import type { TenantRecord } from '../directory/tenants.ts'
import { aboutTenant, type CopyTable, rowsOf, tablesOf } from './copy/tables.ts'
import { accessTo } from './homes/reach-home.ts'
import { DEFAULT_TENANCY, type Fleet, onHome, onShard } from './reach.ts'

export interface TableSize {
  /** 'schema.name', under the name that the schema has where tables are shared. */
  readonly table: string
  readonly rows: number
  readonly bytes: number
}

/** A tenant with its home. */
export type Housed = Pick<TenantRecord, 'id' | 'shard' | 'isolation' | 'namespace'>

export type TenantSizes = ReadonlyMap<TenantId, readonly TableSize[]>

/**
 * Measure tenants at their homes, each at a moment of its own. Reads only.
 *
 * @param told  called after each tenant
 * @throws SHARD_UNAVAILABLE, SHARD_UNKNOWN
 */
export async function measureTenants(
  fleet: Fleet,
  tenants: readonly Housed[],
  told: () => void = () => {},
): Promise<TenantSizes> {
  const sizes = new Map<TenantId, readonly TableSize[]>()
  // One connection for all that are in one database.
  const places = Map.groupBy(tenants, ({ shard, isolation, namespace }) =>
    isolation === 'database' ? `${shard} ${namespace}` : shard,
  )
  for (const group of places.values()) {
    const [{ shard, isolation, namespace }] = group as [Housed]
    await onHome(accessTo(fleet, shard), { isolation, namespace }, async (client) => {
      const measure = measurer(client, fleet)
      for (const tenant of group) {
        sizes.set(tenant.id, await measure(tenant))
        told()
      }
    })
  }
  return sizes
}

function measurer(client: Client, { tenancy = DEFAULT_TENANCY }: Fleet) {
  const { column, schemas } = tenancy
  const global = 'global' in tenancy ? tenancy.global : []
  return (tenant: Housed): Promise<TableSize[]> =>
    client.transaction(async () => {
      await client.query('set transaction read only')
      await aboutTenant(client, tenant.id)
      // Not the same for all in one place: a table of numbers holds nothing of a tenant whose id is none.
      const own = { tenant: tenant.id, home: tenant, tenancy: { column, schemas, global } }
      const tables = await tablesOf(client, own)
      if (tables.length === 0) return []
      const rows = await client.query(compile(sql.join(tables.map(sizeOf), ' union all ')))
      return rows.map((row) => ({ table: row.id ?? '', rows: Number(row.rows), bytes: Number(row.bytes) }))
    })
}

function sizeOf(table: CopyTable): SQL {
  const name = sql`(quote_ident(${sql.value(table.schema)}::text) || '.' || quote_ident(${sql.value(table.name)}::text))::regclass`
  const parts = sql`
    select coalesce(tree.relid, ${name}) as part
    from (select) as one left join pg_partition_tree(${name}) as tree on true`
  // Until its first ANALYZE a table is estimated at no rows, and the counters alone know of those that it has.
  const whole = sql`
    select sum(pg_total_relation_size(c.oid)) as bytes, sum(greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0)) as rows
    from (${parts}) as p join pg_class c on c.oid = p.part`
  const share = table.tenant ? sql`mine.rows / greatest(whole.rows, mine.rows, 1)` : sql`1`
  return sql`
    select ${sql.value(table.id)}::text as id, mine.rows, (whole.bytes * ${share})::bigint as bytes
    from (select count(*) as rows ${rowsOf(table)}) as mine, (${whole}) as whole`
}

/**
 * Bytes of all tables on a shard, with their indexes, and of the databases on it that belong to tenants.
 *
 * @param databases  names of these
 */
export function measureShard(fleet: Fleet, shard: string, databases: readonly string[]): Promise<number> {
  return onShard(accessTo(fleet, shard), async (client) => {
    const [row] = await client.query(
      compile(sql`
        select coalesce((
            select sum(pg_total_relation_size(c.oid)) from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema')), 0)
          + coalesce((
            select sum(pg_database_size(oid)) from pg_database
            where datname = any(${sql.value(databases)}::text[])), 0) as bytes`),
    )
    return Number(row?.bytes)
  })
}
