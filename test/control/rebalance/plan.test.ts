/** Plans over plain data: what is wanted is planned, in an order that overfills nobody, and afterwards nothing is left. */

import { describe, expect, it } from 'vitest'
import { isAllowed } from '../../../src/control/rebalance/desired.ts'
import { isEmpty, type MovePlan, planFrom } from '../../../src/control/rebalance/document.ts'
import { makespan } from '../../../src/control/rebalance/order.ts'
import { type PlanOptions, planOf } from '../../../src/control/rebalance/plan.ts'
import { Room } from '../../../src/control/rebalance/room.ts'
import type { Actual, ActualTenant, Desired } from '../../../src/control/rebalance/types.ts'
import { bucketOf, dealBuckets } from '../../../src/directory/buckets.ts'
import { runRandom } from '../../kit/random.ts'
import { actual, desired, randomFleet, shard, tenant } from './random-fleet.ts'

const random = runRandom().fork('plan')
const pace = { atOnce: 2, perShard: 1, stillMs: 15 }
const plan = (wanted: Desired, there: Actual, options: PlanOptions = {}): MovePlan =>
  planOf(wanted, there, { ...options, pace, now: '2026-01-01T00:00:00.000Z' })

const abc = ['shard-a', 'shard-b', 'shard-c'].map((key) => shard(key))
const dealt = dealBuckets(64, abc)

/** A tenant that follows its bucket. */
function follower(id: string, more: Partial<ActualTenant> = {}): ActualTenant {
  const bucket = bucketOf(tenant(id).id, 64)
  return tenant(id, { bucket, shard: dealt[bucket]!, ...more })
}

const many = Array.from({ length: 60 }, (_, i) => follower(`t-${i}`, { bytes: 1_000 * (1 + (i % 7)) }))
const waysOf = ({ moves }: MovePlan): string[] =>
  moves.map(
    ({ tenant, from, to, reason }) => `${tenant}: ${from.shard} → ${to.shard} (${to.isolation}), ${reason}`,
  )

describe('a plan', () => {
  it('is empty where the file is what is there', () => {
    const found = plan(desired(abc), actual(dealt, many))
    expect([isEmpty(found), found.problems, found.advice]).toEqual([true, [], []])
  })

  it('moves to a fourth shard what its buckets hold, and says that gateways have to know it', () => {
    const found = plan(desired([...abc, shard('shard-d')]), actual(dealt, many))
    expect(found.totals.buckets).toBe(16)
    expect(found.moves.length).toBeGreaterThan(5)
    expect(found.moves.every(({ to, follows }) => to.shard === 'shard-d' && follows)).toBe(true)
    expect(found.advice).toEqual([expect.stringMatching(/^shard-d is not set up yet: run "shardgate setup"/)])
    expect(found.shards.at(-1)).toMatchObject({ shard: 'shard-d', after: { buckets: 16 } })
  })

  it('empties a drained shard, homes of their own too, each to a shard that may take it', () => {
    const own = tenant('own', { shard: 'shard-a', isolation: 'schema', isOwn: true, plan: 'business' })
    const shards = [shard('shard-a', { drain: true }), shard('shard-b', { isolations: ['shared'] }), abc[2]!]
    const found = plan(desired(shards), actual(dealt, [...many, own]))
    expect(found.shards[0]!.after).toMatchObject({ tenants: 0, buckets: 0 })
    expect(waysOf(found)).toContain('own: shard-a → shard-c (schema), drain')
    expect(found.moves.every(({ reason }) => reason === 'drain')).toBe(true)
  })

  it('refuses a file that lacks a shard with tenants, and says what to type', () => {
    expect(() => plan(desired(abc.slice(0, 2)), actual(dealt, many))).toThrow(
      /^shards\.shard-c: it holds \d+ tenants and 21 buckets, and the file lacks it\. Put it back as it was, with "drain": true/,
    )
  })

  it('puts and keeps pinned tenants, on another shard and in another isolation', () => {
    const [one, two] = [many.find((t) => t.shard === 'shard-a')!, many.find((t) => t.shard === 'shard-b')!]
    const pins = new Map([
      [one.id, { shard: 'shard-b', isolation: 'schema' as const }],
      [two.id, { shard: 'shard-b' }],
      ['nobody', { shard: 'shard-b' }],
    ])
    const found = plan(desired(abc, { pins }), actual(dealt, many))
    expect(waysOf(found)).toEqual([`${one.id}: shard-a → shard-b (schema), pin`])
    expect(found.advice).toEqual(['Pins of tenants that there are not: nobody.'])
    const drained = plan(
      desired([abc[0]!, abc[1]!, shard('shard-c', { drain: true })], { pins }),
      actual(dealt, many),
    )
    expect(drained.moves.find((move) => move.tenant === two.id)).toBeUndefined()
  })

  it('tells of isolation that a plan promises, and moves when asked; nobody loses what it has', () => {
    const people = [
      follower('rich', { plan: 'business' }),
      tenant('more', { isolation: 'database', isOwn: true, plan: 'business' }),
    ]
    const wanted = desired(abc, { plans: { business: { isolation: 'schema' } } })
    expect(plan(wanted, actual(dealt, people)).advice).toEqual([
      'Not as their plans promise: rich (schema). "shardgate plan --isolation" moves them, a pin of their isolation keeps them.',
    ])
    const found = plan(wanted, actual(dealt, people), { isolation: true })
    expect(waysOf(found)).toEqual([expect.stringMatching(/^rich: (shard-.) → \1 \(schema\), plan$/)])
  })

  it('does not move whom something holds, nor the bucket that it follows', () => {
    const held = many.map((one) => ({ ...one, held: 'its move 7 is copied' }))
    const found = plan(desired([...abc, shard('shard-d')]), actual(dealt, held))
    expect(found.moves).toEqual([])
    const taken = new Set(held.map(({ bucket }) => bucket))
    expect(found.buckets.filter(({ no }) => taken.has(no))).toEqual([])
  })

  it('numbers buckets again: twice as many move nobody, other numbers as few as can be', () => {
    const twice = plan(desired(abc, { buckets: 128 }), actual(dealt, many))
    expect([twice.bucketCount?.table.length, twice.moves.length]).toEqual([128, 0])
    expect(isEmpty(twice)).toBe(false)
    const other = plan(desired(abc, { buckets: 50 }), actual(dealt, many))
    expect(other.moves.length).toBeLessThan(many.length)
    for (const { tenant, to } of other.moves)
      expect(to.shard).toBe(other.bucketCount!.table[bucketOf(tenant, 50)])
  })

  it('lets those leave first that make room for others', () => {
    const people = [
      tenant('small', { shard: 'shard-b', isOwn: true, bytes: 10 }),
      tenant('large', { shard: 'shard-a', isOwn: true, bytes: 90 }),
    ]
    const pins = new Map([
      ['small', { shard: 'shard-c' }],
      ['large', { shard: 'shard-b' }],
    ])
    const shards = [abc[0]!, shard('shard-b', { capacity: { tenants: 1 } }), abc[2]!]
    expect(plan(desired(shards, { pins }), actual(dealt, people)).moves.map((move) => move.tenant)).toEqual([
      'small',
      'large',
    ])
  })

  it('reckons the time by what may run at once', () => {
    const ways = [
      { from: 'a', to: 'd', ms: 10 },
      { from: 'b', to: 'd', ms: 10 },
      { from: 'b', to: 'c', ms: 10 },
    ]
    expect(makespan(ways, { atOnce: 2, perShard: 1 })).toBe(20)
    expect(makespan(ways, { atOnce: 2, perShard: 2 })).toBe(20)
    expect(makespan(ways, { atOnce: 3, perShard: 2 })).toBe(10)
    expect(makespan([], { atOnce: 3, perShard: 2 })).toBe(0)
  })
})

describe('the document', () => {
  const found = plan(desired([...abc, shard('shard-d')]), actual(dealt, many))

  it('is the same when it is read again, and no other', () => {
    const text = JSON.stringify(found)
    expect(planFrom(text, 'plan.json')).toEqual(found)
    const edits: [RegExp, string][] = [
      [/"shard-d"/, '"shard-a"'],
      [/"epoch":1/, '"epoch":2'],
      [/"format":1/, '"format":2'],
      [/"reason":"bucket"/, '"reason":"whim"'],
      [/^\{/, '{"more":1,'],
      [/^/, 'no '],
    ]
    for (const [from, to] of edits) {
      expect(text.replace(from, to)).not.toBe(text)
      expect(() => planFrom(text.replace(from, to), 'plan.json')).toThrow(
        /^plan\.json (is no plan of moves|was changed)/,
      )
    }
  })
})

describe('any plan', () => {
  it('keeps the rules at every moment, and leaves nothing to plan', () => {
    const found = Array.from({ length: 400 }, (_, i) => check(i))
    expect(found.reduce((sum, { moves }) => sum + moves.length, 0)).toBeGreaterThan(1_000)
    expect(
      found.filter(({ moves, problems }) => moves.length > 0 && problems.length === 0).length,
    ).toBeGreaterThan(50)
  })
})

function check(i: number): MovePlan {
  const { desired: wanted, actual: there } = randomFleet(random.fork(String(i)))
  const found = plan(wanted, there, random.fork(`${i} balance`).chance(0.3) ? { balance: 'size' } : {})
  const room = new Room(wanted.shards, there.tenants)
  const people = new Map(there.tenants.map((one) => [one.id, one]))
  expect(new Set(found.moves.map((move) => move.tenant)).size).toBe(found.moves.length)
  for (const { tenant, from, to, epoch } of found.moves) {
    const one = people.get(tenant)!
    const target = wanted.shards.find(({ key }) => key === to.shard)!
    expect({ shard: one.shard, isolation: one.isolation, epoch: one.epoch }).toEqual({ ...from, epoch })
    expect(to).not.toEqual(from)
    expect([one.held, target.drain, isAllowed(target, one.plan, to.isolation)]).toEqual([null, false, true])
    if (to.shard === from.shard) continue
    expect(room.fits(to.shard, { tenants: 1, bytes: one.bytes })).toBe(true)
    room.move(from.shard, to.shard, { tenants: 1, bytes: one.bytes })
  }
  for (const { shard: key, after } of found.shards) {
    expect(room.holds(key)).toEqual({ tenants: after.tenants, bytes: after.bytes })
  }
  if (found.problems.length === 0) {
    const again = plan(wanted, applied(there, found))
    expect([waysOf(again), again.buckets, again.problems], `seed ${random.seed}, fleet ${i}`).toEqual([
      [],
      [],
      [],
    ])
  }
  return found
}

/** What the directory has when a plan is done. */
function applied(there: Actual, { moves, buckets: changes, bucketCount }: MovePlan): Actual {
  const buckets = [...(bucketCount?.table ?? there.buckets)]
  for (const { no, to } of changes) buckets[no] = to
  const went = new Map(moves.map((move) => [move.tenant, move]))
  const tenants = there.tenants.map((one): ActualTenant => {
    const move = went.get(one.id)
    const bucket = bucketCount ? bucketOf(one.id, bucketCount.to) : one.bucket
    const { shard, isolation } = move?.to ?? one
    const isEqual = buckets[bucket] === shard && isolation === 'shared'
    return { ...one, bucket, shard, isolation, isOwn: !(isEqual && (move ? move.follows : !one.isOwn)) }
  })
  return { ...there, buckets, tenants }
}
