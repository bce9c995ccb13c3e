/** `orderBy`: its input types, and its argument as plan data. */

import { fail } from '../base/errors.ts'
import type { Column, Relation, Table } from '../model/types.ts'
import {
  type Builder,
  type InputRef,
  ORDER_DIRECTIONS,
  type OrderDirection,
  type SharedTypes,
} from './builder.ts'
import { isOrderable } from './filters/operators.ts'
import { onceByName } from './filters/types.ts'
import { isGroupable, isRanked, isSummable } from './plan/measures.ts'
import { type OrderBy, type OrderTerm, planText, type Tables } from './plan/types.ts'
import { outdated } from './values/types.ts'

export interface OrderTypes {
  /** Null for a table that can be ordered by nothing. */
  orderType(table: Table): InputRef | null
  /** One column of a set; null when the table has none. */
  columnsType(table: Table, set: ColumnSet): InputRef | null
}

// In the plural, because their types are named after them: a table "board_columns" beside "boards" makes
// BoardColumnOrderBy.
const SETS = { Values: isGroupable, Columns: isRanked, Numbers: isSummable } as const
type ColumnSet = keyof typeof SETS
const MEASURES = { min: 'Columns', max: 'Columns', sum: 'Numbers', avg: 'Numbers' } as const
type Measured = keyof typeof MEASURES

/** All of them take exactly one field: the order of an object's fields is no order that all clients keep. */
export function orderTypes(builder: Builder, { direction }: SharedTypes, tables: Tables): OrderTypes {
  const once = onceByName(builder)
  const isOneOf = true

  function orderType(table: Table): InputRef | null {
    if (!hasOrder(table)) return null
    const description = `What to order ${table.manyField} by: a column, one of the row that it belongs to, or a measure of the rows that belong to it.`
    return once(`${table.typeName}OrderBy`, { description, isOneOf }, (t) => [
      ...columnsOf(table, isOrderable).map(
        (column) => [column.field, t.field({ type: direction, ...outdated(column) })] as const,
      ),
      ...table.relations.flatMap(({ field, kind, target }) => {
        const other = tables.get(target)!
        const type = kind === 'one' ? orderType(other) : manyType(other)
        return type ? [[field, t.field({ type })] as const] : []
      }),
    ])
  }

  // An input type without a field is none, and one is enough to make the whole schema invalid.
  function hasOrder(table: Table, passed: readonly Table[] = []): boolean {
    if (columnsOf(table, isOrderable).length > 0) return true
    return table.relations.some(({ kind, target }) => {
      const other = tables.get(target)!
      return kind === 'many' || (!passed.includes(other) && hasOrder(other, [...passed, table]))
    })
  }

  function manyType(table: Table): InputRef {
    const description = `A measure of the ${table.manyField} of a row.`
    return once(`${table.typeName}ManyOrderBy`, { description, isOneOf }, (t) => [
      ['count', t.field({ type: direction })],
      ...(Object.keys(MEASURES) as Measured[]).flatMap((measure) => {
        const type = columnsType(table, MEASURES[measure])
        return type ? [[measure, t.field({ type })] as const] : []
      }),
    ])
  }

  function columnsType(table: Table, set: ColumnSet): InputRef | null {
    const columns = columnsOf(table, SETS[set])
    if (columns.length === 0) return null
    return once(`${table.typeName}${set}OrderBy`, { isOneOf }, (t) =>
      columns.map((column) => [column.field, t.field({ type: direction, ...outdated(column) })]),
    )
  }

  return { orderType, columnsType }
}

function columnsOf(table: Table, suits: (column: Column) => boolean): Column[] {
  return table.columns.filter((column) => column.can.order && suits(column))
}

/** Bounds of `orderBy`: terms in all, terms that ask another table for each row, tables on the way of one. */
const ORDER_LIMITS = Object.freeze({ terms: 50, related: 5, depth: 5 })

/**
 * The `orderBy` argument as terms, the primary key added at the end so that no two rows are equal.
 *
 * @throws QUERY_TOO_COMPLEX  more than ORDER_LIMITS
 */
export function termsOf(
  tables: Tables,
  table: Table,
  orderBy: readonly object[] | null | undefined,
): OrderTerm[] {
  const count = orderBy?.length ?? 0
  if (count > ORDER_LIMITS.terms) {
    fail('QUERY_TOO_COMPLEX', `"orderBy" takes ${ORDER_LIMITS.terms} columns at most; ${count} came.`)
  }
  const terms = new Map<string, OrderTerm>()
  const add = (by: OrderBy, direction: OrderDirection): void => {
    const name = planText(by)
    if (!terms.has(name)) terms.set(name, { by, ...ORDER_DIRECTIONS[direction] })
  }
  for (const entry of orderBy ?? []) add(...termOf(tables, table, entry))
  const related = [...terms.values()].filter(({ by }) => by.kind !== 'column').length
  if (related > ORDER_LIMITS.related) {
    const sentence = `"orderBy" takes ${ORDER_LIMITS.related} terms of other tables at most; ${related} came.`
    fail('QUERY_TOO_COMPLEX', sentence, { limit: 'relatedOrders', allowed: ORDER_LIMITS.related })
  }
  for (const column of tieBreak(table)) add({ kind: 'column', column }, 'ASC')
  return [...terms.values()]
}

function termOf(tables: Tables, table: Table, entry: object, depth = 1): [OrderBy, OrderDirection] {
  const [field, value] = Object.entries(entry)[0] as [string, OrderDirection | object]
  const column = table.columns.find((candidate) => candidate.field === field)
  if (column) return [{ kind: 'column', column: column.name }, value as OrderDirection]
  if (depth > ORDER_LIMITS.depth) {
    const sentence = `A term of "orderBy" may lead through ${ORDER_LIMITS.depth} tables at most.`
    fail('QUERY_TOO_COMPLEX', sentence, { limit: 'orderDepth', allowed: ORDER_LIMITS.depth })
  }
  const relation = table.relations.find((candidate) => candidate.field === field)!
  const join = joinOf(tables, relation)
  if (relation.kind === 'many') return measureOf(join, value as object)
  const [by, direction] = termOf(tables, join.table, value as object, depth + 1)
  return [{ kind: 'one', join, by }, direction]
}

function joinOf(tables: Tables, { target, columns }: Relation) {
  return { table: tables.get(target)!, columns }
}

function measureOf(join: ReturnType<typeof joinOf>, entry: object): [OrderBy, OrderDirection] {
  const [kind, value] = Object.entries(entry)[0] as ['count', OrderDirection] | [Measured, object]
  if (kind === 'count') return [{ kind: 'many', join, measure: { kind, column: null } }, value]
  const [field, direction] = Object.entries(value)[0] as [string, OrderDirection]
  const column = join.table.columns.find((candidate) => candidate.field === field)!
  return [{ kind: 'many', join, measure: { kind, column: column.name } }, direction]
}

// Without a primary key all columns that have an order decide; rows equal in all of them are alike.
function tieBreak(table: Table): readonly string[] {
  if (table.primaryKey.length > 0) return table.primaryKey
  return table.columns.filter(isOrderable).map(({ name }) => name)
}
