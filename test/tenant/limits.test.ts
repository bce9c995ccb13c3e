/** What a tenant may take by the counters of one process: windows that slide, months, and what a refusal says. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { Account } from '../../src/tenant/limits/account.ts'
import { COST, Counts, monthsAround, REQUESTS } from '../../src/tenant/limits/counts.ts'
import { createLimiter } from '../../src/tenant/limits/limiter.ts'
import { COUNTED, Window } from '../../src/tenant/limits/window.ts'
import { limitsOf } from '../../src/tenant/limits.ts'
import { manualClock } from '../kit/clock.ts'
import { placementOf } from '../kit/placements.ts'
import { runRandom } from '../kit/random.ts'
import { ratedGateways } from '../kit/rated.ts'
import { mostInWindow, sumOf } from '../kit/sliding.ts'

const MINUTE = 60_000

describe('a window', () => {
  it('holds what was added in the slices that count, and knows when it gets room', () => {
    const steps = fc.array(
      fc.record({ by: fc.integer({ min: 0, max: 300 }), units: fc.integer({ min: 1, max: 9 }) }),
    )
    fc.assert(
      fc.property(steps, fc.integer({ min: 0, max: 40 }), (list, most) => {
        const window = new Window()
        const added: { slice: number; units: number }[] = []
        let slice = 0
        const sumAt = (at: number): number =>
          added.filter((one) => one.slice > at - COUNTED).reduce((sum, { units }) => sum + units, 0)
        for (const { by, units } of list) {
          slice += by
          window.move(slice)
          window.add(units)
          added.push({ slice, units })
          expect(window.sum).toBe(sumAt(slice))
        }
        const when = window.whenAtMost(most)
        expect(sumAt(when)).toBeLessThanOrEqual(most)
        if (when > slice) expect(sumAt(when - 1)).toBeGreaterThan(most)
        const filled = [...window.filled()]
        expect(filled.reduce((sum, [, units]) => sum + units, 0)).toBe(window.sum)
        expect(window.oldest).toBe(filled[0]?.[0])
      }),
    )
  })
})

describe('a minute', () => {
  it('never holds more than the limit, wherever it begins, and nearly all of it is used', async () => {
    const [limit, minutes] = [600, 20]
    const rated = ratedGateways({ rates: { perMinute: [limit, -1] } })
    await rated.press({ perSecond: 100, seconds: minutes * 60, random: runRandom().fork('alone') })
    expect(mostInWindow(rated.log, MINUTE)).toBe(limit)
    expect(sumOf(rated.log) / (limit * minutes)).toBeGreaterThanOrEqual(0.98)
  })

  it('holds also for who sees what was accepted up to 300 ms later', async () => {
    const rated = ratedGateways({ rates: { perMinute: [600, -1] } })
    rated.advance(299)
    for (let i = 0; i < 300; i++) await rated.take(0)
    rated.advance(1)
    for (let i = 0; i < 300; i++) await rated.take(0)
    while (rated.now < 2 * MINUTE) {
      rated.advance(50)
      await rated.take(0)
    }
    const seen = rated.log.map(({ at, units }) => ({ at: at < MINUTE ? at + 300 : at, units }))
    expect(mostInWindow(seen, MINUTE)).toBe(600)
  })

  it('says when there is room again, and keeps its word', async () => {
    const rated = ratedGateways({ rates: { perMinute: [10, -1] } })
    for (let i = 0; i < 10; i++) await rated.take(0)
    rated.advance(20_000)
    const refused = await rated.take(0)
    expect(refused).toEqual({ ok: false, reason: 'requests', asked: 1, limit: 10, left: 0, retryS: 41 })
    expect(rated.accounts[0]!.left(REQUESTS)).toMatchObject({ minute: 0, resetS: 41 })
    rated.advance(41_000)
    expect(await rated.take(0)).toEqual({ ok: true })
  })

  it('weighs operations by their cost, and says of one that costs more than all that it never fits', async () => {
    const rated = ratedGateways({ rates: { perMinute: [-1, 100] } })
    expect(await rated.take(0, 60, COST)).toEqual({ ok: true })
    expect(await rated.take(0, 60, COST)).toMatchObject({ ok: false, reason: 'cost', asked: 60, left: 40 })
    expect(await rated.take(0, 40, COST)).toEqual({ ok: true })
    const never = await rated.take(0, 101, COST)
    expect(never).toMatchObject({ ok: false, asked: 101, limit: 100 })
    expect(never).not.toHaveProperty('retryS')
    expect(await rated.take(0, 1_000)).toEqual({ ok: true })
  })

  it('has another limit at once, and what was taken stays taken', async () => {
    const rated = ratedGateways({ rates: { perMinute: [10, -1] } })
    for (let i = 0; i < 10; i++) await rated.take(0)
    const account = rated.accounts[0]!
    account.adopt({ perMinute: [12, -1], perMonth: [-1, -1] })
    expect([await rated.take(0), await rated.take(0), (await rated.take(0)).ok]).toEqual([
      { ok: true },
      { ok: true },
      false,
    ])
    account.adopt({ perMinute: [5, -1], perMonth: [-1, -1] })
    expect(await rated.take(0)).toMatchObject({ ok: false, limit: 5, left: 0 })
  })
})

describe('a month', () => {
  it('is one of the calendar in UTC', async () => {
    const clock = manualClock(Date.UTC(2026, 11, 31, 23, 59))
    const account = new Account(
      tenantId('acme'),
      { perMinute: [-1, -1], perMonth: [3, -1] },
      { clock, gateways: () => 1 },
    )
    const take = async () => (await account.take(REQUESTS, 1)).ok
    expect([await take(), await take(), await take()]).toEqual([true, true, true])
    expect(await account.take(REQUESTS, 1)).toEqual({
      ok: false,
      reason: 'month',
      asked: 1,
      limit: 3,
      left: 0,
      retryS: 60,
    })
    clock.advance(60_000)
    expect(await take()).toBe(true)
    expect(monthsAround(Date.UTC(2026, 0, 31)).map((ms) => new Date(ms).toISOString().slice(0, 10))).toEqual([
      '2025-12-01',
      '2026-01-01',
      '2026-02-01',
      '2026-03-01',
    ])
  })

  it('begins with what the ledger has', async () => {
    const rated = ratedGateways({
      rates: { perMonth: [100, -1] },
      usedThisMonth: () => Promise.resolve([99, 0] as const),
    })
    await rated.accounts[0]!.learnMonth()
    expect([(await rated.take(0)).ok, (await rated.take(0)).ok]).toEqual([true, false])
  })

  it('forgets what was before it', () => {
    const [counts, clock] = [new Counts(), manualClock(Date.UTC(2026, 0, 31, 23, 59, 59))]
    counts.move(clock.elapsed(), clock)
    counts.take(COST, 5)
    clock.advance(1_000)
    counts.move(clock.elapsed(), clock)
    expect([counts.month(COST), counts.windows[COST].sum]).toEqual([0, 5])
  })
})

describe('limits of a tenant', () => {
  const plan = (limits: object) => ({ isolation: 'shared' as const, share: 1, limits })
  const plans = { standard: plan({ requestsPerMinute: 10, depth: 8 }), gold: plan({ requestsPerMinute: 99 }) }

  it('are those of its plan with its own over them, whatever somebody wrote into the directory', () => {
    expect(limitsOf(plans, placementOf('acme'))).toEqual({ requestsPerMinute: 10, depth: 8 })
    const own = { depth: 4, concurrency: 2, rows: -1, pageSize: 'many', more: 1 } as object
    expect(limitsOf(plans, placementOf('acme', { limits: own }))).toEqual({
      requestsPerMinute: 10,
      depth: 4,
      concurrency: 2,
    })
    expect(limitsOf(plans, placementOf('acme', { plan: 'none' }))).toEqual({})
  })

  it('are one object for as long as nothing changes', () => {
    const placement = placementOf('acme')
    const before = limitsOf(plans, placement)
    expect(limitsOf(plans, placement)).toBe(before)
    expect(limitsOf({ ...plans, standard: plan({ depth: 2 }) }, placement)).toEqual({ depth: 2 })
  })

  it('are counted for each tenant alone, and for none that has none', async () => {
    const limiter = createLimiter({ clock: manualClock() })
    const limits = { requestsPerMinute: 1, concurrency: 1 }
    const [acme, other] = ['acme', 'other'].map((id) => limiter.of(tenantId(id), limits))
    expect([(await acme!.account.take(REQUESTS, 1)).ok, (await acme!.account.take(REQUESTS, 1)).ok]).toEqual([
      true,
      false,
    ])
    expect((await other!.account.take(REQUESTS, 1)).ok).toBe(true)
    expect(limiter.of(tenantId('acme'), limits)).toBe(acme)
    expect(limiter.of(tenantId('third'), { depth: 5 })).toBeUndefined()
    limiter.end()
  })

  it('let so many in at once', () => {
    const limiter = createLimiter({ clock: manualClock() })
    const { turnstile } = limiter.of(tenantId('acme'), { concurrency: 1 })!
    expect(turnstile.enter(1).ok).toBe(true)
    expect(turnstile.enter(1)).toMatchObject({ ok: false, reason: 'concurrency', limit: 1, retryS: 1 })
    turnstile.leave()
    expect(turnstile.enter(1).ok).toBe(true)
    limiter.end()
  })
})
