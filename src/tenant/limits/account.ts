/**
 * What one tenant takes at this gateway: from a lease of the shared counters, or by those of this process.
 *
 *     take ─▶ a lease that holds ───────▶ a decrement                       the hot path, no wait
 *         └─▶ a window that is full ────▶ refused, until the slice ends
 *         └─▶ no lease ─────────────────▶ in line, and one question for all who stand there
 *         └─▶ Redis away ───────────────▶ this gateway's share of the limit
 *
 * The counters of this process know what it has accepted, whoever granted it: so its share goes on where leases end.
 * When Redis is back, or has lost its counters, it is told what was accepted without it; for three seconds after that
 * the gateway keeps to its share, so that the others have told theirs before anybody is granted what only looks free.
 */

import type { TenantId } from '../../base/ids.ts'
import { Counts, METERS, type Meter, type Pair, pair, type Rates, UNLIMITED } from './counts.ts'
import type { House } from './house.ts'
import { type Lease, leaseOf, NO_LEASE } from './lease.ts'
import type { Answer, Question } from './redis-counts.ts'
import { Share } from './share.ts'
import { Untold } from './untold.ts'
import {
  GRANTED,
  type Granted,
  type Left,
  type Refused,
  refused,
  secondsOf,
  type Verdict,
} from './verdict.ts'
import { CALM_SLICES, msUntilGone, SLICE_MS, sliceOf } from './window.ts'

/**
 * Milliseconds with the share alone, once this gateway has told what it has accepted: another one may have a lease that
 * lasts for 1.5 s, and notice up to a second after its end (`rest`).
 */
const SETTLE_MS = (CALM_SLICES + 1) * SLICE_MS + 1_500

interface Waiting {
  readonly meter: Meter
  readonly units: number
  readonly resolve: (verdict: Verdict) => void
}

export class Account {
  readonly #tenant: TenantId
  readonly #house: House
  readonly #own = new Counts()
  readonly #share: Share
  readonly #untold = new Untold()
  #rates: Rates
  #lease: Lease = NO_LEASE
  /** The life of the shared counters that this gateway knows. */
  #born = ''
  /** Units are taken that Redis does not know of. */
  #isAway = false
  /** Until when nothing is taken from Redis, though it is there. */
  #aloneUntil = 0
  /** From when on it may be told what is taken meanwhile. */
  #tellAt = 0
  #waiting: Waiting[] = []
  #isAsking = false
  #seed: Pair | undefined
  #usedAt = 0

  constructor(tenant: TenantId, rates: Rates, house: House) {
    this.#tenant = tenant
    this.#rates = rates
    this.#house = house
    this.#share = new Share(house.gateways)
  }

  /** Other limits from now on. What was taken stays taken. */
  adopt(rates: Rates): void {
    this.#rates = rates
    this.#endLease()
  }

  /** Take `units`, or be told why not. A promise only where Redis has to be asked. */
  take(meter: Meter, units: number): Verdict | Promise<Verdict> {
    const { perMinute, perMonth } = this.#rates
    const [ofMinute, ofMonth] = [perMinute[meter], perMonth[meter]]
    if ((ofMinute === UNLIMITED && ofMonth === UNLIMITED) || units <= 0) return GRANTED
    const now = this.#house.clock.elapsed()
    this.#usedAt = now
    const { units: leased, room, endsAt, freshUntil } = this.#lease
    if (now < endsAt && leased[meter] >= units) return this.#spend(meter, units, now)
    if (now < freshUntil && leased[meter] + room[meter] < units) return this.#refuse(meter, units, now)
    // Nobody is to ask for what he will never get: it would take from others what is left.
    if (units > ofMinute && ofMinute !== UNLIMITED) return this.#refuse(meter, units, now)
    if (this.#isAlone(now)) return this.#takeAlone(meter, units, now)
    return new Promise((resolve) => {
      this.#waiting.push({ meter, units, resolve })
      if (!this.#isAsking) void this.#ask()
    })
  }

  left(meter: Meter): Left {
    const { clock } = this.#house
    const now = clock.elapsed()
    this.#own.move(now, clock)
    const { oldest } = this.#own.windows[meter]
    // Units may count to the end of their lease.
    const lateMs = this.#house.shared ? CALM_SLICES * SLICE_MS : 0
    return {
      minute: this.#leftOfMinute(meter, now),
      month: this.#leftOfMonth(meter),
      resetS: oldest === undefined ? 0 : secondsOf(msUntilGone(oldest, now) + lateMs),
      monthS: this.#rates.perMonth[meter] === UNLIMITED ? 0 : secondsOf(this.#own.monthEnds - clock.now()),
    }
  }

  /** For a timer: give back what is left of a lease that has ended, and tell what is untold. */
  rest(): void {
    const now = this.#house.clock.elapsed()
    const isBusy = this.#isAsking || now < this.#lease.endsAt || now < this.#tellAt
    if (isBusy || !this.#house.shared?.isUp) return
    const [requests, cost] = this.#lease.units
    if (requests + cost > 0 || !this.#untold.isEmpty) void this.#ask()
  }

  /** Read in the ledger what was used this month: where nobody else adds up what several gateways have accepted. */
  async learnMonth(): Promise<void> {
    const { clock, usedThisMonth } = this.#house
    const used = await usedThisMonth?.(this.#tenant)
    if (!used) return
    this.#own.move(clock.elapsed(), clock)
    for (const meter of METERS) this.#own.learnMonth(meter, Math.max(this.#own.month(meter), used[meter]))
  }

  /** Whether nothing that was taken counts any more, but for the month. */
  isIdle(now: number): boolean {
    return now - this.#usedAt > 2 * msUntilGone(0, 0)
  }

  /** What is left of it goes back with the next question. */
  #endLease(): void {
    this.#lease = { ...this.#lease, endsAt: 0, freshUntil: 0 }
  }

  #spend(meter: Meter, units: number, now: number): Granted {
    this.#lease.units[meter] -= units
    this.#own.windows[meter].move(sliceOf(now))
    this.#own.windows[meter].add(units)
    return GRANTED
  }

  /** Whether Redis is not to be waited for. Once a slice it is told, if it can be, what is taken without it. */
  #isAlone(now: number): boolean {
    const { shared } = this.#house
    if (!shared) return true
    if (!shared.isUp) this.#isAway = true
    const isAlone = this.#isAway || now < this.#aloneUntil
    if (isAlone && shared.isUp && now >= this.#tellAt && !this.#isAsking) void this.#ask()
    return isAlone
  }

  #takeAlone(meter: Meter, units: number, now: number): Verdict {
    this.#own.move(now, this.#house.clock)
    if (this.#leftOfMinute(meter, now) < units || this.#leftOfMonth(meter) < units) {
      return this.#refuse(meter, units, now)
    }
    this.#own.take(meter, units)
    if (this.#house.shared) this.#untold.add(meter, units, sliceOf(now))
    return GRANTED
  }

  /** The most that this gateway may have in a window; undefined where Redis says what is left. */
  #mostAlone(meter: Meter, now: number): number | undefined {
    const limit = this.#rates.perMinute[meter]
    if (!this.#house.shared) return limit
    const isAlone = this.#isAway || now < this.#aloneUntil
    return isAlone ? this.#share.of(meter, limit, sliceOf(now)) : undefined
  }

  #leftOfMinute(meter: Meter, now: number): number {
    if (this.#rates.perMinute[meter] === UNLIMITED) return Number.POSITIVE_INFINITY
    const most = this.#mostAlone(meter, now)
    if (most !== undefined) return Math.max(0, most - this.#own.windows[meter].sum)
    return this.#lease.left[meter] + this.#lease.units[meter]
  }

  #leftOfMonth(meter: Meter): number {
    const quota = this.#rates.perMonth[meter]
    if (quota === UNLIMITED) return Number.POSITIVE_INFINITY
    return Math.max(0, quota - this.#own.month(meter) + this.#lease.units[meter])
  }

  #refuse(meter: Meter, units: number, now: number): Refused {
    const { perMinute, perMonth } = this.#rates
    const left = this.#leftOfMonth(meter)
    if (left < units) {
      const inMs = this.#own.monthEnds - this.#house.clock.now()
      return refused({ reason: 'month', asked: units, limit: perMonth[meter], left, inMs })
    }
    const limit = perMinute[meter]
    const most = this.#mostAlone(meter, now)
    const inMs =
      most === undefined
        ? Math.max(this.#lease.retryAt[meter], this.#lease.freshUntil) - now
        : this.#own.msUntilFits(meter, units, most, now)
    return refused({ reason: meter, asked: units, limit, left: this.#leftOfMinute(meter, now), inMs })
  }

  /** One question for all who are in line, and further ones for those who have come since. */
  async #ask(): Promise<void> {
    const { clock, shared } = this.#house
    this.#isAsking = true
    let hasTold = false
    let isUntold = false
    do {
      const [count, sentAt, rates] = [this.#waiting.length, clock.elapsed(), this.#rates]
      const question = this.#question(sentAt)
      const answer = await shared?.ask(this.#tenant, question)
      if (answer && !answer.isLost) this.#hear(answer, sentAt)
      else this.#miss(question, sentAt, answer)
      if (this.#rates !== rates) this.#endLease() // It was granted by limits that are no more.
      this.#serve(count)
      // Of counters that are lost, the others must hear at once what was accepted here.
      isUntold = answer?.isLost === true && !hasTold
      hasTold ||= isUntold
    } while (this.#waiting.length > 0 || isUntold)
    this.#isAsking = false
  }

  #question(now: number): Question {
    this.#own.move(now, this.#house.clock)
    const asked = (meter: Meter): number[] =>
      this.#waiting.filter((one) => one.meter === meter).map(({ units }) => units)
    // A gateway that was away only tells: what it takes until others have told, is of its share.
    const isTelling = this.#isAway || now < this.#aloneUntil
    const need = (meter: Meter): number =>
      isTelling ? 0 : asked(meter).reduce((sum, units) => sum + units, 0)
    const { units: unused, slice: unusedIn, left } = this.#lease
    this.#lease = { ...NO_LEASE, left }
    this.#tellAt = now + SLICE_MS
    return {
      ...this.#rates,
      born: this.#born,
      need: pair(need),
      want: pair((meter) => (isTelling ? 0 : need(meter) + this.#own.windows[meter].recent)),
      least: pair((meter) => {
        const units = asked(meter)
        return units.length > 0 ? Math.min(...units) : 1
      }),
      unused,
      unusedIn,
      ...this.#untold.take(now),
      seed: this.#seed,
    }
  }

  #hear(answer: Answer, sentAt: number): void {
    const { clock } = this.#house
    const now = clock.elapsed()
    this.#own.move(now, clock)
    if (this.#isAway) {
      this.#isAway = false
      this.#aloneUntil = now + SETTLE_MS
    }
    this.#born = answer.born
    this.#seed = undefined
    for (const meter of METERS) this.#own.learnMonth(meter, answer.month[meter])
    this.#share.learn(this.#own.windows, answer.left, answer.granted, sliceOf(now))
    this.#lease = leaseOf(answer, this.#rates, sentAt)
    if (answer.isUnseeded) void this.#findSeed()
  }

  /** Redis has not answered, or has lost the counters. What was told is told again; what was given back is lost. */
  #miss(question: Question, sentAt: number, answer: Answer | undefined): void {
    const now = this.#house.clock.elapsed()
    this.#untold.takeBack(question, sentAt, now)
    this.#isAway = true
    if (!answer) return
    this.#born = answer.born
    this.#tellAt = now
    this.#untold.addLost(this.#own.windows, sliceOf(now))
  }

  /** @param count  who have waited for the answer; those who have come since may need another one */
  #serve(count: number): void {
    const now = this.#house.clock.elapsed()
    const waiting = this.#waiting
    this.#waiting = []
    waiting.forEach((one, place) => {
      const { meter, units, resolve } = one
      if (this.#isAlone(now)) resolve(this.#takeAlone(meter, units, now))
      else if (this.#lease.units[meter] >= units) resolve(this.#spend(meter, units, now))
      else if (place < count) resolve(this.#refuse(meter, units, now))
      else this.#waiting.push(one)
    })
  }

  async #findSeed(): Promise<void> {
    const { usedThisMonth } = this.#house
    const used = await usedThisMonth?.(this.#tenant)
    if (used) this.#seed = used
  }
}
