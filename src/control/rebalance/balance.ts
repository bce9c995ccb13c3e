/**
 * The balancer: proposes moves until no shard has much more to do than another, for its weight.
 *
 *     load of a shard = sum of the costs of its tenants / its weight
 *     spread          = (highest load − lowest load) / mean load
 *
 * Greedy: from the fullest shard to the emptiest goes the most expensive tenant that costs at most half of their
 * difference. So the giver stays the fuller of the two: each single move makes the fleet more even (the variance of the
 * loads falls, the spread never rises), and a run that is cancelled anywhere leaves it better than it was.
 */

import { isAllowed, takesTenants } from './desired.ts'
import type { Room } from './room.ts'
import type { ActualTenant, DesiredShard, Spot, Wish } from './types.ts'

/** A tenant where it will be when the other moves of the plan are done. */
export interface Placed {
  readonly tenant: ActualTenant
  readonly at: Spot
  /** Whether the balancer may move it. */
  readonly isFree: boolean
  /** In any unit, the same for all. */
  readonly cost: number
}

export interface Balanced {
  /** In the order in which each makes the fleet more even. */
  readonly wishes: readonly Wish[]
  readonly before: number
  /** Spread, 0.1 is 10 %. */
  readonly after: number
}

/**
 * @param until  spread at which it stops
 * @param room   changed by what is decided
 */
export function balance(
  shards: readonly DesiredShard[],
  placed: readonly Placed[],
  room: Room,
  until: number,
): Balanced {
  const takers = shards.filter(takesTenants)
  const loads = new Map(takers.map(({ key }) => [key, 0]))
  for (const { at, cost } of placed) {
    if (loads.has(at.shard)) loads.set(at.shard, loads.get(at.shard)! + cost)
  }
  const spread = (): number =>
    spreadOf(
      takers.map(({ key, weight }) => loads.get(key)! / weight),
      takers,
    )
  const before = spread()
  const free = new Map(
    [
      ...Map.groupBy(
        placed.filter(({ isFree, cost }) => isFree && cost > 0),
        ({ at }) => at.shard,
      ),
    ].map(([shard, own]) => [
      shard,
      own.toSorted((a, b) => b.cost - a.cost || compare(a.tenant.id, b.tenant.id)),
    ]),
  )
  const wishes: Wish[] = []
  while (spread() > until) {
    const step = bestStep(takers, loads, free, room)
    if (!step) break
    const { from, to, one } = step
    loads.set(from, loads.get(from)! - one.cost)
    loads.set(to, loads.get(to)! + one.cost)
    room.move(from, to, { tenants: 1, bytes: one.tenant.bytes })
    free.set(
      from,
      free.get(from)!.filter((other) => other !== one),
    )
    const place = { shard: to, isolation: one.at.isolation }
    wishes.push({ tenant: one.tenant, to: place, reason: 'balance', follows: false })
  }
  return { wishes, before, after: spread() }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** @param loads  for their weight */
export function spreadOf(loads: readonly number[], takers: readonly Pick<DesiredShard, 'weight'>[]): number {
  const weights = takers.reduce((sum, { weight }) => sum + weight, 0)
  const mean = loads.reduce((sum, load, i) => sum + load * takers[i]!.weight, 0) / weights
  return mean > 0 ? (Math.max(...loads) - Math.min(...loads)) / mean : 0
}

interface Step {
  readonly from: string
  readonly to: string
  readonly one: Placed
}

/** The move between the two most different shards that has one at all. */
function bestStep(
  takers: readonly DesiredShard[],
  loads: ReadonlyMap<string, number>,
  free: ReadonlyMap<string, readonly Placed[]>,
  room: Room,
): Step | undefined {
  const load = ({ key, weight }: DesiredShard): number => loads.get(key)! / weight
  const pairs = takers.flatMap((from) => takers.map((to) => ({ from, to, gap: load(from) - load(to) })))
  for (const { from, to, gap } of pairs.filter(({ gap }) => gap > 0).toSorted((a, b) => b.gap - a.gap)) {
    // Of equal weights this is half of the difference.
    const most = gap / (1 / from.weight + 1 / to.weight)
    const one = free
      .get(from.key)
      ?.find(
        ({ tenant, at, cost }) =>
          cost <= most &&
          isAllowed(to, tenant.plan, at.isolation) &&
          room.fits(to.key, { tenants: 1, bytes: tenant.bytes }),
      )
    if (one) return { from: from.key, to: to.key, one }
  }
  return undefined
}
