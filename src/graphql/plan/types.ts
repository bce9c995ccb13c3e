/**
 * Plans: what a field asks of the tables, as plain data.
 *
 * Resolvers turn arguments into plans, the other files here turn plans into statements, and nothing else knows
 * both sides. A plan holds no functions and no connections, so that it can be compared, cached and
 * compiled.
 */

import type { Value } from '../../db/sql.ts'
import type { Table } from '../../model/types.ts'

export const COMPARISONS = ['eq', 'neq', 'gt', 'gte', 'lt', 'lte', 'in', 'notIn', 'isNull'] as const
export const TEXT_MATCHES = ['like', 'ilike', 'startsWith', 'endsWith', 'contains'] as const

export type Operator = (typeof COMPARISONS)[number] | (typeof TEXT_MATCHES)[number]

export type Condition =
  | { readonly kind: 'and' | 'or'; readonly of: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition }
  | { readonly kind: 'compare'; readonly column: string; readonly operator: Operator; readonly value: Value }

export interface OrderTerm {
  readonly column: string
  readonly descending: boolean
  readonly nullsFirst: boolean
}

/** Values of the order's columns in the row at which a page starts or ends, as Postgres text. */
export type Position = readonly (string | null)[]

/** A page of a list: of a whole table, or of the children of each of several parents. */
export interface ListPlan {
  readonly table: Table
  readonly where: Condition | null
  /** Ends with the primary key, so that no two rows are equal in it. */
  readonly order: readonly OrderTerm[]
  /** Rows wanted; one more is read to learn whether there are further ones. */
  readonly limit: number
  /** Read from the end: the SQL runs in reversed order and the rows are turned round. */
  readonly backward: boolean
  readonly after: Position | null
  readonly before: Position | null
  /** For children: the columns that hold the parent's key. */
  readonly parentColumns: readonly string[] | null
}
