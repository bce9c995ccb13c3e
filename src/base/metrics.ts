/**
 * The metrics: one Prometheus registry that subscribes to the events.
 *
 * Every label has a bound that is known here: shards and error codes come from our own tables, HTTP
 * methods and routes from short lists, everything else passes `boundedLabel`. There is no path, and a
 * tenant label only for as many as the configuration says (top-tenants.ts): 100,000 tenants or random names must
 * not become 100,000 series. Names have base units (`_seconds`, `_total`) and the prefix `gateway_`.
 */

import { collectDefaultMetrics, Registry } from 'prom-client'
import type { Emit, Event } from './events.ts'
import { createFamilies, type Families } from './metric-families.ts'
import { watchLog } from './metric-readings.ts'
import { type CountTenant, tenantMetrics } from './tenant-metrics.ts'

/** What a label becomes once it has had its share of values. */
export const OTHER = 'other'

// A fleet is tens of shards; a thousand is a fault elsewhere that must not fill the memory here.
const SHARD_LABELS_MAX = 1_000
// What extensions define.
const JOB_LABELS_MAX = 100
const METHODS: readonly string[] = ['GET', 'POST', 'OPTIONS', 'HEAD', 'PUT', 'PATCH', 'DELETE']

export interface Metrics {
  readonly registry: Registry
  /** Subscribe this to the events. */
  readonly listener: Emit
}

export interface MetricsOptions {
  readonly version: string
  /** Lines that the log lost; read at each scrape. */
  readonly logDropped?: () => number
  /** Tenants with series of their own; default 0. */
  readonly topTenants?: number
}

/** Keeps the first `max` different values and calls the rest `other`. */
export function boundedLabel(max: number): (value: string) => string {
  const seen = new Set<string>()
  return (value) => {
    if (seen.has(value)) return value
    if (seen.size >= max) return OTHER
    seen.add(value)
    return value
  }
}

export function createMetrics({ version, logDropped, topTenants = 0 }: MetricsOptions): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const families = createFamilies(registry)
  families.buildInfo.set({ version, node: process.version }, 1)
  families.configGeneration.set(1)
  // Until it is found away: most gateways have no jobs, and never ask.
  families.queueUp.set(1)
  // Nothing has failed yet: only what changes is told.
  families.directoryUp.set(1)
  families.queueUp.set(1)
  if (logDropped) watchLog(registry, logDropped)
  const counters = countersOf(families, tenantMetrics(registry, topTenants))
  // The kind picks the counter that takes this very event, which the compiler cannot follow.
  const count = (event: Event): void => (counters[event.kind] as (event: Event) => void)(event)
  return { registry, listener: count }
}

// One counter for each kind of event: a kind without an entry does not compile.
type Counters = { readonly [K in Event['kind']]: (event: Extract<Event, { kind: K }>) => void }

function countersOf(families: Families, countTenant: CountTenant): Counters {
  const bounded = boundedLabel(SHARD_LABELS_MAX)
  const jobOf = boundedLabel(JOB_LABELS_MAX)
  const shardOf = (event: { shard: string }): { shard: string } => ({ shard: bounded(event.shard) })
  return {
    'request.done': (event) => {
      countRequest(families, event)
      countOperation(families, event, bounded)
      countTenant(event)
    },
    'request.failed': () => families.failures.inc(),
    'statement.done': (event) => {
      const labels = shardOf(event)
      families.statements.observe({ ...labels, kind: event.mode }, event.durationMs / 1000)
      families.waits.observe(labels, event.waitedMs / 1000)
      families.databaseSeconds.inc(labels, event.databaseMs / 1000)
      families.rows.inc(labels, event.rows)
    },
    'list.done': () => {},
    'connection.destroyed': (event) => families.destroyed.inc(shardOf(event)),
    'connection.mixup': (event) => families.mixups.inc(shardOf(event)),
    'shard.up': (event) => families.shardUp.set(shardOf(event), 1),
    'shard.down': (event) => families.shardUp.set(shardOf(event), 0),
    'shard.refused': (event) => families.shardRefused.inc(shardOf(event)),
    'table.refused': (event) => families.tableRefused.inc(shardOf(event)),
    'database.refused': (event) => families.databaseRefused.inc(shardOf(event)),
    'place.refused': (event) => families.placeRefused.inc(shardOf(event)),
    'place.served': () => {},
    'table.served': () => {},
    'placement.refreshed': () => families.placements.inc(),
    'placement.changed': () => families.placementsChanged.inc(),
    'request.limited': ({ reason }) => families.limited.inc({ reason }),
    'request.held': (event) =>
      families.held.observe({ ...shardOf(event), outcome: event.outcome }, event.ms / 1000),
    'directory.up': () => families.directoryUp.set(1),
    'directory.down': () => families.directoryUp.set(0),
    // What there is of Redis is read at each scrape (metric-readings.ts).
    'redis.up': () => {},
    'redis.down': () => {},
    'redis.refused': () => {},
    'redis.none': () => {},
    'cache.asked': ({ layer, result }) => families.lookups.inc({ layer, result }),
    'cache.poisoned': ({ layer }) => families.poisoned.inc({ layer }),
    'keys.refreshed': () => families.keys.inc({ result: 'read' }),
    'keys.failed': () => families.keys.inc({ result: 'failed' }),
    // Runners of moves are no gateways, and have no metrics: how many moves there are is what the directory says.
    'move.state': () => {},
    'move.failed': () => {},
    'move.window': () => {},
    'usage.late': () => families.usageLate.set(1),
    'usage.written': () => families.usageLate.set(0),
    'usage.lost': (event) => families.usageLost.inc(event.requests),
    'job.done': (event) =>
      families.jobs.observe({ job: jobOf(event.job), end: event.end }, event.durationMs / 1000),
    'queue.down': () => families.queueUp.set(0),
    'queue.up': () => families.queueUp.set(1),
    'config.reloaded': () => families.configGeneration.inc(),
    'config.refused': () => families.configRefused.inc(),
    'documents.read': () => {},
    'gateway.listening': () => families.draining.set(0),
    'gateway.draining': () => families.draining.set(1),
    'gateway.stopped': () => {},
  }
}

function countRequest(families: Families, event: Extract<Event, { kind: 'request.done' }>): void {
  const method = METHODS.includes(event.method) ? event.method : OTHER
  const labels = { method, route: event.route, status: String(event.status) }
  families.requests.observe(labels, event.durationMs / 1000)
  if (event.lane) families.operations.inc({ lane: event.lane })
  if (event.code) families.refusals.inc({ code: event.code })
}

function countOperation(
  families: Families,
  { lane, shard, cost, durationMs }: Extract<Event, { kind: 'request.done' }>,
  bounded: (shard: string) => string,
): void {
  if (!lane || shard === undefined) return
  const labels = { shard: bounded(shard) }
  families.latency.observe({ ...labels, lane }, durationMs / 1000)
  if (cost > 0) families.cost.inc(labels, cost)
}
