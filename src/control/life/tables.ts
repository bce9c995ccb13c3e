/** The tables of a database that have the tenant column, and how their rows hang on each other. */

import type { TenantId } from '../../base/ids.ts'
import type { Queryable } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'

/** What the tenant column is called, and which schemas are served. */
export interface LifeTenancy {
  readonly column: string
  readonly schemas: readonly string[]
}

export interface TenantTable {
  readonly oid: string
  readonly schema: string
  readonly name: string
  readonly column: string
  readonly type: readonly [schema: string, name: string]
  /** Name of the type that a domain is made of; else of the type itself. */
  readonly baseType: string
  /** Whether rows in it are Shardgate's to delete: a served schema, or one of its own tables. */
  readonly served: boolean
  readonly readable: boolean
  readonly deletable: boolean
  /** Foreign keys by which rows of others, or of the table itself, hang on its rows. */
  readonly hanging: readonly ForeignKey[]
}

/** Between tables with the tenant column. */
export interface ForeignKey {
  readonly name: string
  /** Oid of the table that has the key. */
  readonly child: string
  readonly columns: readonly string[]
  /** Columns of the other table, in the same order. */
  readonly keys: readonly string[]
  /** What a delete does to rows that hang on it: 'a' and 'r' refuse it, 'c' deletes them, 'n' and 'd' change them. */
  readonly action: 'a' | 'r' | 'c' | 'n' | 'd'
}

export const idOf = ({ schema, name }: Pick<TenantTable, 'schema' | 'name'>): string => `${schema}.${name}`

/** All of them in the database, whoever owns them, partitions and the fence left out; by name. */
export async function tenantTables(db: Queryable, { column, schemas }: LifeTenancy): Promise<TenantTable[]> {
  const [row] = await db.query(
    compile(sql`
      with tables as (
        select c.oid, n.nspname, c.relname, a.attname, tn.nspname as type_schema, t.typname,
          coalesce(nullif(t.typbasetype, 0)::regtype, t.oid::regtype)::text as base_type,
          n.nspname = 'shardgate' or n.nspname = any(${sql.value(schemas)}::text[]) as served,
          has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') as readable,
          has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'delete') as deletable
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          and a.attname = case n.nspname when 'shardgate' then 'tenant_id' else ${sql.value(column)} end
        join pg_type t on t.oid = a.atttypid
        join pg_namespace tn on tn.oid = t.typnamespace
        where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
          and n.nspname not in ('pg_catalog', 'information_schema')
          and (n.nspname, c.relname) <> ('shardgate', 'tenant_fence')
      ), keys as (
        select coalesce(pg_partition_root(k.confrelid), k.confrelid) as parent, json_agg(json_build_object(
          'name', k.conname, 'action', k.confdeltype,
          'child', coalesce(pg_partition_root(k.conrelid), k.conrelid)::oid::text,
          'columns', (select json_agg(attname order by no) from unnest(k.conkey) with ordinality as u (num, no)
            join pg_attribute on attrelid = k.conrelid and attnum = num),
          'keys', (select json_agg(attname order by no) from unnest(k.confkey) with ordinality as u (num, no)
            join pg_attribute on attrelid = k.confrelid and attnum = num))) as list
        from pg_constraint k
        where k.contype = 'f' and k.conparentid = 0
          and coalesce(pg_partition_root(k.conrelid), k.conrelid) in (select oid from tables)
        group by 1
      )
      select coalesce(json_agg(json_build_object(
        'oid', oid::text, 'schema', nspname, 'name', relname, 'column', attname,
        'type', json_build_array(type_schema, typname), 'baseType', base_type,
        'served', served, 'readable', readable, 'deletable', deletable, 'hanging', coalesce(list, '[]')
      ) order by nspname, relname), '[]')::text as tables
      from tables left join keys on parent = oid`),
  )
  return JSON.parse(row?.tables ?? '[]') as TenantTable[]
}

/** `t."tenant_id" = …`: the tenant's rows in a table, as `t`; undefined when the column's type has no such value. */
export function isOfTenant(table: TenantTable, tenant: TenantId, alias: SQL = sql`t`): SQL | undefined {
  if (!fits(table.baseType, tenant)) return undefined
  const value = sql`${sql.value(tenant)}::text::${sql.identifier(...table.type)}`
  return sql`${alias}.${sql.identifier(table.column)} = ${value}`
}

const INTEGERS: Readonly<Record<string, bigint>> = {
  smallint: 2n ** 15n,
  integer: 2n ** 31n,
  bigint: 2n ** 63n,
}
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** A value that the type cannot have is an error of Postgres's, and means that there are no such rows. */
export function fits(type: string, tenant: TenantId): boolean {
  const end = INTEGERS[type]
  if (end !== undefined) return /^\d+$/.test(tenant) && BigInt(tenant) < end
  return type !== 'uuid' || UUID.test(tenant)
}

/** Tables so that those whose rows hang on others come before these, as far as they do not hang on each other. */
export function childrenFirst(tables: readonly TenantTable[]): TenantTable[] {
  const known = new Map(tables.map((table) => [table.oid, table]))
  const ordered = new Set<TenantTable>()
  const seen = new Set<TenantTable>()
  const visit = (table: TenantTable): void => {
    if (seen.has(table)) return
    seen.add(table)
    for (const { child } of table.hanging) {
      const found = known.get(child)
      if (found) visit(found)
    }
    ordered.add(table)
  }
  for (const table of tables) visit(table)
  return [...ordered]
}
