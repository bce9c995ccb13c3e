/**
 * Whose batches take long: they get a lane of their own, because answers come in order and what is short would stand
 * behind them.
 *
 * A statement of a tenant is remembered, and the tenant itself: what it asks for the first time may be as slow as the rest.
 * One batch that took long is enough, and a few short ones undo it.
 */

import { LRUCache } from 'lru-cache'
import type { TenantId } from '../base/ids.ts'
import type { Statement } from '../db/sql.ts'

/** Milliseconds of a mean that is slow: a hundred times a point query. */
const SLOW_MS = 20
/** Times the lag of this process that it must be as well: where a gateway has no processor to spare, all seems to take long. */
const LAG_TIMES = 4
/** What the last batch weighs in the mean of those of a tenant or a statement. */
const LATEST = 1 / 4
/** Those that may be slow; others are not kept. */
const KEPT_MAX = 2_000

export class Pace {
  readonly #means = new LRUCache<string, number>({ max: KEPT_MAX })
  readonly #lagMs: () => number

  /** @param lagMs  milliseconds by which this process comes late to answers */
  constructor(lagMs: () => number) {
    this.#lagMs = lagMs
  }

  /** Whether a batch of these is likely to take long. */
  isSlow(tenant: TenantId, statements: readonly Statement[]): boolean {
    if (this.#means.size === 0) return false
    return this.#isSlow(tenant) || statements.some((statement) => this.#isSlow(keyOf(tenant, statement)))
  }

  /** @param ms  that a session was at work on a batch of these */
  note(tenant: TenantId, statements: readonly Statement[], ms: number): void {
    if (ms < SLOW_MS && this.#means.size === 0) return
    this.#note(tenant, ms)
    for (const statement of statements) this.#note(keyOf(tenant, statement), ms)
  }

  get #slowMs(): number {
    return Math.max(SLOW_MS, LAG_TIMES * this.#lagMs())
  }

  #isSlow(key: string): boolean {
    return (this.#means.get(key) ?? 0) >= this.#slowMs
  }

  // Whatever a batch took, it counts for no more than makes it slow: the third short one after it is quick.
  #note(key: string, ms: number): void {
    const before = this.#means.get(key) ?? 0
    const slowMs = this.#slowMs
    if (before === 0 && ms < slowMs) return
    const mean = before + (Math.min(ms, slowMs / LATEST) - before) * LATEST
    if (mean < slowMs / 2 && ms < slowMs) this.#means.delete(key)
    else this.#means.set(key, mean)
  }
}

// A space is in no id of a tenant.
const keyOf = (tenant: TenantId, { name = '' }: Statement): string => `${tenant} ${name}`
