/** The slot of a way: made anew, with nothing left of an earlier one; dropped. */

import { createSlot, dropSlot, lsnOf, lsnText, type NewSlot } from '../../db/replication.ts'
import { compile, sql } from '../../db/sql.ts'
import { asMover, moverUrlOf } from '../copy/target.ts'
import { type Direction, homeUrl, slotName, wayOf } from './names.ts'
import type { Moving } from './types.ts'

/**
 * Make the slot of a way, in place of one that may be there, and forget how far that was applied. The publication has
 * to be there: a slot sees none that was made later.
 *
 * Forward, changes are applied from the moment of its snapshot on. Back, from a mark on (`FollowOptions.ignoreBefore`).
 *
 * @returns the slot, whose snapshot can be used until `end`
 * @throws TENANT_BUSY        transactions on its server go on for too long, and are named
 * @throws SHARD_UNAVAILABLE  an end of the move cannot be reached
 */
export async function freshSlot(
  moving: Pick<Moving, 'source' | 'target' | 'record'>,
  direction: Direction,
  options: { readonly waitMs?: number } = {},
): Promise<NewSlot> {
  const { from, to } = wayOf(moving, direction)
  const { id } = moving.record
  await removeSlot(moving, direction)
  const name = from.shard.session?.name
  const slot = await createSlot(homeUrl(moverUrlOf(from.shard), from), slotName(id, direction, from), {
    ...options,
    ...(name !== undefined && { applicationName: name }),
    admit: () => asMover(from)(async () => {}),
  })
  try {
    if (direction === 'forward') {
      const lsn = lsnText(lsnOf(slot.lsn))
      await asMover(to)((client) =>
        client.query(
          compile(sql`
            insert into shardgate.move_progress (move, direction, lsn)
            values (${sql.value(id)}::bigint, ${sql.value(direction)}, ${sql.value(lsn)}::pg_lsn)`),
        ),
      )
    }
    return slot
  } catch (error) {
    await slot.end().catch(() => {})
    throw error
  }
}

/**
 * Drop the slot of a way, end who uses it, and forget how far it was applied. What is not there is no fault.
 *
 * @throws SHARD_UNAVAILABLE  an end of the move cannot be reached
 */
export async function removeSlot(
  moving: Pick<Moving, 'source' | 'target' | 'record'>,
  direction: Direction,
): Promise<void> {
  const { from, to } = wayOf(moving, direction)
  const { id } = moving.record
  await asMover(from)((client) => dropSlot(client, slotName(id, direction, from)))
  await asMover(to)((client) =>
    client.query(
      compile(sql`
        delete from shardgate.move_progress
        where move = ${sql.value(id)}::bigint and direction = ${sql.value(direction)}`),
    ),
  )
}
