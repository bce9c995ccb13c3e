/** Limits of a tenant as its clients meet them: refusals, headers and what is told of them, in both lanes. */

import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { createMetrics } from '../../src/base/metrics.ts'
import { createLimiter, type Limiter } from '../../src/tenant/limits/limiter.ts'
import { type ManualClock, manualClock } from '../kit/clock.ts'
import { type Edge, startEdge } from '../kit/edge.ts'
import { placementOf } from '../kit/placements.ts'

const HELLO = { query: '{ hello }' }
const opened: { edge: Edge; limiter: Limiter }[] = []
let clock: ManualClock
beforeEach(() => {
  clock = manualClock(Date.UTC(2026, 10, 30, 23, 59))
})
afterAll(async () => {
  for (const { edge, limiter } of opened) {
    limiter.end()
    await edge.close()
  }
})

async function edgeWith(limits: object, http: object = {}): Promise<Edge> {
  const limiter = createLimiter({ clock })
  const edge = await startEdge({ plans: { standard: { limits } }, limiter, http })
  opened.push({ edge, limiter })
  return edge
}

const limited = ({ events }: Edge) => events.filter(({ kind }) => kind === 'request.limited')

describe.each([
  ['the compiled lane', { compiledLane: true }],
  ['the resolver lane', { compiledLane: false }],
])('in %s', (_, http) => {
  it('requests are refused once the minute has had its share, and let in when it moves on', async () => {
    const edge = await edgeWith({ requestsPerMinute: 2 }, http)
    const first = await edge.post(HELLO)
    expect([first.status, first.headers.get('ratelimit-policy'), first.headers.get('ratelimit')]).toEqual([
      200,
      '"requests";q=2;w=60',
      '"requests";r=1;t=61',
    ])
    await edge.post(HELLO)
    const refused = await edge.post(HELLO)
    expect([refused.status, refused.code, refused.headers.get('retry-after')]).toEqual([
      429,
      'RATE_LIMITED',
      '61',
    ])
    expect(refused.headers.get('ratelimit')).toBe('"requests";r=0;t=61')
    expect(refused.json.data).toBeUndefined()
    expect(refused.json.errors).toEqual([
      {
        message: 'The tenant may send 2 requests a minute, and has sent them.',
        extensions: {
          code: 'RATE_LIMITED',
          retryable: true,
          retryAfter: 61,
          hint: 'Wait for the time in Retry-After.',
          details: { limit: 'requests', asked: 1, allowed: 2, left: 0, retryAfter: 61 },
          requestId: refused.headers.get('x-request-id'),
        },
      },
    ])
    expect(limited(edge)).toMatchObject([
      { requestId: expect.any(String), tenant: 'acme', reason: 'requests' },
    ])
    expect(await edge.lastDone()).toMatchObject({ status: 429, code: 'RATE_LIMITED', tenant: 'acme' })
    clock.advance(61_000)
    expect((await edge.post(HELLO)).status).toBe(200)
  })

  it('operations are refused by what they cost, before they run', async () => {
    const edge = await edgeWith({ costPerMinute: 20 }, http)
    const items = (count: number) => ({
      query: 'query ($n: Int) { items(count: $n) { id } }',
      variables: { n: count },
    })
    const first = await edge.post(items(1), { 'x-shardgate-cost': '1' })
    const { cost } = first.json as { extensions?: { cost?: { requested: number } } } & { cost?: never }
    expect(cost).toBeUndefined()
    const [, left] = /^"cost";r=(\d+);t=61$/.exec(first.headers.get('ratelimit') ?? '') ?? []
    expect(Number(left)).toBeLessThan(20)
    expect(Number(left)).toBeGreaterThan(0)
    let last = first
    while (last.status === 200) last = await edge.post(items(1))
    expect([last.status, last.code, last.headers.get('retry-after')]).toEqual([429, 'RATE_LIMITED', '61'])
    expect(last.json.errors?.[0]?.extensions.details).toMatchObject({ limit: 'cost', allowed: 20 })
    expect(limited(edge)).toMatchObject([{ requestId: expect.any(String), tenant: 'acme', reason: 'cost' }])
  })

  it('an operation that costs more than there ever is, is too complex', async () => {
    const edge = await edgeWith({ costPerMinute: 1 }, http)
    const refused = await edge.post({ query: '{ hello mine }' })
    expect([refused.status, refused.code, refused.headers.get('retry-after')]).toEqual([
      400,
      'QUERY_TOO_COMPLEX',
      null,
    ])
    expect(refused.json.errors?.[0]?.extensions.details).toMatchObject({ limit: 'cost', allowed: 1 })
  })

  it('a month that is used up is over when the next one begins', async () => {
    const edge = await edgeWith({ requestsPerMonth: 1 }, http)
    expect((await edge.post(HELLO)).headers.get('ratelimit')).toBe('"requests-month";r=0;t=60')
    const refused = await edge.post(HELLO)
    expect([refused.status, refused.code, refused.headers.get('retry-after')]).toEqual([
      429,
      'QUOTA_EXCEEDED',
      '60',
    ])
    clock.advance(60_000)
    expect((await edge.post(HELLO)).status).toBe(200)
  })

  it('one tenant is never refused for another, nor by what another may', async () => {
    const edge = await edgeWith({ requestsPerMinute: 1 }, http)
    edge.placements.set('globex', placementOf('globex', { limits: { requestsPerMinute: 3 } }))
    const as = async (tenant: string) => ({ authorization: `Bearer ${await edge.token(['viewer'], tenant)}` })
    const statuses = []
    for (const tenant of ['acme', 'acme', 'globex', 'globex', 'globex', 'globex', 'acme']) {
      statuses.push((await edge.post(HELLO, await as(tenant))).status)
    }
    expect(statuses).toEqual([200, 429, 200, 200, 200, 429, 429])
  })

  it('limits of a tenant take effect when they change', async () => {
    const edge = await edgeWith({ requestsPerMinute: 1 }, http)
    expect([(await edge.post(HELLO)).status, (await edge.post(HELLO)).status]).toEqual([200, 429])
    edge.placements.set('acme', placementOf('acme', { limits: { requestsPerMinute: 2 } }))
    expect([(await edge.post(HELLO)).status, (await edge.post(HELLO)).status]).toEqual([200, 429])
  })

  it('so many are worked on at once, and one that has ended makes room', async () => {
    const edge = await edgeWith({ concurrency: 1 }, http)
    const [hang] = [new AbortController()]
    const open = edge
      .request('/graphql', {
        method: 'POST',
        headers: { authorization: `Bearer ${await edge.token()}`, 'content-type': 'application/json' },
        body: '{"query":"{ never }"}',
        signal: hang.signal,
      })
      .catch(() => undefined)
    let refused = await edge.post(HELLO)
    while (refused.status === 200) refused = await edge.post(HELLO)
    expect([refused.status, refused.code, refused.headers.get('retry-after')]).toEqual([
      429,
      'RATE_LIMITED',
      '1',
    ])
    expect(refused.headers.get('ratelimit-policy')).toBe('"concurrency";q=1;qu="concurrent-requests"')
    hang.abort()
    await open
    let next = await edge.post(HELLO)
    while (next.status === 429) next = await edge.post(HELLO)
    expect(next.status).toBe(200)
  })

  it('a tenant without limits has no headers of them', async () => {
    const edge = await edgeWith({ depth: 5 }, http)
    const { status, headers } = await edge.post(HELLO)
    expect([status, headers.has('ratelimit'), headers.has('ratelimit-policy')]).toEqual([200, false, false])
  })
})

it('refusals are counted by their reason, and never by tenant', async () => {
  const { registry, listener } = createMetrics({ version: '1.2.3' })
  listener({ kind: 'request.limited', requestId: 'r', tenant: 'acme', reason: 'cost' })
  const text = await registry.getSingleMetricAsString('gateway_limited_total')
  expect(text).toContain('gateway_limited_total{reason="cost"} 1')
  expect(text).not.toContain('acme')
})
