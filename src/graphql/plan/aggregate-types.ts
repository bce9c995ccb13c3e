/**
 * Aggregates as plain data: what is measured over the rows of a list, as a whole or group by group.
 */

import type { Value } from '../../db/sql.ts'
import type { ListPlan, Operator } from './types.ts'

export const MEASURE_KINDS = ['count', 'distinctCount', 'sum', 'avg', 'min', 'max'] as const
export type MeasureKind = (typeof MEASURE_KINDS)[number]

export interface Measure {
  readonly kind: MeasureKind
  /** Null for `count`, which counts rows. */
  readonly column: string | null
}

/** The number of rows. */
export const COUNT: Measure = { kind: 'count', column: null }

export const DATE_PARTS = ['YEAR', 'QUARTER', 'MONTH', 'WEEK', 'DAY'] as const
export const TIME_PARTS = [...DATE_PARTS, 'HOUR', 'MINUTE'] as const
export type TimePart = (typeof TIME_PARTS)[number]

/** Rows of equal values stand in one group; of a moment the part that it lies in may be the value. */
export interface GroupTerm {
  readonly column: string
  readonly part: TimePart | 'VALUE'
}

export type MeasureCondition =
  | { readonly kind: 'and' | 'or'; readonly of: readonly MeasureCondition[] }
  | { readonly kind: 'not'; readonly of: MeasureCondition }
  | {
      readonly kind: 'compare'
      readonly measure: Measure
      readonly operator: Operator
      readonly value: Value
    }

/** By a column that is grouped, or by a measure. */
export interface GroupOrderTerm {
  readonly by: { readonly key: string } | { readonly measure: Measure }
  readonly descending: boolean
  readonly nullsFirst: boolean
}

/** Measures of a list, or of the children of each of several parents. A row of its answer: keys, then measures. */
export interface AggregatePlan {
  /** Which rows are measured; its page, order and limit do not count. */
  readonly list: ListPlan
  readonly measures: readonly Measure[]
  /** Null: all rows together, also when there are none. */
  readonly groups: Groups | null
}

export interface Groups {
  readonly by: readonly GroupTerm[]
  /** Name in the IANA time zone database: where months and days begin for columns with a zone. */
  readonly timeZone: string
  readonly having: MeasureCondition | null
  /** Holds every key, so that no two groups are equal in it. */
  readonly order: readonly GroupOrderTerm[]
  readonly limit: number
  readonly offset: number
}

/** The list without its page, so that all pages of a list are measured once. */
export function wholeOf(list: ListPlan): ListPlan {
  return { ...list, order: [], limit: 0, offset: 0, backward: false, after: null, before: null }
}

export function isMeasure(a: Measure, b: Measure): boolean {
  return a.kind === b.kind && a.column === b.column
}

/** The place of `measure` in a row of the answer; -1 when the plan does not measure it. */
export function measurePosition({ measures, groups }: AggregatePlan, measure: Measure): number {
  const position = measures.findIndex((candidate) => isMeasure(candidate, measure))
  return position < 0 ? -1 : (groups?.by.length ?? 0) + position
}
