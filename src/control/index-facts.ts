/** What index advice reads from a shard's catalogs: sizes, columns and indexes of tables. */

import type { Queryable } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'

export interface IndexFacts {
  readonly name: string
  readonly valid: boolean
  /** The condition of a partial index, as Postgres writes it. */
  readonly predicate: string | null
  /** Key columns in order; null for an expression. */
  readonly keys: readonly {
    readonly column: string | null
    readonly descending: boolean
    readonly nullsFirst: boolean
  }[]
}

export interface ColumnFacts {
  readonly name: string
  /** As `numeric(12,2)`. */
  readonly type: string
  readonly isEnum: boolean
  /**
   * Whether its comparisons are leakproof, so that an index may be searched by it under row-level security;
   * null where the type has no order that an index could keep.
   */
  readonly leakproof: boolean | null
}

export interface TableIndexFacts {
  readonly schema: string
  readonly name: string
  /** Partitioned tables take no index concurrently. */
  readonly partitioned: boolean
  /** Rows of all tenants, as Postgres estimates them. */
  readonly rows: number
  readonly primaryKey: readonly string[]
  readonly columns: readonly ColumnFacts[]
  /** B-tree indexes. */
  readonly indexes: readonly IndexFacts[]
}

/** Read the facts of those of `tables` ('schema.name') that there are. Any role may ask. */
export async function readIndexFacts(db: Queryable, tables: readonly string[]): Promise<TableIndexFacts[]> {
  const [row] = await db.query(
    compile(sql`
      select coalesce(json_agg(json_build_object(
        'schema', n.nspname, 'name', c.relname, 'partitioned', c.relkind = 'p',
        'rows', (${ROWS}), 'primaryKey', (${PRIMARY_KEY}), 'columns', (${COLUMNS}), 'indexes', (${INDEXES}))
      ), '[]')::text as facts
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname || '.' || c.relname = any(${sql.value(tables)}::text[]) and c.relkind in ('r', 'p')`),
  )
  return JSON.parse(row?.facts ?? '[]') as TableIndexFacts[]
}

// The counters of the statistics collector know of rows that no ANALYZE has seen yet.
const ROWS = sql`
  select coalesce(sum(greatest(l.reltuples, pg_stat_get_live_tuples(l.oid), 0)), 0)::bigint
  from pg_class l
  where l.oid = c.oid and c.relkind = 'r'
    or l.oid in (select t.relid from pg_partition_tree(c.oid) t where t.isleaf)`

const PRIMARY_KEY = sql`
  select coalesce(json_agg(a.attname order by k.no), '[]')
  from pg_index x
  cross join unnest(x.indkey::int2[]) with ordinality k (attnum, no)
  join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
  where x.indrelid = c.oid and x.indisprimary`

// The class of operators that an ordinary index would use: of the type itself, of the text that a varchar
// is compared as, or of the family of types that it belongs to.
const COLUMNS = sql`
  select coalesce(json_agg(json_build_object(
    'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
    'isEnum', b.typtype = 'e', 'leakproof', l.leakproof)), '[]')
  from pg_attribute a
  join pg_type t on t.oid = a.atttypid
  join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
  cross join lateral (
    select bool_and(f.proleakproof) as leakproof
    from pg_opclass oc
    join pg_am m on m.oid = oc.opcmethod and m.amname = 'btree'
    join pg_amop ao on ao.amopfamily = oc.opcfamily
        and ao.amoplefttype = oc.opcintype and ao.amoprighttype = oc.opcintype
    join pg_operator o on o.oid = ao.amopopr
    join pg_proc f on f.oid = o.oprcode
    where oc.opcdefault and oc.opcintype = case
      when b.typtype = 'e' then 'anyenum'::regtype
      when b.typtype = 'r' then 'anyrange'::regtype
      when b.typtype = 'm' then 'anymultirange'::regtype
      when b.typtype = 'c' then 'record'::regtype
      when b.typcategory = 'A' then 'anyarray'::regtype
      when b.oid = 'varchar'::regtype then 'text'::regtype
      else b.oid end
  ) l
  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped`

const INDEXES = sql`
  select coalesce(json_agg(json_build_object(
    'name', i.relname, 'valid', x.indisvalid, 'predicate', pg_get_expr(x.indpred, x.indrelid),
    'keys', (
      select json_agg(json_build_object(
        'column', (select a.attname from pg_attribute a
          where a.attrelid = c.oid and a.attnum = k.attnum and k.attnum <> 0),
        'descending', k.option & 1 = 1, 'nullsFirst', k.option & 2 = 2) order by k.no)
      from unnest(x.indkey::int2[], x.indoption::int2[]) with ordinality k (attnum, option, no)
      where k.no <= x.indnkeyatts)
  ) order by i.relname), '[]')
  from pg_index x
  join pg_class i on i.oid = x.indexrelid
  join pg_am m on m.oid = i.relam and m.amname = 'btree'
  where x.indrelid = c.oid`
