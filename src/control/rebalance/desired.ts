/** The desired state, out of the configuration: what contradicts itself is refused with its keys. */

import type { Config } from '../../base/config.ts'
import { fail } from '../../base/errors.ts'
import { tenantIdFault } from '../../base/ids.ts'
import type { Desired, DesiredShard, Spot } from './types.ts'

/**
 * @throws CONFIG_INVALID  with every contradiction, a line each: its key, and what to type
 */
export function desiredOf(config: Pick<Config, 'router' | 'shards' | 'pins' | 'plans' | 'file'>): Desired {
  const { router, pins, plans, file } = config
  const shards = Object.entries(config.shards).map(([key, shard]): DesiredShard => {
    const { weight, drain, plans: allowed = null, isolations = null, capacity } = shard
    const { tenants, bytes } = capacity
    const room = { ...(tenants !== undefined && { tenants }), ...(bytes !== undefined && { bytes }) }
    return { key, weight, drain, plans: allowed, isolations, capacity: room }
  })
  const faults: string[] = []
  const assign = assignOf(router, shards, faults)
  for (const [tenant, { shard, isolation }] of Object.entries(pins)) {
    const fault = tenantIdFault(tenant)
    if (fault) faults.push(`pins.${tenant}: wanted the id of a tenant; ${fault}`)
    if (shard !== undefined) faults.push(...faultsOfPlace(`pins.${tenant}.shard`, shard, shards))
    const found = shards.find(({ key }) => key === shard)
    if (!found || isolation === undefined || (found.isolations?.includes(isolation) ?? true)) continue
    faults.push(
      `pins.${tenant}.isolation: wanted one of shards.${shard}.isolations (${found.isolations?.join(', ')}); "${isolation}" came`,
    )
  }
  if (!shards.some(takesTenants)) {
    faults.push('shards: wanted at least one with a weight above 0 and without "drain": true')
  }
  if (faults.length > 0) fail('CONFIG_INVALID', [`${file} cannot be planned:`, ...faults].join('\n  '))
  const map = new Map(
    Object.entries(pins).map(([tenant, { shard, isolation }]) => [
      tenant,
      { ...(shard !== undefined && { shard }), ...(isolation !== undefined && { isolation }) },
    ]),
  )
  return { strategy: router.strategy, buckets: router.buckets, assign, shards, pins: map, plans }
}

function assignOf(
  { buckets, assign }: Config['router'],
  shards: readonly DesiredShard[],
  faults: string[],
): Map<number, string> {
  const map = new Map<number, string>()
  for (const [range, shard] of Object.entries(assign)) {
    const at = `router.assign.${range}`
    const [first = 0, last = first] = range.split('-').map(Number)
    faults.push(...faultsOfPlace(at, shard, shards))
    if (first > last || last >= buckets) {
      faults.push(`${at}: wanted buckets from 0 to ${buckets - 1}, the lower one first; ${range} came`)
      continue
    }
    for (let no = first; no <= last; no++) {
      if (map.has(no)) faults.push(`${at}: wanted each bucket once; ${no} is in another range too`)
      map.set(no, shard)
    }
  }
  return map
}

function faultsOfPlace(at: string, shard: string, shards: readonly DesiredShard[]): string[] {
  const found = shards.find(({ key }) => key === shard)
  const keys = shards.map(({ key }) => key).join(', ')
  if (!found) return [`${at}: wanted a shard of this file (${keys}); "${shard}" came`]
  return found.drain ? [`${at}: wanted a shard that is not drained; shards.${shard}.drain is true`] : []
}

export const takesTenants = ({ drain, weight }: DesiredShard): boolean => !drain && weight > 0

/** Whether the rules of a shard let a tenant of the plan be there in that way. */
export function isAllowed(shard: DesiredShard, plan: string, isolation: Spot['isolation']): boolean {
  return (shard.plans?.includes(plan) ?? true) && (shard.isolations?.includes(isolation) ?? true)
}
