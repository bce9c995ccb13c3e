/** How many tenants have asked lately. */

import { type Clock, systemClock } from './time.ts'

/** Milliseconds for which a tenant is active after a request. */
const ACTIVE_MS = 300_000
/** Tenants that are remembered; beyond that the number says "at least". 10 MB. */
const TENANTS_MAX = 100_000

export class ActiveTenants {
  readonly #clock: Clock
  /** When each has asked last. Never taken out and put in again, which would rebuild the table every few requests. */
  readonly #askedAt = new Map<string, number>()
  #forgotAt = 0

  constructor(clock: Clock = systemClock) {
    this.#clock = clock
  }

  saw(tenant: string): void {
    const now = this.#clock.elapsed()
    if (this.#askedAt.size < TENANTS_MAX || this.#askedAt.has(tenant)) this.#askedAt.set(tenant, now)
    else if (now - this.#forgotAt > ACTIVE_MS) this.#forget(now)
  }

  /** Tenants that have asked in the last five minutes. */
  get count(): number {
    this.#forget(this.#clock.elapsed())
    return this.#askedAt.size
  }

  #forget(now: number): void {
    this.#forgotAt = now
    for (const [tenant, at] of this.#askedAt) if (now - at > ACTIVE_MS) this.#askedAt.delete(tenant)
  }
}
