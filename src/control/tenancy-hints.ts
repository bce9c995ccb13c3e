/** What `tenancy` in the configuration may have meant, where a shard has no table that fits it. */

import { fail } from '../base/errors.ts'
import type { Queryable } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'

interface Tenancy {
  readonly column: string
  readonly schemas: readonly string[]
}

interface Sight {
  /** Schemas of the configuration that do not exist. */
  readonly missing: readonly string[]
  /** Tables in the schemas of the configuration, and those of them that have the tenant column. */
  readonly tables: number
  readonly served: number
  /** Other schemas with tables that have the tenant column. */
  readonly elsewhere: readonly { readonly schema: string; readonly tables: number }[]
  /** Columns that at least half of the tables share and that could hold a tenant. */
  readonly shared: readonly { readonly column: string; readonly tables: number }[]
}

/**
 * Why nothing of this shard would be served, in sentences that say what to correct. Empty when something
 * would be, and for a database that has no tables at all.
 */
export async function tenancyHints(db: Queryable, tenancy: Tenancy): Promise<string[]> {
  const { missing, tables, served, elsewhere, shared } = await look(db, tenancy)
  if (served > 0) return []
  const names = tenancy.schemas.join(', ')
  const places = elsewhere.map(({ schema, tables }) => `${schema} (${tables})`).join(', ')
  const columns = shared.map(({ column, tables }) => `${column} (${tables})`).join(', ')
  return [
    ...missing.map((name) => `There is no schema "${name}".`),
    ...(tables > 0 ? [`None of the ${tables} tables in ${names} has the column ${tenancy.column}.`] : []),
    ...(places
      ? [`Tables with the column ${tenancy.column} are in: ${places}. Correct tenancy.schemas.`]
      : []),
    ...(columns ? [`Columns that many tables share: ${columns}. Correct tenancy.column.`] : []),
  ]
}

/**
 * Refuse to make a schema that nobody meant: one of the configuration is missing, and the tables with the
 * tenant column are all in others.
 *
 * @throws CONFIG_INVALID
 */
export async function requireMeantSchemas(db: Queryable, key: string, tenancy: Tenancy): Promise<void> {
  const { missing, served, elsewhere } = await look(db, tenancy)
  if (missing.length === 0 || served > 0 || elsewhere.length === 0) return
  const places = elsewhere.map(({ schema }) => schema).join(', ')
  fail(
    'CONFIG_INVALID',
    `tenancy.schemas: ${key} has no schema "${missing.join('", "')}"; its tables with the column ${tenancy.column} are in ${places}.`,
  )
}

async function look(db: Queryable, { column, schemas }: Tenancy): Promise<Sight> {
  const [row] = await db.query(
    compile(sql`
      with wanted as (select unnest(${sql.value(schemas)}::text[]) as name),
      tables as (
        select c.oid, n.nspname, n.nspname in (select name from wanted) as listed, exists (
          select from pg_attribute a
          where a.attrelid = c.oid and a.attname = ${sql.value(column)} and not a.attisdropped) as tenant
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p') and not c.relispartition
          and n.nspname not like 'pg\\_%' and n.nspname not in ('information_schema', 'shardgate', 'directory')
      ), elsewhere as (
        select nspname as schema, count(*) as tables from tables where tenant and not listed group by 1
      ), shared as (
        select a.attname as column, count(*) as tables
        from tables t
        join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
        where t.listed and a.attname <> 'id'
          and a.atttypid in ('text'::regtype, 'varchar'::regtype, 'uuid'::regtype, 'int'::regtype, 'bigint'::regtype)
        group by 1
        having count(*) > 1 and count(*) * 2 >= (select count(*) from tables where listed)
        order by 2 desc, 1 limit 3
      )
      select json_build_object(
        'missing', (select coalesce(json_agg(name), '[]') from wanted
          where not exists (select from pg_namespace where nspname = name)),
        'tables', (select count(*) from tables where listed),
        'served', (select count(*) from tables where listed and tenant),
        'elsewhere', (select coalesce(json_agg(e order by tables desc, schema), '[]') from elsewhere e),
        'shared', (select coalesce(json_agg(s), '[]') from shared s))::text as sight`),
  )
  return JSON.parse(row?.sight ?? '{}') as Sight
}
