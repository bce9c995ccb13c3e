/**
 * The way back: what the tenant has written at its new home since the cutover is applied to the old one, and then the
 * same cutover goes the other way. Nothing that was written is lost.
 *
 *     S7 settled ─ rolled back ─▶ S12 returning ─ catch up, compare ─▶ S13 return-frozen ═▶ S14 returned ─▶ S15 rolled-back
 */

import { compile, sql } from '../../db/sql.ts'
import { movesOf, onHome } from '../reach.ts'
import { nextEpoch } from './claim.ts'
import { removeTarget, removeWay } from './cleanup.ts'
import { cutOver, patiently, thaw } from './cutover.ts'
import { liftFence, sharesFence } from './fences.ts'
import { type Follower, follow } from './follow.ts'
import { TOUCHED_MAX, touchedSince } from './live.ts'
import { as, reversed, sourceOf, targetOf } from './moving.ts'
import { wayName } from './names.ts'
import { layTargetFence } from './prepare.ts'
import { tellAgain } from './settle.ts'
import { withSides } from './sides.ts'
import { enterState } from './store.ts'
import { withSequences } from './target-sequences.ts'
import { compareTouched } from './touched.ts'
import type { MoveMemory, MoveRecord, Moving } from './types.ts'
import { verifyUntilSmall } from './verify.ts'
import { watchTables } from './watch-tables.ts'

/** S7 ▶ S12, at an epoch of its own. */
export async function beginReturn({ directory, record, tenant }: Moving): Promise<MoveRecord> {
  const [row] = await directory.query(compile(sql`select ${nextEpoch(tenant)} as epoch`))
  return enterState(directory, record, 'rolled back', { memory: { returnEpoch: Number(row?.epoch) } })
}

/** S12 ▶ S15: from here on the target is where rows come from. */
export async function returnLive(moving: Moving): Promise<MoveRecord> {
  await layTargetFence(reversed(moving))
  const follower = await follow(moving, 'back', { ignoreBefore: moving.record.memory.backMark ?? '' })
  try {
    return await patiently(moving, (attempt) => change(moving, follower, attempt))
  } finally {
    await follower.end()
  }
}

async function change(moving: Moving, follower: Follower, attempt: number): Promise<MoveRecord> {
  const back = reversed(moving)
  const frozen = `return-frozen ${moving.record.token} ${attempt}`
  return withSides(back, (sides) =>
    withSequences(back.target, async (sequences) => {
      const name = wayName(moving.record.id, 'back')
      const watched = await watchTables(sides.source, back.source, back.target, name)
      const { mark } = await verifyUntilSmall(back, follower, TOUCHED_MAX)
      return cutOver(back, {
        from: sourceOf(back),
        to: targetOf(back),
        mark: frozen,
        budgetMs: movesOf(moving.fleet).pauseMs,
        whileFrozen: async () => {
          await follower.reached(frozen)
          await compareTouched(back, sides, touchedSince(follower, mark))
          await watched.requireSame()
          await sequences.raise()
        },
        opened: async ({ record }, pauseMs) => {
          await follower.end()
          return removeReturned(as(moving, record), { returnPauseMs: pauseMs })
        },
      })
    }),
  )
}

/** S13, met by whoever takes over: the new home is opened again. */
export const thawReturn = (moving: Moving): Promise<MoveRecord> => thaw(moving, targetOf(moving))

/** S14, met by whoever takes over. */
export async function finishReturn(moving: Moving): Promise<MoveRecord> {
  const back = reversed(moving)
  await tellAgain(back, { from: sourceOf(back), to: targetOf(back) })
  return removeReturned(moving)
}

/** S14 ▶ S15: nothing of the tenant stays where it has been meanwhile. */
async function removeReturned(moving: Moving, memory: MoveMemory = {}): Promise<MoveRecord> {
  await removeWay(moving, 'back')
  await removeTarget(moving)
  return enterState(moving.directory, moving.record, 'done', { memory })
}

/** S12 ▶ S7: the tenant stays where it has settled, and the fence of its old home is as it was. */
export async function giveUpReturn(moving: Moving): Promise<MoveRecord> {
  const { directory, record, tenant, source, target } = moving
  const { returnEpoch: epoch } = record.memory
  if (epoch !== undefined && !sharesFence(source, target)) {
    const before = { state: 'moved', epoch: record.target.epoch, role: null } as const
    await onHome(source.shard, source.home, (client) => liftFence(client, { tenant, epoch }, before))
  }
  return enterState(directory, record, 'cancelled')
}
