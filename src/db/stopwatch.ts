/**
 * How long a session was at work on each of its batches, as far as that can be seen from here.
 *
 * What stands before a batch on its connection does not count. Batches whose answers are read together share the time
 * since the last read: which of them took it cannot be seen, and to set it all down to the first would give the others
 * away. For telling what is slow, it is the first: the answer of one that took long is seldom read with one before it.
 */

/** What a batch has taken; the connection fills it in. Of several batches, the sum. */
export interface Meter {
  /** When the first was sent (performance.now()). */
  sentAt?: number
  /** Milliseconds that its session was at work on it. */
  workedMs: number
  /** The same, where what was read together is the first one's. */
  longMs: number
}

export class Stopwatch {
  #readyAt = performance.now()
  /** Of batches whose answers are being read. */
  #meters: (Meter | undefined)[] = []
  #ms = 0

  /** Milliseconds since the session was last done with a batch. */
  get quietMs(): number {
    return performance.now() - this.#readyAt
  }

  /** A batch has been answered. Its meter says so before anybody hears of the answer. */
  answered(sentAt: number, meter: Meter | undefined): void {
    const ms = this.#lap(sentAt)
    // The first microtask after the read: whoever waits for one of the answers comes behind it.
    if (this.#meters.length === 0) queueMicrotask(() => this.#share())
    this.#meters.push(meter)
    this.#ms += ms
    if (meter) meter.longMs += ms
  }

  /** It will not be answered any more. */
  lost(sentAt: number, meter: Meter | undefined): void {
    const ms = this.#lap(sentAt)
    if (!meter) return
    meter.workedMs += ms
    meter.longMs += ms
  }

  #lap(sentAt: number): number {
    const since = Math.max(sentAt, this.#readyAt)
    this.#readyAt = performance.now()
    return this.#readyAt - since
  }

  #share(): void {
    const [meters, ms] = [this.#meters, this.#ms / this.#meters.length]
    this.#meters = []
    this.#ms = 0
    for (const meter of meters) if (meter) meter.workedMs += ms
  }
}
