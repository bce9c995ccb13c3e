/** Units that Redis has granted to this gateway, and that it hands out on its own for as long as their slice lasts. */

import { type Meter, type Pair, pair, type Rates, UNLIMITED } from './counts.ts'
import type { Answer } from './redis-counts.ts'

export interface Lease {
  /** What is left of them. */
  readonly units: [requests: number, cost: number]
  /** The slice of Redis in which they count. */
  readonly slice: number
  /** When the slice has ended, by the clock of this process: somewhat early, never late. */
  readonly endsAt: number
  /** Until when nobody need ask whether there is more: the slice in which Redis has looked. */
  readonly freshUntil: number
  /** Units of the window that were left for all; UNLIMITED. */
  readonly left: Pair
  /** Units that could be granted besides as long as this is fresh: of the window and of the month. */
  readonly room: Pair
  /** When the least that was asked for fits into a window again. */
  readonly retryAt: Pair
}

export const NO_LEASE: Lease = Object.freeze({
  units: Object.freeze([0, 0]) as unknown as [0, 0],
  slice: 0,
  endsAt: 0,
  freshUntil: 0,
  left: [0, 0] as const,
  room: [0, 0] as const,
  retryAt: [0, 0] as const,
})

/** @param sentAt  when the question was sent: Redis has looked at its clock later than that */
export function leaseOf(
  { granted, slice, endsInMs, freshMs, left, month, retryMs }: Answer,
  { perMinute, perMonth }: Rates,
  sentAt: number,
): Lease {
  const room = (meter: Meter): number =>
    Math.min(
      perMinute[meter] === UNLIMITED ? Number.POSITIVE_INFINITY : left[meter],
      perMonth[meter] === UNLIMITED ? Number.POSITIVE_INFINITY : perMonth[meter] - month[meter],
    )
  return {
    units: [...granted],
    slice,
    endsAt: sentAt + endsInMs,
    freshUntil: sentAt + freshMs,
    left,
    room: pair(room),
    retryAt: pair((meter) => sentAt + retryMs[meter]),
  }
}
