/** The limits of a tenant over several gateways, with a Redis of the test's own that is lost, emptied and comes back. */

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { openRedis, type Redis } from '../../src/db/redis.ts'
import { COST, type Meter, REQUESTS } from '../../src/tenant/limits/counts.ts'
import { countGateways } from '../../src/tenant/limits/gateways.ts'
import { CALM_SLICES, COUNTED, SLICE_MS } from '../../src/tenant/limits/window.ts'
import { manualClock } from '../kit/clock.ts'
import { runRandom } from '../kit/random.ts'
import { RATED_START, type RatedOptions, ratedGateways } from '../kit/rated.ts'
import { startRedis } from '../kit/redis.ts'
import { mostInWindow, sumOf } from '../kit/sliding.ts'

const MINUTE = 60_000
const LIMIT = 600
const sum = (taken: readonly { units: number }[]): number => taken.reduce((all, { units }) => all + units, 0)

// Much is asked, one after the other, on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000 })
const server = await startRedis()
let redis: Redis
beforeAll(async () => {
  if (!server) return
  const { promise: isUp, resolve } = Promise.withResolvers<void>()
  const emit = ({ kind }: { kind: string }) => kind === 'redis.up' && resolve()
  // A test looks at what is decided, on a machine that may be busy: not at how soon.
  redis = openRedis({ url: server.url, prefix: 'limits', commandMs: 10_000, emit })
  await isUp
})
afterAll(async () => {
  redis?.end()
  await server?.remove()
})

const gateways = (options: Partial<RatedOptions> = {}) =>
  ratedGateways({ count: 4, rates: { perMinute: [LIMIT, -1] }, redis, ...options })

describe.skipIf(!server)('with Redis', () => {
  it('four gateways never let more pass in a minute than the limit, and let nearly all of it pass', async () => {
    const rated = gateways()
    await rated.press({ perSecond: 100, seconds: 125, random: runRandom().fork('shared') })
    expect(mostInWindow(rated.log, MINUTE)).toBeLessThanOrEqual(LIMIT)
    expect(sumOf(rated.log) / (LIMIT * 2)).toBeGreaterThanOrEqual(0.98)
    // Two questions a gateway and slice at the most, however many ask.
    expect(rated.questions).toBeLessThan((2 * 4 * 125) / 0.3)
  })

  it('asks once for all who wait', async () => {
    const rated = gateways()
    const verdicts = await Promise.all(Array.from({ length: LIMIT + 100 }, () => rated.take(0)))
    expect(verdicts.filter(({ ok }) => ok)).toHaveLength(LIMIT)
    expect(rated.questions).toBeLessThanOrEqual(3)
  })

  it('one gateway lets pass what fits, and refuses only what does not, or would not have a moment ago', async () => {
    const random = runRandom().fork('twins')
    const rates = { perMinute: [50, 400], perMonth: [900, 7_000] } as const
    const rated = ratedGateways({ rates, redis })
    const taken: { meter: Meter; units: number; at: number }[] = []
    const month = (at: number): number => new Date(RATED_START + at).getUTCMonth()
    let refusals = 0
    for (let i = 0; i < 1_500; i++) {
      // Now and then a pause longer than a window; sixteen days and more in all, so that the month ends too.
      rated.advance(random.chance(0.01) ? random.int(40 * 3_600_000) : random.int(1_500))
      const { now: at } = rated
      const meter = random.pick([REQUESTS, COST])
      const units = meter === COST ? 1 + random.int(random.chance(0.1) ? 420 : 40) : 1
      const sumWhere = (is: (at: number) => boolean): number =>
        sum(taken.filter((one) => one.meter === meter && is(one.at)))
      const inMonth = sumWhere((one) => month(one) === month(at))
      const [limit, quota] = [rates.perMinute[meter], rates.perMonth[meter]]
      const fitsAfter = (ms: number): boolean =>
        sumWhere((one) => one > at - ms) + units <= limit && inMonth + units <= quota
      const verdict = await rated.take(0, units, meter)
      const say = `step ${i}: ${JSON.stringify(verdict)}`
      if (verdict.ok) expect(fitsAfter(MINUTE), say).toBe(true)
      else expect(fitsAfter((COUNTED + CALM_SLICES) * SLICE_MS), say).toBe(false)
      if (verdict.ok) taken.push({ meter, units, at })
      else refusals++
      if (random.chance(0.01)) rated.accounts[0]!.rest()
    }
    expect(Math.min(taken.length, refusals)).toBeGreaterThan(200)
  })

  it('asks seldom for a tenant that is far from its limit', async () => {
    const rated = gateways({ rates: { perMinute: [100 * LIMIT, -1] } })
    await rated.press({ perSecond: 40, seconds: 60, random: runRandom().fork('calm') })
    expect(sumOf(rated.log)).toBeGreaterThan(2_000)
    // One a gateway and lease.
    expect(rated.questions).toBeLessThan((1.5 * 4 * 60) / 1.5)
  })

  it('what a gateway does not use of its lease, others may', async () => {
    const rated = gateways({ count: 2 })
    const random = runRandom().fork('unused')
    await rated.press({ perSecond: 9, seconds: 20, random, gateways: 1 })
    rated.advance(1_500)
    rated.accounts[0]!.rest()
    await rated.accounts[1]!.take(REQUESTS, 1)
    const left = LIMIT - sumOf(rated.log) - 1
    const verdicts = await Promise.all(Array.from({ length: left }, () => rated.take(1)))
    expect(verdicts.every(({ ok }) => ok)).toBe(true)
    expect((await rated.take(1)).ok).toBe(false)
  })

  it('an operation that does not fit takes nothing from those that do', async () => {
    const rated = gateways({ count: 2, rates: { perMinute: [-1, 100] } })
    expect((await rated.take(0, 60, COST)).ok).toBe(true)
    expect(await rated.take(1, 70, COST)).toMatchObject({ ok: false, reason: 'cost', left: 40 })
    expect(await rated.take(1, 101, COST)).toMatchObject({ ok: false, limit: 100 })
    expect((await rated.take(0, 40, COST)).ok).toBe(true)
  })

  it('F48: clocks of gateways that are wrong by seconds change nothing', async () => {
    const rated = gateways({ skews: [-5_000, 5_000, 0, 3_600_000] })
    await rated.press({ perSecond: 100, seconds: 65, random: runRandom().fork('skew') })
    expect(mostInWindow(rated.log, MINUTE)).toBeLessThanOrEqual(LIMIT)
    expect(sumOf(rated.log)).toBeGreaterThanOrEqual(0.98 * LIMIT)
  })

  it('F41: without Redis each has its share, and all together hardly more than the limit', async () => {
    const random = runRandom().fork('away')
    const rated = gateways()
    await rated.press({ perSecond: 100, seconds: 10, random })
    rated.isUp = false
    await rated.press({ perSecond: 100, seconds: 125, random })
    rated.isUp = true
    await rated.press({ perSecond: 100, seconds: 65, random })
    expect(mostInWindow(rated.log, MINUTE)).toBeLessThanOrEqual(1.25 * LIMIT)
    expect(sumOf(rated.log)).toBeGreaterThanOrEqual(0.9 * LIMIT * 3)
  })

  it('F42: a gateway that misses Redis now and then tells it soon what it has taken meanwhile', async () => {
    const random = runRandom().fork('glitches')
    const rated = gateways()
    for (let i = 0; i < 12; i++) {
      rated.cutOff.add(random.int(4))
      await rated.press({ perSecond: 100, seconds: 1, random })
      rated.cutOff.clear()
      await rated.press({ perSecond: 100, seconds: 5, random })
    }
    expect(mostInWindow(rated.log, MINUTE)).toBeLessThanOrEqual(1.1 * LIMIT)
    expect(sumOf(rated.log)).toBeGreaterThanOrEqual(0.9 * LIMIT)
  })

  it('F41: a gateway that had used most of the limit leaves nothing to the others when Redis goes', async () => {
    const rated = gateways()
    await rated.take(1)
    for (let i = 0; i < LIMIT - 10; i++) await rated.take(0)
    // As long as a lease lasts, a gateway knows no more than when it was granted.
    rated.advance(1_500)
    for (const one of [1, 2, 3]) await rated.take(one)
    rated.isUp = false
    for (let i = 0; i < 100; i++) for (const one of [0, 1, 2, 3]) await rated.take(one)
    expect(sumOf(rated.log)).toBeLessThanOrEqual(LIMIT)
  })

  it('F43: emptied counters are told what was accepted', async () => {
    const random = runRandom().fork('emptied')
    const rated = gateways()
    await rated.press({ perSecond: 100, seconds: 4, random })
    await server!.command('flushall')
    await rated.press({ perSecond: 100, seconds: 65, random })
    expect(mostInWindow(rated.log, MINUTE)).toBeLessThanOrEqual(1.05 * LIMIT)
  })

  it('F43: who falls silent before the counters are lost is heard before others are granted what looks free', async () => {
    const rated = gateways({ count: 2 })
    for (let i = 0; i < 140; i++) await rated.take(0)
    await rated.take(1)
    await server!.command('flushall')
    for (let ms = 0; ms < 10_000; ms += 50) {
      rated.advance(50)
      if (ms % 1_000 === 0) for (const account of rated.accounts) account.rest()
      for (let i = 0; i < 10; i++) await rated.take(1)
    }
    expect(sumOf(rated.log)).toBeGreaterThan(0.9 * LIMIT)
    expect(mostInWindow(rated.log, MINUTE)).toBeLessThanOrEqual(LIMIT)
  })

  it('F43: a month that is lost begins with what the ledger has', async () => {
    const rated = gateways({
      count: 2,
      rates: { perMonth: [100, -1] },
      usedThisMonth: () => Promise.resolve([60, 0] as const),
    })
    await rated.take(0)
    rated.advance(300)
    const verdicts = []
    for (let i = 0; i < 100; i++) {
      rated.advance(10)
      verdicts.push(await rated.take(i % 2))
    }
    expect(sumOf(rated.log)).toBe(40)
    expect(verdicts.at(-1)).toMatchObject({ ok: false, reason: 'month', limit: 100, left: 0 })
  })

  it('tells a month what was accepted without Redis', async () => {
    const rated = gateways({ count: 2, rates: { perMonth: [100, -1] } })
    for (let i = 0; i < 10; i++) await rated.take(0)
    rated.isUp = false
    for (let i = 0; i < 30; i++) await rated.take(0)
    rated.isUp = true
    rated.advance(400)
    await rated.take(0)
    rated.advance(3_500)
    await rated.take(0)
    for (let i = 0; i < 100; i++) await rated.take(1)
    expect(sumOf(rated.log)).toBe(100)
  })

  it('knows how many gateways there are, and forgets none of them because Redis does', async () => {
    const clock = manualClock()
    const [one, two] = ['one', 'two'].map((name) => countGateways(redis, name, clock))
    await one!.beat()
    await two!.beat()
    expect(two!.count).toBe(2)
    await server!.command('flushall')
    await two!.beat()
    expect(two!.count).toBe(2)
    await server!.command('flushall')
    clock.advance(61_000)
    await two!.beat()
    expect(two!.count).toBe(1)
    one!.end()
    two!.end()
  })
})
