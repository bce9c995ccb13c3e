/** Foreign keys of tables, and which of their keys are looked at late. */

import type { Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { CopyTable } from './tables.ts'

export interface ForeignKey {
  readonly name: string
  readonly columns: readonly string[]
  readonly parent: { readonly schema: string; readonly name: string }
  readonly parentColumns: readonly string[]
  /** MATCH FULL: all of its columns are null, or none. */
  readonly full: boolean
}

export interface Keys {
  /** Those that hold for all rows that are there. */
  readonly foreign: readonly ForeignKey[]
  /** Whether it has a unique or an exclusion constraint that may be looked at when a transaction ends. */
  readonly deferred: boolean
}

/** By id of the table. */
export async function keysOf(db: Queryable, tables: readonly CopyTable[]): Promise<Map<string, Keys>> {
  const wanted = JSON.stringify(tables.map(({ id, schema, name }) => ({ id, schema, name })))
  const rows = await db.query(
    compile(sql`
      select t.id, exists (
          select from pg_constraint k where k.conrelid = c.oid and k.contype in ('p', 'u', 'x') and k.condeferrable
        ) as deferred,
        coalesce((
          select json_agg(json_build_object('name', k.conname, 'full', k.confmatchtype = 'f',
            'parent', json_build_object('schema', pn.nspname, 'name', p.relname),
            'columns', (select json_agg(a.attname order by u.no) from unnest(k.conkey) with ordinality as u (num, no)
              join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num),
            'parentColumns', (select json_agg(a.attname order by u.no)
              from unnest(k.confkey) with ordinality as u (num, no)
              join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.num)) order by k.conname)
          from pg_constraint k join pg_class p on p.oid = k.confrelid join pg_namespace pn on pn.oid = p.relnamespace
          where k.conrelid = c.oid and k.contype = 'f' and k.conparentid = 0 and k.convalidated
        ), '[]') as foreign
      from jsonb_to_recordset(${sql.value(wanted)}::jsonb) as t (id text, schema text, name text)
      join pg_namespace n on n.nspname = t.schema
      join pg_class c on c.relnamespace = n.oid and c.relname = t.name`),
  )
  return new Map(
    rows.map(({ id, deferred, foreign }) => [
      id ?? '',
      { deferred: deferred === 't', foreign: JSON.parse(foreign ?? '[]') as ForeignKey[] },
    ]),
  )
}

/** Tables so that those that others refer to come before them, as far as they do not refer to each other. */
export function parentsFirst(tables: readonly CopyTable[], keys: ReadonlyMap<string, Keys>): CopyTable[] {
  const ordered = new Set<CopyTable>()
  const seen = new Set<CopyTable>()
  const visit = (table: CopyTable): void => {
    if (seen.has(table)) return
    seen.add(table)
    for (const { parent } of keys.get(table.id)?.foreign ?? []) {
      const found = tables.find(({ schema, name }) => schema === parent.schema && name === parent.name)
      if (found) visit(found)
    }
    ordered.add(table)
  }
  for (const table of tables) visit(table)
  return [...ordered]
}
