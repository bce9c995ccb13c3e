/**
 * Following a tenant's changes: what is committed at one end of a move is done at the other, in the same order, until
 * somebody says that it is enough.
 *
 *     slot ──pgoutput──▶ change, change, … commit ──▶ one transaction at the other end, progress in it
 *                                                       │
 *     marks in the stream ─────────────────────────────▶ "everything before this is there"
 *
 * Our own applier, and no subscription of Postgres's: it is one code for all directions (the names of tables differ
 * between shared tables, schemas and databases, which a subscription cannot map), needs no superuser and no connection
 * from server to server, stops at a mark and goes on, knows what it has touched, and takes a row that it does not meet
 * for the failure that it is, where a subscription skips it with a line in a log.
 *
 * Marks, and no positions of WAL: a mark that is written by the transaction that holds the tenant's lock stands behind
 * all writes of the tenant, and when it comes out at the other end, so has everything before it. A position would have
 * to be taken after the last write and compared with what other sessions report.
 */

import { type ChangeStream, openStream } from '../../db/change-stream.ts'
import { lsnOf } from '../../db/replication.ts'
import { compile, sql } from '../../db/sql.ts'
import { asMover, moverUrlOf } from '../copy/target.ts'
import { Applier } from './applier.ts'
import { lostSlot, noLonger } from './follow-faults.ts'
import type { Follower, FollowOptions } from './follower.ts'
import { Following } from './following.ts'
import { type Direction, homeUrl, slotName, type Way, wayName, wayOf } from './names.ts'
import { routesOf } from './routes.ts'
import type { Moving } from './types.ts'

export type { Follower, FollowOptions } from './follower.ts'
export { emitMark } from './pulse.ts'

/**
 * Follow the changes of a way from where they were applied last. Its publication and its slot have to be there.
 *
 * @param moving  with source and target as the record says, in both directions
 * @throws SHARD_UNAVAILABLE  an end cannot be reached
 * @throws SETUP_FAILED       the mover may not write as a move has to
 * @throws REFUSED            the tables are not the same at both ends; or the slot has lost what it kept
 */
export async function follow(
  moving: Moving,
  direction: Direction,
  options: FollowOptions = {},
): Promise<Follower> {
  const way = wayOf(moving, direction)
  const { id } = moving.record
  const slot = slotName(id, direction, way.from)
  const routes = await asMover(way.from)((from) => asMover(way.to)((to) => routesOf(way, from, to)))
  const applier = await Applier.open(way.to, { move: id, direction })
  try {
    if (applier.progress === null && options.ignoreBefore === undefined) {
      await applier.begin(await confirmed(way, slot))
    }
    const stream = await streamOf(way, slot, wayName(id, direction), applier.progress ?? 0n)
    const following = new Following({ moving, way, routes, applier, stream, options })
    following.start()
    return following
  } catch (error) {
    applier.close()
    throw error
  }
}

async function confirmed({ from }: Way, slot: string): Promise<bigint> {
  const [row] = await asMover(from)((client) =>
    client.query(
      compile(
        sql`select confirmed_flush_lsn as lsn from pg_replication_slots where slot_name = ${sql.value(slot)}`,
      ),
    ),
  )
  return typeof row?.lsn === 'string' ? lsnOf(row.lsn) : lostSlot(from.shard.key)
}

function streamOf({ from }: Way, slot: string, publication: string, at: bigint): Promise<ChangeStream> {
  const name = from.shard.session?.name
  return openStream(homeUrl(moverUrlOf(from.shard), from), {
    slot,
    publication,
    from: at,
    ...(name !== undefined && { applicationName: name }),
    admit: () => asMover(from)(async () => {}),
  }).catch((error: unknown) => noLonger(error, from.shard.key))
}
