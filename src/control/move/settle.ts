/**
 * Behind the commit point: both homes are told, what followed the source goes, and the receipt is written.
 *
 * The tenant is served as soon as the homes are told; the rest is for the operator. A source that cannot be reached
 * must not hold the tenant's writes: the target is opened then, and the source is told as soon as it is back. Until
 * then only a router that has slept since before the cutover could read there what is old.
 */

import { isGatewayError } from '../../base/errors.ts'
import { sqlState } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { movesOf, onHome } from '../reach.ts'
import { removeWay } from './cleanup.ts'
import { openNew, tellHomes, type Way } from './cutover.ts'
import { as, sourceOf, targetOf } from './moving.ts'
import type { Proof } from './proof.ts'
import { makeReceipt } from './receipt.ts'
import { enterState } from './store.ts'
import type { MoveRecord, Moving } from './types.ts'

/** S6, met by whoever takes over: tell the homes, then go on as the cutover would have. */
export async function settle(moving: Moving): Promise<MoveRecord> {
  await tellAgain(moving, { from: sourceOf(moving), to: targetOf(moving) })
  return finish(moving, null)
}

/** Tell both homes of a move that was found behind its commit point. */
export function tellAgain(moving: Moving, way: Way): Promise<void> {
  const { from, to } = way
  return onHome(to.where.shard, to.where.home, async (toClient) => {
    try {
      await onHome(from.where.shard, from.where.home, (fromClient) =>
        tellHomes(moving, way, { from: fromClient, to: toClient }),
      )
    } catch (error) {
      if (isAway(error)) await openNew(moving, to, toClient)
      throw error
    }
  })
}

// A server that answers, be it with "too many connections", may serve a gateway what is old.
const isAway = (error: unknown): boolean =>
  isGatewayError(error, 'SHARD_UNAVAILABLE') && sqlState(error.cause) === undefined

/**
 * S6 ▶ S7: let go of what has followed the source, and write the receipt.
 *
 * @param proof    what the tenant's tables held at the cutover; null to whoever has taken over
 * @param pauseMs  for which writes were held; as far as known
 */
export async function finish(moving: Moving, proof: Proof | null, pauseMs?: number): Promise<MoveRecord> {
  const { directory, record, fleet, target } = moving
  await removeWay(moving, 'forward')
  const { windowMinutes } = movesOf(fleet)
  const window = record.memory.hasWayBack ? windowMinutes : 0
  return onHome(target.shard, target.home, (home) =>
    directory.transaction(async () => {
      const settled = await enterState(directory, record, 'done', {
        windowMinutes: window,
        ...(pauseMs !== undefined && { pauseMs }),
      })
      const receipt = await makeReceipt(directory, as(moving, settled), home, proof)
      await directory.query(
        compile(sql`
          update directory.move set receipt = ${sql.value(receipt)}::bigint where id = ${sql.value(record.id)}::bigint`),
      )
      return { ...settled, receipt }
    }),
  )
}
