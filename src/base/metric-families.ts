/**
 * The metric families that count events: names, help and labels. metrics.ts says which event goes where,
 * metric-readings.ts has those that are read at each scrape.
 *
 * Names have base units (`_seconds`, `_total`) and the prefix `gateway_`; every label has a bound (metrics.ts).
 */

import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

// From 1 ms (a point read is 1 to 2) to the 10 s that a request may take by default.
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export type Families = ReturnType<typeof createFamilies>

export function createFamilies(registry: Registry) {
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
    latency: seconds(
      'gateway_operation_duration_seconds',
      "Requests that ran an operation, by their tenant's shard",
      ['shard', 'lane'],
    ),
    cost: counter('gateway_operation_cost_total', 'Cost of the operations that ran', ['shard']),
    lookups: counter('gateway_cache_lookups_total', 'Looks for a kept answer, by where', ['layer', 'result']),
    poisoned: counter('gateway_cache_poisoned_total', 'Kept answers that no gateway has written', ['layer']),
    refusals: counter('gateway_request_errors_total', 'Requests whose answer holds an error, by first code', [
      'code',
    ]),
    failures: counter('gateway_request_failures_total', 'Masked errors: faults of the gateway itself'),
    statements: seconds('gateway_shard_query_duration_seconds', 'Statements of tenants', ['shard', 'kind']),
    waits: seconds('gateway_shard_wait_seconds', 'Time in line before a statement was sent', ['shard']),
    databaseSeconds: counter('gateway_shard_database_seconds_total', 'Time that sessions were at work', [
      'shard',
    ]),
    rows: counter('gateway_shard_rows_total', 'Rows that statements have brought back', ['shard']),
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
    limited: counter('gateway_limited_total', 'Requests over a limit of their tenant', ['reason']),
    held: seconds('gateway_request_held_seconds', 'Requests held while their tenant was being moved', [
      'shard',
      'outcome',
    ]),
    directoryUp: gauge('gateway_directory_up', '1 while the directory answers'),
    keys: counter('gateway_token_keys_total', 'Readings of token keys', ['result']),
    jobs: seconds('gateway_job_duration_seconds', 'Runs of jobs, by how they ended', ['job', 'end']),
    queueUp: gauge('gateway_queue_up', '1 while the queue of jobs answers'),
    configGeneration: gauge('gateway_config_generation', 'Raised by one at each reload that was taken'),
    configRefused: counter('gateway_config_refused_total', 'Configuration files that were refused'),
    usageLate: gauge('gateway_usage_late', '1 while what is metered cannot be written'),
    usageLost: counter('gateway_usage_lost_requests_total', 'Requests that were not metered'),
    draining: gauge('gateway_draining', '1 from the first signal to stop'),
    buildInfo: gauge('gateway_build_info', 'Always 1; the labels say what runs', ['version', 'node']),
  }
}
