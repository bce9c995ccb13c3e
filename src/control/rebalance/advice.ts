/** What an operator should know or type before a plan is applied, or after it: sentences beside the moves. */

import { type Asked, promisedTo } from './difference.ts'
import type { PlannedMove } from './document.ts'
import type { Actual, Desired } from './types.ts'

/** Tenants that a sentence names. */
const NAMED = 5

export function adviceOn(
  desired: Desired,
  actual: Actual,
  moves: readonly PlannedMove[],
  asked: Asked,
): string[] {
  return [
    ...newShards(desired, actual),
    ...emptyShards(desired, actual),
    ...unknownPins(desired, actual),
    ...(asked.isolation ? [] : weakerThanPromised(desired, actual, moves)),
  ]
}

function newShards({ shards }: Desired, { shards: known, buckets, tenants }: Actual): string[] {
  return shards
    .filter(({ key }) => !buckets.includes(key) && !tenants.some(({ shard }) => shard === key))
    .filter(({ drain }) => !drain)
    .map(({ key }) =>
      known.includes(key)
        ? `${key} is new: a gateway that was started without it cannot serve its tenants. Restart those before you apply.`
        : `${key} is not set up yet: run "shardgate setup" (of embedded servers: "npm start" again), restart the gateways, then apply.`,
    )
}

function emptyShards({ shards }: Desired, { buckets, tenants }: Actual): string[] {
  return shards
    .filter(
      ({ key, drain }) => drain && !buckets.includes(key) && !tenants.some(({ shard }) => shard === key),
    )
    .map(({ key }) => `${key} is drained and holds nothing any more: take it out of the file.`)
}

function unknownPins({ pins }: Desired, { tenants }: Actual): string[] {
  const known = new Set<string>(tenants.map(({ id }) => id))
  const unknown = [...pins.keys()].filter((id) => !known.has(id))
  return unknown.length === 0 ? [] : [`Pins of tenants that there are not: ${listed(unknown)}.`]
}

function weakerThanPromised(
  { plans, pins }: Desired,
  { tenants }: Actual,
  moves: readonly PlannedMove[],
): string[] {
  const going = new Map(moves.map(({ tenant, to }) => [tenant, to.isolation]))
  const others = tenants.filter(({ id, plan, isolation }) => {
    if (pins.get(id)?.isolation !== undefined) return false
    return promisedTo({ plan, isolation: going.get(id) ?? isolation }, plans) !== undefined
  })
  if (others.length === 0) return []
  const names = listed(others.map(({ id, plan }) => `${id} (${plans[plan]?.isolation})`))
  return [
    `Not as their plans promise: ${names}. "shardgate plan --isolation" moves them, a pin of their isolation keeps them.`,
  ]
}

function listed(names: readonly string[]): string {
  const rest = names.length - NAMED
  return names.slice(0, NAMED).join(', ') + (rest > 0 ? ` and ${rest} more` : '')
}
