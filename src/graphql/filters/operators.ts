/**
 * Which operators the values of a type can be filtered with, and what each of them takes.
 *
 * There is no operator for regular expressions: a short one can keep Postgres busy for minutes (its time may grow
 * with the power of what a back-reference matches), and it cannot be had cheaply with a bound.
 */

import type { Column, ColumnType } from '../../model/types.ts'
import { COMPARISONS, type Operator, TEXT_MATCHES } from '../plan/types.ts'

/** `at` is no operator of Postgres: it leads to a value inside JSON, which has operators of its own. */
export type FilterKey = Operator | 'at'

const EQUALITY = ['eq', 'neq', 'in', 'notIn', 'isNull'] as const
const SETS = ['eq', 'contains', 'containedBy'] as const
const ARRAY = [...SETS, 'overlaps', 'has', 'isEmpty', 'isNull'] as const
const JSON_ = [...SETS, 'hasKey', 'hasAnyKey', 'hasAllKeys', 'at', 'isNull'] as const
const RANGE = [
  ...SETS,
  ...(['overlaps', 'containsValue', 'before', 'after', 'adjacent', 'isEmpty', 'isNull'] as const),
]

/** The operators that a column of `type` takes. */
export function operatorsOf(type: ColumnType): readonly FilterKey[] {
  if (type.array) return isComparable(type) ? ARRAY : ['isEmpty', 'isNull']
  if (type.kind === 'json') return JSON_
  if (isWords(type)) return ['search', 'isNull']
  if (!isComparable(type)) return ['isNull']
  if (type.kind === 'text') return [...COMPARISONS, ...TEXT_MATCHES, 'search']
  if (type.kind === 'boolean') return ['eq', 'neq', 'isNull']
  if (type.kind === 'range') return RANGE
  if (isNetwork(type)) return [...COMPARISONS, 'contains', 'containedBy']
  return type.compares === 'order' ? COMPARISONS : EQUALITY
}

/** Types with an order that Postgres can index and a cursor can hold. */
export function isOrderable({ type }: Column): boolean {
  return !type.array && type.compares === 'order' && type.kind !== 'json' && isComparable(type)
}

// Whether two row types can be compared shows only when their fields meet; a failure would be ours. cid and
// aclitem have = and no <>. The reg types read the name of a table, a role or a function: a filter would tell
// whoever asks which of them there are.
function isComparable({ compares, kind, schema, name }: ColumnType): boolean {
  const isOdd = schema === 'pg_catalog' && /^(reg.+|cid|aclitem)$/.test(name)
  return compares !== 'none' && kind !== 'composite' && !isOdd
}

function isNetwork({ schema, name }: ColumnType): boolean {
  return schema === 'pg_catalog' && (name === 'inet' || name === 'cidr')
}

/** A tsvector: words of a text, prepared for search. */
function isWords({ schema, name, array }: ColumnType): boolean {
  return schema === 'pg_catalog' && name === 'tsvector' && !array
}

/** What the argument of an operator is: of the column's type, a list of it, one element or bound of it, … */
export type Takes = 'value' | 'values' | 'bound' | 'text' | 'texts' | 'boolean' | 'places'

export function takesOf(type: ColumnType, operator: FilterKey): Takes {
  if (operator === 'isNull' || operator === 'isEmpty') return 'boolean'
  if (operator === 'at') return 'places'
  if (type.array) return operator === 'has' ? 'value' : 'values'
  if (operator === 'in' || operator === 'notIn') return 'values'
  if (operator === 'containsValue') return 'bound'
  if (operator === 'hasKey' || operator === 'search') return 'text'
  return operator === 'hasAnyKey' || operator === 'hasAllKeys' ? 'texts' : 'value'
}
