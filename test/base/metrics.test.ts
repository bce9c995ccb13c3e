/** The contract of base/metrics.ts: the families, and that no caller can make series without end. */

import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { type DirectoryFigures, watchDirectory } from '../../src/base/directory-metrics.ts'
import type { Event } from '../../src/base/events.ts'
import { watchPools } from '../../src/base/metric-readings.ts'
import { boundedLabel, createMetrics } from '../../src/base/metrics.ts'
import { manualClock } from '../kit/clock.ts'

const request = (over: object): Event =>
  ({
    kind: 'request.done',
    requestId: 'r',
    method: 'POST',
    route: 'graphql',
    status: 200,
    durationMs: 12,
    ...over,
  }) as Event

async function series(events: readonly Event[], options: { topTenants?: number } = {}): Promise<string[]> {
  const { registry, listener } = createMetrics({ version: '1.2.3', ...options })
  for (const event of events) listener(event)
  const text = await registry.metrics()
  return text.split('\n').filter((line) => line.startsWith('gateway_'))
}

describe('families', () => {
  it('counts requests in seconds, by method, route and status', async () => {
    const lines = await series([request({})])
    expect(lines).toContain(
      'gateway_http_request_duration_seconds_sum{method="POST",route="graphql",status="200"} 0.012',
    )
  })

  it('counts refusals by code and faults of its own apart', async () => {
    const lines = await series([
      request({ status: 403, code: 'FORBIDDEN' }),
      { kind: 'request.failed', requestId: 'r', error: new Error('x') },
    ])
    expect(lines).toContain('gateway_request_errors_total{code="FORBIDDEN"} 1')
    expect(lines).toContain('gateway_request_failures_total 1')
  })

  it('knows whether a shard is up, what configuration runs, and which build', async () => {
    const lines = await series([
      { kind: 'shard.up', shard: 'a' },
      { kind: 'shard.down', shard: 'b', reason: 'x' },
      { kind: 'config.reloaded', file: 'f', changed: [], needsRestart: [] },
      { kind: 'config.refused', file: 'f', reason: 'x' },
    ])
    expect(lines).toContain('gateway_shard_up{shard="a"} 1')
    expect(lines).toContain('gateway_shard_up{shard="b"} 0')
    expect(lines).toContain('gateway_config_generation 2')
    expect(lines).toContain('gateway_config_refused_total 1')
    expect(lines.some((line) => line.startsWith('gateway_build_info{version="1.2.3"'))).toBe(true)
  })

  it('reads the lines that the log lost at each scrape', async () => {
    let lost = 0
    const { registry } = createMetrics({ version: '0', logDropped: () => lost })
    lost = 7
    expect(await registry.metrics()).toContain('gateway_log_lines_dropped 7')
  })
})

describe('fault 66: a cardinality bomb', () => {
  it('makes no series of tenants, operations, request ids or odd methods', async () => {
    const events = Array.from({ length: 5_000 }, (_, i) =>
      request({
        ...{ tenant: `t${i}`, shard: 'a', lane: 'compiled', operation: `Op${i}` },
        ...{ requestId: `r${i}`, traceId: `t${i}`, method: `BREW${i}` },
      }),
    )
    const lines = await series(events)
    expect(lines).toContain('gateway_tenants_active 5000')
    expect(lines.length).toBeLessThan(80)
    expect(lines.join()).toContain('method="other"')
    expect(lines.join()).not.toMatch(/t4999|Op4999|r4999|BREW4999/)
  })

  it('makes as many series of tenants as were asked for, and one of all others', async () => {
    const events = Array.from({ length: 900 }, (_, i) => request({ tenant: `t${i % 9}`, shard: 'a' }))
    const lines = await series([...events, request({ tenant: 'unknown' })], { topTenants: 4 })
    const requests = lines.filter((line) => line.startsWith('gateway_tenant_requests_total{'))
    expect(requests).toHaveLength(5)
    expect(requests).toContain('gateway_tenant_requests_total{tenant="t0"} 100')
    expect(requests).toContain('gateway_tenant_requests_total{tenant="other"} 500')
  })

  it('keeps the shards within bounds too', async () => {
    const events = Array.from({ length: 3_000 }, (_, i): Event => ({ kind: 'shard.up', shard: `s${i}` }))
    const shards = (await series(events)).filter((line) => line.startsWith('gateway_shard_up{'))
    expect(shards).toHaveLength(1_001)
  })

  it('boundedLabel keeps the first and calls the rest other', () => {
    const label = boundedLabel(2)
    expect(['a', 'b', 'c', 'a', 'd'].map(label)).toEqual(['a', 'b', 'other', 'a', 'other'])
  })
})

describe('the figures of the directory', () => {
  const FIGURES: DirectoryFigures = {
    tenants: [{ shard: 'a', state: 'active', count: 7 }],
    moves: [{ state: 'ready', count: 2, failing: 1 }],
    migrations: [{ shard: 'a', pending: 3, failed: 0 }],
  }
  const linesOf = async (registry: Registry) =>
    (await registry.metrics()).split('\n').filter((line) => /^gateway_(tenants|moves|migr)/.test(line))

  it('are read once for all families and all scrapes of a minute', async () => {
    const clock = manualClock()
    const registry = new Registry()
    let readings = 0
    const read = async () => {
      readings += 1
      return FIGURES
    }
    watchDirectory(registry, read, clock)
    await linesOf(registry)
    clock.advance(59_000)
    expect(await linesOf(registry)).toEqual([
      'gateway_tenants{shard="a",state="active"} 7',
      'gateway_moves{state="ready"} 2',
      'gateway_moves_failing{state="ready"} 1',
      'gateway_migrations_pending{shard="a"} 3',
      'gateway_migrations_failed{shard="a"} 0',
    ])
    expect(readings).toBe(1)
    clock.advance(1_000)
    await linesOf(registry)
    expect(readings).toBe(2)
  })

  it('are missing while it is away, and there with the next scrape after that', async () => {
    const registry = new Registry()
    let isAway = true
    const read = async () => {
      if (isAway) throw new Error('away')
      return FIGURES
    }
    watchDirectory(registry, read, manualClock())
    expect(await linesOf(registry)).toEqual([])
    isAway = false
    expect(await linesOf(registry)).toHaveLength(5)
  })
})

describe('the connections of shards', () => {
  it('are read at each scrape', async () => {
    const { registry } = createMetrics({ version: 'test' })
    const reading = { shard: 'shard-a', shared: 3, exclusiveInUse: 1, exclusiveIdle: 2, waiting: 0 }
    watchPools(registry, () => [reading])
    expect(await registry.metrics()).toContain(
      'gateway_shard_pool_connections{shard="shard-a",state="held"} 1',
    )
    reading.waiting = 7
    expect(await registry.metrics()).toContain('gateway_shard_pool_waiting{shard="shard-a"} 7')
  })
})
