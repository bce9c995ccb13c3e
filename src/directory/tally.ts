/**
 * What tenants have used since it was last asked, by tenant and hour: counted as things happen, in memory.
 *
 * It hears of each request and each statement, so it does nothing but look up a tenant and add: some 0.2 µs each.
 */

import type { Event } from '../base/events.ts'
import type { Clock } from '../base/time.ts'
import { USERS_KEPT, type UsageCount } from './usage.ts'

const HOUR_MS = 3_600_000

/** Tenants and hours that are counted at once, some 50 MB; more come together only while nothing can be written. */
const COUNTS_MAX = 200_000
/** Users of the present hour that are known to have been counted, over all tenants. */
const SEEN_MAX = 200_000

class Count {
  requests = 0
  operations = 0
  errors = 0
  cost = 0
  databaseMs = 0
  rows = 0
  bytesIn = 0
  bytesOut = 0
  cacheHits = 0
  users: string[] = []
}

type RequestDone = Extract<Event, { kind: 'request.done' }>

export class Tally {
  readonly #clock: Clock
  readonly #countsMax: number
  readonly #hours = new Map<number, Map<string, Count>>()
  #size = 0
  #lost = 0
  /** The hour that was counted in last, and its tenants. */
  #hour = Number.NaN
  #tenants = new Map<string, Count>()
  /** By tenant; whoever is forgotten here is counted once more, and added to the same set. */
  readonly #seen = new Map<string, Set<string>>()
  #seenHour = Number.NaN
  #seenSize = 0

  constructor(clock: Clock, countsMax = COUNTS_MAX) {
    this.#clock = clock
    this.#countsMax = countsMax
  }

  /** Takes 'request.done' and 'statement.done' and ignores every other event. */
  count(event: Event): void {
    if (event.kind === 'request.done') this.#countRequest(event)
    else if (event.kind === 'statement.done') {
      const count = this.#countOf(event.tenant)
      if (!count) return
      count.databaseMs += event.databaseMs
      count.rows += event.rows
    }
  }

  /** Tenants and hours that are counted now. */
  get size(): number {
    return this.#size
  }

  /** What has been counted, which is forgotten here; `max` tenants and hours at most. */
  take(max: number): UsageCount[] {
    const taken: UsageCount[] = []
    for (const [hour, tenants] of this.#hours) {
      for (const [tenant, count] of tenants) {
        if (taken.length === max) return taken
        taken.push({ ...count, tenant, hour: hour * HOUR_MS, users: smallest(count.users) })
        tenants.delete(tenant)
        this.#size -= 1
      }
      this.#hours.delete(hour)
      if (hour === this.#hour) this.#hour = Number.NaN
    }
    return taken
  }

  /** Requests that had no room since it was last asked. */
  takeLost(): number {
    const lost = this.#lost
    this.#lost = 0
    return lost
  }

  #countRequest(event: RequestDone): void {
    const { tenant, code, lane, cache, subject } = event
    // Of a tenant that does not exist nobody asks how much it used; whoever signs tokens could make up any number.
    if (tenant === undefined || code === 'TENANT_UNKNOWN') return
    const count = this.#countOf(tenant)
    if (!count) {
      this.#lost += 1
      return
    }
    count.requests += 1
    if (lane !== undefined || cache === 'hit') count.operations += 1
    if (event.errors > 0) count.errors += 1
    if (cache === 'hit') count.cacheHits += 1
    count.cost += event.cost
    count.bytesIn += event.bytesIn
    count.bytesOut += event.bytesOut
    if (subject !== undefined) this.#countUser(tenant, count, subject)
  }

  #countOf(tenant: string): Count | undefined {
    const hour = Math.floor(this.#clock.now() / HOUR_MS)
    if (hour !== this.#hour) this.#turnTo(hour)
    const known = this.#tenants.get(tenant)
    if (known || this.#size >= this.#countsMax) return known
    const fresh = new Count()
    this.#tenants.set(tenant, fresh)
    this.#size += 1
    return fresh
  }

  // A clock may be set back: then its hour is there already.
  #turnTo(hour: number): void {
    this.#hour = hour
    this.#tenants = this.#hours.get(hour) ?? new Map()
    this.#hours.set(hour, this.#tenants)
    if (hour === this.#seenHour) return
    this.#seenHour = hour
    this.#forgetUsers()
  }

  #countUser(tenant: string, count: Count, subject: string): void {
    let seen = this.#seen.get(tenant)
    if (seen?.has(subject)) return
    if (this.#seenSize >= SEEN_MAX) {
      this.#forgetUsers()
      seen = undefined
    }
    if (!seen) {
      seen = new Set()
      this.#seen.set(tenant, seen)
    }
    seen.add(subject)
    this.#seenSize += 1
    count.users.push(subject.slice(0, DIGITS))
    if (count.users.length >= 4 * USERS_KEPT) count.users = smallest(count.users)
  }

  #forgetUsers(): void {
    this.#seen.clear()
    this.#seenSize = 0
  }
}

/** Of 16 that there are: 60 bits, which no sign of Postgres's integers can turn round. */
const DIGITS = 15

/** As `directory.user_union` has them: whoever is among the smallest of all is among the smallest here. */
function smallest(users: readonly string[]): string[] {
  return [...new Set(users)].sort().slice(0, USERS_KEPT)
}
