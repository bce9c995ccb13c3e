/**
 * By which columns a row is known on both sides of a move: those of the replica identity, or of the primary key. The
 * tenant's column is not among them; it is the same in every row.
 */

import type { Queryable } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import type { CopyTable } from '../copy/tables.ts'

export interface KeyColumn {
  readonly name: string
  readonly type: readonly [schema: string, name: string]
}

/** By id of a table; null: it has no key, and a row is known by all that it holds. */
export type RowKeys = ReadonlyMap<string, readonly KeyColumn[] | null>

/** Look the keys of tables up. Columns are in the order that they have in the table. */
export async function rowKeysOf(db: Queryable, tables: readonly CopyTable[]): Promise<RowKeys> {
  const wanted = tables.map(({ id, schema, name, tenant }) => ({ id, schema, name, tenant: tenant?.column }))
  const rows = await db.query(
    compile(sql`
      select w.id, json_agg(json_build_object('name', a.attname, 'type', json_build_array(tn.nspname, t.typname))
          order by a.attnum) filter (where a.attname is distinct from w.tenant) as columns
      from jsonb_to_recordset(${sql.value(JSON.stringify(wanted))}::jsonb)
        as w (id text, schema text, name text, tenant text)
      join pg_namespace n on n.nspname = w.schema
      join pg_class c on c.relnamespace = n.oid and c.relname = w.name
      join lateral (
        -- Columns that an index only includes are none of its key. Where it is looked at late, two rows may have the same
        -- key for a while.
        select (i.indkey::int2[])[0:i.indnkeyatts - 1] as columns from pg_index i
        where i.indrelid = c.oid and i.indisvalid and i.indimmediate and (i.indisprimary or i.indisreplident)
        order by i.indisreplident desc limit 1
      ) as key on true
      join pg_attribute a on a.attrelid = c.oid and a.attnum = any(key.columns)
      join pg_type t on t.oid = a.atttypid
      join pg_namespace tn on tn.oid = t.typnamespace
      group by w.id`),
  )
  const keys = new Map(rows.map(({ id, columns }) => [id, JSON.parse(columns ?? '[]') as KeyColumn[]]))
  return new Map(tables.map(({ id }) => [id, keys.get(id) ?? null]))
}

/** `row(t."a", t."b")` */
export function keyOf(columns: readonly KeyColumn[]): SQL {
  return sql`row(${sql.join(
    columns.map(({ name }) => sql`t.${sql.identifier(name)}`),
    ', ',
  )})`
}
