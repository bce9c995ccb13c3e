/**
 * Object types of aggregates: the measures of a list, and its groups with their keys.
 *
 * All of them stand on one row of an answer, of which each field reads its place. A type is made only where
 * the table has columns for it.
 */

import type { ObjectRef } from '@pothos/core'
import type { Row } from '../../db/batch.ts'
import type { Column, ColumnType, Table } from '../../model/types.ts'
import type { SchemaTypes } from '../builder.ts'
import { means } from '../meanings.ts'
import { type AggregatePlan, type MeasureKind, measurePosition } from '../plan/aggregate-types.ts'
import { readableType } from '../plan/fragments.ts'
import { averageType, isGroupable, isRanked, isSummable, sumType } from '../plan/measures.ts'
import type { SchemaParts } from '../types.ts'
import { reader } from '../values/text.ts'
import { outputField } from '../values/types.ts'

type Types = PothosSchemaTypes.ExtendDefaultTypes<SchemaTypes>
type Fields<T> = PothosSchemaTypes.ObjectFieldBuilder<Types, T>

/** A row of the answer to a plan. */
export interface Measured {
  readonly plan: AggregatePlan
  readonly row: Row
}

/** As the value of `sum { … }`: which of the measures of a column its fields read. */
interface MeasuredBy extends Measured {
  readonly kind: MeasureKind
}

export interface AggregateTypes {
  readonly aggregates: ObjectRef<Types, Measured>
  /** Null for a table without a column to group by. */
  readonly group: ObjectRef<Types, Measured> | null
}

export function aggregateTypes(parts: SchemaParts, table: Table): AggregateTypes {
  const measures = measureFields(parts, table)
  const { builder } = parts
  const aggregates = builder.objectRef<Measured>(`${table.typeName}Aggregates`).implement({
    description: `Measures of all ${table.manyField} of a list, over all its pages.`,
    fields: measures,
  })
  const grouped = table.columns.filter((column) => column.can.read && isGroupable(column))
  if (grouped.length === 0) return { aggregates, group: null }
  const key = builder.objectRef<Measured>(`${table.typeName}AggregateGroupKey`).implement({
    description: 'What the rows of a group have in common; null in columns that are not grouped by.',
    fields: (t) => Object.fromEntries(grouped.map((column) => [column.field, keyField(t, parts, column)])),
  })
  const group = builder.objectRef<Measured>(`${table.typeName}AggregateGroup`).implement({
    description: `Those ${table.manyField} of a list that have the same key, and their measures.`,
    fields: (t) => ({
      key: t.field({
        type: key,
        nullable: false,
        ...means({ kind: 'groupKey' }),
        resolve: (measured) => measured,
      }),
      ...measures(t),
    }),
  })
  return { aggregates, group }
}

/** The fields that aggregates and groups share. */
function measureFields(parts: SchemaParts, table: Table) {
  const { typeName } = table
  const shown = table.columns.filter(({ can }) => can.read)
  const of = (wanted: (column: Column) => boolean) => shown.filter(wanted)
  const distinct = columnsType(parts, `${typeName}DistinctCounts`, of(isGroupable), null)
  const sums = columnsType(parts, `${typeName}Sums`, of(isSummable), sumType)
  const averages = columnsType(parts, `${typeName}Averages`, of(isSummable), averageType)
  const extremes = columnsType(parts, `${typeName}Extremes`, of(isRanked), readableType)
  const under = (t: Fields<Measured>, type: MeasureRef | null, kind: MeasureKind, description: string) =>
    type && {
      [kind]: t.field({
        type,
        description,
        nullable: false,
        ...means({ kind: 'measures', of: kind }),
        resolve: (found) => ({ ...found, kind }),
      }),
    }
  return (t: Fields<Measured>) => ({
    count: t.int({
      nullable: false,
      description: 'How many rows.',
      ...means({ kind: 'measures', of: 'count' }),
      resolve: (found) => Number(textOf({ ...found, kind: 'count' }, null)),
    }),
    ...under(t, distinct, 'distinctCount', 'How many different values a column has, nulls left out.'),
    ...under(t, sums, 'sum', 'Sums, exact for exact numbers; null without a value.'),
    ...under(t, averages, 'avg', 'Averages, exact for exact numbers; null without a value.'),
    ...under(t, extremes, 'min', 'Least values; null without a value.'),
    ...under(t, extremes, 'max', 'Greatest values; null without a value.'),
  })
}

type MeasureRef = ObjectRef<Types, MeasuredBy>

/** A type with a field for each column; `typeOf` gives the field's type, null makes it a count. */
function columnsType(
  parts: SchemaParts,
  name: string,
  columns: readonly Column[],
  typeOf: ((type: ColumnType) => ColumnType) | null,
): MeasureRef | null {
  if (columns.length === 0) return null
  return parts.builder.objectRef<MeasuredBy>(name).implement({
    fields: (t) =>
      Object.fromEntries(
        columns.map(({ field, name: column, type }) => {
          const measure = typeOf ? typeOf(type) : COUNT_TYPE
          const options = typeOf ? valueType(parts, measure) : COUNT
          const { read, ...rest } = options
          return [
            field,
            t.field({
              ...rest,
              ...means({ kind: 'measured', column, type: measure }),
              resolve: (found, _args, { scope }) => read(scope.takeValue(textOf(found, column))) as never,
            }),
          ]
        }),
      ),
  })
}

const COUNT_TYPE: ColumnType = {
  kind: 'int',
  schema: 'pg_catalog',
  name: 'int8',
  array: false,
  compares: 'order',
}
const COUNT = { type: 'Int', nullable: false, read: (text: string | null): unknown => Number(text) } as const

function valueType(parts: SchemaParts, type: ColumnType) {
  return { type: parts.outputType(type), nullable: true, read: reader(type) } as const
}

function textOf({ plan, row, kind }: MeasuredBy, column: string | null): string | null {
  return row[measurePosition(plan, { kind, column })] ?? null
}

function keyField(t: Fields<Measured>, parts: SchemaParts, column: Column) {
  const { name, type } = column
  const read = reader(type)
  const options = { ...means({ kind: 'key', column }), nullable: true }
  return outputField(t, parts, type, options, ({ plan, row }, _args, { scope }) => {
    const position = plan.groups?.by.findIndex((term) => term.column === name) ?? -1
    return read(scope.takeValue(row[position] ?? null))
  })
}
