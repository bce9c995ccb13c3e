/**
 * Removing what a move has made, or left. Idempotent, and right where nothing was ever made: what was not written down
 * (leftovers.ts) was not made, so an abort needs no server that the move has never reached.
 *
 * Nothing is removed from where the tenant lives. The directory is asked first, and where there is a fence it is asked
 * in the very statement, or transaction, that removes: however late a cleaning comes, after a move there and back it
 * finds the fence of a later epoch.
 */

import { fail } from '../../base/errors.ts'
import { dropSlot } from '../../db/replication.ts'
import { compile, sql } from '../../db/sql.ts'
import { asMover } from '../copy/target.ts'
import { onItsHome } from '../homes/reach-home.ts'
import { findSubject, isThere } from '../life/subject.ts'
import { onHome } from '../reach.ts'
import { liftFence } from './fences.ts'
import { fenceBefore, forgetLeftovers, listLeftovers } from './leftovers.ts'
import { isOneDatabase } from './moved-tables.ts'
import { type Direction, slotName, wayName } from './names.ts'
import { dropPublication } from './publication.ts'
import { OTHER_HOME, removeHomeAt } from './remove-home.ts'
import type { Moving, Side } from './types.ts'

/** What of a running move its end is removed with. */
export type Ending = Pick<
  Moving,
  'fleet' | 'directory' | 'tenant' | 'record' | 'source' | 'target' | 'report' | 'signal'
>

/**
 * Remove what was made on the target: its rows, or its home, and its fence.
 *
 * @throws REFUSED            the tenant lives there
 * @throws SHARD_UNAVAILABLE  the target cannot be reached
 * @throws TENANT_BUSY        others hold its tables
 */
export async function removeTarget(ending: Ending): Promise<void> {
  const { directory, record, target } = ending
  const { shard, isolation } = record.target
  const made = (await listLeftovers(directory, record.id)).filter(
    (found) =>
      ['home', 'rows', 'fence'].includes(found.kind) &&
      found.shard === shard &&
      found.isolation === isolation,
  )
  if (made.length === 0) return
  await requireElsewhere(ending, record.target)
  // A database with a slot that somebody uses cannot be dropped.
  await removeWay(ending, 'back')
  const { epoch } = record.target
  // The fence that was laid for it is no life of the tenant.
  const laid = sql`f.state = 'frozen' and f.epoch = ${sql.value(epoch)}::bigint`
  const away = sql`f.state in ('moved', 'purged') or ${laid}`
  await removeHomeAt(ending, target, {
    gone: sql`${away} or ${OTHER_HOME[record.target.isolation]}`,
    keys: away,
    // Rows come only once the fence is laid: others that are there are not ours.
    withKeys: !isOneDatabase(ending),
    rows: made.some(({ kind }) => kind === 'rows'),
  })
  await liftLaid(ending, made.find(({ kind }) => kind === 'fence')?.name)
  await forgetLeftovers(directory, record.id, { kinds: ['home', 'rows', 'fence'] })
}

async function liftLaid({ fleet, tenant, record }: Ending, name: string | undefined): Promise<void> {
  if (name === undefined || record.target.isolation === 'database') return
  const { epoch } = record.target
  await onItsHome(fleet, record.target, (client) => liftFence(client, { tenant, epoch }, fenceBefore(name)))
}

/**
 * Remove what is left of the tenant on the source: its rows, in small batches, or its home; and its answers by
 * idempotency key. The fence stays, and says that the tenant has moved.
 *
 * @throws REFUSED            the tenant lives there
 * @throws SHARD_UNAVAILABLE  the source cannot be reached
 * @throws TENANT_BUSY        others hold its tables, or the move is to pause
 * @throws TABLE_UNSAFE       rows are left
 */
export async function removeSource(ending: Ending): Promise<void> {
  const { directory, record, source } = ending
  await requireElsewhere(ending, record.source)
  await removeWay(ending, 'forward')
  await removeWay(ending, 'back')
  const later = sql`f.epoch >= ${sql.value(record.target.epoch)}::bigint`
  const away = sql`f.state = 'moved' and ${later}`
  await removeHomeAt(ending, source, {
    gone: sql`${away} or ${later} and ${OTHER_HOME[record.source.isolation]}`,
    keys: away,
    withKeys: !isOneDatabase(ending),
    rows: true,
    signal: ending.signal,
  })
  await forgetLeftovers(directory, record.id)
}

/** @throws REFUSED  the directory has the tenant there */
async function requireElsewhere({ directory, tenant }: Ending, side: Side): Promise<void> {
  const now = await findSubject(directory, tenant)
  const isHere =
    now?.shard === side.shard && now.isolation === side.isolation && now.namespace === side.namespace
  if (!isHere) return
  const sentence = `${tenant} lives on ${side.shard} (${side.isolation}), so nothing of it is removed there.`
  fail('REFUSED', sentence, { tenant })
}

/**
 * Remove the slot and the publication of one way, whoever follows it, and how far it was applied.
 *
 * @throws SHARD_UNAVAILABLE  an end cannot be reached
 * @throws TENANT_BUSY        the session that uses the slot does not end
 */
export async function removeWay(ending: Ending, direction: Direction): Promise<void> {
  const { directory, record, source, target } = ending
  const name = wayName(record.id, direction)
  const [made] = (await listLeftovers(directory, record.id)).filter((leftover) => leftover.name === name)
  if (!made) return
  for (const [where, side] of [
    [source, record.source],
    [target, record.target],
  ] as const) {
    // What was in a database has gone with it.
    if (side.isolation === 'database' && !(await isThere(ending.fleet, directory, side))) continue
    if (side.shard === made.shard && side.isolation === made.isolation) {
      await asMover(where)((client) => dropSlot(client, slotName(record.id, direction, where)))
      await onHome(where.shard, where.home, (client) => dropPublication(client, name))
    }
    await onHome(where.shard, where.home, (client) =>
      client.query(
        compile(sql`
          delete from shardgate.move_progress
          where move = ${sql.value(record.id)}::bigint and direction = ${sql.value(direction)}`),
      ),
    )
  }
  const from = direction === 'forward' ? source : target
  await forgetLeftovers(directory, record.id, { kinds: ['publication'], name })
  await forgetLeftovers(directory, record.id, {
    kinds: ['slot'],
    name: slotName(record.id, direction, from),
  })
}
