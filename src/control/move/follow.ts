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
import { Following } from './following.ts'
import { type Direction, homeUrl, slotName, type Way, wayName, wayOf } from './names.ts'
import type { Lag } from './pulse.ts'
import { routesOf } from './routes.ts'
import type { Moving } from './types.ts'

export { emitMark } from './pulse.ts'

export interface Follower {
  /** Resolves when everything before the mark is committed at the other end; at once when it came before. */
  reached(mark: string): Promise<void>
  /**
   * Do `work` while nothing is applied and everything before the mark is. Call it before the mark is made.
   *
   * @throws what `work` throws, after which the changes go on
   */
  stopAt<T>(mark: string, work: () => Promise<T>): Promise<T>
  /**
   * Keys of rows that were touched after the mark, by id of their table: values as text, those of the columns that
   * `rowKeysOf` gives for the end where changes come from. Of a table without a key one that is empty: any of its rows.
   */
  touchedSince(mark: string): ReadonlyMap<string, readonly (readonly string[])[]> | 'too many'
  lag(): Lag
  /** Rejects as soon as changes can no longer be followed; nobody has to listen. */
  readonly failed: Promise<never>
  /** Nothing more is applied. What waits for a mark is rejected. */
  end(): Promise<void>
}

export interface FollowOptions {
  /**
   * Changes up to and including the transaction of this mark are ignored; then, or when it has come in an earlier run,
   * they are applied. For the way back, whose slot is made while changes still come forward: those must not return.
   */
  readonly ignoreBefore?: string
}

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
