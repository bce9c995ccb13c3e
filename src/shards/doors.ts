/** The doors of one process: one for all tables, or one for each shape, with the requests held by them together. */

import type { Emit } from '../base/events.ts'
import type { Failpoints } from '../base/failpoints.ts'
import { type Clock, deadlineIn, systemClock } from '../base/time.ts'
import type { Result } from '../db/batch.ts'
import type { Placement } from '../directory/types.ts'
import { Buffering, type HoldLimits } from './buffering.ts'
import { type Door, openDoor, type ShareOf } from './door.ts'
import { type Fence, fenceFrom, lookAtFence } from './fence.ts'
import { forHomeOf } from './namespaces.ts'
import type { Router } from './router.ts'
import { createRouting, type Fits } from './routing.ts'
import type { Shard } from './shard.ts'

export interface DoorsParts {
  readonly router: Router
  readonly shards: ReadonlyMap<string, Shard>
  /** The schema that statements name; tenants with one of their own have theirs in its place. */
  readonly schema: string
  readonly moves: () => HoldLimits
  /** As `DoorParts.shareOf`. */
  readonly shareOf?: ShareOf
  readonly emit: Emit
  readonly failpoints?: Failpoints
  readonly clock?: Clock
}

export interface Doors {
  /** @param fits  whether the statements of this door were made for the tables of a placement; left out, for all */
  door(fits?: Fits): Door
  readonly buffering: Buffering
}

export function openDoors(parts: DoorsParts): Doors {
  const { router, shards, schema, moves, shareOf, emit, failpoints, clock = systemClock } = parts
  const forHome = forHomeOf(schema)
  // A look that takes long costs the connection that it is on, with what others have in flight there.
  const fenceAt = (placement: Placement): Promise<Fence | null> =>
    fenceOf(shards.get(placement.shard), placement, Math.max(LOOK_MS, moves().holdMs), clock)
  const buffering = new Buffering({ reread: router.reread, fenceAt, limits: moves, emit, clock })
  return {
    buffering,
    door: (fits) =>
      openDoor({
        routed: createRouting({ router, shards, buffering, fits }),
        forHome,
        emit,
        ...(shareOf && { shareOf }),
        ...(failpoints && { failpoints }),
      }),
  }
}

/** Milliseconds that a look at a fence may take, at least. */
const LOOK_MS = 2_000

async function fenceOf(
  shard: Shard | undefined,
  { tenant, isolation, namespace: name }: Placement,
  ms: number,
  clock: Clock,
): Promise<Fence | null> {
  if (!shard) return null
  const deadline = deadlineIn(ms, clock)
  const database = isolation === 'database' ? { name, deadline } : undefined
  const look = await shard.use<Result[]>((pool) => pool.batch([lookAtFence(tenant)], deadline), database)
  return fenceFrom(look[0]?.rows[0])
}
