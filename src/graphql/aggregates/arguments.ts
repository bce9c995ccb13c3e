/** The arguments of `groups` as plan data, checked on the way. */

import { fail } from '../../base/errors.ts'
import type { Table } from '../../model/types.ts'
import { ORDER_DIRECTIONS, type OrderDirection } from '../builder.ts'
import { type FilterBudget, filterBudget, operatorsIn, refuseNull } from '../filters/plans.ts'
import { type PageSizes, pageLimit, pageOffset } from '../pages.ts'
import {
  COUNT,
  type GroupOrderTerm,
  type Groups,
  type GroupTerm,
  type Measure,
  type MeasureCondition,
  type MeasureKind,
} from '../plan/aggregate-types.ts'

export interface GroupArguments {
  readonly by: readonly object[]
  readonly having?: object | null
  readonly orderBy?: readonly object[] | null
  readonly first?: number | null
  readonly offset?: number | null
  readonly timeZone?: string | null
}

/** Columns of one grouping; each more multiplies the groups. */
const BY_MAX = 8
const ORDER_MAX = 50

/**
 * @throws BAD_USER_INPUT     nothing or one column twice to group by, an order by what is not grouped, a time
 *                            zone that does not exist, a page too large, null where a value is wanted
 * @throws QUERY_TOO_COMPLEX  too many columns or conditions
 */
export function groupsOf(table: Table, args: GroupArguments, sizes: PageSizes): Groups {
  const by = groupTerms(table, args.by)
  return {
    by,
    timeZone: timeZoneOf(args.timeZone ?? 'UTC'),
    having: args.having ? conditionOf(table, args.having, filterBudget()) : null,
    order: orderOf(table, by, args.orderBy ?? []),
    limit: pageLimit({ first: args.first }, sizes),
    offset: pageOffset(args.offset),
  }
}

/** The measures by which groups are ordered: they have to be computed, selected or not. */
export function orderedMeasures({ order }: Groups): Measure[] {
  return order.flatMap(({ by }) => ('measure' in by ? [by.measure] : []))
}

function groupTerms(table: Table, by: readonly object[]): GroupTerm[] {
  if (by.length === 0)
    fail('BAD_USER_INPUT', '"by" is empty; name a column, or ask for "aggregates" instead.')
  if (by.length > BY_MAX)
    fail('QUERY_TOO_COMPLEX', `"by" takes ${BY_MAX} columns at most; ${by.length} came.`)
  const terms = by.map((entry): GroupTerm & { field: string } => {
    const [field, part] = Object.entries(entry)[0] as [string, GroupTerm['part']]
    return { field, column: columnNamed(table, field), part }
  })
  const twice = terms.find(({ column }, i) => terms.findIndex((term) => term.column === column) < i)
  if (twice)
    fail('BAD_USER_INPUT', `"by" names "${twice.field}" twice; the key of a group has one place for it.`)
  return terms.map(({ column, part }) => ({ column, part }))
}

function columnNamed(table: Table, field: string): string {
  return table.columns.find((column) => column.field === field)!.name
}

/**
 * Only names of the form Area/City, and UTC: Postgres reads "CET" as an hour for the whole year and "+02:00"
 * as two hours to the west, JavaScript and people do not.
 */
function timeZoneOf(name: string): string {
  const known = /^[A-Za-z]+(\/[A-Za-z0-9_+-]+)+$/.test(name) && isTimeZone(name)
  if (known || name === 'UTC') return name
  const came = JSON.stringify(name.slice(0, 60))
  return fail('BAD_USER_INPUT', `"timeZone" wants a name such as "Europe/Berlin", or "UTC"; ${came} came.`)
}

function isTimeZone(timeZone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone })
    return true
  } catch {
    return false
  }
}

function orderOf(table: Table, by: readonly GroupTerm[], orderBy: readonly object[]): GroupOrderTerm[] {
  if (orderBy.length > ORDER_MAX) {
    fail('QUERY_TOO_COMPLEX', `"orderBy" takes ${ORDER_MAX} terms at most; ${orderBy.length} came.`)
  }
  const asked = orderBy.map((entry) => orderTerm(table, by, entry))
  const keys = by.map(({ column }): GroupOrderTerm => ({ by: { key: column }, ...ORDER_DIRECTIONS.ASC }))
  const terms = [...asked, ...keys].map((term) => [JSON.stringify(term.by), term] as const)
  // The first of several terms for one thing decides, and the keys make the order whole.
  return terms
    .filter(([name], i) => terms.findIndex(([other]) => other === name) === i)
    .map(([, term]) => term)
}

function orderTerm(table: Table, by: readonly GroupTerm[], entry: object): GroupOrderTerm {
  const [kind, value] = Object.entries(entry)[0] as [MeasureKind | 'key', OrderDirection | object]
  if (typeof value === 'string') return { by: { measure: COUNT }, ...ORDER_DIRECTIONS[value] }
  const [field, direction] = Object.entries(value)[0] as [string, OrderDirection]
  const column = columnNamed(table, field)
  if (kind !== 'key') return { by: { measure: { kind, column } }, ...ORDER_DIRECTIONS[direction] }
  if (!by.some((term) => term.column === column)) {
    const sentence = `"orderBy" names the key "${field}", which is not in "by"; add it there, or order by a measure.`
    fail('BAD_USER_INPUT', sentence)
  }
  return { by: { key: column }, ...ORDER_DIRECTIONS[direction] }
}

function conditionOf(table: Table, having: object, budget: FilterBudget): MeasureCondition {
  budget.take('conditions')
  return both(Object.entries(having).map(([key, value]) => partOf(table, key, value, budget)))
}

function both(of: readonly MeasureCondition[]): MeasureCondition {
  return of.length === 1 ? of[0]! : { kind: 'and', of }
}

function partOf(table: Table, key: string, value: object | null, budget: FilterBudget): MeasureCondition {
  if (value === null) return refuseNull(key)
  if (key === 'not') return { kind: 'not', of: conditionOf(table, value, budget) }
  if (key === 'and' || key === 'or')
    return { kind: key, of: (value as object[]).map((item) => conditionOf(table, item, budget)) }
  if (key === 'count') return both(comparisons(COUNT, key, value, budget))
  return both(
    Object.entries(value).flatMap(([field, operators]) => {
      const measure = { kind: key as MeasureKind, column: columnNamed(table, field) }
      return comparisons(measure, field, operators as object | null, budget)
    }),
  )
}

function comparisons(
  measure: Measure,
  field: string,
  operators: object | null,
  budget: FilterBudget,
): MeasureCondition[] {
  return operatorsIn(field, operators, budget).map((asked) => ({ kind: 'compare', measure, ...asked }))
}
