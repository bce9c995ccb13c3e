/**
 * The tables that may hold rows of one tenant, where it is at home, and the SQL that picks its rows from them.
 *
 * The tenant's id never stands in a text: COPY takes no parameters, so it is a setting of the transaction, the same
 * that the policies read. The predicate stands in each statement all the same, for the roles that policies pass over.
 */

import type { TenantId } from '../../base/ids.ts'
import type { Client, Queryable } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import type { Isolation } from '../../directory/types.ts'
import type { Tenancy } from '../../model/served.ts'
import { fits } from '../life/tables.ts'

/** Where a tenant's tables are, as its placement says. */
export interface Home {
  readonly isolation: Isolation
  readonly namespace: string
}

export type CopyTenancy = Pick<Tenancy, 'column' | 'schemas' | 'global'>

/** A tenant at home. */
export interface HomeOf {
  readonly tenant: TenantId
  readonly home: Home
  readonly tenancy: CopyTenancy
}

export interface CopyColumn {
  readonly name: string
  /** As Postgres writes it, without the schema of the table. */
  readonly type: string
}

/** A table in one home. Tables of different homes that have the same `id` hold the same. */
export interface CopyTable {
  /** 'schema.name', under the name that the schema has where tables are shared. */
  readonly id: string
  readonly schema: string
  readonly name: string
  readonly partitioned: boolean
  /** Null: the table has no tenant column, and all of its rows are the tenant's. */
  readonly tenant: {
    readonly column: string
    readonly type: readonly [schema: string, name: string]
    /** Name of the type that a domain is made of; else of the type itself. */
    readonly baseType: string
  } | null
  /** What rows are made of: neither the tenant column nor what Postgres computes. By name, in order of bytes. */
  readonly columns: readonly CopyColumn[]
}

/**
 * Tables of a home that may hold rows of its tenant, by id: those with the tenant column, unless its type cannot have
 * the tenant's id, and, in a schema or a database of its own, those without it that are not global.
 */
export async function tablesOf(db: Queryable, { tenant, home, tenancy }: HomeOf): Promise<CopyTable[]> {
  const rows = await db.query(
    compile(sql`
      select json_build_object(
        'id', s.shared || '.' || c.relname, 'schema', n.nspname, 'name', c.relname,
        'partitioned', c.relkind = 'p',
        'tenant', case when a.attname is not null
          then json_build_object('column', a.attname, 'type', json_build_array(tn.nspname, t.typname),
            'baseType', coalesce(nullif(t.typbasetype, 0)::regtype, t.oid::regtype)::text) end,
        'columns', coalesce(columns.list, '[]')) as described
      from jsonb_to_recordset(${sql.value(JSON.stringify(schemasOf(home, tenancy)))}::jsonb)
        as s (shared text, schema text)
      join pg_namespace n on n.nspname = s.schema
      join pg_class c on c.relnamespace = n.oid and c.relkind in ('r', 'p') and not c.relispartition
      left join pg_attribute a on a.attrelid = c.oid and a.attname = ${sql.value(tenancy.column)} and not a.attisdropped
      left join pg_type t on t.oid = a.atttypid
      left join pg_namespace tn on tn.oid = t.typnamespace
      left join lateral (
        select json_agg(json_build_object('name', o.attname,
            'type', replace(format_type(o.atttypid, o.atttypmod), quote_ident(n.nspname) || '.', ''))
          order by o.attname collate "C") as list
        from pg_attribute o
        where o.attrelid = c.oid and o.attnum > 0 and not o.attisdropped and o.attgenerated = ''
          and o.attnum is distinct from a.attnum
      ) as columns on true
      where a.attname is not null or ${sql.value(home.isolation)}::text <> 'shared'
        and s.shared || '.' || c.relname <> all(${sql.value(tenancy.global ?? [])}::text[])
      order by s.shared collate "C", c.relname collate "C"`),
  )
  const tables = rows.map(({ described }) => JSON.parse(described ?? '') as CopyTable)
  return tables.filter((table) => !table.tenant || fits(table.tenant.baseType, tenant))
}

// A schema of the tenant's own stands in place of the first shared one, and there are no others beside it.
function schemasOf({ isolation, namespace }: Home, { schemas }: CopyTenancy) {
  if (isolation === 'schema') return schemas.slice(0, 1).map((shared) => ({ shared, schema: namespace }))
  return schemas.map((schema) => ({ shared: schema, schema }))
}

/** Say whose rows the statements of this transaction are about. */
export async function aboutTenant(client: Client, tenant: TenantId): Promise<void> {
  await client.query(compile(sql`select set_config('app.current_tenant_id', ${sql.value(tenant)}, true)`))
}

/** `from … where …`: the tenant's rows in a table, as `t`, in a transaction that is about it (`aboutTenant`). */
export function rowsOf(table: CopyTable): SQL {
  // Without "only", what inherits from a table would come twice: as its rows, and as rows of its own table.
  const only = table.partitioned ? sql.blank : sql`only `
  return sql`from ${only}${sql.identifier(table.schema, table.name)} as t${ofTenant(table)}`
}

function ofTenant({ tenant }: CopyTable): SQL {
  if (!tenant) return sql.blank
  const value = sql`(select shardgate.current_tenant())::${sql.identifier(...tenant.type)}`
  return sql` where t.${sql.identifier(tenant.column)} = ${value}`
}

/** `t."a", t."b"`: the columns that a row is made of. */
export function columnsOf({ columns }: CopyTable): SQL {
  return sql.join(
    columns.map(({ name }) => sql`t.${sql.identifier(name)}`),
    ', ',
  )
}
