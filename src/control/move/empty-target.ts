/** Removing from the target what an earlier run has left there. The tenant is served elsewhere all the while. */

import { fail } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { withAll } from '../copy/lanes.ts'
import { asMover, mayQuiet } from '../copy/target.ts'
import { deleteRows } from '../life/delete-rows.ts'
import { type TenantTable, tenantTables } from '../life/tables.ts'
import { onHome } from '../reach.ts'
import { findFence } from './fences.ts'
import { IDEMPOTENCY, isOneDatabase, movedTablesOf, type Pair, pairsOf } from './moved-tables.ts'
import type { MoveState } from './states.ts'
import type { Moving } from './types.ts'

/** From the commit point on, rows on the target are the tenant's only ones. */
const BEFORE: readonly MoveState[] = ['claimed', 'prepared', 'copied', 'ready', 'frozen', 'aborting']

/**
 * Take the tenant's rows out of shared tables, in batches, and empty the tables of a home of its own. Without triggers
 * where the mover may: a log of deletions is about rows that somebody has deleted.
 *
 * @throws REFUSED  the tenant is served there
 */
export async function emptyTarget(moving: Moving): Promise<void> {
  const { record, tenant } = moving
  if (!BEFORE.includes(record.state)) {
    fail(
      'REFUSED',
      `Rows of ${tenant} are not removed from where it is: move ${record.id} is ${record.state}.`,
    )
  }
  await requireNotServed(moving)
  if (moving.target.home.isolation !== 'shared') await emptyOwn(moving)
  await deleteShared(moving)
}

async function requireNotServed(moving: Moving): Promise<void> {
  // There the fence is that of the source.
  if (isOneDatabase(moving)) return
  const { tenant, target, record } = moving
  const fence = await onHome(target.shard, target.home, (client) => findFence(client, tenant))
  if (!fence || fence.state === 'moved' || fence.state === 'purged') return
  if (fence.state !== 'active' && fence.state !== 'read-only' && fence.epoch <= record.target.epoch) return
  const sentence = `${tenant} is ${fence.state} on ${target.shard.key} at epoch ${fence.epoch}: its rows there are not removed.`
  fail('REFUSED', sentence, { tenant })
}

// Nobody else has rows there, so they go at once, with those that the migrations have made in tables without the
// tenant column. Tables that the source has not keep what they have.
async function emptyOwn(moving: Moving): Promise<void> {
  const { shard, home } = moving.target
  const pairs = await pairsOfBoth(moving)
  const names = pairs
    .filter(({ id }) => id !== IDEMPOTENCY)
    .map(({ to }) => sql.identifier(to.schema, to.name))
  if (names.length === 0) return
  await onHome(shard, home, (client) => client.query(compile(sql`truncate ${sql.join(names, ', ')}`)))
}

function pairsOfBoth(moving: Moving): Promise<readonly Pair[]> {
  const { source, target } = moving
  return withAll([asMover(source), asMover(target)], async ([from, to]) => {
    const there = await movedTablesOf(to!, target)
    return pairsOf(moving, await movedTablesOf(from!, source), there).pairs
  })
}

function deleteShared(moving: Moving): Promise<void> {
  const { tenant, target, report, signal } = moving
  return asMover(target)(async (client) => {
    const tables = await sharedTables(client, moving)
    if (await mayQuiet(client)) await client.query('set session_replication_role = replica')
    const told = (gone: number): void => {
      signal.throwIfAborted()
      report(`remove ${gone} rows`)
    }
    await deleteRows(client, tables, tenant, { report: told })
  })
}

/** Tables of the target that hold rows of several tenants. */
async function sharedTables(client: Client, moving: Moving): Promise<TenantTable[]> {
  const { home, tenancy } = moving.target
  const schemas = home.isolation === 'shared' ? tenancy.schemas : []
  const tables = await tenantTables(client, { column: tenancy.column, schemas })
  const isOne = isOneDatabase(moving)
  return tables.filter((table) => table.served && !(isOne && `${table.schema}.${table.name}` === IDEMPOTENCY))
}
