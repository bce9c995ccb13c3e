/** What the writers of an operation write from: the rows of one root field, and what they count. */

import type { TenantId } from '../../base/ids.ts'
import type { Row } from '../../db/batch.ts'
import type { AggregatePlan } from '../plan/aggregate-types.ts'
import { cursorMark } from '../plan/cursors.ts'
import { encodeOpaque } from '../plan/opaque.ts'
import type { ListPlan } from '../plan/types.ts'
import type { Found } from './found.ts'
import { StepBack } from './step-back.ts'

export interface AnswerBounds {
  readonly rows: number
  readonly bytes: number
}

/** Rows in the answer so far, over all root fields. */
export interface RowCount {
  rows: number
}

export interface AnswerParts {
  readonly tenant: TenantId
  /** By the tags of the levels. */
  readonly found: readonly Found[]
  /** By the places of their sources. */
  readonly plans: readonly ListPlan[]
  /** By the tags of their levels. */
  readonly aggregates: readonly (AggregatePlan | null)[]
  /** By the tags of the levels: where the values of a list's order stand in a row. */
  readonly cursorPlaces: readonly (readonly number[])[]
  readonly bounds: AnswerBounds
  readonly count: RowCount
}

export class Answer {
  readonly found: readonly Found[]
  readonly plans: readonly ListPlan[]
  readonly aggregates: readonly (AggregatePlan | null)[]
  readonly #parts: AnswerParts
  readonly #marks: string[] = []
  readonly #texts: Map<Row, string>[] = []

  constructor(parts: AnswerParts) {
    this.found = parts.found
    this.plans = parts.plans
    this.aggregates = parts.aggregates
    this.#parts = parts
  }

  /** As `RequestScope.take`. @throws StepBack  the answer holds too many rows */
  take(rows: number): void {
    const { count, bounds } = this.#parts
    count.rows += rows
    if (count.rows > bounds.rows) throw new StepBack()
  }

  /** @throws StepBack  the answer may be too large: `RequestScope.takeValue` knows */
  check(text: string): void {
    if (text.length > this.#parts.bounds.bytes) throw new StepBack()
  }

  /** What `write` makes of `row`, written when it is first asked for. @param memo  number of the writer */
  once(memo: number, row: Row, write: (row: Row, answer: Answer) => string): string {
    this.#texts[memo] ??= new Map()
    const texts = this.#texts[memo]
    const known = texts.get(row)
    if (known !== undefined) return known
    const text = write(row, this)
    texts.set(row, text)
    return text
  }

  cursor(tag: number, source: number, row: Row): string {
    const { plans, tenant, cursorPlaces } = this.#parts
    const { table, order } = plans[source]!
    this.#marks[source] ??= cursorMark(tenant, table, order)
    const position = cursorPlaces[tag]!.map((place) => row[place] ?? null)
    return `"${encodeOpaque([this.#marks[source], ...position])}"`
  }
}
