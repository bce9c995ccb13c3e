/**
 * Tables with a column of every type that Postgres brings, as SQL, with rows at the edges of each; and one
 * with more columns than anybody wants.
 */

import { EDGE_VALUES, edgeArrays } from './edge-values.ts'
import { inStyle, type Style } from './style.ts'

export const TYPE_SCHEMA = 'types'

export interface TypedColumn {
  readonly table: 'every_value' | 'every_array'
  readonly column: string
  readonly type: string
  /** As they are written into a row each. */
  readonly values: readonly string[]
}

/** 'bit varying(64)' → 'a_bit_varying_64'. */
const columnName = (type: string): string =>
  type === '"char"' ? 'a_byte_char' : `a_${type.replace(/\W+/g, '_').replace(/_$/, '')}`

/** Every column of the two tables, with its values. */
export const TYPED_COLUMNS: readonly TypedColumn[] = Object.entries(EDGE_VALUES).flatMap(([type, values]) => {
  const column = columnName(type)
  const arrays = edgeArrays(values, type === 'box' ? ';' : ',')
  return [
    { table: 'every_value', column, type, values },
    { table: 'every_array', column: `${column}_list`, type: `${type}[]`, values: arrays },
  ] satisfies TypedColumn[]
})

const columnsOf = (table: TypedColumn['table']): TypedColumn[] =>
  TYPED_COLUMNS.filter((column) => column.table === table)

/** The tables of types and the wide one. Needs the schema `types`. */
export function typeTables(style: Style): string {
  const typed = (['every_value', 'every_array'] as const).map((table) => {
    const columns = columnsOf(table).map(({ column, type }) => `${column} ${type}`)
    return `create table ${TYPE_SCHEMA}.${table} ($id, $owned, ${columns.join(', ')});`
  })
  const wide = Array.from({ length: 200 }, (_, i) => `c${i + 1} ${WIDE[i % WIDE.length]}`)
  return inStyle(
    [...typed, `create table ${TYPE_SCHEMA}.wide ($id, $owned, ${wide.join(', ')});`].join('\n'),
    style,
  )
}

const WIDE = ['text', 'int', 'numeric', 'timestamptz', 'jsonb', 'boolean', 'text[]'] as const

/**
 * Rows for a tenant: as many as the longest list of values is long, then one with nothing in it.
 *
 * @param tenant  SQL of its id
 */
export function typeRows(style: Style, tenant: string): string[] {
  return (['every_value', 'every_array'] as const).flatMap((table) => {
    const columns = columnsOf(table)
    const names = [style.tenantColumn, ...columns.map(({ column }) => column)].join(', ')
    const count = Math.max(...columns.map(({ values }) => values.length))
    const rows = Array.from({ length: count }, (_, i) => {
      const values = columns.map(({ values, type }) => `${textLiteral(values[i % values.length]!)}::${type}`)
      return `insert into ${TYPE_SCHEMA}.${table} (${names}) values (${[tenant, ...values].join(', ')});`
    })
    return [...rows, `insert into ${TYPE_SCHEMA}.${table} (${style.tenantColumn}) values (${tenant});`]
  })
}

const textLiteral = (text: string): string => `'${text.replaceAll("'", "''")}'`
