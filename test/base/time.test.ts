/** Waiting within bounds. */

import { expect, it } from 'vitest'
import { atMost } from '../../src/base/time.ts'

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

it.each([
  ['succeeded', () => Promise.resolve()],
  ['failed', () => Promise.reject(new Error('of no matter'))],
])('work that has %s is waited for no longer, and no timer is left', async (_, work) => {
  const before = timers()
  await atMost(600_000, work())
  expect(timers()).toBe(before)
})

it('work that does not end is waited for as long as was said', async () => {
  await atMost(1, new Promise(() => {}))
})
