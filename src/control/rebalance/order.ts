/**
 * In which order moves are made, and how long all of them take.
 *
 * Away from where tenants must not be comes first, then what is drained, pinned, promised; the largest first, because the
 * end of a run should not wait for one large tenant; the balancer's moves last, in its own order. A move into a shard
 * that has no room yet waits for those that leave it: no target is overfilled at any moment.
 */

import { Room } from './room.ts'
import { type ActualTenant, type DesiredShard, REASONS, type Wish } from './types.ts'

export interface Ordered {
  readonly wishes: readonly Wish[]
  readonly problems: readonly string[]
}

export function orderMoves(
  wishes: readonly Wish[],
  shards: readonly DesiredShard[],
  tenants: readonly ActualTenant[],
): Ordered {
  const room = new Room(shards, tenants)
  const rank = ({ reason }: Wish): number => REASONS.indexOf(reason)
  const size = ({ reason, tenant }: Wish): number => (reason === 'balance' ? 0 : tenant.bytes)
  let waiting = wishes.toSorted((a, b) => rank(a) - rank(b) || size(b) - size(a))
  const ordered: Wish[] = []
  const fits = ({ tenant, to }: Wish): boolean =>
    to.shard === tenant.shard || room.fits(to.shard, { tenants: 1, bytes: tenant.bytes })
  for (;;) {
    const left: Wish[] = []
    for (const wish of waiting) {
      if (!fits(wish)) {
        left.push(wish)
        continue
      }
      room.move(wish.tenant.shard, wish.to.shard, { tenants: 1, bytes: wish.tenant.bytes })
      ordered.push(wish)
    }
    if (left.length === 0 || left.length === waiting.length) {
      const problems = left.map(
        ({ tenant, to }) =>
          `${tenant.id} stays on ${tenant.shard}: ${to.shard} has no room for it at any moment.`,
      )
      return { wishes: ordered, problems }
    }
    waiting = left
  }
}

export interface Limits {
  /** Moves at the same time, over all shards. */
  readonly atOnce: number
  /** That read or write one shard. */
  readonly perShard: number
}

export interface Timed {
  readonly from: string
  readonly to: string
  readonly ms: number
}

/** Milliseconds that moves take, begun in their order as far as the limits let them. */
export function makespan(moves: readonly Timed[], { atOnce, perShard }: Limits): number {
  const waiting = [...moves]
  const running: { move: Timed; end: number }[] = []
  let now = 0
  const busy = (shard: string): number =>
    running.filter(({ move }) => move.from === shard || move.to === shard).length
  while (waiting.length > 0 || running.length > 0) {
    const next =
      running.length < atOnce
        ? waiting.findIndex(({ from, to }) => busy(from) < perShard && busy(to) < perShard)
        : -1
    if (next >= 0) {
      const [move] = waiting.splice(next, 1) as [Timed]
      running.push({ move, end: now + move.ms })
      continue
    }
    now = Math.min(...running.map(({ end }) => end))
    running.splice(0, running.length, ...running.filter(({ end }) => end > now))
  }
  return now
}
