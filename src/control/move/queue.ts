/**
 * What a runner finds to do, and in which order: moves that were begun before those that were not, those of a plan by
 * their place in it.
 */

import type { Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { Limits } from './claim.ts'
import { MOVE, recordFrom } from './record.ts'
import type { MoveState } from './states.ts'

import type { MoveRecord } from './types.ts'

/** A move that has not ended, as a runner looks at it; times by the directory's clock. */
export interface Waiting extends MoveRecord {
  /** Milliseconds since it has changed. */
  readonly quietMs: number
  /** Whether its window has ended. */
  readonly isOver: boolean
  /** Whether it keeps its tenant from other operations. */
  readonly holdsTenant: boolean
}

/** All moves that have not ended, in the order in which they are taken. */
export async function readQueue(directory: Queryable): Promise<Waiting[]> {
  const rows = await directory.query(
    compile(sql`
      select waiting.*, extract(epoch from clock_timestamp() - changed_at) * 1000 as quiet_ms,
        coalesce(window_until <= clock_timestamp(), false) as is_over,
        exists (select from directory.operation
          where operation.id = waiting.operation and operation.state = 'running') as holds_tenant
      from (${MOVE}) as waiting
      where state not in ('done', 'aborted', 'rolled-back')
      order by state = 'queued', plan nulls first, position, id`),
  )
  return rows.map((row) => ({
    ...recordFrom(row),
    quietMs: Number(row.quiet_ms),
    isOver: row.is_over === 't',
    holdsTenant: row.holds_tenant === 't',
  }))
}

export interface Work {
  /** 'free': let go of a tenant that a runner has left held in its window. */
  readonly kind: 'run' | 'complete' | 'free'
  readonly move: Waiting
  /** The move that needs the slot of this one's way back. */
  readonly gives?: MoveRecord
}

export interface Room extends Limits {
  /** Moves that can be rolled back at once to or from one shard. */
  readonly windows: number
}

/** Times that a move which fails is run; then it is left until the operator resumes it. */
export const TRIES = 4

/** Milliseconds before a move that has failed is run again: 1 s, 4 s, 16 s, and then each minute. */
export function pauseAfter(failures: number): number {
  return failures === 0 ? 0 : Math.min(60_000, 1_000 * 4 ** (failures - 1))
}

/** Whose tenant is not served as it should be: these are tried for ever, and cannot be left where they are. */
const URGENT: readonly MoveState[] = ['frozen', 'relocated', 'return-frozen', 'returned']

export const isUrgent = ({ state }: MoveRecord): boolean => URGENT.includes(state)

/** What is still to be done for a move in its window. */
export function windowWork(move: Waiting): 'complete' | 'free' | undefined {
  if (move.state !== 'settled') return undefined
  if (move.isOver && !hasFailed(move)) return 'complete'
  return move.holdsTenant ? 'free' : undefined
}

const hasFailed = ({ memory: { failures = 0 } }: MoveRecord): boolean => failures >= TRIES

/** Whether nobody is to do anything: it rests, its operator wants it to, or it has failed too often. */
export function isLeft(move: MoveRecord): boolean {
  return !isUrgent(move) && (move.state === 'settled' || move.wanted === 'pause' || hasFailed(move))
}

/**
 * What can be begun now.
 *
 * @param queue    as `readQueue` gives it
 * @param running  ids of the moves that this runner works on
 * @param mine     whether a move is this runner's to begin; others count all the same
 */
export function chooseWork(
  queue: readonly Waiting[],
  running: ReadonlySet<string>,
  room: Room,
  mine: (move: Waiting) => boolean,
): Work[] {
  const chosen: Work[] = []
  const isTaken = ({ id, isHeld }: Waiting): boolean =>
    isHeld || running.has(id) || chosen.some(({ move }) => move.id === id)
  for (const move of queue.filter(mine)) {
    if (isTaken(move) || !isDue(move)) continue
    const work = workOn(move, queue, isTaken, room)
    if (work) chosen.push(work)
  }
  return chosen
}

function workOn(
  move: Waiting,
  queue: readonly Waiting[],
  isTaken: (move: Waiting) => boolean,
  room: Room,
): Work | undefined {
  const kind = windowWork(move)
  if (kind) return { kind, move }
  if (isLeft(move) || !fits(move, queue.filter(isTaken), room)) return undefined
  if (move.state !== 'queued') return { kind: 'run', move }
  const onTarget = queue.filter(({ target }) => target.shard === move.target.shard)
  const windows = onTarget.filter(({ state, memory }) => state === 'settled' && memory.hasWayBack === true)
  const coming = onTarget.filter((one) => isTaken(one) && takesPlace(one))
  if (windows.length + coming.length < room.windows) return { kind: 'run', move }
  const kept = windows.filter((one) => !isTaken(one))
  // What has begun to give way still counts until it is gone: nobody gives way for it a second time.
  if (kept.length + coming.length < room.windows) return undefined
  const [oldest] = kept.filter(isDue).sort((a, b) => Number(BigInt(a.id) - BigInt(b.id)))
  return oldest && { kind: 'complete', move: oldest, gives: move }
}

/** Whether it has not failed, or not lately. */
function isDue({ memory: { failures = 0 }, quietMs }: Waiting): boolean {
  return quietMs >= pauseAfter(failures)
}

/** Moves in their windows and being cleaned take no place. */
const takesPlace = ({ state }: MoveRecord): boolean => state !== 'settled' && state !== 'cleaning'

function fits(move: Waiting, taken: readonly Waiting[], { atOnce, perShard }: Limits): boolean {
  if (!takesPlace(move)) return true
  const busy = taken.filter(takesPlace)
  const on = (shard: string): number =>
    busy.filter(({ source, target }) => source.shard === shard || target.shard === shard).length
  return busy.length < atOnce && on(move.source.shard) < perShard && on(move.target.shard) < perShard
}
