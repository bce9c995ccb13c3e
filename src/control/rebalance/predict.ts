/**
 * How long a move will take, from what the tenant holds.
 *
 * The rates are those of 150,500 rows, 24.5 MB, copied between two servers on two cores with all indexes on the target
 * and no triggers of foreign keys: 76,000 rows/s, 12.3 MB/s. The rest are the fixed costs of a move: connections, the
 * target's home, slots, the comparison. Real figures differ by machine; the plan orders and sums with these.
 */

import type { Path } from '../move/types.ts'

export interface Prediction {
  readonly path: Path
  readonly copyMs: number
  /** From the freeze to the opening of the target. */
  readonly pauseMs: number
  /** Of the whole move, until it has settled. */
  readonly totalMs: number
}

const ROWS_PER_MS = 76
const BYTES_PER_MS = 12_300

/** Of a move that copies while the tenant writes: slots, catching up, comparison. */
const LIVE_MS = 1_500
const STILL_MS = 300
/** Of the pause itself: locks, marks, the commit point. */
const PAUSE_MS = 20

/** @param stillMs  `moves.stillMs` of the configuration */
export function predict({ rows, bytes }: { rows: number; bytes: number }, stillMs: number): Prediction {
  const copyMs = Math.ceil(Math.max(rows / ROWS_PER_MS, bytes / BYTES_PER_MS))
  const path = copyMs <= stillMs ? 'still' : 'live'
  const pauseMs = path === 'still' ? PAUSE_MS + copyMs : PAUSE_MS
  return { path, copyMs, pauseMs, totalMs: copyMs + (path === 'still' ? STILL_MS : LIVE_MS) }
}
