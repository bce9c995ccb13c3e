/** Measures of a column: which there are for its type, of what type they are, and their SQL. */

import { type SQL, sql } from '../../db/sql.ts'
import type { Column, ColumnType, Table } from '../../model/types.ts'
import type { Measure, MeasureKind } from './aggregate-types.ts'
import { at, castTo, columnOf, readable, readableType, type Source } from './fragments.ts'

const builtIn = (kind: ColumnType['kind'], name: string): ColumnType => ({
  kind,
  schema: 'pg_catalog',
  name,
  array: false,
  compares: 'order',
})
const COUNT = builtIn('int', 'int8')
const BIGINT = builtIn('bigint', 'int8')
const NUMERIC = builtIn('decimal', 'numeric')
const FLOAT = builtIn('float', 'float8')

/**
 * Columns whose values can be grouped. Postgres sorts them to count the distinct ones, also those of jsonb, whose
 * order is of no other use. Whether two row types can be compared shows only when their fields meet.
 */
export function isGroupable({ type }: Column): boolean {
  return (type.compares === 'order' && type.kind !== 'composite') || type.name === 'jsonb'
}

/** Columns with a sum and an average. */
export function isSummable({ type }: Column): boolean {
  return !type.array && ['int', 'bigint', 'decimal', 'float', 'interval'].includes(type.kind)
}

/** Columns with a least and a greatest value: Postgres 15 has none for uuid, boolean, bytea and jsonb. */
export function isRanked({ type }: Column): boolean {
  const kinds = ['int', 'bigint', 'decimal', 'float', 'text', 'enum', 'date', 'time', 'datetime', 'interval']
  return !type.array && type.compares === 'order' && kinds.includes(type.kind)
}

/** The type that Postgres gives a measure; `count` is a number of GraphQL. */
export function measureType(table: Table, { kind, column }: Measure): ColumnType {
  if (kind === 'count' || kind === 'distinctCount' || column === null) return COUNT
  const { type } = columnOf(table, column)
  if (kind === 'sum') return sumType(type)
  return kind === 'avg' ? averageType(type) : readableType(type)
}

export function sumType(type: ColumnType): ColumnType {
  if (type.kind === 'int') return BIGINT
  return type.kind === 'bigint' || type.kind === 'decimal' ? NUMERIC : type
}

export function averageType(type: ColumnType): ColumnType {
  if (type.kind === 'interval') return type
  return type.kind === 'float' ? FLOAT : NUMERIC
}

const FUNCTIONS: Readonly<Record<Exclude<MeasureKind, 'distinctCount'>, SQL>> = {
  count: sql`count`,
  sum: sql`sum`,
  avg: sql`avg`,
  min: sql`min`,
  max: sql`max`,
}

export function measureSql(of: Source, { kind, column }: Measure): SQL {
  if (column === null) return sql`count(*)`
  const { type } = columnOf(of.table, column)
  // Of a domain over an enum Postgres finds no least value.
  const found = type.kind === 'enum' ? castTo(at(of, column), type) : readable(at(of, column), type)
  return kind === 'distinctCount' ? sql`count(distinct ${found})` : sql`${FUNCTIONS[kind]}(${found})`
}
