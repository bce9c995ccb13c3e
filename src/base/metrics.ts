/**
 * The metrics: one Prometheus registry that subscribes to the events.
 *
 * Every label has a bound that is known here: shards and error codes come from our own tables, HTTP
 * methods and routes from short lists, everything else passes `boundedLabel`. There is no tenant
 * label and no path: 100,000 tenants or random names must not become 100,000 series. Names have base
 * units (`_seconds`, `_total`) and the prefix `gateway_`.
 */

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Emit, Event } from './events.ts'

/** What a label becomes once it has had its share of values. */
export const OTHER = 'other'

// A fleet is tens of shards; a thousand is a fault elsewhere that must not fill the memory here.
const SHARD_LABELS_MAX = 1_000
// From 1 ms (a point read is 1 to 2) to the 10 s that a request may take by default.
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
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

export function createMetrics({ version, logDropped }: MetricsOptions): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const families = createFamilies(registry)
  families.buildInfo.set({ version, node: process.version }, 1)
  families.configGeneration.set(1)
  if (logDropped) watchLog(registry, logDropped)
  const counters = countersOf(families)
  // The kind picks the counter that takes this very event, which the compiler cannot follow.
  const count = (event: Event): void => (counters[event.kind] as (event: Event) => void)(event)
  return { registry, listener: count }
}

type Families = ReturnType<typeof createFamilies>

function createFamilies(registry: Registry) {
  const registers = [registry]
  const counter = <T extends string>(name: string, help: string, labelNames: readonly T[] = []): Counter<T> =>
    new Counter({ name, help, labelNames, registers })
  const gauge = <T extends string>(name: string, help: string, labelNames: readonly T[] = []): Gauge<T> =>
    new Gauge({ name, help, labelNames, registers })
  const seconds = <T extends string>(name: string, help: string, labelNames: readonly T[]): Histogram<T> =>
    new Histogram({ name, help, labelNames, buckets: SECONDS, registers })
  return {
    requests: seconds('gateway_http_request_duration_seconds', 'Requests of the public port', [
      'method',
      'route',
      'status',
    ]),
    operations: counter('gateway_operations_total', 'Operations that ran, by the lane that answered', [
      'lane',
    ]),
    refusals: counter('gateway_request_errors_total', 'Requests whose answer holds an error, by first code', [
      'code',
    ]),
    failures: counter('gateway_request_failures_total', 'Masked errors: faults of the gateway itself'),
    statements: seconds('gateway_shard_query_duration_seconds', 'Statements of tenants', ['shard', 'kind']),
    destroyed: counter('gateway_shard_connections_destroyed_total', 'Connections not given back', ['shard']),
    mixups: counter('gateway_shard_mixups_total', 'Answers that came for another tenant: must stay 0', [
      'shard',
    ]),
    shardUp: gauge('gateway_shard_up', '1 while the shard answers', ['shard']),
    shardRefused: counter('gateway_shard_refused_total', 'Shards found unsafe or mistaken', ['shard']),
    databaseRefused: counter('gateway_database_refused_total', "Tenants' own databases found mistaken", [
      'shard',
    ]),
    tableRefused: counter('gateway_table_refused_total', 'Tables found unsafe and not served', ['shard']),
    placeRefused: counter('gateway_place_refused_total', "Tenants' own tables found unsafe or unreadable", [
      'shard',
    ]),
    placements: counter('gateway_placements_refreshed_total', 'Placements read again after a refusal'),
    placementsChanged: counter('gateway_placements_changed_total', 'Tenants found elsewhere than before'),
    held: seconds('gateway_request_held_seconds', 'Requests held while their tenant was being moved', [
      'shard',
      'outcome',
    ]),
    directoryUp: gauge('gateway_directory_up', '1 while the directory answers'),
    keys: counter('gateway_token_keys_total', 'Readings of token keys', ['result']),
    configGeneration: gauge('gateway_config_generation', 'Raised by one at each reload that was taken'),
    configRefused: counter('gateway_config_refused_total', 'Configuration files that were refused'),
    draining: gauge('gateway_draining', '1 from the first signal to stop'),
    buildInfo: gauge('gateway_build_info', 'Always 1; the labels say what runs', ['version', 'node']),
  }
}

/** The connections of one shard at this moment. */
export interface PoolReading {
  readonly shard: string
  readonly shared: number
  readonly exclusiveInUse: number
  readonly exclusiveIdle: number
  readonly waiting: number
}

/** Show the connections of each shard; read at each scrape. */
export function watchPools(registry: Registry, read: () => readonly PoolReading[]): void {
  const registers = [registry]
  new Gauge({
    name: 'gateway_shard_pool_connections',
    help: 'Connections to a shard: shared by reads, held by one mutation, or idle',
    labelNames: ['shard', 'state'],
    registers,
    collect() {
      this.reset()
      for (const { shard, shared, exclusiveInUse, exclusiveIdle } of read()) {
        this.set({ shard, state: 'shared' }, shared)
        this.set({ shard, state: 'held' }, exclusiveInUse)
        this.set({ shard, state: 'idle' }, exclusiveIdle)
      }
    },
  })
  new Gauge({
    name: 'gateway_shard_pool_waiting',
    help: 'Callers that wait for a connection to a shard',
    labelNames: ['shard'],
    registers,
    collect() {
      this.reset()
      for (const { shard, waiting } of read()) this.set({ shard }, waiting)
    },
  })
}

function watchLog(registry: Registry, dropped: () => number): void {
  new Gauge({
    name: 'gateway_log_lines_dropped',
    help: 'Log lines lost to a full or broken sink since the start',
    registers: [registry],
    collect() {
      this.set(dropped())
    },
  })
}

// One counter for each kind of event: a kind without an entry does not compile.
type Counters = { readonly [K in Event['kind']]: (event: Extract<Event, { kind: K }>) => void }

function countersOf(families: Families): Counters {
  const bounded = boundedLabel(SHARD_LABELS_MAX)
  const shardOf = (event: { shard: string }): { shard: string } => ({ shard: bounded(event.shard) })
  return {
    'request.done': (event) => countRequest(families, event),
    'request.failed': () => families.failures.inc(),
    'statement.done': (event) =>
      families.statements.observe({ ...shardOf(event), kind: event.mode }, event.durationMs / 1000),
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
    'request.held': (event) =>
      families.held.observe({ ...shardOf(event), outcome: event.outcome }, event.ms / 1000),
    'directory.up': () => families.directoryUp.set(1),
    'directory.down': () => families.directoryUp.set(0),
    'keys.refreshed': () => families.keys.inc({ result: 'read' }),
    'keys.failed': () => families.keys.inc({ result: 'failed' }),
    // Runners of moves are no gateways, and have no metrics: how many moves there are is what the directory says.
    'move.state': () => {},
    'move.failed': () => {},
    'move.window': () => {},
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
