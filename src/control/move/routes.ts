/**
 * Where changes of a table go: the same table at the other end, under the name and the schema that it has there, column
 * by column.
 *
 * All of it is looked up before the first change, and each table is then held to it: one whose columns change on the
 * way is a failure, because nobody knows what the other end would make of its rows.
 */

import { fail } from '../../base/errors.ts'
import type { Queryable } from '../../db/client.ts'
import type { Relation } from '../../db/pgoutput.ts'
import { compile, sql } from '../../db/sql.ts'
import type { CopyTable } from '../copy/tables.ts'
import { movedTablesOf, type Pair, pairsOf } from './moved-tables.ts'
import type { Way } from './names.ts'
import { rowKeysOf } from './row-keys.ts'

export interface RouteColumn {
  readonly name: string
  /** At the other end. */
  readonly type: readonly [schema: string, name: string]
  /** Whether it is "generated always as identity" there: an UPDATE cannot set it. */
  readonly always: boolean
  /** Whether its type has an `=` that is there for everybody, and equal texts of it are equal. */
  readonly comparable: boolean
}

export interface Route {
  /** Of the table. */
  readonly id: string
  /** At the other end. */
  readonly table: CopyTable
  /** In the order of the table that changes come from. */
  readonly columns: readonly RouteColumn[]
  /** Position of the tenant's column, and what it has to say; null: all rows are the tenant's. */
  readonly tenant: { readonly at: number; readonly text: string } | null
  /** Positions of the key's columns, the tenant's left out; null: a row is known by all that it holds. */
  readonly key: readonly number[] | null
}

export interface Routes {
  /** @throws REFUSED  the table is none that is moved, or is not what it was */
  of(relation: Relation): Route
}

/**
 * @param from, to  sessions at both ends; they may be closed afterwards
 * @throws REFUSED  a table is not the same at both ends, or has a trigger there that fires whatever we say
 */
export async function routesOf(way: Way, from: Queryable, to: Queryable): Promise<Routes> {
  const here = await movedTablesOf(from, way.from)
  const there = await movedTablesOf(to, way.to)
  const { pairs, missing } = pairsOf({ source: way.from, target: way.to }, here, there)
  const keys = await rowKeysOf(from, here)
  const columns = await factsOf(from, here)
  const targets = await factsOf(to, there)
  const tenants = await tenantTexts(from, here, way.from.tenant)
  const known = new Map<string, Known>()
  for (const pair of pairs) {
    requireSame(pair)
    const route = routeOf(pair, {
      columns: columns.get(pair.id),
      target: targets.get(pair.id),
      key: keys.get(pair.id)?.map(({ name }) => name) ?? null,
      tenant: tenants.get(pair.id) ?? '',
    })
    known.set(`${pair.from.schema}.${pair.from.name}`, { route, shape: shapeOf(columns.get(pair.id)) })
  }
  return { of: finder(known, missing) }
}

interface Known {
  readonly route: Route
  /** Its columns as text, to compare. */
  readonly shape: string
}

function finder(known: ReadonlyMap<string, Known>, missing: readonly CopyTable[]): Routes['of'] {
  const found = new WeakMap<Relation, Route>()
  const find = (relation: Relation): Route => {
    const name = `${relation.schema}.${relation.name}`
    const table = known.get(name)
    if (!table) return unknown(name, missing)
    const { route, shape } = table
    const columns = relation.columns.map(({ name: column, type, typmod }) => `${column} ${type} ${typmod}`)
    if (columns.join('\n') !== shape) changed(route.id, 'columns')
    const isNamed = route.key
      ? relation.identity === 'f' || route.key.every((at) => relation.columns[at]?.isKey)
      : relation.identity === 'f' || relation.identity === 'n'
    if (!isNamed) changed(route.id, 'replica identity')
    found.set(relation, route)
    return route
  }
  return (relation) => found.get(relation) ?? find(relation)
}

function unknown(name: string, missing: readonly CopyTable[]): never {
  const isMissing = missing.some((table) => `${table.schema}.${table.name}` === name)
  const why = isMissing
    ? 'which the other end of the move has not'
    : 'which is none of the tables that are moved'
  return fail('REFUSED', `There are changes of ${name}, ${why}.`, { table: name })
}

function changed(table: string, what: string): never {
  const hint = 'Move the tenant again when the migration is through on both ends.'
  return fail('REFUSED', `The ${what} of ${table} changed during the move.`, { table }, { hint })
}

function requireSame({ id, from, to }: Pair): void {
  const lines = ({ columns, tenant }: CopyTable): string =>
    JSON.stringify([columns, tenant && [tenant.column, tenant.baseType]])
  if (lines(from) === lines(to)) return
  fail('REFUSED', `${id} has not the same columns at both ends of the move.`, { table: id })
}

interface Facts {
  readonly columns: readonly {
    readonly name: string
    readonly type: readonly [string, string]
    readonly oid: string
    readonly typmod: number
    readonly always: boolean
    readonly comparable: boolean
  }[]
  /** A trigger that fires for replicated rows as well. */
  readonly trigger: string | null
}

async function factsOf(db: Queryable, tables: readonly CopyTable[]): Promise<Map<string, Facts>> {
  const wanted = JSON.stringify(tables.map(({ id, schema, name }) => ({ id, schema, name })))
  const rows = await db.query(
    compile(sql`
      select w.id, json_build_object(
        'trigger', (
          select min(g.tgname) from pg_trigger g
          where g.tgrelid in (select c.oid union all select relid from pg_partition_tree(c.oid))
            and not g.tgisinternal and g.tgenabled in ('A', 'R')),
        'columns', (
          select json_agg(json_build_object('name', a.attname, 'type', json_build_array(tn.nspname, t.typname),
            'oid', t.oid::text, 'typmod', a.atttypmod, 'always', a.attidentity = 'a', 'comparable', t.typtype = 'e'
              or t.typtype = 'b' and tn.nspname = 'pg_catalog' and (t.typcategory in ('N', 'D', 'S', 'B', 'T') or t.typname = 'uuid'))
            order by a.attnum)
          from pg_attribute a join pg_type t on t.oid = a.atttypid join pg_namespace tn on tn.oid = t.typnamespace
          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '')) as facts
      from jsonb_to_recordset(${sql.value(wanted)}::jsonb) as w (id text, schema text, name text)
      join pg_namespace n on n.nspname = w.schema
      join pg_class c on c.relnamespace = n.oid and c.relname = w.name`),
  )
  return new Map(rows.map(({ id, facts }) => [id ?? '', JSON.parse(facts ?? '') as Facts]))
}

const shapeOf = (facts: Facts | undefined): string =>
  (facts?.columns ?? []).map(({ name, oid, typmod }) => `${name} ${oid} ${typmod}`).join('\n')

interface Parts {
  readonly columns: Facts | undefined
  readonly target: Facts | undefined
  readonly key: readonly string[] | null
  readonly tenant: string
}

function routeOf({ id, to }: Pair, { columns, target, key, tenant }: Parts): Route {
  if (target?.trigger) {
    const sentence = `${id} has the trigger ${target.trigger}, which fires for rows that are moved as well.`
    const hint = `Type: alter table ${id} enable trigger ${target.trigger};`
    fail('REFUSED', sentence, { table: id }, { hint })
  }
  const names = columns?.columns.map(({ name }) => name) ?? []
  const there = new Map(target?.columns.map((column) => [column.name, column]))
  return {
    id,
    table: to,
    columns: names.map((name) => {
      const { type, always, comparable } = there.get(name)!
      return { name, type, always, comparable }
    }),
    tenant: to.tenant && { at: names.indexOf(to.tenant.column), text: tenant },
    key: key?.map((name) => names.indexOf(name)) ?? null,
  }
}

/** The tenant's id as each tenant column writes it: a char(20) has blanks behind it. By id of the table. */
async function tenantTexts(
  db: Queryable,
  tables: readonly CopyTable[],
  tenant: string,
): Promise<Map<string, string>> {
  const texts = new Map<string, string>()
  for (const { id, schema, name, tenant: column } of tables) {
    if (!column) continue
    const [row] = await db.query(
      compile(sql`
        select case when a.atttypid = 'bpchar'::regtype then rpad(${sql.value(tenant)}::text, a.atttypmod - 4)
          else ${sql.value(tenant)}::text::${sql.identifier(...column.type)}::text end as text
        from pg_attribute a
        where a.attrelid = format('%I.%I', ${sql.value(schema)}::text, ${sql.value(name)}::text)::regclass
          and a.attname = ${sql.value(column.column)}`),
    )
    texts.set(id, row?.text ?? tenant)
  }
  return texts
}
