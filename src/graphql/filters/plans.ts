/** The `filter` argument as plan data, within bounds. */

import { fail } from '../../base/errors.ts'
import type { Value } from '../../db/sql.ts'
import type { Column, ColumnType, Relation, Table } from '../../model/types.ts'
import type { Condition, JsonPlace, Operator, RelatedCondition, Tables } from '../plan/types.ts'
import { JsonInput } from '../values/scalars.ts'
import { toParameter } from '../values/text.ts'
import { takesOf } from './operators.ts'

/**
 * Bounds that no honest filter comes near, each for all parts of one filter together.
 *
 * conditions: each is read, written and planned. relations: each is a subquery, and Postgres's planning time
 * grows faster than their number (5 to-one relations side by side take it 20 ms on a small machine, 10 take 200, 20
 * take 600). depth: of relations inside relations.
 *
 * The others bound what Postgres does for one row. It looks for a statement's timeout between rows, not within
 * LIKE, @>, && and to_tsvector: a row that takes a minute holds a server process for that minute, whoever has given up
 * on it. pattern: characters of patterns; 1,000 against a text of 250 kB take half a second. items: of lists; 1,000
 * against an array of 60,000 take 0.9 s. jsonItems: of lists inside JSON that is to be contained; 100 against 65,000 in
 * the column take half a second. searches: each makes words of 100,000 characters. json: characters of JSON;
 * Postgres reads nested JSON by recursion, and would come to the end of its stack.
 */
export const FILTER_LIMITS = Object.freeze({
  conditions: 200,
  relations: 10,
  depth: 5,
  items: 1_000,
  pattern: 1_000,
  searches: 10,
  json: 10_000,
  jsonItems: 100,
})

const LIMIT_WORDS = {
  conditions: 'conditions',
  relations: 'relations',
  depth: 'levels of relations',
  items: 'items in lists',
  pattern: 'characters in patterns',
  searches: 'searches for words',
  json: 'characters in JSON values',
  jsonItems: 'items in lists of JSON values',
}

type Limit = keyof typeof FILTER_LIMITS
type Amount = Exclude<Limit, 'depth'>
const PATTERNS: readonly string[] = ['like', 'ilike', 'startsWith', 'endsWith', 'contains', 'search']
const CONTAINMENT: readonly string[] = ['contains', 'containedBy']

/** What is left of a filter's bounds, for all its parts together. */
export interface FilterBudget {
  /** @throws QUERY_TOO_COMPLEX  less than `amount` (default 1) is left */
  take(what: Amount, amount?: number): void
}

export function filterBudget(): FilterBudget {
  const left: Record<Amount, number> = { ...FILTER_LIMITS }
  return {
    take(what, amount = 1) {
      left[what] -= amount
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
  place.budget.take('conditions') // an empty one too: it stands in the SQL as true
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
    budget.take('conditions')
    if (value === null) fail('BAD_USER_INPUT', `"${operator}" of "${field}" is null; ${hint}.`)
    takeSize(budget, operator, value)
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
  budget.take('conditions')
  const { path, exists, ...kinds } = entry as { path: string[]; exists?: boolean | null }
  takeSize(budget, 'at', path)
  const parts = Object.entries(kinds as Record<string, object | null>).flatMap(([as, operators]) =>
    comparisons(column, operators, budget, { path, as: as as JsonPlace['as'] }),
  )
  if (exists == null) return both(parts)
  const at = { path, as: 'any' } as const
  return both([...parts, { kind: 'compare', column: column.name, at, operator: 'isNull', value: !exists }])
}

function takeSize(budget: FilterBudget, operator: string, value: unknown): void {
  if (operator === 'search') budget.take('searches')
  if (Array.isArray(value)) {
    budget.take('items', value.length)
    for (const item of value) if (item instanceof JsonInput) takeJson(budget, operator, item)
  }
  if (value instanceof JsonInput) takeJson(budget, operator, value)
  if (typeof value === 'string' && PATTERNS.includes(operator)) budget.take('pattern', value.length)
}

function takeJson(budget: FilterBudget, operator: string, { text }: JsonInput): void {
  budget.take('json', text.length)
  if (CONTAINMENT.includes(operator)) budget.take('jsonItems', listItems(JSON.parse(text)))
}

// Without recursion: 10,000 characters may be 5,000 levels.
function listItems(json: unknown): number {
  let items = 0
  const open = [json]
  while (open.length > 0) {
    const next = open.pop()
    if (typeof next !== 'object' || next === null) continue
    const parts: unknown[] = Object.values(next)
    if (Array.isArray(next)) items += parts.length
    open.push(...parts)
  }
  return items
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
