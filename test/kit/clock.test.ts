/** The manual clock: it moves when told, and wall time alone can jump. */

import { expect, it } from 'vitest'
import { deadlineIn } from '../../src/base/time.ts'
import { manualClock } from './clock.ts'

it('stands still until it is advanced', () => {
  const clock = manualClock(1_000)
  expect([clock.now(), clock.elapsed()]).toEqual([1_000, 0])
  clock.advance(250)
  expect([clock.now(), clock.elapsed()]).toEqual([1_250, 250])
})

it('moves deadlines', () => {
  const clock = manualClock()
  const deadline = deadlineIn(100, clock)
  clock.advance(60)
  expect(deadline.remainingMs()).toBe(40)
  clock.advance(60)
  expect(deadline.remainingMs()).toBe(0)
})

it('jumps the wall clock back without making a deadline longer', () => {
  const clock = manualClock()
  const deadline = deadlineIn(100, clock)
  clock.jump(-3_600_000)
  expect(clock.now()).toBe(Date.UTC(2025, 11, 31, 23))
  expect(deadline.remainingMs()).toBe(100)
})

it('never runs backwards', () => {
  expect(() => manualClock().advance(-1)).toThrow(RangeError)
})
