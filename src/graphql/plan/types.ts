/**
 * Plans: what a field asks of the tables, as plain data.
 *
 * Resolvers turn arguments into plans, the other files here turn plans into statements, and nothing else knows
 * both sides. A plan holds no functions and no connections, so that it can be compared, cached and
 * compiled.
 */

import type { Value } from '../../db/sql.ts'
import type { Table } from '../../model/types.ts'

/** The tables of a model, by id. */
export type Tables = ReadonlyMap<string, Table>

export const COMPARISONS = ['eq', 'neq', 'gt', 'gte', 'lt', 'lte', 'in', 'notIn', 'isNull'] as const
export const TEXT_MATCHES = ['like', 'ilike', 'startsWith', 'endsWith', 'contains'] as const
/** Of sets: arrays, JSON, ranges and networks, each in its own sense. */
const SET_MATCHES = ['contains', 'containedBy', 'overlaps', 'isEmpty'] as const
const ARRAY_MATCHES = ['has'] as const
const JSON_MATCHES = ['hasKey', 'hasAnyKey', 'hasAllKeys'] as const
const RANGE_MATCHES = ['containsValue', 'before', 'after', 'adjacent'] as const

export type Operator =
  | (typeof COMPARISONS)[number]
  | (typeof TEXT_MATCHES)[number]
  | (typeof SET_MATCHES)[number]
  | (typeof ARRAY_MATCHES)[number]
  | (typeof JSON_MATCHES)[number]
  | (typeof RANGE_MATCHES)[number]
  | 'search'

/** A place inside a JSON column; what is not of the wanted kind there counts as null. */
export interface JsonPlace {
  readonly path: readonly string[]
  readonly as: 'string' | 'number' | 'boolean' | 'any'
}

export interface Comparison {
  readonly kind: 'compare'
  readonly column: string
  readonly at?: JsonPlace
  readonly operator: Operator
  readonly value: Value
}

/** The rows of another table that belong to a row: those whose `other` columns equal its `own` ones. */
export interface Join {
  readonly table: Table
  readonly columns: readonly { readonly own: string; readonly other: string }[]
}

export interface RelatedCondition {
  readonly kind: 'related'
  readonly join: Join
  /** `every` and `none` hold where there are no rows. */
  readonly quantifier: 'some' | 'every' | 'none'
  readonly where: Condition
}

export type Condition =
  | { readonly kind: 'and' | 'or'; readonly of: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition }
  | Comparison
  | RelatedCondition

/** A value by which rows are ordered: of their own, of the row that they belong to, or over those that belong to them. */
export type OrderBy =
  | { readonly kind: 'column'; readonly column: string }
  | { readonly kind: 'one'; readonly join: Join; readonly by: OrderBy }
  | {
      readonly kind: 'many'
      readonly join: Join
      readonly measure: {
        readonly kind: 'count' | 'sum' | 'avg' | 'min' | 'max'
        /** Null for `count`, which counts rows. */
        readonly column: string | null
      }
    }

export interface OrderTerm {
  readonly by: OrderBy
  readonly descending: boolean
  readonly nullsFirst: boolean
}

/** Values of the order's terms in the row at which a page starts or ends, as Postgres text. */
export type Position = readonly (string | null)[]

/** A page of a list: of a whole table, or of the children of each of several parents. */
export interface ListPlan {
  readonly table: Table
  readonly where: Condition | null
  /** Ends with the primary key, so that no two rows are equal in it. */
  readonly order: readonly OrderTerm[]
  /** Rows wanted; one more is read to learn whether there are further ones. */
  readonly limit: number
  /** Rows to pass over, from the start or from `after`; never with `backward`. */
  readonly offset: number
  /** Read from the end: the SQL runs in reversed order and the rows are turned round. */
  readonly backward: boolean
  readonly after: Position | null
  readonly before: Position | null
  /** For children: the columns that hold the parent's key. */
  readonly parentColumns: readonly string[] | null
}

/** A plan, or a part of one, as text: equal texts are equal plans. A table is named, not spelled out. */
export function planText(part: unknown): string {
  return JSON.stringify(part, (key, value: unknown) => (key === 'table' ? (value as Table).id : value))
}
