/** A slice: a few seconds of load on one server, and what it has cost. */

import { availableParallelism } from 'node:os'
import { clusterCpu, cpuOf, machineCpu } from './cpu.ts'
import type { BenchDatabase } from './database.ts'
import type { SliceFigures } from './figures.ts'
import { type LoadOptions, runLoad } from './load.ts'
import type { ServerProcess } from './processes.ts'

export interface SliceOptions extends Omit<LoadOptions, 'port'> {
  readonly server: ServerProcess
  /** Whose Postgres servers do the work. */
  readonly database: BenchDatabase
}

export async function measureSlice(options: SliceOptions): Promise<SliceFigures> {
  const { server, database } = options
  const before = cpuNow(database, server.pid)
  const { requests, seconds, p50, p99, cpu } = await runLoad({ ...options, port: server.port })
  const after = cpuNow(database, server.pid)
  const [own, postgres] = [after.server - before.server, after.postgres - before.postgres]
  const strangers = after.machine - before.machine - own - postgres - cpu
  return {
    requests,
    rate: requests / seconds,
    p50: p50 / 1_000,
    p99: p99 / 1_000,
    serverCpu: own / requests,
    postgresCpu: postgres / requests,
    strangers: Math.max(0, strangers) / (seconds * 1e6 * availableParallelism()),
  }
}

/** Microseconds of CPU that have been used until now. */
export function cpuNow({ shards }: BenchDatabase, pid: number) {
  const postgres = shards.reduce((sum, shard) => sum + clusterCpu(shard.pid), 0)
  return { server: cpuOf(pid), postgres, machine: machineCpu() }
}

/** The list, begun elsewhere each round: nobody always comes after the same other. */
export function turned<T>(list: readonly T[], round: number): T[] {
  const first = round % list.length
  return [...list.slice(first), ...list.slice(0, first)]
}
