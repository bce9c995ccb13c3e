/**
 * How late this process comes to what is ready for it: what seems to take long may have lain here. Read as the
 * mean of the last second.
 */

import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Milliseconds between two looks; the measured delays contain it. */
const RESOLUTION_MS = 10
const READ_MS = 1_000

export class LoopLag {
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  #ms = 0
  #readAt = 0

  constructor() {
    this.#delays.enable()
  }

  /** In milliseconds. @param now  of performance.now() */
  ms(now: number): number {
    if (now - this.#readAt < READ_MS) return this.#ms
    this.#readAt = now
    this.#ms = this.#delays.count === 0 ? 0 : Math.max(0, this.#delays.mean / 1e6 - RESOLUTION_MS)
    this.#delays.reset()
    return this.#ms
  }
}
