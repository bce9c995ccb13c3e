/**
 * Where a request is tried: where its tenant is known to be, and where it is by then if that was late.
 *
 *     known ─▶ tried ─▶ refused: moved on, or unknown ─▶ the directory is asked ─▶ newer: tried there
 *                  └──▶ refused: writes are held, or the shard is not told yet ─▶ held (buffering.ts) ─▶ tried
 *
 * The directory's epoch only grows, and the directory knows of a cutover before the shards do. So a fence that is ahead of
 * us sends us to the directory, and one that is behind will follow within moments. A request is tried again only where
 * the fence has refused it, or had no turn: nothing of it was done.
 */

import { fail } from '../base/errors.ts'
import type { Deadline } from '../base/time.ts'
import type { Placement } from '../directory/types.ts'
import type { Asked, Buffering } from './buffering.ts'
import {
  BeforeFence,
  DatabaseAway,
  explain,
  FENCE,
  isDemoted,
  OtherTables,
  refusalOfFence,
} from './failures.ts'
import { isAnother, type Router } from './router.ts'
import type { Shard } from './shard.ts'
import type { Turn } from './tenant-watch.ts'

/** Whether statements were made for the tables that a placement leads to. Throws as `Shapes.of`. */
export type Fits = (placement: Placement, deadline: Deadline) => boolean | Promise<boolean>

export interface RoutingParts {
  readonly router: Router
  readonly shards: ReadonlyMap<string, Shard>
  readonly buffering: Buffering
  /** Left out, they are for all tables. */
  readonly fits?: Fits | undefined
}

export type Attempt<T> = (shard: Shard, placement: Placement) => Promise<T>

/** @throws what a door throws */
export type Routed = <T>(asked: Asked, attempt: Attempt<T>) => Promise<T>

/**
 * As `fits`, for statements that may name no tenant, because they were made for tables that are a tenant's own: sent
 * to shared tables they would be about everybody's rows. Whatever is known of shapes.
 */
export function ownHomesOnly(fits: Fits): Fits {
  return (placement, deadline) => placement.isolation !== 'shared' && fits(placement, deadline)
}

export function createRouting({ router, shards, buffering, fits = () => true }: RoutingParts): Routed {
  const shardOf = ({ shard }: Placement): Shard =>
    shards.get(shard) ??
    fail('SHARD_UNAVAILABLE', 'The shard of the tenant is not configured on this gateway.')

  async function tried<T>(placement: Placement, { deadline }: Asked, attempt: Attempt<T>): Promise<T> {
    const fit = fits(placement, deadline)
    if (fit !== true && !(await fit)) throw new OtherTables()
    return attempt(shardOf(placement), placement)
  }

  /** Where to go from a placement that has refused the request. Throws what the client is told instead. */
  async function next(asked: Asked, from: Placement, failure: unknown): Promise<Turn> {
    const what = whatNow(failure, from)
    if (what === 'hold') return buffering.hold(asked, from, true)
    if (what === 'give up') throw explain(failure, asked.mode)
    const asking = router.refresh(asked.tenant)
    const placement = await (isOfTables(failure) ? asking.catch(() => from) : asking)
    if (!isAnother(placement, from)) throw explain(failure, asked.mode)
    if (from.isolation === 'database') shardOf(from).closeDatabase(from.namespace)
    return { placement, done: () => {} }
  }

  async function again<T>(asked: Asked, attempt: Attempt<T>, known: Placement, error: unknown): Promise<T> {
    let [from, failure] = [known, error]
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      if (isDemoted(failure, asked.mode)) shardOf(from).dropConnections()
      const turn = await next(asked, from, failure)
      try {
        return await tried(turn.placement, asked, attempt)
      } catch (cause) {
        from = turn.placement
        failure = cause
      } finally {
        turn.done()
      }
    }
    throw explain(failure, asked.mode)
  }

  return async (asked, attempt) => {
    const known = await router.find(asked.tenant)
    const turn =
      asked.mode === 'write' && buffering.isHolding(asked.tenant)
        ? await buffering.hold(asked, known, false)
        : undefined
    const placement = turn?.placement ?? known
    try {
      return await tried(placement, asked, attempt)
    } catch (error) {
      return await again(asked, attempt, placement, error)
    } finally {
      turn?.done()
    }
  }
}

/** Whether the tables are others, of which the directory need not know more than we do. */
const isOfTables = (failure: unknown): boolean =>
  failure instanceof BeforeFence || failure instanceof OtherTables

/** Far more than a tenant moves within one request. */
const TRIES_MAX = 100

function whatNow(failure: unknown, { epoch }: Placement): 'ask' | 'hold' | 'give up' {
  if (failure instanceof DatabaseAway || isOfTables(failure)) return 'ask'
  const refusal = refusalOfFence(failure)
  switch (refusal?.state) {
    case FENCE.frozen:
    case FENCE.locked:
      return 'hold'
    case FENCE.moved:
      return (refusal.epoch ?? 0) < epoch ? 'hold' : 'ask'
    case FENCE.unknown:
      return 'ask'
    default:
      return 'give up'
  }
}
