/**
 * Removing what a move has made, or left. Idempotent, and right where nothing was ever made: what was not written down
 * (leftovers.ts) was not made, so an abort needs no server that the move has never reached.
 *
 * Nothing is removed from where the tenant lives. The directory is asked first, and where there is a fence it is asked
 * in the very statement, or transaction, that removes: however late a cleaning comes, after a move there and back it
 * finds the fence of a later epoch.
 */

import { fail } from '../../base/errors.ts'
import { sleep } from '../../base/time.ts'
import { type Client, sqlState } from '../../db/client.ts'
import { dropSlot } from '../../db/replication.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { tenantRole } from '../../directory/namespaces.ts'
import type { Isolation } from '../../directory/types.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import { asMover } from '../copy/target.ts'
import { databaseExists, dropDatabase } from '../homes/database-home.ts'
import { accessTo, onItsHome, onItsShard } from '../homes/reach-home.ts'
import { dropSchema } from '../homes/schema-home.ts'
import { findSubject, isThere } from '../life/subject.ts'
import { onHome } from '../reach.ts'
import { liftFence } from './fences.ts'
import { fenceBefore, forgetLeftovers, listLeftovers } from './leftovers.ts'
import { IDEMPOTENCY, isOneDatabase, movedTablesOf } from './moved-tables.ts'
import { type Direction, slotName, wayName } from './names.ts'
import { dropPublication } from './publication.ts'
import { removeRows } from './remove-rows.ts'
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
  await removeHomeOf(ending, target, record.target, {
    gone: sql`${away} or ${OTHER_HOME[record.target.isolation]}`,
    keys: away,
    // Rows come only once the fence is laid: others that are there are not ours.
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
  await removeHomeOf(ending, source, record.source, {
    gone: sql`${away} or ${later} and ${OTHER_HOME[record.source.isolation]}`,
    keys: away,
    rows: true,
    signal: ending.signal,
  })
  await forgetLeftovers(directory, record.id)
}

/**
 * That the fence `f` is of the other home that shares it: shared tables are served without a role, schemas with one. A
 * database has a fence to itself.
 */
const OTHER_HOME: Readonly<Record<Isolation, SQL>> = {
  shared: sql`f.role is not null`,
  schema: sql`f.role is null and f.state not in ('moved', 'purged')`,
  database: sql`false`,
}

interface Walls {
  /** That the fence `f` says that the tenant does not live in this home. */
  readonly gone: SQL
  /** That it lives neither there nor in the other home of the same database. */
  readonly keys: SQL
  /** Whether there may be rows in tables that it shares with others. */
  readonly rows: boolean
  readonly signal?: AbortSignal
}

async function removeHomeOf(ending: Ending, where: Whereabouts, side: Side, walls: Walls): Promise<void> {
  const { fleet, directory, tenant, report } = ending
  const { isolation, namespace } = side
  report(`removing what is left on ${side.shard}`)
  if (isolation === 'database') await removeDatabase(ending, side, walls)
  else {
    if (isolation === 'schema') {
      await onItsShard(fleet, side, (client, shardId) =>
        patiently(client, tenant, async () => {
          await requireGone(client, ending, side, walls.gone)
          await dropSchema(client, { schema: namespace, role: tenantRole(shardId, tenant) }, false)
        }),
      )
    }
    if (walls.rows) await removeSharedRows(ending, where, side, walls)
  }
  if (isolation !== 'shared') {
    await directory.query(
      compile(sql`
        delete from directory.target where shard = ${sql.value(side.shard)}
          and isolation = ${sql.value(isolation)} and namespace = ${sql.value(namespace)}`),
    )
  }
}

/** Rows in tables of the whole shard: of a tenant that has a schema, only its idempotency keys. */
async function removeSharedRows(ending: Ending, where: Whereabouts, side: Side, walls: Walls): Promise<void> {
  const { source, target, report } = ending
  const tables = await onItsHome(ending.fleet, side, (client) => movedTablesOf(client, where))
  const mine = tables.filter(({ id }) =>
    id === IDEMPOTENCY ? !isOneDatabase({ source, target }) : side.isolation === 'shared',
  )
  await removeRows({
    ...walls,
    where,
    tables: mine,
    report: (gone) => report(`removing rows from ${side.shard}`, gone),
  })
}

async function removeDatabase(ending: Ending, side: Side, { gone }: Walls): Promise<void> {
  const { fleet } = ending
  const there = await onItsShard(fleet, side, (client) => databaseExists(client, side.namespace))
  if (!there) return
  await onItsDatabase(ending, side, gone)
  await dropDatabase(accessTo(fleet, side.shard), side.namespace)
}

// One that was killed while it was dropped lets nobody in any more, and one that is half made has no fence yet.
async function onItsDatabase(ending: Ending, side: Side, gone: SQL): Promise<void> {
  const { fleet } = ending
  const open = await onItsShard(fleet, side, async (client) => {
    const [row] = await client.query(
      compile(sql`select datallowconn as open from pg_database where datname = ${sql.value(side.namespace)}`),
    )
    return row?.open === 't'
  })
  if (open) await onItsHome(fleet, side, (client) => requireGone(client, ending, side, gone))
}

async function requireGone(client: Client, { tenant }: Ending, side: Side, gone: SQL): Promise<void> {
  const [row] = await client.query(
    compile(sql`
      select coalesce(bool_and(${gone}), true) as gone from shardgate.tenant_fence f
      where f.tenant_id = ${sql.value(tenant)}`),
  )
  if (row?.gone === 't') return
  const sentence = `${tenant} lives in ${side.namespace} on ${side.shard}, as its fence says.`
  fail('REFUSED', sentence, { tenant }, { hint: 'Nothing was removed. See "shardgate move doctor".' })
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

/** Milliseconds that others wait behind a drop that waits itself. */
const LOCK_MS = 200

/** Tries, a lock's time apart: some twenty seconds for long reads to end. */
const TRIES = 50

/** Run `work` in a transaction that waits for locks a short time only, again and again. */
async function patiently(client: Client, tenant: string, work: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await client.transaction(async () => {
        await client.query(`set local lock_timeout = ${LOCK_MS}`)
        await work()
      })
      return
    } catch (cause) {
      if (sqlState(cause) !== '55P03') throw cause
      if (tries === TRIES) {
        const sentence = `Others hold the tables of ${tenant} that are to be dropped, for more than ${(2 * TRIES * LOCK_MS) / 1000} s.`
        fail('TENANT_BUSY', sentence, { tenant }, { cause, hint: 'End their transactions, then go on.' })
      }
      await sleep(LOCK_MS)
    }
  }
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
