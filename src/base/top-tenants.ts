/**
 * The busiest tenants, counted apart, and all others together as "other".
 *
 * A request is counted once: for its tenant while that has a place, or else for the others, and there it stays. When
 * places change hands nothing is carried over, because a counter that another one is poured into jumps, and one that
 * something is taken out of falls, which `rate()` reads as a restart. A tenant that loses its place loses its series, and
 * begins at 0 when it comes back.
 *
 * Who is busy is decided each minute, by counts that fade: of tenants with a place and others alike, in a table with an
 * end (Misra and Gries: whoever has more than one in `TABLE` of the requests is in it). Who has a place keeps it until
 * another has half as many requests again: two equals must not take it from each other each minute.
 */

import { type Clock, systemClock } from './time.ts'

/** What the others are called together, and so no tenant can be counted apart that has this name. */
export const OTHERS = 'other'

/** Milliseconds between two decisions on who has a place. */
const RANK_MS = 60_000
/** Counts of tenants whose busyness is watched. */
const TABLE = 1_000
/** What is left of a count at each decision: half of it after a minute, an eighth after three. */
const FADE = 0.5
/** Times as many requests that a tenant needs to take the place of another. */
const BETTER = 1.5

export interface TenantTotals {
  /** Since the tenant has had its place. */
  requests: number
  seconds: number
}

export class TopTenants {
  readonly #places: number
  readonly #clock: Clock
  readonly #own = new Map<string, TenantTotals>()
  readonly #others: TenantTotals = { requests: 0, seconds: 0 }
  readonly #recent = new Map<string, number>()
  #rankedAt: number

  /** @param places  tenants that are counted apart, at most */
  constructor(places: number, clock: Clock = systemClock) {
    this.#places = places
    this.#clock = clock
    this.#rankedAt = clock.elapsed()
  }

  count(tenant: string, seconds: number): void {
    if (this.#clock.elapsed() - this.#rankedAt >= RANK_MS) this.#rank()
    this.#watch(tenant)
    const totals = this.#own.get(tenant) ?? this.#placed(tenant) ?? this.#others
    totals.requests += 1
    totals.seconds += seconds
  }

  /** Name and totals of each tenant with a place, and of the others. */
  *totals(): Iterable<readonly [string, Readonly<TenantTotals>]> {
    yield* this.#own
    yield [OTHERS, this.#others]
  }

  /** A place that nobody has is given to who comes first. */
  #placed(tenant: string): TenantTotals | undefined {
    if (this.#own.size >= this.#places || tenant === OTHERS) return undefined
    const totals = { requests: 0, seconds: 0 }
    this.#own.set(tenant, totals)
    return totals
  }

  #watch(tenant: string): void {
    if (tenant === OTHERS) return
    const count = this.#recent.get(tenant)
    if (count !== undefined) this.#recent.set(tenant, count + 1)
    else if (this.#recent.size < TABLE) this.#recent.set(tenant, 1)
    else this.#fade((other) => other - 1) // Paid for by as many requests as there are counts.
  }

  #rank(): void {
    this.#rankedAt = this.#clock.elapsed()
    const weight = ([tenant, count]: readonly [string, number]): number =>
      this.#own.has(tenant) ? count * BETTER : count
    const busiest = [...this.#recent].sort((a, b) => weight(b) - weight(a)).slice(0, this.#places)
    const wanted = new Set(busiest.map(([tenant]) => tenant))
    const comers = [...wanted].filter((tenant) => !this.#own.has(tenant))
    // Who is only idle stays, as long as nobody needs the place.
    const goers = [...this.#own.keys()].filter((tenant) => !wanted.has(tenant))
    const tooMany = Math.max(0, this.#own.size + comers.length - this.#places)
    for (const tenant of goers.slice(0, tooMany)) this.#own.delete(tenant)
    for (const tenant of comers) this.#placed(tenant)
    this.#fade((count) => count * FADE)
  }

  #fade(less: (count: number) => number): void {
    for (const [tenant, count] of this.#recent) {
      const left = less(count)
      if (left < 1) this.#recent.delete(tenant)
      else this.#recent.set(tenant, left)
    }
  }
}
