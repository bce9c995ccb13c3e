/**
 * Input types of groups: what to group by, which groups to keep, in which order.
 */

import type { Column, ColumnType, Table } from '../../model/types.ts'
import { type Builder, type InputRef, inputObject } from '../builder.ts'
import { DATE_PARTS, TIME_PARTS } from '../plan/aggregate-types.ts'
import { readableType } from '../plan/fragments.ts'
import { averageType, isGroupable, isRanked, isSummable, measureType } from '../plan/measures.ts'
import type { SchemaParts } from '../types.ts'

/** The type that says what of a column's values makes a group. */
export type GroupPartType = (type: ColumnType) => InputRef

/** Made once; the same for all tables. */
export function groupParts(builder: Builder): GroupPartType {
  const part = (name: string, description: string, values: readonly string[]): InputRef =>
    builder.enumType(name, { description, values: ['VALUE', ...values] })
  const value = part('GroupPart', 'What of a value makes a group: all of it.', [])
  const start = 'What makes a group: the value, or the start of the part of time that it lies in.'
  const date = part('DateGroupPart', start, DATE_PARTS)
  const time = part('DateTimeGroupPart', start, TIME_PARTS)
  return ({ kind, array }) => (array ? value : kind === 'date' ? date : kind === 'datetime' ? time : value)
}

export interface GroupInputs {
  readonly by: InputRef
  readonly having: InputRef
  readonly orderBy: InputRef
}

/** Null for a table without a column to group by. */
export function groupInputs(parts: SchemaParts, table: Table, partOf: GroupPartType): GroupInputs | null {
  const { typeName, manyField } = table
  const description = `One column by which ${manyField} stand in groups.`
  const grouped = table.columns.filter((column) => isGroupable(column) && column.can.filter)
  const by = columnsInput(parts, `${typeName}GroupBy`, grouped, partOf, {
    description,
    isOneOf: true,
  })
  return by && { by, having: havingType(parts, table), orderBy: orderType(parts, table) }
}

function havingType(parts: SchemaParts, table: Table): InputRef {
  const { builder, filters } = parts
  const columns = table.columns.filter(({ can }) => can.filter)
  const under = (
    name: string,
    wanted: (column: Column) => boolean,
    typeOf: (type: ColumnType) => ColumnType,
  ): InputRef | null => {
    const operators = (type: ColumnType): InputRef => filters.operatorsType(typeOf(type))
    return columnsInput(parts, `${table.typeName}Having${name}`, columns.filter(wanted), operators)
  }
  const count = measureType(table, { kind: 'count', column: null })
  const distinct = under('DistinctCounts', isGroupable, () => count)
  // The bounds of a sum of integers are compared in the type of their average, which has no largest number.
  const numbers = under('Numbers', isSummable, averageType)
  const extremes = under('Extremes', isRanked, readableType)
  const having = builder.inputRef(`${table.typeName}Having`)
  const required = { list: false, items: true } as const
  const description = 'Which groups are wanted; conditions side by side must all hold.'
  return inputObject(builder, having, { description }, (t) => [
    ['and', t.field({ type: [having as InputRef], required })],
    ['or', t.field({ type: [having as InputRef], required })],
    ['not', t.field({ type: having as InputRef })],
    ['count', t.field({ type: filters.operatorsType(count) })],
    ...given({ distinctCount: distinct, sum: numbers, avg: numbers, min: extremes, max: extremes }).map(
      ([name, type]) => [name, t.field({ type })] as const,
    ),
  ])
}

function orderType({ builder, shared, filters }: SchemaParts, table: Table): InputRef {
  const values = filters.columnsType(table, 'Values')
  const numbers = filters.columnsType(table, 'Numbers')
  const columns = filters.columnsType(table, 'Columns')
  const measures = { distinctCount: values, sum: numbers, avg: numbers, min: columns, max: columns }
  const description = `One key or measure by which groups of ${table.manyField} are ordered.`
  return inputObject(builder, `${table.typeName}GroupsOrderBy`, { description, isOneOf: true }, (t) => [
    ['count', t.field({ type: shared.direction })],
    ...given({ key: values, ...measures }).map(([name, type]) => [name, t.field({ type })] as const),
  ])
}

/** A field for each column; null when there is none. */
function columnsInput(
  { builder }: SchemaParts,
  name: string,
  columns: readonly Column[],
  typeOf: (type: ColumnType) => InputRef,
  options: { readonly description?: string; readonly isOneOf?: boolean } = {},
): InputRef | null {
  if (columns.length === 0) return null
  return inputObject(builder, name, options, (t) =>
    columns.map(({ field, type }) => [field, t.field({ type: typeOf(type) })]),
  )
}

const given = (types: Readonly<Record<string, InputRef | null>>): [string, InputRef][] =>
  Object.entries(types).filter((entry): entry is [string, InputRef] => entry[1] !== null)
