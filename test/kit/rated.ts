/**
 * Gateways that take from the limits of one tenant, with all clocks in the test's hand.
 *
 *     const rated = ratedGateways({ count: 4, rates: { perMinute: [600, -1] }, redis })
 *     await rated.press({ perSecond: 100, seconds: 300, random })
 *     mostInWindow(rated.log, 60_000)
 */

import { tenantId } from '../../src/base/ids.ts'
import type { Clock } from '../../src/base/time.ts'
import type { Redis } from '../../src/db/redis.ts'
import { Account } from '../../src/tenant/limits/account.ts'
import { type Meter, type Pair, type Rates, REQUESTS, UNLIMITED } from '../../src/tenant/limits/counts.ts'
import { type SharedCounts, sharedCounts } from '../../src/tenant/limits/redis-counts.ts'
import type { Verdict } from '../../src/tenant/limits/verdict.ts'
import type { Random } from './random.ts'
import type { Accepted } from './sliding.ts'

/** 2026-11-15, in the middle of a month. */
export const RATED_START = Date.UTC(2026, 10, 15)

export interface RatedOptions {
  /** Default 1. */
  readonly count?: number
  readonly rates: Partial<Rates>
  /** Left out, each gateway counts alone. */
  readonly redis?: Pick<Redis, 'isUp' | 'script' | 'prefix'>
  readonly usedThisMonth?: () => Promise<Pair | undefined>
  /** Milliseconds by which the wall clocks of the gateways are wrong. */
  readonly skews?: readonly number[]
}

export interface RatedGateways {
  readonly accounts: readonly Account[]
  /** What was accepted, by the true time. */
  readonly log: readonly Accepted[]
  /** Milliseconds since the start. */
  readonly now: number
  /** Whether Redis can be reached. */
  isUp: boolean
  /** Gateways that cannot reach it. */
  readonly cutOff: Set<number>
  /** Questions that Redis was asked. */
  readonly questions: number
  advance(ms: number): void
  take(gateway: number, units?: number, meter?: Meter): Promise<Verdict>
  /** Ask again and again, each time at another gateway; now and then, timers run. */
  press(load: { perSecond: number; seconds: number; random: Random; gateways?: number }): Promise<void>
}

const none: Pair = [UNLIMITED, UNLIMITED]
let tenants = 0

export function ratedGateways(options: RatedOptions): RatedGateways {
  const { count = 1, rates, redis, usedThisMonth, skews = [] } = options
  let passed = 0
  let questions = 0
  let isUp = true
  const log: Accepted[] = []
  const flights = new Set<Promise<unknown>>()
  const cutOff = new Set<number>()
  const watched = (shared: SharedCounts, gateway: number): SharedCounts => ({
    get isUp() {
      return isUp && !cutOff.has(gateway) && shared.isUp
    },
    ask(tenant, question) {
      questions++
      const flight = this.isUp ? shared.ask(tenant, question) : Promise.resolve(undefined)
      flights.add(flight)
      void flight.then(() => flights.delete(flight))
      return flight
    },
  })
  const tenant = tenantId(`tenant-${process.pid}-${++tenants}`)
  const accounts = Array.from({ length: count }, (_, i) => {
    const clock: Clock = { elapsed: () => passed, now: () => RATED_START + passed + (skews[i] ?? 0) }
    const shared =
      redis && watched(sharedCounts({ redis, gateway: `gateway-${i}`, now: () => RATED_START + passed }), i)
    const house = { clock, shared, gateways: () => count, usedThisMonth }
    return new Account(tenant, { perMinute: none, perMonth: none, ...rates }, house)
  })

  async function take(gateway: number, units = 1, meter = REQUESTS): Promise<Verdict> {
    const verdict = await accounts[gateway]!.take(meter, units)
    if (verdict.ok) log.push({ at: passed, units })
    // Time stands still until Redis has answered, also where nobody waits for it.
    while (flights.size > 0) await Promise.all(flights)
    return verdict
  }

  return {
    accounts,
    log,
    get now() {
      return passed
    },
    get isUp() {
      return isUp
    },
    set isUp(is: boolean) {
      isUp = is
    },
    cutOff,
    get questions() {
      return questions
    },
    advance(ms) {
      passed += ms
    },
    take,
    async press({ perSecond, seconds, random, gateways = count }) {
      const end = passed + seconds * 1000
      for (let n = 0; passed < end; n++) {
        passed += Math.round((random.unit() * 2_000) / perSecond)
        await take(random.int(gateways))
        if (n % perSecond === 0) for (const account of accounts) account.rest()
      }
    },
  }
}
