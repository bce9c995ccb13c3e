/**
 * Whether the target holds what the source holds: all rows of one moment while the tenant writes on, then, with writes
 * held, only the rows that were touched since.
 *
 *     source  ──w──w──┤lock, mark├──w──w──w──▶       no write is under way while the mark is made, and
 *                        └ snapshot                  a snapshot taken then shows all that is before the mark
 *     target  ────w──w──w──w──┤mark├──w──w──▶        the follower stops where it meets the mark
 *                                └ snapshot
 *
 * Both snapshots show the same moment, whatever else goes on, so a difference is one: rows are never compared "again
 * until they are equal", which would take a row that was lost for one that is late.
 */

import { randomUUID } from 'node:crypto'
import { fail } from '../../base/errors.ts'
import { sleep } from '../../base/time.ts'
import { type Client, sqlState } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { CopyTable } from '../copy/tables.ts'
import { asMover } from '../copy/target.ts'
import { drillDown, rowsDiffer } from './drill-down.ts'
import { emitMark, type Follower } from './follow.ts'
import { beginMoment, differencesOf } from './hash-tree.ts'
import type { TableTree } from './proof.ts'
import { both, fromSide, type OneSide, type Sides, toSide, treesOfSide, withSides } from './sides.ts'
import type { Moving } from './types.ts'

export interface Verified {
  /** What both sides held at the mark. */
  readonly trees: readonly TableTree[]
  /** From it on, touched rows have to be compared again: `follower.touchedSince(mark)`. */
  readonly mark: string
}

/** Milliseconds that writers of the tenant wait behind the barrier at most. */
const LOCK_MS = 50

/** Tries for the barrier while a long write goes on, and milliseconds between two. */
const TRIES = 60
const AGAIN_MS = 500

/** Live rounds, each of which has fewer touched rows behind it, as it has less to hash since. */
const ROUNDS = 5

/**
 * Compare all rows of one moment while the tenant writes on.
 *
 * @throws REFUSED      the target holds something else; see `rowDifferencesOf`
 * @throws TENANT_BUSY  a write of the tenant goes on too long to have such a moment; or the move is to pause
 */
export function verifyLive(moving: Moving, follower: Follower): Promise<Verified> {
  return withSides(moving, async (sides) => {
    const mark = `verify-${randomUUID()}`
    await openMoments(moving, follower, sides, mark)
    return { trees: await compareAll(moving, sides, `at the mark ${mark}`), mark }
  })
}

/**
 * Compare live until so few rows are touched after it that the rest can be compared while writes are held.
 *
 * @throws TIMEOUT  the tenant writes faster than rows are compared
 * @throws          what `verifyLive` throws
 */
export async function verifyUntilSmall(
  moving: Moving,
  follower: Follower,
  maxTouched: number,
): Promise<Verified> {
  for (let round = 0; round < ROUNDS; round++) {
    const verified = await verifyLive(moving, follower)
    if (touchedRows(follower, verified.mark) <= maxTouched) return verified
  }
  const sentence = `${moving.tenant} touches more than ${maxTouched} rows while its rows are compared, ${ROUNDS} times in a row.`
  return fail('TIMEOUT', sentence, { tenant: moving.tenant }, { hint: 'Move it when it writes less.' })
}

/** How many rows there are to compare with writes held; Infinity: too many to be kept. */
export function touchedRows(follower: Pick<Follower, 'touchedSince'>, mark: string): number {
  const touched = follower.touchedSince(mark)
  if (touched === 'too many') return Number.POSITIVE_INFINITY
  return [...touched.values()].reduce((sum, keys) => sum + keys.length, 0)
}

/**
 * Compare all rows while writes are held.
 *
 * @returns what both sides hold
 * @throws REFUSED  the target holds something else; see `rowDifferencesOf`
 */
export async function verifyFrozen(moving: Moving, sides: Sides): Promise<TableTree[]> {
  try {
    await Promise.all([beginMoment(sides.source, moving.source), beginMoment(sides.target, moving.target)])
    return await compareAll(moving, sides, 'with writes held')
  } finally {
    await endMoments(sides)
  }
}

const unkeyed = (table: CopyTable): OneSide => ({ table, key: null })

/** In transactions of the same moment. */
async function compareAll(moving: Moving, sides: Sides, moment: string): Promise<TableTree[]> {
  const { signal } = moving
  const { source, target, twins, missing } = sides
  const [here, there] = await both(
    treesOfSide(source, moving.source, [...twins.map(fromSide), ...missing.map(unkeyed)], signal),
    treesOfSide(target, moving.target, twins.map(toSide), signal),
  )
  const differences = differencesOf(here, there)
  if (differences.length > 0) throw rowsDiffer(moment, await drillDown(sides, differences))
  return there
}

async function endMoments({ source, target }: Sides): Promise<void> {
  await Promise.allSettled([source.query('rollback'), target.query('rollback')])
}

/** Open transactions on both sides that show the moment of the mark. */
async function openMoments(moving: Moving, follower: Follower, sides: Sides, mark: string): Promise<void> {
  await asMover(moving.source)(async (barrier) => {
    for (let tries = 1; !(await isLocked(barrier, moving, tries)); tries++) {
      await sleep(AGAIN_MS, moving.signal)
    }
    // Whoever met the mark before it waits for it would pass it.
    const stopped = follower.stopAt(mark, () => beginMoment(sides.target, moving.target))
    await emitMark(barrier, moving.record.id, mark)
    await beginMoment(sides.source, moving.source)
    await barrier.query('commit')
    await stopped
  })
}

/** Begin a transaction that holds the tenant's lock alone; false when a write goes on. */
async function isLocked(barrier: Client, { tenant, signal }: Moving, tries: number): Promise<boolean> {
  signal.throwIfAborted()
  await barrier.query(`begin; set local lock_timeout = ${LOCK_MS}`)
  try {
    await barrier.query(
      compile(sql`select pg_advisory_xact_lock(shardgate.tenant_lock(${sql.value(tenant)}))`),
    )
    return true
  } catch (cause) {
    await barrier.query('rollback')
    if (sqlState(cause) !== '55P03') throw cause
    if (tries < TRIES) return false
    const seconds = Math.round((TRIES * AGAIN_MS) / 1_000)
    const sentence = `For ${seconds} s there was always a write of ${tenant} under way for longer than ${LOCK_MS} ms.`
    return fail(
      'TENANT_BUSY',
      sentence,
      { tenant },
      { cause, hint: 'End the long transaction; see pg_stat_activity.' },
    )
  }
}
