/** The `filter` argument as plan data, within bounds. */

import { fail } from '../base/errors.ts'
import type { Value } from '../db/sql.ts'
import type { Column, ColumnType, Relation, Table } from '../model/types.ts'
import { takesOf } from './operators.ts'
import type { Condition, JsonPlace, Operator, RelatedCondition, Tables } from './plan/types.ts'
import { JsonInput } from './scalars.ts'
import { toParameter } from './values.ts'

/**
 * Bounds that no honest filter comes near.
 *
 * conditions: each is read, written and planned. relations: each is a subquery, and Postgres's planning time
 * grows faster than their number (5 to-one relations side by side take it 20 ms on a small machine, 10 take 200, 20
 * take 600). depth: of relations inside relations. items: of one list. pattern: characters of one pattern; Postgres
 * cannot be interrupted inside LIKE, whose time is pattern times text. json: characters of a JSON value; Postgres
 * reads nested JSON by recursion, and would come to the end of its stack.
 */
export const FILTER_LIMITS = Object.freeze({
  conditions: 200,
  relations: 10,
  depth: 5,
  items: 1_000,
  pattern: 1_000,
  json: 10_000,
})

const LIMIT_WORDS = {
  conditions: 'conditions',
  relations: 'relations',
  depth: 'levels of relations',
  items: 'items in a list',
  pattern: 'characters in a pattern',
  json: 'characters in a JSON value',
}

type Limit = keyof typeof FILTER_LIMITS
const PATTERNS: readonly string[] = ['like', 'ilike', 'startsWith', 'endsWith', 'contains', 'search']

/** What is left of a filter's bounds, for all its parts together. */
export interface FilterBudget {
  /** @throws QUERY_TOO_COMPLEX  nothing is left */
  take(what?: 'conditions' | 'relations'): void
}

export function filterBudget(): FilterBudget {
  const left: Record<'conditions' | 'relations', number> = { ...FILTER_LIMITS }
  return {
    take(what = 'conditions') {
      left[what] -= 1
      if (left[what] < 0) tooComplex(what)
    },
  }
}

/** Where in a filter a part of it stands. */
interface Place {
  readonly tables: Tables
  readonly table: Table
  readonly budget: FilterBudget
  readonly depth: number
}

/**
 * The `filter` argument as a condition; null without one.
 *
 * @throws BAD_USER_INPUT     null where a value is wanted
 * @throws QUERY_TOO_COMPLEX  larger than FILTER_LIMITS
 */
export function conditionOf(
  tables: Tables,
  table: Table,
  filter: object | null | undefined,
): Condition | null {
  if (!filter) return null
  return allOf({ tables, table, budget: filterBudget(), depth: 0 }, filter)
}

function allOf(place: Place, filter: object): Condition {
  place.budget.take() // an empty one too: it stands in the SQL as true
  return both(Object.entries(filter).map(([key, value]) => partOf(place, key, value)))
}

function both(parts: readonly Condition[]): Condition {
  return parts.length === 1 ? parts[0]! : { kind: 'and', of: parts }
}

function partOf(place: Place, key: string, value: unknown): Condition {
  const { columns, relations } = place.table
  const column = columns.find(({ field }) => field === key)
  if (column) return comparisonsOf(column, value as object | null, place.budget)
  const relation = relations.find(({ field }) => field === key)
  if (relation) return relatedOf(place, relation, value)
  if (value === null) return refuseNull(key)
  if (key === 'not') return { kind: 'not', of: allOf(place, value as object) }
  return { kind: key as 'and' | 'or', of: (value as object[]).map((item) => allOf(place, item)) }
}

function relatedOf(outer: Place, { field, kind, target, columns }: Relation, value: unknown): Condition {
  if (value === null) {
    fail(
      'BAD_USER_INPUT',
      `The filter of "${field}" is null; write { not: { ${field}: … } } for rows without one.`,
    )
  }
  const table = outer.tables.get(target)!
  const place = { ...outer, table, depth: outer.depth + 1 }
  if (place.depth > FILTER_LIMITS.depth) tooComplex('depth')
  const about = (quantifier: RelatedCondition['quantifier'], filter: unknown): Condition => {
    if (filter === null)
      fail('BAD_USER_INPUT', `"${quantifier}" of "${field}" is null; write {} for any row.`)
    outer.budget.take('relations')
    return { kind: 'related', join: { table, columns }, quantifier, where: allOf(place, filter as object) }
  }
  if (kind === 'one') return about('some', value)
  const asked = Object.entries(value as object) as [RelatedCondition['quantifier'], unknown][]
  return both(asked.map(([quantifier, filter]) => about(quantifier, filter)))
}

function comparisonsOf(column: Column, operators: object | null, budget: FilterBudget): Condition {
  const { at, ...others } = { ...operators } as { at?: object[] | null }
  const compared = comparisons(column, operators && at ? others : operators, budget)
  return both([...compared, ...(at ?? []).map((entry) => placeOf(column, entry, budget))])
}

function comparisons(
  { name, field, type }: Column,
  operators: object | null,
  budget: FilterBudget,
  at?: JsonPlace,
): Condition[] {
  return operatorsIn(field, operators, budget, at ? undefined : type).map((asked) => {
    return { kind: 'compare', column: name, ...asked, ...(at && { at }) }
  })
}

/**
 * The operators about one field with their values, counted and measured.
 *
 * @throws BAD_USER_INPUT     null where a value is wanted
 * @throws QUERY_TOO_COMPLEX  larger than FILTER_LIMITS
 */
export function operatorsIn(
  field: string,
  operators: object | null,
  budget: FilterBudget,
  type?: ColumnType,
): { readonly operator: Operator; readonly value: Value }[] {
  const hint = 'write { isNull: true } for rows without a value'
  if (operators === null) return fail('BAD_USER_INPUT', `The filter of "${field}" is null; ${hint}.`)
  return Object.entries(operators).map(([operator, value]) => {
    budget.take()
    if (value === null) fail('BAD_USER_INPUT', `"${operator}" of "${field}" is null; ${hint}.`)
    checkSize(operator, value)
    const asked = operator as Operator
    return { operator: asked, value: toParameter(value, type && operandType(type, asked)) }
  })
}

// Of what type the argument is; undefined where it is text or a flag, whatever the column is.
function operandType(type: ColumnType, operator: Operator): ColumnType | undefined {
  const takes = takesOf(type, operator)
  if (takes === 'bound') return type.range?.of
  if (takes === 'value') return { ...type, array: false }
  return takes === 'values' ? type : undefined
}

/** One entry of `at`: the conditions about a value inside JSON. */
function placeOf(column: Column, entry: object, budget: FilterBudget): Condition {
  budget.take()
  const { path, exists, ...kinds } = entry as { path: string[]; exists?: boolean | null }
  checkSize('at', path)
  const parts = Object.entries(kinds as Record<string, object | null>).flatMap(([as, operators]) =>
    comparisons(column, operators, budget, { path, as: as as JsonPlace['as'] }),
  )
  if (exists == null) return both(parts)
  const at = { path, as: 'any' } as const
  return both([...parts, { kind: 'compare', column: column.name, at, operator: 'isNull', value: !exists }])
}

function checkSize(operator: string, value: unknown): void {
  if (Array.isArray(value)) {
    if (value.length > FILTER_LIMITS.items) tooComplex('items')
    for (const item of value) if (item instanceof JsonInput) checkSize(operator, item)
  }
  if (value instanceof JsonInput && value.text.length > FILTER_LIMITS.json) tooComplex('json')
  if (typeof value === 'string' && PATTERNS.includes(operator) && value.length > FILTER_LIMITS.pattern)
    tooComplex('pattern')
}

/** Refuses a condition that is null. */
export function refuseNull(key: string): never {
  return fail('BAD_USER_INPUT', `"${key}" in a filter wants a condition; null came. Leave it out instead.`)
}

function tooComplex(limit: Limit): never {
  const allowed = FILTER_LIMITS[limit]
  return fail('QUERY_TOO_COMPLEX', `The filter is too large; ${allowed} ${LIMIT_WORDS[limit]} are allowed.`, {
    limit,
    allowed,
  })
}
