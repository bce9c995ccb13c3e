/** Buckets dealt again: each shard gets its share, with no change that could have been spared. */

import { describe, expect, it } from 'vitest'
import { type DealtBucket, dealAgain, sharesOf } from '../../../src/control/rebalance/deal.ts'
import { Room } from '../../../src/control/rebalance/room.ts'
import type { DesiredShard } from '../../../src/control/rebalance/types.ts'
import { dealBuckets } from '../../../src/directory/buckets.ts'
import { type Random, runRandom } from '../../kit/random.ts'
import { shard } from './random-fleet.ts'

const random = runRandom().fork('deal')

function bucketsOf(table: readonly string[], bytes: (no: number) => number = () => 0): DealtBucket[] {
  return table.map((key, no) => ({
    no,
    shard: key,
    tenants: bytes(no) > 0 ? 1 : 0,
    bytes: bytes(no),
    plans: new Set(bytes(no) > 0 ? ['standard'] : []),
  }))
}

function deal(
  table: readonly string[],
  shards: readonly DesiredShard[],
  { assign = new Map(), bytes }: { assign?: Map<number, string>; bytes?: (no: number) => number } = {},
) {
  const buckets = bucketsOf(table, bytes)
  const tenants = buckets.filter((one) => one.tenants > 0)
  const dealt = dealAgain(buckets, { shards, assign, strategy: 'modulo' }, new Room(shards, tenants))
  return { ...dealt, changed: table.filter((key, no) => dealt.table[no] !== key).length }
}

const count = (table: readonly string[], key: string): number => table.filter((one) => one === key).length
const abc = ['shard-a', 'shard-b', 'shard-c'].map((key) => shard(key))

describe('dealing again', () => {
  it('changes nothing where the weights are those that were dealt by', () => {
    for (const buckets of [1, 2, 64, 255, 256]) {
      const shards = ['a', 'b', 'c', 'd'].map((key, i) => shard(key, { weight: i + 0.5 }))
      expect(deal(dealBuckets(buckets, shards), shards).changed).toBe(0)
    }
  })

  it('takes from three shards just what a fourth one gets', () => {
    const { table, changed } = deal(dealBuckets(256, abc), [...abc, shard('shard-d')])
    expect(changed).toBe(64)
    expect(['shard-a', 'shard-b', 'shard-c', 'shard-d'].map((key) => count(table, key))).toEqual([
      64, 64, 64, 64,
    ])
  })

  it('gives a new shard as much of the bytes as of the buckets, and not the empty ones alone', () => {
    const bytes = (no: number): number => (no % 4 === 0 ? 1_000_000 * (1 + (no % 16)) : 0)
    const before = dealBuckets(256, abc)
    const { table } = deal(before, [...abc, shard('shard-d')], { bytes })
    const all = before.reduce((sum, _, no) => sum + bytes(no), 0)
    const given = table.reduce((sum, key, no) => sum + (key === 'shard-d' ? bytes(no) : 0), 0)
    expect(given / all).toBeGreaterThan(0.2)
    expect(given / all).toBeLessThanOrEqual(0.26)
  })

  it('empties a shard that is drained, and touches no other bucket', () => {
    const before = dealBuckets(64, abc)
    const { table, changed } = deal(before, [abc[0]!, abc[1]!, shard('shard-c', { drain: true })])
    expect(changed).toBe(count(before, 'shard-c'))
    expect(count(table, 'shard-c')).toBe(0)
    expect(Math.abs(count(table, 'shard-a') - count(table, 'shard-b'))).toBeLessThanOrEqual(1)
  })

  it('puts assigned buckets where they are assigned, and shares out the rest', () => {
    const assign = new Map(Array.from({ length: 48 }, (_, no) => [no, 'shard-a'] as const))
    const { table } = deal(dealBuckets(64, abc), abc, { assign })
    expect(table.slice(0, 48).every((key) => key === 'shard-a')).toBe(true)
    expect([count(table, 'shard-a'), count(table, 'shard-b'), count(table, 'shard-c')]).toEqual([48, 8, 8])
  })

  it('leaves a bucket where it is when nobody has room for it, and says so', () => {
    const full = [
      shard('shard-a', { drain: true }),
      shard('shard-b', { capacity: { bytes: 150 } }),
      shard('shard-c', { capacity: { bytes: 0 } }),
    ]
    const { table, problems } = deal(['shard-a', 'shard-a', 'shard-b'], full, {
      bytes: (no) => (no < 2 ? 100 : 0),
    })
    expect(table.toSorted()).toEqual(['shard-a', 'shard-b', 'shard-b'])
    expect(problems).toEqual([expect.stringMatching(/^Bucket \d stays on shard-a: .* has room\.$/)])
  })

  it('holds of any weights: shares sum up, none is off by a bucket, no change could be spared', () => {
    for (let i = 0; i < 300; i++) check(random.fork(String(i)))
  })
})

function check(one: Random): void {
  const keys = Array.from({ length: 1 + one.int(6) }, (_, i) => `shard-${i}`)
  const buckets = one.pick([1, 3, 16, 100, 256])
  const weightsOf = () =>
    keys.map((key, i) => shard(key, { weight: i === 0 ? 1 : one.pick([0, 0.3, 1, 2, 7]) }))
  const before = dealBuckets(buckets, weightsOf())
  const shards = weightsOf()
  const { table, changed } = deal(before, shards)
  const total = shards.reduce((sum, { weight }) => sum + weight, 0)
  const current = new Map(keys.map((key) => [key, count(before, key)]))
  const shares = sharesOf(buckets, shards, new Map(), current)
  let least = 0
  for (const { key, weight } of shards) {
    const exact = (buckets * weight) / total
    expect(Math.abs(count(table, key) - exact)).toBeLessThan(1)
    expect(count(table, key)).toBe(shares.get(key) ?? 0)
    // Whatever is chosen between rounding down and up, so much has to leave at least.
    least += Math.max(0, current.get(key)! - Math.ceil(exact - 1e-9))
  }
  expect(changed).toBeGreaterThanOrEqual(least)
  expect(changed).toBe(fewest(shards, current, buckets))
}

/** The fewest changes of all ways to round the shares, by trying them all. */
function fewest(
  shards: readonly DesiredShard[],
  current: ReadonlyMap<string, number>,
  buckets: number,
): number {
  const total = shards.reduce((sum, { weight }) => sum + weight, 0)
  let best = Infinity
  for (let ways = 0; ways < 2 ** shards.length; ways++) {
    const shares = shards.map(({ weight }, i) => {
      const exact = (buckets * weight) / total
      return ways & (1 << i) ? Math.ceil(exact - 1e-9) : Math.floor(exact + 1e-9)
    })
    if (shares.reduce((sum, share) => sum + share, 0) !== buckets) continue
    const leaving = shards.reduce((sum, { key }, i) => sum + Math.max(0, current.get(key)! - shares[i]!), 0)
    best = Math.min(best, leaving)
  }
  return best
}
