/** The seeded stream: the same again from the same seed, and fair enough to test with. */

import { describe, expect, it } from 'vitest'
import { runRandom, seededRandom } from './random.ts'

describe('seededRandom', () => {
  it('gives the same stream for the same seed, another for another', () => {
    const draw = (seed: number) => {
      const random = seededRandom(seed)
      return [random.int(1e9), random.text(20), random.bytes(8).toString('hex'), random.shuffle([1, 2, 3, 4])]
    }
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
  })

  it('never changes its values: a printed seed must mean the same next year', () => {
    const random = seededRandom('fixed')
    expect([random.int(1000), random.int(1000), random.int(1000)]).toEqual([890, 247, 133])
  })

  it('forks streams that do not depend on how far the parent is', () => {
    const early = seededRandom(7)
    const late = seededRandom(7)
    for (let i = 0; i < 10; i++) late.unit()
    expect(early.fork('client 1').int(1e9)).toBe(late.fork('client 1').int(1e9))
    expect(early.fork('client 1').int(1e9)).not.toBe(early.fork('client 2').int(1e9))
  })

  it('draws each of ten values about equally often', () => {
    const random = seededRandom(7)
    const seen = new Array<number>(10).fill(0)
    for (let i = 0; i < 10_000; i++) seen[random.int(10)]!++
    for (const count of seen) expect(count).toBeGreaterThan(800)
    for (const count of seen) expect(count).toBeLessThan(1200)
  })

  it('keeps every item when it shuffles, and leaves the list alone', () => {
    const list = Object.freeze([1, 2, 3, 4, 5, 6])
    expect(seededRandom(7).shuffle(list).sort()).toEqual([...list])
  })

  it('refuses to pick from nothing', () => {
    expect(() => seededRandom(7).pick([])).toThrow(RangeError)
  })
})

describe('runRandom', () => {
  it('is one stream for the whole run', () => {
    expect(runRandom()).toBe(runRandom())
    if (process.env.SEED) expect(runRandom().seed).toBe(process.env.SEED)
  })
})
