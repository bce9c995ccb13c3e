/** The balancer: each of its moves makes the fleet more even, within the rules, and it stops. */

import { describe, expect, it } from 'vitest'
import { balance, type Placed, spreadOf } from '../../../src/control/rebalance/balance.ts'
import { costsOf, type Measure } from '../../../src/control/rebalance/costs.ts'
import { isAllowed, takesTenants } from '../../../src/control/rebalance/desired.ts'
import { Room } from '../../../src/control/rebalance/room.ts'
import type { DesiredShard } from '../../../src/control/rebalance/types.ts'
import { runRandom } from '../../kit/random.ts'
import { actual, randomFleet, shard, tenant } from './random-fleet.ts'

const random = runRandom().fork('balance')

function placed(id: string, at: string, cost: number, more: Partial<Placed> = {}): Placed {
  const one = tenant(id, { shard: at, bytes: cost, isOwn: true })
  return { tenant: one, at: one, isFree: true, cost, ...more }
}

const roomOf = (shards: readonly DesiredShard[], all: readonly Placed[]): Room =>
  new Room(
    shards,
    all.map(({ tenant, at }) => ({ shard: at.shard, bytes: tenant.bytes })),
  )

const run = (shards: readonly DesiredShard[], all: readonly Placed[], until = 0.1) =>
  balance(shards, all, roomOf(shards, all), until)

const ab = [shard('shard-a'), shard('shard-b')]

describe('the cost of a tenant', () => {
  const tenants = [tenant('idle', { bytes: 3_000 }), tenant('busy', { bytes: 1_000 })]
  const fleet = { ...actual(['shard-a'], tenants), databaseMs: new Map([['shard-a', 400]]) }
  const costs = (measure: Measure, loads: [string, number][]) => {
    const { of, unit } = costsOf(measure, { ...fleet, loads: new Map(loads) })
    return [unit, ...tenants.map(of)]
  }

  it('is its own database time where that is metered, and its part of the shard by size where it is not', () => {
    expect(costs('load', [['busy', 900]])).toEqual(['ms of database time in 7 days', 0, 900])
    expect(costs('load', [])).toEqual(['ms of database time, by size', 300, 100])
    expect(costs('load', [['purged', 5]])).toEqual(['ms of database time, by size', 300, 100])
    expect(costs('size', [['busy', 900]])).toEqual(['bytes', 3_000, 1_000])
  })
})

describe('the balancer', () => {
  it('moves the largest tenant that is no more than half of the difference', () => {
    const all = [placed('big', 'shard-a', 80), placed('mid', 'shard-a', 40), placed('low', 'shard-a', 10)]
    const { wishes, after } = run(ab, all)
    expect(wishes.map((wish) => wish.tenant.id)).toEqual(['mid', 'low'])
    expect(after).toBeCloseTo((80 - 50) / 65)
  })

  it('leaves a lone large tenant where it is: to move it would only move the problem', () => {
    expect(run(ab, [placed('big', 'shard-a', 100)]).wishes).toEqual([])
  })

  it('stops at the threshold', () => {
    const all = Array.from({ length: 100 }, (_, i) => placed(`t-${i}`, i < 54 ? 'shard-a' : 'shard-b', 1))
    expect(run(ab, all, 0.2).wishes).toHaveLength(0)
    expect(run(ab, all, 0.1).wishes).toHaveLength(2)
  })

  it('counts by weight', () => {
    const all = Array.from({ length: 30 }, (_, i) => placed(`t-${i}`, 'shard-a', 1))
    const { wishes } = run([shard('shard-a'), shard('shard-b', { weight: 2 })], all, 0.01)
    expect(wishes).toHaveLength(20)
  })

  it('leaves pinned tenants, and keeps rules and capacity', () => {
    const all = [
      placed('pinned', 'shard-a', 10, { isFree: false }),
      placed('other', 'shard-a', 10),
      placed('third', 'shard-a', 10),
      placed('fourth', 'shard-a', 10),
    ]
    expect(run(ab, all).wishes.map((wish) => wish.tenant.id)).toEqual(['fourth', 'other'])
    expect(run([ab[0]!, shard('shard-b', { plans: ['business'] })], all).wishes).toEqual([])
    expect(run([ab[0]!, shard('shard-b', { capacity: { bytes: 15 } })], all).wishes).toHaveLength(1)
    expect(run([ab[0]!, shard('shard-b', { drain: true })], all).wishes).toEqual([])
  })

  it('makes any fleet more even with every single move, so that a run cut off anywhere is no worse', () => {
    let moves = 0
    for (let i = 0; i < 300; i++) moves += check(random.fork(String(i)).fork('fleet'))
    expect(moves).toBeGreaterThan(300)
  })
})

function check(one: ReturnType<typeof random.fork>): number {
  const { desired, actual } = randomFleet(one)
  const all = actual.tenants.map((tenant): Placed => {
    return { tenant, at: tenant, isFree: tenant.held === null, cost: tenant.bytes }
  })
  const { wishes, before, after } = run(desired.shards, all)
  const takers = desired.shards.filter(takesTenants)
  const loads = new Map(takers.map(({ key }) => [key, 0]))
  const room = roomOf(desired.shards, all)
  for (const { at, cost } of all) if (loads.has(at.shard)) loads.set(at.shard, loads.get(at.shard)! + cost)
  const relative = (): number[] => takers.map(({ key, weight }) => loads.get(key)! / weight)
  const variance = (): number => {
    const weights = takers.reduce((sum, { weight }) => sum + weight, 0)
    const mean = [...loads.values()].reduce((sum, load) => sum + load, 0) / weights
    return relative().reduce((sum, load, i) => sum + takers[i]!.weight * (load - mean) ** 2, 0)
  }
  expect(spreadOf(relative(), takers)).toBe(before)
  const seen = new Set<string>()
  for (const { tenant, to } of wishes) {
    const [spread, uneven] = [spreadOf(relative(), takers), variance()]
    const target = takers.find(({ key }) => key === to.shard)!
    expect(spread).toBeGreaterThan(0.1)
    expect(seen.has(tenant.id) || tenant.held !== null).toBe(false)
    expect(isAllowed(target, tenant.plan, tenant.isolation)).toBe(true)
    expect(room.fits(to.shard, { tenants: 1, bytes: tenant.bytes })).toBe(true)
    seen.add(tenant.id)
    room.move(tenant.shard, to.shard, { tenants: 1, bytes: tenant.bytes })
    loads.set(tenant.shard, loads.get(tenant.shard)! - tenant.bytes)
    loads.set(to.shard, loads.get(to.shard)! + tenant.bytes)
    expect(variance()).toBeLessThan(uneven)
    expect(spreadOf(relative(), takers)).toBeLessThanOrEqual(spread * (1 + 1e-9))
  }
  expect(spreadOf(relative(), takers)).toBeCloseTo(after)
  return wishes.length
}
