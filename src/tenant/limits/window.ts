/**
 * Units that were taken in any 60 seconds, counted in buckets.
 *
 *     │ b-201 │ b-200 │ …                                   │ b-1 │ b (now) │
 *     └── counted whole, though it may be out of the window ┘     └ is being filled
 *
 * Time is cut into buckets of 300 ms. All of the last 202 count in full: the one that is being filled, the 200 that the
 * window covers, and one more. Thus whatever 60 seconds somebody looks at, no more is in them than the limit, also for
 * those who see a request up to 300 ms later than the bucket that paid for it (a unit on its way from Redis, a line of a
 * log). What it costs is 2 in 202: at least 99 % of the limit can be used. A log of single moments would use all of it,
 * at a hundred times the memory; a window that begins anew each minute would let twice the limit pass around its edge.
 */

/** Milliseconds in which a limit holds. */
export const WINDOW_MS = 60_000
/** Milliseconds of a bucket. */
export const BUCKET_MS = 300
/** Buckets that count. */
export const COUNTED = WINDOW_MS / BUCKET_MS + 2

/** The bucket of a moment in milliseconds. */
export const bucketOf = (ms: number): number => Math.floor(ms / BUCKET_MS)

/** Milliseconds from `now` until what was taken in `bucket` counts no more. */
export const msUntilGone = (bucket: number, now: number): number => (bucket + COUNTED) * BUCKET_MS - now

export class Window {
  readonly #counts = new Float64Array(COUNTED)
  #bucket = 0
  #sum = 0
  /** No bucket before it holds anything. */
  #first = 0

  /** Units that count. */
  get sum(): number {
    return this.#sum
  }

  /** Units of the bucket that is being filled, or of the one before it: whichever has more. */
  get recent(): number {
    return Math.max(this.#at(this.#bucket), this.#at(this.#bucket - 1))
  }

  /** Go on to a bucket, in which `add` counts from now on. Earlier ones change nothing: time does not go back. */
  move(bucket: number): void {
    const steps = bucket - this.#bucket
    if (steps <= 0) return
    if (steps >= COUNTED) this.clear()
    else for (let i = 1; i <= steps; i++) this.#empty((this.#bucket + i) % COUNTED)
    this.#bucket = bucket
    this.#first = Math.max(this.#first, bucket - COUNTED + 1)
  }

  /** @param bucket  default is the one that is being filled; one that counts no more changes nothing */
  add(units: number, bucket: number = this.#bucket): void {
    if (bucket > this.#bucket || bucket <= this.#bucket - COUNTED) return
    this.#counts[(bucket + COUNTED) % COUNTED]! += units
    this.#first = this.#sum === 0 ? bucket : Math.min(this.#first, bucket)
    this.#sum += units
  }

  /** The bucket from which on at most `most` units count, if no more are added. */
  whenAtMost(most: number): number {
    let left = this.#sum
    let bucket = this.#first
    while (left > most && bucket <= this.#bucket) left -= this.#at(bucket++)
    return left < this.#sum ? bucket - 1 + COUNTED : this.#bucket
  }

  /** The first bucket that holds something. */
  get oldest(): number | undefined {
    if (this.#sum === 0) return undefined
    while (this.#at(this.#first) === 0) this.#first++
    return this.#first
  }

  /** Buckets that hold something, oldest first, with their units. */
  *filled(): Generator<readonly [bucket: number, units: number]> {
    const first = this.oldest
    if (first === undefined) return
    for (let bucket = first; bucket <= this.#bucket; bucket++) {
      const units = this.#at(bucket)
      if (units > 0) yield [bucket, units]
    }
  }

  clear(): void {
    this.#counts.fill(0)
    this.#sum = 0
  }

  #at(bucket: number): number {
    return this.#counts[(bucket + COUNTED) % COUNTED] ?? 0
  }

  #empty(place: number): void {
    this.#sum -= this.#counts[place] ?? 0
    this.#counts[place] = 0
  }
}
