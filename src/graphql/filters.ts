/**
 * `filter` and `orderBy`: input types from a table's columns, and their arguments as plan data.
 */

import { fail } from '../base/errors.ts'
import type { Column, ColumnType, EnumType, Table } from '../model/types.ts'
import {
  type Builder,
  type InputFieldsOf,
  type InputOptions,
  type InputRef,
  inputObject,
  ORDER_DIRECTIONS,
  type OrderDirection,
  type SharedTypes,
  type ValueType,
} from './builder.ts'
import { COMPARISONS, type Condition, type Operator, type OrderTerm, TEXT_MATCHES } from './plan/types.ts'
import { SCALAR_OF } from './scalars.ts'
import { toParameter } from './values.ts'

const EQUALITY = ['eq', 'neq', 'in', 'notIn', 'isNull'] as const

/** The operators that a column of `type` takes. */
export function operatorsOf(type: ColumnType): readonly Operator[] {
  if (type.array || type.kind === 'json') return ['isNull']
  if (type.kind === 'text') return [...COMPARISONS, ...TEXT_MATCHES]
  if (type.kind === 'boolean') return ['eq', 'neq', 'isNull']
  if (type.kind === 'enum') return EQUALITY
  return type.kind === 'other' ? ['isNull'] : COMPARISONS
}

/** Columns with an order that Postgres can index and a cursor can hold. */
export function isOrderable({ type }: Column): boolean {
  return !type.array && !['json', 'other'].includes(type.kind)
}

export interface FilterTypes {
  filterType(table: Table): InputRef
  orderType(table: Table): InputRef
}

/** Makes each input type once, when it is first asked for. */
export function filterTypes(
  builder: Builder,
  shared: SharedTypes,
  valueType: ValueType,
  enums: ReadonlyMap<string, EnumType>,
): FilterTypes {
  const made = new Map<string, InputRef>()
  // Known before it is defined: a filter's fields name the filter itself.
  const once = (name: string, options: InputOptions, fields: InputFieldsOf): InputRef => {
    const known = made.get(name)
    if (known) return known
    const ref = builder.inputRef(name)
    made.set(name, ref as InputRef)
    return inputObject(builder, ref, options, fields)
  }

  function operatorsRef(type: ColumnType): InputRef {
    const operators = operatorsOf(type)
    const base = type.kind === 'enum' ? enums.get(type.enum ?? '')!.typeName : SCALAR_OF[type.kind]
    const name = operators.length === 1 ? 'NullFilter' : `${base}Filter`
    return once(name, {}, (t) =>
      operators.map((operator) => {
        if (operator === 'isNull') return [operator, t.boolean()]
        if (operator !== 'in' && operator !== 'notIn') return [operator, t.field({ type: valueType(type) })]
        return [operator, t.field({ type: [valueType(type)], required: { list: false, items: true } })]
      }),
    )
  }

  function filterType(table: Table): InputRef {
    const name = `${table.typeName}Filter`
    const description = `Which ${table.manyField} are wanted; conditions side by side must all hold.`
    return once(name, { description }, (t) => [
      ['and', t.field({ type: [filterType(table)], required: { list: false, items: true } })],
      ['or', t.field({ type: [filterType(table)], required: { list: false, items: true } })],
      ['not', t.field({ type: filterType(table) })],
      ...table.columns.map(({ field, type }) => [field, t.field({ type: operatorsRef(type) })] as const),
    ])
  }

  function orderType(table: Table): InputRef {
    const name = `${table.typeName}OrderBy`
    const description = `One column to order ${table.manyField} by.`
    return once(name, { description, isOneOf: true }, (t) =>
      table.columns.filter(isOrderable).map(({ field }) => [field, t.field({ type: shared.direction })]),
    )
  }

  return { filterType, orderType }
}

const ORDER_MAX = 50
/** Bounds that no honest filter comes near: conditions, items of one list, characters of one pattern. */
const FILTER_LIMITS = Object.freeze({ conditions: 200, items: 1_000, pattern: 1_000 })
const LIMIT_WORDS = { conditions: 'conditions', items: 'items in a list', pattern: 'characters in a pattern' }
type Budget = { conditions: number }

/**
 * The `filter` argument as a condition.
 *
 * @throws BAD_USER_INPUT     null where a value is wanted
 * @throws QUERY_TOO_COMPLEX  too many conditions, a list or a pattern too long
 */
export function conditionOf(
  table: Table,
  filter: object | null | undefined,
  budget: Budget = { conditions: FILTER_LIMITS.conditions },
): Condition | null {
  if (!filter) return null
  budget.conditions -= 1 // an empty one too: it stands in the SQL as true
  if (budget.conditions < 0) tooComplex('conditions')
  const parts = Object.entries(filter).map(([key, value]) => partOf(table, key, value, budget))
  return parts.length === 1 ? parts[0]! : { kind: 'and', of: parts }
}

function partOf(table: Table, key: string, value: unknown, budget: Budget): Condition {
  const column = table.columns.find(({ field }) => field === key)
  if (column) return comparisonsOf(column, value, budget)
  if (value === null)
    return fail('BAD_USER_INPUT', `"${key}" in a filter wants a condition; null came. Leave it out instead.`)
  if (key === 'not') return { kind: 'not', of: conditionOf(table, value as object, budget)! }
  const of = (value as object[]).map((item) => conditionOf(table, item, budget)!)
  return { kind: key as 'and' | 'or', of }
}

function tooComplex(limit: keyof typeof FILTER_LIMITS): never {
  const allowed = FILTER_LIMITS[limit]
  return fail('QUERY_TOO_COMPLEX', `The filter is too large; ${allowed} ${LIMIT_WORDS[limit]} are allowed.`, {
    limit,
    allowed,
  })
}

function checkSize(operator: string, value: unknown, budget: Budget): void {
  budget.conditions -= 1
  if (budget.conditions < 0) tooComplex('conditions')
  if (Array.isArray(value) && value.length > FILTER_LIMITS.items) tooComplex('items')
  // Postgres cannot be interrupted inside LIKE, whose time is pattern times text.
  const matches = (TEXT_MATCHES as readonly string[]).includes(operator)
  if (matches && String(value).length > FILTER_LIMITS.pattern) tooComplex('pattern')
}

function comparisonsOf(column: Column, operators: unknown, budget: Budget): Condition {
  if (operators === null) {
    return fail(
      'BAD_USER_INPUT',
      `The filter of "${column.field}" is null; write { isNull: true } for rows without a value.`,
    )
  }
  const of = Object.entries(operators as object).map(([operator, value]): Condition => {
    checkSize(operator, value, budget)
    if (value === null) {
      fail(
        'BAD_USER_INPUT',
        `"${operator}" of "${column.field}" is null; write { isNull: true } for rows without a value.`,
      )
    }
    return { kind: 'compare', column: column.name, operator: operator as Operator, value: toParameter(value) }
  })
  return of.length === 1 ? of[0]! : { kind: 'and', of }
}

/** The `orderBy` argument as terms, the primary key added at the end so that no two rows are equal. */
export function termsOf(table: Table, orderBy: readonly object[] | null | undefined): OrderTerm[] {
  if ((orderBy?.length ?? 0) > ORDER_MAX) {
    fail('QUERY_TOO_COMPLEX', `"orderBy" takes ${ORDER_MAX} columns at most; ${orderBy?.length} came.`)
  }
  const asked = (orderBy ?? []).map((entry): OrderTerm => {
    const [field, direction] = Object.entries(entry)[0] as [string, OrderDirection]
    const column = table.columns.find((candidate) => candidate.field === field)!
    return { column: column.name, ...ORDER_DIRECTIONS[direction] }
  })
  const terms = asked.filter((term, i) => asked.findIndex(({ column }) => column === term.column) === i)
  const missing = tieBreak(table).filter((column) => !terms.some((term) => term.column === column))
  return [...terms, ...missing.map((column) => ({ column, ...ORDER_DIRECTIONS.ASC }))]
}

// Without a primary key all columns that have an order decide; rows equal in all of them are alike.
function tieBreak(table: Table): readonly string[] {
  if (table.primaryKey.length > 0) return table.primaryKey
  return table.columns.filter(isOrderable).map(({ name }) => name)
}
