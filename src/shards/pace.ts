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
/** Milliseconds below which it is forgotten. */
const QUICK_MS = 10
/** What the last batch weighs, and what it counts at most: whatever it was, the third short one after it is quick. */
const LATEST = 1 / 4
const MOST_MS = SLOW_MS / LATEST
/** Those that are slow; others are not kept. */
const KEPT_MAX = 2_000

export class Pace {
  readonly #means = new LRUCache<string, number>({ max: KEPT_MAX })

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

  #isSlow(key: string): boolean {
    return (this.#means.get(key) ?? 0) >= SLOW_MS
  }

  #note(key: string, ms: number): void {
    const before = this.#means.get(key) ?? 0
    if (before === 0 && ms < SLOW_MS) return
    const mean = before + (Math.min(ms, MOST_MS) - before) * LATEST
    if (mean < QUICK_MS && ms < SLOW_MS) this.#means.delete(key)
    else this.#means.set(key, mean)
  }
}

// A space is in no id of a tenant.
const keyOf = (tenant: TenantId, { name = '' }: Statement): string => `${tenant} ${name}`
