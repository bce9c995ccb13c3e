/** Moves from beginning to end: every direction on both paths, the way back, the end of the window, and giving up. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { completeMove, rollbackMove } from '../../../src/control/move/run.ts'
import type { Path } from '../../../src/control/move/types.ts'
import type { Fleet } from '../../../src/control/reach.ts'
import { ISOLATIONS, type Isolation } from '../../../src/directory/types.ts'
import { fleetOfWorld, hashOf, moveTo, placementOf, remainsOf } from '../../kit/move-world.ts'
import { startWorld, type World, type WorldTenant } from '../../kit/shard-fixture.ts'

let world: World
const fleetFor = (path: Path): Fleet => fleetOfWorld(world, { stillMs: path === 'still' ? 10_000 : 1 })

beforeAll(async () => {
  world = await startWorld({ tenants: 12, shards: 2, rows: 12, isolations: ISOLATIONS })
}, 120_000)
afterAll(() => world?.stop())

const DIRECTIONS = ISOLATIONS.flatMap((from) => ISOLATIONS.map((to) => [from, to] as const))
const of = (isolation: Isolation): WorldTenant =>
  world.tenants.find((tenant) => tenant.shard === 'shard-a' && tenant.isolation === isolation)!

describe.each(['still', 'live'] as const)('on the %s path', (path) => {
  it.each(DIRECTIONS)('moves from %s to %s on another shard, and back', async (from, to) => {
    const fleet = fleetFor(path)
    const { id } = of(from)
    const before = { ...(await placementOf(fleet, id)), hash: await hashOf(fleet, id) }
    const moved = await moveTo(fleet, id, { shard: 'shard-b', isolation: to })
    expect(moved).toMatchObject({ state: 'settled', path, error: null })
    const there = await placementOf(fleet, id)
    expect(there).toMatchObject({ shard: 'shard-b', isolation: to, epoch: before.epoch + 1, state: 'active' })
    expect(await hashOf(fleet, id)).toBe(before.hash)
    const back = await rollbackMove(fleet, moved.id)
    expect(back.state).toBe(path === 'live' ? 'rolled-back' : 'settled')
    const here = await placementOf(fleet, id)
    expect(here).toMatchObject({ shard: 'shard-a', isolation: from, namespace: before.namespace })
    expect(here.epoch).toBeGreaterThan(there.epoch)
    expect(await hashOf(fleet, id)).toBe(before.hash)
    if (back.state === 'settled') await completeMove(fleet, back.id)
    expect(await remainsOf(world, fleet)).toEqual([])
  })
})
