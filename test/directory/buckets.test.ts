/** Buckets: the hash is for ever, and shards get their share. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { bucketOf, dealBuckets } from '../../src/directory/buckets.ts'

const counted = (dealt: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const shard of dealt) counts[shard] = (counts[shard] ?? 0) + 1
  return counts
}

describe('a bucket', () => {
  // Written down once. A change here sends living tenants to shards that do not hold them.
  it.each([
    ['acme', 256, 193],
    ['globex', 256, 228],
    ['initech', 256, 244],
    ['0', 256, 200],
    ['018f4e3a-7b1c-7def-8a90-1234567890ab', 65_536, 8165],
  ])('of %s among %d is %d, today and for ever', (id, count, bucket) => {
    expect(bucketOf(tenantId(id), count)).toBe(bucket)
  })

  it('is spread evenly: 20,000 tenants over 16 buckets stay within 10 % of the mean', () => {
    const counts = Array.from({ length: 16 }, () => 0)
    for (let i = 0; i < 20_000; i++) counts[bucketOf(tenantId(`tenant-${i}`), 16)]! += 1
    for (const count of counts) expect(Math.abs(count - 1_250)).toBeLessThan(125)
  })
})

describe('dealing buckets', () => {
  it('gives each shard its share of the weight, neighbours apart', () => {
    const dealt = dealBuckets(8, [
      { key: 'a', weight: 1 },
      { key: 'b', weight: 2 },
      { key: 'c', weight: 1 },
    ])
    expect(counted(dealt)).toEqual({ a: 2, b: 4, c: 2 })
    expect(dealt.slice(0, 4).sort()).toEqual(['a', 'b', 'b', 'c'])
  })

  it('gives nothing to a weight of 0, and refuses when nobody takes any', () => {
    const shards = [
      { key: 'a', weight: 0 },
      { key: 'b', weight: 0.5 },
    ]
    expect(counted(dealBuckets(256, shards))).toEqual({ b: 256 })
    expect(() => dealBuckets(256, [{ key: 'a', weight: 0 }])).toThrow(/weight above 0/)
  })

  it('stays within one bucket of the exact share, whatever the weights', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(weights, fc.integer({ min: 1, max: 512 }), (list, count) => {
        const shards = list.map((weight, i) => ({ key: `s${i}`, weight }))
        const total = list.reduce((sum, weight) => sum + weight, 0)
        const counts = counted(dealBuckets(count, shards))
        for (const { key, weight } of shards) {
          const exact = (count * weight) / total
          expect(Math.abs((counts[key] ?? 0) - exact)).toBeLessThanOrEqual(1)
        }
      }),
    )
  })
})
