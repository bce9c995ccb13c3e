/** The metric families that are read at each scrape, because somebody else knows the figure anyway. */

import { Counter, Gauge, type Registry } from 'prom-client'

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

/** Redis at this moment, and how often which result came since the start. */
export interface RedisReading {
  readonly isUp: boolean
  readonly counts: Readonly<Record<string, number>>
}

/** Show Redis, where there is one: a gateway without has neither of these, so that nobody takes it for one that is down. */
export function watchRedis(registry: Registry, redis: RedisReading): void {
  const registers = [registry]
  new Gauge({
    name: 'gateway_redis_up',
    help: '1 while Redis answers',
    registers,
    collect() {
      this.set(redis.isUp ? 1 : 0)
    },
  })
  new Counter({
    name: 'gateway_redis_commands_total',
    help: 'What was asked of Redis, by result: answered, away (not tried), late, lost, unfit or refused',
    labelNames: ['result'],
    registers,
    collect() {
      this.reset()
      for (const [result, count] of Object.entries(redis.counts)) this.inc({ result }, count)
    },
  })
}
