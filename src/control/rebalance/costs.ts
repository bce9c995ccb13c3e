/** What a tenant costs its shard, in the unit that the balancer is to even out. */

import type { Actual, ActualTenant } from './types.ts'

export const MEASURES = ['load', 'size', 'count'] as const
export type Measure = (typeof MEASURES)[number]

export interface Costs {
  /** For people: 'bytes'. */
  readonly unit: string
  of(tenant: ActualTenant): number
}

/**
 * `load` is database time, as the ledger has it of each tenant. Where nothing is metered there are the statistics, which
 * know it by shard: then the time of a shard is dealt out to its tenants by their bytes; a shard that has none yet is
 * reckoned at the mean of the others, and without any statistics bytes stand for themselves.
 */
export function costsOf(measure: Measure, { tenants, databaseMs, loads }: Actual): Costs {
  if (measure === 'count') return { unit: 'tenants', of: () => 1 }
  if (measure === 'load' && tenants.some(({ id }) => loads.has(id))) {
    return { unit: 'ms of database time in 7 days', of: ({ id }) => loads.get(id) ?? 0 }
  }
  const bytes = new Map<string, number>()
  for (const { shard, bytes: own } of tenants) bytes.set(shard, (bytes.get(shard) ?? 0) + own)
  const timed = [...bytes].filter(([shard, held]) => (databaseMs.get(shard) ?? 0) > 0 && held > 0)
  if (measure === 'size' || timed.length === 0) return { unit: 'bytes', of: (tenant) => tenant.bytes }
  const sum = (of: (shard: string, held: number) => number): number =>
    timed.reduce((all, [shard, held]) => all + of(shard, held), 0)
  const mean = sum((shard) => databaseMs.get(shard)!) / sum((_, held) => held)
  const rates = new Map(timed.map(([shard, held]) => [shard, databaseMs.get(shard)! / held]))
  return {
    unit: 'ms of database time, by size',
    of: (tenant) => tenant.bytes * (rates.get(tenant.shard) ?? mean),
  }
}
