/** The limiter: an account for each tenant that has limits and is active. */

import { randomUUID } from 'node:crypto'
import type { Limits } from '../../base/config-limits.ts'
import type { TenantId } from '../../base/ids.ts'
import { type Clock, systemClock } from '../../base/time.ts'
import type { Redis } from '../../db/redis.ts'
import { Account } from './account.ts'
import { type Pair, type Rates, UNLIMITED } from './counts.ts'
import { countGateways } from './gateways.ts'
import type { House } from './house.ts'
import { sharedCounts } from './redis-counts.ts'
import { Turnstile } from './turnstile.ts'

/** A tenant at this gateway. */
export interface Rated {
  readonly limits: Limits
  readonly account: Account
  readonly turnstile: Turnstile
}

export interface Limiter {
  /** Undefined where nothing of what is counted here is limited. */
  of(tenant: TenantId, limits: Limits): Rated | undefined
  end(): void
}

export interface LimiterOptions {
  /** Left out, each gateway counts alone. */
  readonly redis?: Redis | undefined
  /** As `House`. */
  readonly usedThisMonth?: House['usedThisMonth']
  readonly clock?: Clock
}

const SWEEP_MS = 1_000
/** Milliseconds between two looks into the ledger, where no Redis adds up what gateways accept. */
const LEARN_MS = 60_000

export function createLimiter({ redis, usedThisMonth, clock = systemClock }: LimiterOptions): Limiter {
  const gateway = randomUUID()
  const gateways = redis && countGateways(redis, gateway)
  const house: House = {
    clock,
    shared: redis && sharedCounts({ redis, gateway }),
    gateways: () => gateways?.count ?? 1,
    usedThisMonth,
  }
  const tenants = new Map<TenantId, Rated>()
  const make = (tenant: TenantId, limits: Limits): Rated => {
    const known = tenants.get(tenant)
    known?.account.adopt(ratesOf(limits))
    const account = known?.account ?? new Account(tenant, ratesOf(limits), house)
    if (!known && !redis) void account.learnMonth()
    const rated = { limits, account, turnstile: known?.turnstile ?? new Turnstile() }
    tenants.set(tenant, rated)
    return rated
  }
  let learnedAt = clock.elapsed()
  const sweep = (): void => {
    const now = clock.elapsed()
    const isToLearn = !redis && now - learnedAt >= LEARN_MS
    if (isToLearn) learnedAt = now
    for (const [tenant, { limits, account, turnstile }] of tenants) {
      account.rest()
      if (isToLearn && hasQuota(limits)) void account.learnMonth()
      // Where nobody else knows how much of the month is used, it is kept.
      const isKept = !redis && hasQuota(limits)
      if (account.isIdle(now) && turnstile.inside === 0 && !isKept) tenants.delete(tenant)
    }
  }
  const timer = setInterval(sweep, SWEEP_MS).unref()
  return {
    of(tenant, limits) {
      const known = tenants.get(tenant)
      if (known?.limits === limits) return known
      return isRated(limits) ? make(tenant, limits) : undefined
    },
    end() {
      clearInterval(timer)
      gateways?.end()
    },
  }
}

function isRated({ requestsPerMinute, costPerMinute, concurrency, ...limits }: Limits): boolean {
  return (requestsPerMinute ?? costPerMinute ?? concurrency) !== undefined || hasQuota(limits)
}

function hasQuota({ requestsPerMonth, costPerMonth }: Limits): boolean {
  return (requestsPerMonth ?? costPerMonth) !== undefined
}

function ratesOf(limits: Limits): Rates {
  const { requestsPerMinute, costPerMinute, requestsPerMonth, costPerMonth } = limits
  const of = (requests = UNLIMITED, cost = UNLIMITED): Pair => [requests, cost]
  return {
    perMinute: of(requestsPerMinute, costPerMinute),
    perMonth: of(requestsPerMonth, costPerMonth),
  }
}
