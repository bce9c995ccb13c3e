/** The pace of a copy, by what is told of latency, on a clock that stands still. */

import { describe, expect, it } from 'vitest'
import { Pace } from '../../../src/control/move/throttle.ts'
import { manualClock } from '../../kit/clock.ts'

const SECOND = 1_000
const MEGABYTE = 1_000_000

/** A copy that has run at a megabyte a second for a second. */
function running() {
  const clock = manualClock()
  const waits: number[] = []
  const pace = new Pace(clock, async (ms) => void waits.push(ms))
  const second = (bytes: number, isSlow: boolean): void => {
    pace.pass(bytes)
    clock.advance(SECOND)
    pace.tell(isSlow)
  }
  second(MEGABYTE, false)
  return { pace, second, waits }
}

describe('the pace of a copy', () => {
  it('has no bounds while nobody waits longer than usual', () => {
    const { pace, second } = running()
    second(5 * MEGABYTE, false)
    expect(pace.limit).toBeUndefined()
    expect(pace.pass(100 * MEGABYTE)).toBeUndefined()
  })

  it('is halved while somebody does, and never less than an eighth of the fastest', () => {
    const { pace, second } = running()
    const limits = Array.from({ length: 6 }, () => {
      second(MEGABYTE, true)
      return pace.limit
    })
    expect(limits).toEqual([500, 250, 125, 125, 125, 125])
  })

  it('grows by small steps when that is over, until it has no bounds', () => {
    const { pace, second } = running()
    second(MEGABYTE, true)
    let steps = 0
    while (pace.limit !== undefined && steps < 100) {
      second(MEGABYTE, false)
      steps++
    }
    expect(steps).toBe(9)
  })

  it('does not take the speed under a limit for the fastest', () => {
    const { pace, second } = running()
    second(MEGABYTE, true)
    second(MEGABYTE / 10, true)
    expect(pace.limit).toBe(250)
  })

  it('begins with whatever it is told before a byte has passed', () => {
    const pace = new Pace(manualClock())
    pace.tell(true)
    expect(pace.limit).toBeUndefined()
  })

  it('waits for a piece as long as the limit says, and for none very long', async () => {
    const { pace, second, waits } = running()
    second(MEGABYTE, true)
    expect(pace.pass(500)).toBeUndefined()
    await pace.pass(20_000)
    await pace.pass(1_000_000_000)
    expect(waits).toEqual([41, 250])
  })
})
