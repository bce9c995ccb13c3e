/** A clock that stands still until a test moves it: the `Clock` of base/time.ts in the test's hand. */

import type { Clock } from '../../src/base/time.ts'

export interface ManualClock extends Clock {
  /** Let `ms` milliseconds pass, on both clocks. */
  advance(ms: number): void
  /** Set the wall clock forward or back by `ms`, as an operator or NTP does; `elapsed` does not move. */
  jump(ms: number): void
}

/** @param startMs  wall time in milliseconds since 1970; default 2026-01-01T00:00:00Z */
export function manualClock(startMs = Date.UTC(2026, 0, 1)): ManualClock {
  let wall = startMs
  let passed = 0
  return {
    now: () => wall,
    elapsed: () => passed,
    advance(ms) {
      if (!(ms >= 0)) throw new RangeError(`advance: wanted 0 or more milliseconds; ${ms} came`)
      wall += ms
      passed += ms
    },
    jump(ms) {
      wall += ms
    },
  }
}
