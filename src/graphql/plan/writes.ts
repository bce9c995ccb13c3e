/**
 * Statements that change rows. Each returns the rows it changed, with the table's columns in the model's order;
 * what is addressed by keys gives the number of the key first.
 *
 * Many rows are one statement whose text depends on the columns that are given, not on the number of rows.
 */

import type { TenantId } from '../../base/ids.ts'
import {
  type Changed,
  compile,
  inert,
  type SQL,
  type Statement,
  sql,
  type Value,
  wireText,
} from '../../db/sql.ts'
import type { Column, ColumnType, Table } from '../../model/types.ts'
import { condition } from './conditions.ts'
import {
  at,
  cast,
  castTo,
  columns,
  from,
  hasValues,
  isTenant,
  keys,
  matchesKey,
  type Source,
  source,
} from './fragments.ts'
import type { Condition } from './types.ts'

export type Changes = readonly { readonly column: Column; readonly value: Value }[]

/** What a statement changes that returns the table's columns behind `before` other ones. A primary key never changes. */
function changed(table: Table, before = 0): Changed {
  const places = table.primaryKey.map((key) => before + table.columns.findIndex(({ name }) => name === key))
  return { table: table.id, reaches: table.reaches === true, key: places }
}

/** Rows of any table may go with those that are deleted, or change: so their foreign keys may want it. */
export function removed({ id }: Table): Changed {
  return { table: id, reaches: true, key: null }
}

/**
 * Insert rows that all give the same columns, in this order; the others get their defaults.
 *
 * Returned in the order of `rows`: Postgres inserts what a sorted query gives one after the other.
 */
export function insertStatement(table: Table, tenant: TenantId, rows: readonly Changes[]): Statement {
  const of = source(table)
  return {
    ...compile(sql`${insertRows(of, tenant, rows)} returning ${columns(of)}`),
    changes: changed(table),
  }
}

/**
 * Insert a row, or change `update` of the one that has its values in `key` already. There is always a row:
 * with nothing to change the key is set to itself, because `do nothing` would return none.
 *
 * @param key  columns of a unique key beside the tenant column; `row` gives all of them
 */
export function upsertStatement(
  table: Table,
  tenant: TenantId,
  row: Changes,
  key: readonly string[],
  update: readonly string[],
): Statement {
  const of = source(table)
  const statement = compile(sql`${upsertRow(of, tenant, row, key, update)} returning ${columns(of)}`)
  return { ...statement, changes: changed(table) }
}

/** As `upsertStatement`, up to what it returns. */
export function upsertRow(
  of: Source,
  tenant: TenantId,
  row: Changes,
  key: readonly string[],
  update: readonly string[],
): SQL {
  const target = conflictTarget(of.table, key).map((name) => sql.identifier(name))
  const set = (update.length > 0 ? update : key).map((name) => {
    const column = sql.identifier(name)
    return sql`${column} = ${update.length > 0 ? sql`excluded.${column}` : at(of, name)}`
  })
  return sql`${insertRows(of, tenant, [row])}
    on conflict (${sql.join(target, ', ')}) do update set ${sql.join(set, ', ')}
    where ${isTenant(of, tenant)}`
}

/** Change rows by their primary keys, all in the same way. */
export function updateStatement(
  table: Table,
  tenant: TenantId,
  wanted: readonly Value[][],
  changes: Changes,
): Statement {
  const of = source(table)
  const statement = compile(sql`update ${from(of)} set ${assignments(changes)}
    from ${keys(table, table.primaryKey, wanted)}
    where ${isTenant(of, tenant)} and ${matchesKey(of, table.primaryKey)} returning k.n, ${columns(of)}`)
  return { ...statement, changes: changed(table, 1) }
}

// The columns of the constraint itself: in a tenant's own tables it may do without the tenant column.
function conflictTarget(table: Table, key: readonly string[]): readonly string[] {
  const { tenantColumn, primaryKey, barePrimaryKey, uniques } = table
  if (tenantColumn === null) return key
  const isKey = (columns: readonly string[]): boolean =>
    columns.length === key.length && key.every((name) => columns.includes(name))
  const isBare = (barePrimaryKey && isKey(primaryKey)) || uniques.some(({ columns }) => isKey(columns))
  return isBare ? key : [tenantColumn, ...key]
}

function assignments(changes: Changes): SQL {
  return sql.join(
    changes.map(({ column, value }) => sql`${sql.identifier(column.name)} = ${cast(value, column.type)}`),
    ', ',
  )
}

/** Columns of a row's primary key with their values. */
export type Key = readonly { readonly column: string; readonly value: Value }[]

/** Change one row, up to what it returns. */
export function updateRow(of: Source, tenant: TenantId, key: Key, changes: Changes): SQL {
  return sql`update ${from(of)} set ${assignments(changes)}
    where ${isTenant(of, tenant)} and ${hasValues(of, key)}`
}

/** Delete one row, up to what it returns. */
export function deleteRow(of: Source, tenant: TenantId, key: Key): SQL {
  return sql`delete from ${from(of)} where ${isTenant(of, tenant)} and ${hasValues(of, key)}`
}

/** Delete rows by their primary keys, and where it is given only those for which `where` still holds. */
export function deleteStatement(
  table: Table,
  tenant: TenantId,
  wanted: readonly Value[][],
  where: Condition | null = null,
): Statement {
  const of = source(table)
  const still = where ? sql` and ${condition(of, where, tenant)}` : sql.blank
  const statement = compile(sql`delete from ${from(of)} using ${keys(table, table.primaryKey, wanted)}
    where ${isTenant(of, tenant)} and ${matchesKey(of, table.primaryKey)}${still}
    returning k.n, ${columns(of)}`)
  return { ...statement, changes: removed(table) }
}

/** How rows are held until the transaction ends; a lock asks for the right to update. */
export type Lock = 'update' | 'delete' | null

/** At most `limit` rows for which `where` holds, locked in the order of the primary key, so that two never wait for each other. */
export function chooseStatement(
  table: Table,
  tenant: TenantId,
  where: Condition | null,
  limit: number,
  lock: Lock,
): Statement {
  const of = source(table)
  const matches = where ? sql` and ${condition(of, where, tenant)}` : sql.blank
  return inert(sql`select ${columns(of)} from ${from(of)} where ${isTenant(of, tenant)}${matches}
    order by ${inKeyOrder(of)} limit ${sql.value(limit)}${locking(lock)}`)
}

/** Rows whose `by` columns equal one of `wanted`, locked; the number of the key first. */
export function lockStatement(
  table: Table,
  tenant: TenantId,
  by: readonly string[],
  wanted: readonly Value[][],
  lock: Lock,
): Statement {
  const of = source(table)
  return inert(sql`select k.n, ${columns(of)} from ${keys(table, by, wanted)} join ${from(of)}
    on ${isTenant(of, tenant)} and ${matchesKey(of, by)}
    order by ${inKeyOrder(of)}${locking(lock)}`)
}

function inKeyOrder(of: Source): SQL {
  return sql.join(
    of.table.primaryKey.map((name) => at(of, name)),
    ', ',
  )
}

// A row that will only be changed stays open to foreign keys that point at it.
function locking(lock: Lock): SQL {
  if (lock === null) return sql.blank
  return lock === 'update' ? sql` for no key update of t` : sql` for update of t`
}

/** Insert rows, up to what is returned of them. */
export function insertRows(of: Source, tenant: TenantId, rows: readonly Changes[]): SQL {
  const given = rows[0]!.map(({ column }) => column)
  const owner = ownerOf(of.table, tenant)
  const names = [...owner.map(({ name }) => name), ...given.map(({ name }) => name)]
  if (names.length === 0) return defaultRows(of, rows.length)
  const into = sql`insert into ${from(of)} (${sql.join(
    names.map((name) => sql.identifier(name)),
    ', ',
  )})`
  const values = owner.map(({ value }) => value)
  if (rows.length > 1) return sql`${into} ${severalRows(values, given, rows)}`
  values.push(...rows[0]!.map(({ column: { type }, value }) => cast(value, type)))
  return sql`${into} values (${sql.join(values, ', ')})`
}

/** What says whose a row is: nothing in a table without the tenant column, which is one tenant's. */
function ownerOf({ id, tenantColumn, tenantType, global }: Table, tenant: TenantId) {
  if (global) throw new Error(`the global table ${id} is only read`)
  if (tenantColumn === null || tenantType === null) return []
  return [{ name: tenantColumn, value: cast(tenant, tenantType) }]
}

function defaultRows(of: Source, count: number): SQL {
  const into = sql`insert into ${from(of)}`
  if (count === 1) return sql`${into} default values`
  return sql`${into} select from pg_catalog.generate_series(1, ${sql.value(count)}::int4)`
}

// Values travel as a list of texts for each column. As lists of the column's own type, arrays could not: lists
// of lists must be of one length in Postgres.
function severalRows(owner: readonly SQL[], given: readonly Column[], rows: readonly Changes[]): SQL {
  const numbers = sql`${sql.value(rows.map((_, i) => i))}::int4[]`
  const texts = given.map(({ type }, i) => {
    const list = sql.value(rows.map((row) => wireText(row[i]!.value)))
    return sql`${list}::${isRegclass(type) ? sql`pg_catalog.regclass[]` : sql`text[]`}`
  })
  const names = given.map((_, i) => sql.identifier(`c${i}`))
  const values = given.map(({ type }, i) => castTo(sql`v.${names[i]!}`, type))
  return sql`select ${sql.join([...owner, ...values], ', ')}
    from unnest(${sql.join([numbers, ...texts], ', ')}) as v(${sql.join([sql.identifier('n'), ...names], ', ')})
    order by v.n`
}

// The cast from text to regclass does not take '-', which is what a column of that type may hold.
function isRegclass({ schema, name, array }: ColumnType): boolean {
  return schema === 'pg_catalog' && name === 'regclass' && !array
}
