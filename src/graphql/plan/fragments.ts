/**
 * The pieces of SQL that all statements are made of: a table under its alias, its columns, the tenant's
 * predicate, values with their casts, and lists of keys.
 *
 * Every statement names its columns, carries the tenant as an explicit predicate beside the row-level
 * policy (two independent walls), and takes every value as a parameter. Its text depends only on the plan's
 * shape, never on its values, so that it is prepared once.
 */

import type { TenantId } from '../../base/ids.ts'
import { type SQL, sql, type Value, wireText } from '../../db/sql.ts'
import type { Column, ColumnType, Table } from '../../model/types.ts'

/** A table in a statement, under the alias by which its columns are addressed there. */
export interface Source {
  readonly table: Table
  readonly alias: SQL
  /** 0 for the table of the statement, 1 for a table in a subquery, and so on. */
  readonly depth: number
}

export function source(table: Table, depth = 0): Source {
  return { table, depth, alias: sql.identifier(depth === 0 ? 't' : `t${depth}`) }
}

/** Another table in a subquery of `outer`. */
export function within(outer: Source, table: Table): Source {
  return source(table, outer.depth + 1)
}

export function from({ table, alias }: Source): SQL {
  return sql`${sql.identifier(table.schema, table.name)} as ${alias}`
}

/** The table's columns in the model's order, separated by commas, each under its own name. */
export function columns(of: Source): SQL {
  return sql.join(
    of.table.columns.map(({ name, type }) => {
      const found = at(of, name)
      return isMoney(type) ? sql`${readable(found, type)} as ${sql.identifier(name)}` : found
    }),
    ', ',
  )
}

/** A value as answers and cursors hold it: money without the currency and the commas of the server. */
export function readable(found: SQL, type: ColumnType): SQL {
  return isMoney(type) ? sql`${found}::${NUMERIC}${type.array ? sql`[]` : sql.blank}` : found
}

/** The type of what `readable` gives. */
export function readableType(type: ColumnType): ColumnType {
  return isMoney(type) ? { ...type, name: 'numeric' } : type
}

const NUMERIC = sql.identifier('pg_catalog', 'numeric')

function isMoney({ schema, name }: ColumnType): boolean {
  return schema === 'pg_catalog' && name === 'money'
}

export function at({ table, alias }: Source, column: string): SQL {
  const found = sql`${alias}.${sql.identifier(column)}`
  const type = table.columns.find(({ name }) => name === column)?.type
  return type?.domain ? castTo(found, type) : found
}

/** The rows of the tenant: all rows where there is no column for it, because they are everybody's or the tenant's alone. */
export function isTenant(of: Source, tenant: TenantId): SQL {
  const { tenantColumn, tenantType } = of.table
  if (tenantColumn === null || tenantType === null) return sql`true`
  return sql`${at(of, tenantColumn)} = ${cast(tenant, tenantType)}`
}

const K = sql.identifier('k')

/** The wanted keys as rows k(k0, k1, …, n) numbered from 1, each with the type that the table gives it. */
export function keys(table: Table, by: readonly string[], values: readonly Value[][]): SQL {
  const arrays = by.map((name, i) => {
    const { type } = columnOf(table, name)
    const column = values.map((key) => key[i] ?? null)
    return isTakenApart(type) ? sql`${sql.value(column.map(wireText))}::text[]` : castList(column, type)
  })
  const names = by.map((_, i) => sql.identifier(`k${i}`))
  return sql`unnest(${sql.join(arrays, ', ')}) with ordinality as k(${sql.join(names, ', ')}, n)`
}

// What unnest would take apart travels as text: a list of arrays comes out as one list of all their items, a row as
// a column for each of its fields.
function isTakenApart({ array, kind }: ColumnType): boolean {
  return array || kind === 'composite'
}

/** Whether the columns `by` equal the key of the row of `keys`. */
export function matchesKey(of: Source, by: readonly string[]): SQL {
  return sql.join(
    by.map((name, i) => {
      const { type } = columnOf(of.table, name)
      const wanted = sql`${K}.${sql.identifier(`k${i}`)}`
      return sql`${at(of, name)} ${symbol(type, sql`=`)} ${isTakenApart(type) ? castTo(wanted, type) : wanted}`
    }),
    ' and ',
  )
}

/** Whether a row has these values; none of the columns is one that has to be taken apart. */
export function hasValues(
  of: Source,
  key: readonly { readonly column: string; readonly value: Value }[],
): SQL {
  return sql.join(
    key.map(({ column, value }) => {
      const { type } = columnOf(of.table, column)
      return sql`${at(of, column)} ${symbol(type, sql`=`)} ${cast(value, type)}`
    }),
    ' and ',
  )
}

export function cast(value: Value, type: ColumnType): SQL {
  return castTo(sql.value(value as string | string[] | null), type)
}

export function castTo(found: SQL, type: ColumnType): SQL {
  const array = type.array ? sql`[]` : sql.blank
  // What a text means as money depends on the server's locale; what a number means does not.
  const plain = isMoney(type) ? sql`::${NUMERIC}${array}` : sql.blank
  return sql`${found}${plain}::${typeName(type)}${array}`
}

export function castList(value: Value, type: ColumnType): SQL {
  return castTo(sql.value(value as string[]), { ...type, array: true })
}

/** An operator where its type has it: that of an extension's type may stand outside the search path. */
export function symbol({ schema, kind, compares }: ColumnType, bare: SQL): SQL {
  const extension = schema !== 'pg_catalog' && (kind === 'text' || kind === 'other') && compares !== 'none'
  return extension ? sql`operator(${sql.identifier(schema)}.${bare})` : bare
}

function typeName(type: ColumnType): SQL {
  return sql.identifier(type.schema, type.name)
}

export function columnOf(table: Table, name: string): Column {
  const column = table.columns.find((candidate) => candidate.name === name)
  if (!column) throw new Error(`the table ${table.id} has no column ${name}`)
  return column
}
