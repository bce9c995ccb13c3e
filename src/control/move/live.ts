/**
 * The live path: rows are copied while the tenant writes, what it writes is followed, and only the last of it is waited
 * for while writes are held, however big the tenant is.
 *
 *     S2 prepared ─ slot, copy of its moment ─▶ S3 copied ─ follow, way back, compare ─▶ S4 ready ─ cutover ─▶ S7
 *
 * The moment of a slot ends with the session that made it, so a copy that was cut off begins anew. From S3 on the slot
 * and the target know together how far the changes have come, and whoever takes over goes on there.
 */

import { fail } from '../../base/errors.ts'
import { movesOf } from '../reach.ts'
import { copyRows } from './copy-rows.ts'
import { cutOver, patiently } from './cutover.ts'
import { emitMark, type Follower, follow } from './follow.ts'
import { as, sourceOf, targetOf } from './moving.ts'
import { wayName } from './names.ts'
import { tellPlanner } from './planner.ts'
import { barrierProof, hashMoment, keepMoment } from './receipt.ts'
import { finish } from './settle.ts'
import { type Sides, withSides } from './sides.ts'
import { enterState } from './store.ts'
import { type TargetSequences, withSequences } from './target-sequences.ts'
import { openThrottle } from './throttle.ts'
import { compareTouched, type Touched } from './touched.ts'
import type { MoveRecord, Moving } from './types.ts'
import { type Verified, verifyUntilSmall } from './verify.ts'
import { type WatchedTables, watchTables } from './watch-tables.ts'
import { makeWay, makeWayBack } from './ways.ts'

/** S2 ▶ S3: copy the rows of the moment from which a slot keeps changes. */
export async function copyLive(moving: Moving): Promise<MoveRecord> {
  const slot = await makeWay(moving, 'forward')
  try {
    const throttle = await openThrottle(moving)
    try {
      const { filled } = await copyRows(moving, { snapshot: slot.snapshot, throttle })
      await tellPlanner(moving, filled)
    } finally {
      await throttle.end()
    }
  } finally {
    await slot.end()
  }
  return enterState(moving.directory, moving.record, 'done')
}

/** S3, S4 ▶ S7: follow, and change over as soon as little is left to be waited for. */
export async function followLive(moving: Moving): Promise<MoveRecord> {
  const follower = await follow(moving, 'forward')
  try {
    // Not in a race with its failure: a freeze that is under way has to be given up first. Whatever waits for it hears.
    return await arrive(moving, follower)
  } finally {
    await follower.end()
  }
}

/** Rows that are compared while writes are held: some milliseconds' worth. */
export const TOUCHED_MAX = 500

async function arrive(moving: Moving, follower: Follower): Promise<MoveRecord> {
  let now = moving
  // First, because it takes its time, and rows that are touched meanwhile would have to be compared in the freeze.
  const hasWayBack = movesOf(moving.fleet).windowMinutes > 0
  if (now.record.state === 'copied' && hasWayBack) await makeWayBack(now)
  return patiently(moving, (attempt) =>
    withSides(now, (sides) =>
      withSequences(now.target, async (sequences) => {
        const name = wayName(now.record.id, 'forward')
        const watched = await watchTables(sides.source, now.source, now.target, name)
        const verified = await verifyUntilSmall(now, follower, TOUCHED_MAX)
        if (now.record.state === 'copied') {
          const { directory, record } = now
          now = as(now, await enterState(directory, record, 'done', { memory: { hasWayBack } }))
        }
        return change(now, { follower, watched, verified, sides, sequences, attempt })
      }),
    ),
  )
}

interface Arrived {
  readonly follower: Follower
  readonly watched: WatchedTables
  readonly verified: Verified
  readonly sides: Sides
  readonly sequences: TargetSequences
  readonly attempt: number
}

function change(moving: Moving, arrived: Arrived): Promise<MoveRecord> {
  const { follower, watched, verified, sides, sequences, attempt } = arrived
  const { record, fleet } = moving
  const { hasWayBack = false } = record.memory
  const backMark = `back ${record.token} ${attempt}`
  const frozen = `frozen ${record.token} ${attempt}`
  return cutOver(moving, {
    from: sourceOf(moving),
    to: targetOf(moving),
    mark: frozen,
    memory: { barrier: barrierProof(verified), ...(hasWayBack && { backMark }) },
    budgetMs: movesOf(fleet).pauseMs,
    whileFrozen: async (ends) => {
      await follower.reached(frozen)
      await compareTouched(moving, sides, touchedSince(follower, verified.mark))
      await watched.requireSame()
      await sequences.raise()
      await keepMoment(moving, sides)
      // Behind it, on the target, is what the tenant writes there; before it, what has come from the source.
      if (hasWayBack) await emitMark(ends.to, record.id, backMark)
    },
    opened: async (relocated, pauseMs) => {
      await follower.end()
      return finish(relocated, await hashMoment(relocated, sides, verified.mark), pauseMs)
    },
  })
}

/** @throws TIMEOUT  more than anybody has kept count of */
export function touchedSince(follower: Follower, mark: string): Touched {
  const touched = follower.touchedSince(mark)
  if (touched !== 'too many') return touched
  return fail('TIMEOUT', 'Too many rows were touched to be compared while writes are held.')
}
