/** What comes of asking both lanes: how often the compiled one answered, why it did not, and where they differ. */

import type { ExecutionResult } from 'graphql'
import type { Data } from './api.ts'

export interface Asked {
  /** Seed of its document. */
  readonly seed: string
  readonly tenant: string
  readonly query: string
  readonly variables: object
}

export interface Difference extends Asked {
  /** Around the first character that differs. */
  readonly compiled: string
  readonly resolved: string
}

/** Of the resolvers. */
export interface Resolved {
  readonly data: Data
  /** JSON, for an answer without errors. */
  readonly text: string
  /** The first error. */
  readonly refusal: string | null
}

/** Of the compiled lane: JSON text, null for a step back, or a result with errors. */
export type Compiled = string | ExecutionResult | null

export const DIFFERENCES_MAX = 10

export class Tally {
  asked = 0
  /** Answers of the compiled lane. */
  taken = 0
  /** Those with rows in a list. */
  filled = 0
  /** What it left to the resolvers, which had no error. */
  left = 0
  /** What it left to the resolvers, which refused it. */
  refused = 0
  readonly refusals: Record<string, number> = {}
  /** How often it left something that the resolvers answer, by reason. */
  readonly reasons: Record<string, number> = {}
  /** The shortest document for each reason. */
  readonly examples: Record<string, string> = {}
  readonly differences: Difference[] = []
  /** What has been decided for a document is not said again. */
  readonly #known = new Map<string, string>()

  get isFull(): boolean {
    return this.differences.length >= DIFFERENCES_MAX
  }

  /** Of what has no error. */
  get share(): number {
    return this.taken / (this.taken + this.left)
  }

  note(asked: Asked, compiled: Compiled, { text, refusal }: Resolved, reasons: readonly string[]): void {
    this.asked++
    if (reasons[0] !== undefined) this.#known.set(asked.query, reasons[0])
    if (compiled !== null) {
      this.taken++
      this.compare(asked, textOf(compiled), refusal === null ? text : `${refusal} ${text}`)
    } else if (refusal === null) this.#leave(asked)
    else this.#refuse(refusal)
  }

  compare(asked: Asked, compiled: string, resolved: string): void {
    if (compiled === resolved) return
    const [one, other] = apart(compiled, resolved)
    this.differences.push({ ...asked, compiled: one, resolved: other })
  }

  // Names and numbers apart, there are a few dozen sentences.
  #refuse(refusal: string): void {
    const kind = refusal.replace(/"[^"]*"?|\d+|\.? at .*/g, '…').slice(0, 60)
    this.refused++
    this.refusals[kind] = (this.refusals[kind] ?? 0) + 1
  }

  #leave({ query }: Asked): void {
    const reason = this.#known.get(query) ?? 'an argument is refused'
    this.left++
    this.reasons[reason] = (this.reasons[reason] ?? 0) + 1
    const known = this.examples[reason]
    if (known === undefined || query.length < known.length) this.examples[reason] = query
  }
}

function textOf(compiled: string | ExecutionResult): string {
  return typeof compiled === 'string' ? compiled : `a result: ${JSON.stringify(compiled)}`
}

/** Two texts from a little before they part. */
function apart(one: string, other: string): [string, string] {
  let at = 0
  while (at < one.length && one[at] === other[at]) at++
  const from = Math.max(0, at - 120)
  return [one.slice(from, at + 120), other.slice(from, at + 120)]
}
