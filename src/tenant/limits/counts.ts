/** The counters of one tenant in this process. Everything comes in pairs: requests, cost. */

import type { Clock } from '../../base/time.ts'
import { SLICE_MS, sliceOf, Window } from './window.ts'

/** Requests, and cost of operations. */
export type Pair = readonly [requests: number, cost: number]

/** Place of a meter in a pair. */
export type Meter = 0 | 1
export const REQUESTS: Meter = 0
export const COST: Meter = 1
export const METERS: readonly Meter[] = [REQUESTS, COST]

/** In place of a number: there is no such limit. */
export const UNLIMITED = -1

/** How much a tenant may take. */
export interface Rates {
  readonly perMinute: Pair
  readonly perMonth: Pair
}

export function pair(of: (meter: Meter) => number): Pair {
  return [of(REQUESTS), of(COST)]
}

/** The months of the calendar around a moment (Unix milliseconds): when the last one began, this one, the next two. */
export function monthsAround(
  now: number,
): readonly [last: number, current: number, next: number, after: number] {
  const date = new Date(now)
  const month = (by: number): number => Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + by)
  return [month(-1), month(0), month(1), month(2)]
}

export class Counts {
  readonly windows: readonly [Window, Window] = [new Window(), new Window()]
  readonly #months: [number, number] = [0, 0]
  #monthEnds = 0
  #slice = -1

  /** When this month is over; Unix milliseconds. */
  get monthEnds(): number {
    return this.#monthEnds
  }

  /** Go on to the present. @param now  what the clock has `elapsed`; which month it is, is looked at once a slice */
  move(now: number, clock: Clock): void {
    const slice = sliceOf(now)
    if (slice === this.#slice) return
    this.#slice = slice
    for (const window of this.windows) window.move(slice)
    const wall = clock.now()
    if (wall < this.#monthEnds) return
    ;[, , this.#monthEnds] = monthsAround(wall)
    this.#months.fill(0)
  }

  take(meter: Meter, units: number): void {
    this.windows[meter].add(units)
    this.#months[meter] += units
  }

  /** Milliseconds until `units` fit into a window of `most`. */
  msUntilFits(meter: Meter, units: number, most: number, elapsed: number): number {
    return Math.max(0, this.windows[meter].whenAtMost(most - units) * SLICE_MS - elapsed)
  }

  /** Units of this month. */
  month(meter: Meter): number {
    return this.#months[meter]
  }

  /** Somebody who knows of all gateways says how many units it has. */
  learnMonth(meter: Meter, units: number): void {
    this.#months[meter] = units
  }
}
