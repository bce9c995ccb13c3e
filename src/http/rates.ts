/**
 * The limits of a tenant as a request meets them:
 *
 *     intake, between tenant and body     concurrency, one request      RATE_LIMITED, QUOTA_EXCEEDED
 *     where an operation is known         its cost                      the same
 *     every answer                        what is left, as headers
 *
 * The headers are those of the IETF draft on RateLimit header fields. Nothing is done where a tenant has no such limits.
 */

import { type ErrorCode, fail, isGatewayError } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import { COST, type Meter, REQUESTS } from '../tenant/limits/counts.ts'
import type { Limiter, Rated } from '../tenant/limits/limiter.ts'
import type { Refused, Verdict } from '../tenant/limits/verdict.ts'
import type { Exchange } from './exchange.ts'

export interface RateOptions {
  /** Left out, nobody is limited. */
  readonly limiter?: Limiter | undefined
  readonly emit: Emit
}

/**
 * Let the request in. A promise only where Redis has to be asked.
 *
 * @throws RATE_LIMITED, QUOTA_EXCEEDED
 */
export function admit(exchange: Exchange, { limiter, emit }: RateOptions): void | Promise<void> {
  const { placement, limits, response } = exchange
  const rated = placement && limits && limiter?.of(placement.tenant, limits)
  if (!rated) return
  exchange.rated = rated
  const { turnstile } = rated
  if (limits.concurrency !== undefined) {
    settle(turnstile.enter(limits.concurrency), exchange, emit)
    if (response.closed) turnstile.leave()
    else response.once('close', () => turnstile.leave())
  }
  return settleLater(rated.account.take(REQUESTS, 1), exchange, emit)
}

/**
 * Pay for the operation of the exchange, whose cost is known: once, whichever lane runs it.
 *
 * @throws RATE_LIMITED, QUOTA_EXCEEDED  QUERY_TOO_COMPLEX: it costs more than there ever is
 */
export function pay(exchange: Exchange, { emit }: Pick<RateOptions, 'emit'>): void | Promise<void> {
  const { rated, cost, hasPaid } = exchange
  if (!rated || !cost || hasPaid) return
  exchange.hasPaid = true
  return settleLater(rated.account.take(COST, cost.requested), exchange, emit)
}

/** Whether an exchange that ended so was refused here: then nobody else need look at it. */
export function isRateRefusal(error: unknown): boolean {
  return isGatewayError(error, 'RATE_LIMITED') || isGatewayError(error, 'QUOTA_EXCEEDED')
}

function settleLater(
  verdict: Verdict | Promise<Verdict>,
  exchange: Exchange,
  emit: Emit,
): void | Promise<void> {
  if (!(verdict instanceof Promise)) return settle(verdict, exchange, emit)
  return verdict.then((given) => settle(given, exchange, emit))
}

function settle(verdict: Verdict, { placement, requestId }: Exchange, emit: Emit): void {
  if (verdict.ok) return
  const { reason, asked, limit: allowed, left, retryS: retryAfter } = verdict
  if (placement) emit({ kind: 'request.limited', requestId, tenant: placement.tenant, reason })
  const details = { limit: reason, asked, allowed, left, ...(retryAfter !== undefined && { retryAfter }) }
  fail(codeOf(verdict), sentenceOf(verdict), details)
}

function codeOf({ reason, retryS }: Refused): ErrorCode {
  if (retryS === undefined) return 'QUERY_TOO_COMPLEX'
  return reason === 'month' ? 'QUOTA_EXCEEDED' : 'RATE_LIMITED'
}

const SENTENCES: Readonly<Record<Refused['reason'], (allowed: number) => string>> = {
  requests: (allowed) => `The tenant may send ${allowed} requests a minute, and has sent them.`,
  cost: (allowed) => `The tenant's operations may cost ${allowed} a minute, and this one would be too much.`,
  month: (allowed) => `The tenant has ${allowed} a month, and this one would be too much.`,
  concurrency: (allowed) => `The tenant may have ${allowed} requests under way at once, and has them.`,
}

function sentenceOf({ reason, asked, limit, retryS }: Refused): string {
  if (retryS === undefined) return `The operation costs ${asked}; the tenant's may cost ${limit} together.`
  return SENTENCES[reason](limit)
}

const NO_HEADERS: readonly string[] = []

/** `RateLimit` and `RateLimit-Policy`, as names and values in turn; none where the tenant has no such limits. */
export function rateHeaders({ rated }: Exchange): readonly string[] {
  if (!rated) return NO_HEADERS
  return ['ratelimit-policy', policyOf(rated), 'ratelimit', leftOf(rated)]
}

const policies = new WeakMap<Rated, string>()

/** q: how much. w: in how many seconds; a month has no fixed number of them. */
function policyOf(rated: Rated): string {
  const known = policies.get(rated)
  if (known !== undefined) return known
  const { requestsPerMinute, costPerMinute, requestsPerMonth, costPerMonth, concurrency } = rated.limits
  const policy = [
    requestsPerMinute !== undefined && `"requests";q=${requestsPerMinute};w=60`,
    costPerMinute !== undefined && `"cost";q=${costPerMinute};qu="cost";w=60`,
    requestsPerMonth !== undefined && `"requests-month";q=${requestsPerMonth}`,
    costPerMonth !== undefined && `"cost-month";q=${costPerMonth};qu="cost"`,
    concurrency !== undefined && `"concurrency";q=${concurrency};qu="concurrent-requests"`,
  ]
  const text = policy.filter((part) => part !== false).join(', ')
  policies.set(rated, text)
  return text
}

/** r: how much is left. t: the seconds until some of what was used comes back. */
function leftOf({ account, limits, turnstile }: Rated): string {
  const { requestsPerMinute, costPerMinute, requestsPerMonth, costPerMonth, concurrency } = limits
  let text = ''
  const add = (part: string): void => {
    text += text === '' ? part : `, ${part}`
  }
  const addMeter = (meter: Meter, name: string, ofMinute?: number, ofMonth?: number): void => {
    if (ofMinute === undefined && ofMonth === undefined) return
    const { minute, month, resetS, monthS } = account.left(meter)
    if (ofMinute !== undefined) add(`"${name}";r=${minute};t=${resetS}`)
    if (ofMonth !== undefined) add(`"${name}-month";r=${month};t=${monthS}`)
  }
  addMeter(REQUESTS, 'requests', requestsPerMinute, requestsPerMonth)
  addMeter(COST, 'cost', costPerMinute, costPerMonth)
  if (concurrency !== undefined) add(`"concurrency";r=${Math.max(0, concurrency - turnstile.inside)}`)
  return text
}
