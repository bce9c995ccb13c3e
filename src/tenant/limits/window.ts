/**
 * Units that were taken in any 60 seconds, counted in slices.
 *
 *     │ b-201 │ b-200 │ …                                   │ b-1 │ b (now) │
 *     └── counted whole, though it may be out of the window ┘     └ is being filled
 *
 * Time is cut into slices of 300 ms. All of the last 202 count in full: the one that is being filled, the 200 that the
 * window covers, and one more. Thus whatever 60 seconds somebody looks at, no more is in them than the limit, also for
 * those who see a request up to 300 ms later than the slice that paid for it (a unit on its way from Redis, a line of a
 * log). What it costs is 2 in 202: of a limit that is always pressed, 99 % can be used. With Redis, what a tenant takes
 * that is far from its limit counts for up to four slices more. A log of single moments would use all of it, at a hundred
 * times the memory; a window that begins anew each minute would let twice the limit pass around its edge.
 */

/** Milliseconds in which a limit holds. */
export const WINDOW_MS = 60_000
/** Milliseconds of a slice. */
export const SLICE_MS = 300
/** Slices that count. */
export const COUNTED = WINDOW_MS / SLICE_MS + 2

/**
 * Slices for which a lease lasts longer while less than a quarter of a window is used. With the slice itself 1.5 s: a gateway
 * notices so late that the counters of Redis are lost, and SETTLE_MS of an account waits for that.
 */
export const CALM_SLICES = 4

/** The slice of a moment in milliseconds. */
export const sliceOf = (ms: number): number => Math.floor(ms / SLICE_MS)

/** Milliseconds from `now` until what was taken in `slice` counts no more. */
export const msUntilGone = (slice: number, now: number): number => (slice + COUNTED) * SLICE_MS - now

export class Window {
  readonly #counts = new Float64Array(COUNTED)
  #slice = 0
  #sum = 0
  /** No slice before it holds anything. */
  #first = 0

  /** Units that count. */
  get sum(): number {
    return this.#sum
  }

  /** Units of the slice that is being filled, or of the one before it: whichever has more. */
  get recent(): number {
    return Math.max(this.#at(this.#slice), this.#at(this.#slice - 1))
  }

  /** Go on to a slice, in which `add` counts from now on. Earlier ones change nothing: time does not go back. */
  move(slice: number): void {
    const steps = slice - this.#slice
    if (steps <= 0) return
    if (steps >= COUNTED) this.clear()
    else for (let i = 1; i <= steps; i++) this.#empty((this.#slice + i) % COUNTED)
    this.#slice = slice
    this.#first = Math.max(this.#first, slice - COUNTED + 1)
  }

  /** @param slice  default is the one that is being filled; one that counts no more changes nothing */
  add(units: number, slice: number = this.#slice): void {
    if (slice > this.#slice || slice <= this.#slice - COUNTED) return
    this.#counts[(slice + COUNTED) % COUNTED]! += units
    this.#first = this.#sum === 0 ? slice : Math.min(this.#first, slice)
    this.#sum += units
  }

  /** The slice from which on at most `most` units count, if no more are added. */
  whenAtMost(most: number): number {
    let left = this.#sum
    let slice = this.#first
    while (left > most && slice <= this.#slice) left -= this.#at(slice++)
    return left < this.#sum ? slice - 1 + COUNTED : this.#slice
  }

  /** The first slice that holds something. */
  get oldest(): number | undefined {
    if (this.#sum === 0) return undefined
    while (this.#at(this.#first) === 0) this.#first++
    return this.#first
  }

  /** Slices that hold something, oldest first, with their units. */
  *filled(): Generator<readonly [slice: number, units: number]> {
    const first = this.oldest
    if (first === undefined) return
    for (let slice = first; slice <= this.#slice; slice++) {
      const units = this.#at(slice)
      if (units > 0) yield [slice, units]
    }
  }

  clear(): void {
    this.#counts.fill(0)
    this.#sum = 0
  }

  #at(slice: number): number {
    return this.#counts[(slice + COUNTED) % COUNTED] ?? 0
  }

  #empty(place: number): void {
    this.#sum -= this.#counts[place] ?? 0
    this.#counts[place] = 0
  }
}
