/** How much of a lane one tenant may have: all that there is while it is alone, and a part beside others. */

import { expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { deadlineIn } from '../../src/base/time.ts'
import { Lanes, type Pass } from '../../src/shards/lanes.ts'
import { manualClock } from '../kit/clock.ts'

const SIZES = {
  readConnections: 3,
  readDepth: 16,
  slowConnections: 3,
  writeConnections: 8,
  overflowConnections: 4,
}
const of = (tenant: string) => ({ tenant: tenantId(tenant), isolation: 'shared', share: 1 })

/** Batches of the tenant that go at once, of `count`. The others wait, or are refused. */
function atOnce(lanes: Lanes, tenant: string, count: number): Pass[] {
  const passes: Pass[] = []
  for (let i = 0; i < count; i++) {
    const entered = lanes.enter(of(tenant), [], deadlineIn(1_000))
    if (entered instanceof Promise) entered.catch(() => {})
    else passes.push(entered)
  }
  return passes
}

it('a tenant alone has the whole of the quick lane, and the least setting has room for one', () => {
  const lanes = new Lanes(SIZES, manualClock())
  expect(atOnce(lanes, 'acme', 60)).toHaveLength(3 * 16)
  const least = new Lanes({ ...SIZES, readConnections: 1, readDepth: 1 }, manualClock())
  expect(atOnce(least, 'acme', 2)).toHaveLength(1)
})

it('beside others it has a third of what they have together, and the next finds room', () => {
  const lanes = new Lanes(SIZES, manualClock())
  atOnce(lanes, 'quiet', 1)[0]?.done(1, 1)
  const greedy = atOnce(lanes, 'greedy', 60)
  expect(greedy).toHaveLength(4)
  expect(atOnce(lanes, 'quiet', 60)).toHaveLength(4)
  expect(atOnce(lanes, 'third', 60)).toHaveLength(4)
  greedy[0]!.done(1, 1)
  expect(lanes.waiting).toBe(56 * 3 - 1)
})
