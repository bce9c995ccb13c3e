/** How many requests of a tenant this gateway works on now. */

import { GRANTED, type Verdict } from './verdict.ts'

/** Seconds after which somebody who was too many may come again: any request may end at any time. */
const RETRY_S = 1

export class Turnstile {
  #inside = 0

  get inside(): number {
    return this.#inside
  }

  /** Whoever is granted has to `leave`. @param most  undefined: as many as come */
  enter(most: number | undefined): Verdict {
    if (most !== undefined && this.#inside >= most) {
      return { ok: false, reason: 'concurrency', asked: 1, limit: most, left: 0, retryS: RETRY_S }
    }
    this.#inside += 1
    return GRANTED
  }

  leave(): void {
    this.#inside -= 1
  }
}
