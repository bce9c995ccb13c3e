/**
 * The two ways that changes take: forward to the target, and back to the source once the tenant is served elsewhere.
 * Each is a publication and a slot where the changes are made.
 */

import type { NewSlot } from '../../db/replication.ts'
import { onHome } from '../reach.ts'
import { emitMark, follow } from './follow.ts'
import type { Direction } from './names.ts'
import { preparePublication } from './prepare.ts'
import { freshSlot } from './slots.ts'
import type { Moving } from './types.ts'

/** Make a way anew; what an earlier run has left of it goes. Throws as `preparePublication` and `freshSlot`. */
export async function makeWay(moving: Moving, direction: Direction): Promise<NewSlot> {
  await preparePublication(moving, direction)
  return freshSlot(moving, direction)
}

/**
 * Make the way back, and see a change come over it while there is time to find out that it does not work. What it
 * brings until the cutover has come from the source, and is passed over.
 */
export async function makeWayBack(moving: Moving): Promise<void> {
  const { record, target } = moving
  const slot = await makeWay(moving, 'back')
  await slot.end()
  const follower = await follow(moving, 'back', { ignoreBefore: `back ${record.token}` })
  try {
    const mark = `proof ${record.token}`
    const seen = follower.reached(mark)
    await onHome(target.shard, target.home, (client) => emitMark(client, record.id, mark))
    await seen
  } finally {
    await follower.end()
  }
}
