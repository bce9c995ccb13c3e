/**
 * Moments of the seeded rows, as whole microseconds since 1970, all in a fixed span of history.
 *
 * Microseconds, because that is what Postgres keeps: a client that goes through a JavaScript Date loses
 * three digits, and its cursors then skip rows. For the same reason one row in twenty has exactly the time
 * of the row before it: an order by time alone is not enough to page by.
 */

import type { Random } from './random.ts'

export const SECOND = 1_000_000
export const HOUR = 3_600 * SECOND
export const DAY = 24 * HOUR

const FIRST = Date.UTC(2025, 0, 6) * 1_000
const LAST = Date.UTC(2026, 9, 30) * 1_000

/** When row `n` of `count` was made: later for later rows on the whole, neighbours out of order. */
export function madeAt(n: number, count: number, randomOf: (n: number) => Random): number {
  const row = n > 1 && n % 20 === 0 ? n - 1 : n
  const step = Math.floor((LAST - FIRST) / count)
  const random = randomOf(row)
  return FIRST + (row - 1) * step + random.below(2 * step) + random.below(1_000)
}

/** Whether a moment is in the last weeks of the span, when things are still being worked on. */
export function isRecent(moment: number): boolean {
  return moment > LAST - 40 * DAY
}

/** Text of a timestamptz as Postgres prints it in UTC. */
export function timeText(moment: number): string {
  const iso = new Date(Math.floor(moment / 1_000)).toISOString()
  return `${iso.slice(0, 10)} ${iso.slice(11, 23)}${String(moment % 1_000).padStart(3, '0')}+00`
}

export function dateText(moment: number): string {
  return new Date(Math.floor(moment / 1_000)).toISOString().slice(0, 10)
}
