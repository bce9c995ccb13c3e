/**
 * Making what a move needs on servers: the target's home with its tables, its fence, and the publications. Each thing
 * is written down before it is made (leftovers.ts), and whoever is killed runs it all again.
 */

import { fail } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import { checkHome, type Home, makePlace, makeTables } from '../homes/home.ts'
import { onItsHome } from '../homes/reach-home.ts'
import { findFence, layFence, roleOfHome, sharesFence } from './fences.ts'
import { fenceName, type LeftoverKind, recordLeftover } from './leftovers.ts'
import { IDEMPOTENCY, isOneDatabase, movedTablesOf } from './moved-tables.ts'
import { type Direction, slotName, wayName } from './names.ts'
import { makePublication, publishingFaults } from './publication.ts'
import type { Moving, Side } from './types.ts'

/**
 * Make the target's home, empty and frozen: its tables by the migrations that its shard has had, recorded as a target,
 * and its fence. Idempotent.
 *
 * @throws TABLE_UNSAFE           the tables would not keep the tenant apart
 * @throws SHARD_UNSAFE           there is a fence of another life
 * @throws REFUSED, SETUP_FAILED  it cannot be made, with the reason
 */
export async function prepareTarget(moving: Moving): Promise<void> {
  const { fleet, record, target } = moving
  const home = homeOf(moving, record.target)
  if (home.isolation !== 'shared') await remember(moving, record.target, 'home', home.namespace)
  await makePlace(fleet, home)
  await makeTables(fleet, home)
  await checkHome(fleet, home)
  await layTargetFence(moving)
  // Of a schema, those of its idempotency keys, which lie beside it. No row comes before the fence is laid.
  if (home.isolation !== 'database') await remember(moving, record.target, 'rows', home.namespace)
  if (record.path === 'live') await requireWayBack(moving, target)
}

/** Lay the fence of the target at its epoch; where both ends have one, there is nothing to lay. Idempotent. */
export async function layTargetFence(moving: Moving): Promise<void> {
  const { fleet, tenant, source, target, record } = moving
  if (sharesFence(source, target)) return
  const { epoch, isolation } = record.target
  await onItsHome(fleet, record.target, async (client, shardId) => {
    const before = await findFence(client, tenant)
    const isLaid = before?.state === 'frozen' && before.epoch === epoch
    if (!isLaid) await remember(moving, record.target, 'fence', fenceName(before))
    await layFence(client, { tenant, epoch, role: roleOfHome(isolation, tenant, shardId) })
  })
}

/** The home of one end, as control/homes/ makes and removes it. */
export function homeOf(
  { tenant }: Pick<Moving, 'tenant'>,
  { shard, isolation, namespace, epoch }: Side,
): Home {
  return { tenant, shard, isolation, namespace, epoch, state: 'frozen' }
}

// Told before hours of copying, and not when the way back is made.
async function requireWayBack({ fleet, record, source }: Moving, target: Whereabouts): Promise<void> {
  const faults = await onItsHome(fleet, record.target, async (client) =>
    publishingFaults(client, target, await publishedTables(client, target, source)),
  )
  if (faults.length > 0) fail('REFUSED', faults.join('\n'))
}

/** The tables that changes are followed of: without the idempotency keys where both ends have the same. */
export async function publishedTables(client: Client, where: Whereabouts, other: Whereabouts) {
  const tables = await movedTablesOf(client, where)
  return isOneDatabase({ source: where, target: other })
    ? tables.filter(({ id }) => id !== IDEMPOTENCY)
    : tables
}

/**
 * Publish the tenant's changes: those of the source, or on the way back those of the target. The slot of the same name
 * is written down too, for whoever makes it. Idempotent.
 *
 * @throws REFUSED  while it is published, a table could not be changed any more; each with what to type
 */
export async function preparePublication(moving: Moving, direction: Direction): Promise<void> {
  const { fleet, record, source, target } = moving
  const [where, other] = direction === 'forward' ? [source, target] : [target, source]
  const side = direction === 'forward' ? record.source : record.target
  const name = wayName(record.id, direction)
  await remember(moving, side, 'publication', name)
  await remember(moving, side, 'slot', slotName(record.id, direction, where))
  await onItsHome(fleet, side, async (client) => {
    const tables = await publishedTables(client, where, other)
    await makePublication(client, { name, where, tables })
  })
}

function remember(
  { directory, record }: Moving,
  { shard, isolation, namespace }: Side,
  kind: LeftoverKind,
  name: string,
): Promise<void> {
  return recordLeftover(directory, { move: record.id, kind, shard, isolation, namespace, name })
}
