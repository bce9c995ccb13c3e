/** The metric families that are read at each scrape, because somebody else knows the figure anyway. */

import { Gauge, type Registry } from 'prom-client'

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

/** Show how many lines the log has lost. */
export function watchLog(registry: Registry, dropped: () => number): void {
  new Gauge({
    name: 'gateway_log_lines_dropped',
    help: 'Log lines lost to a full or broken sink since the start',
    registers: [registry],
    collect() {
      this.set(dropped())
    },
  })
}
