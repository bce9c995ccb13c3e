/** Removing a home of a tenant that lives elsewhere: a schema, a database, or rows in tables that it shares. */

import { fail } from '../../base/errors.ts'
import { sleep } from '../../base/time.ts'
import { type Client, sqlState } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { tenantRole } from '../../directory/namespaces.ts'
import type { Isolation } from '../../directory/types.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import { databaseExists, dropDatabase } from '../homes/database-home.ts'
import { accessTo, onItsHome, onItsShard } from '../homes/reach-home.ts'
import { dropSchema } from '../homes/schema-home.ts'
import { IDEMPOTENCY, movedTablesOf } from './moved-tables.ts'
import { readsEnded } from './readers.ts'
import { removeRows } from './remove-rows.ts'
import type { Moving } from './types.ts'

/** By what it is known that the tenant lives elsewhere, where the home is. */
export interface Walls {
  /** That the fence `f`, where there is one, says that the tenant does not live in this home. */
  readonly gone: SQL
  /** That it lives neither there nor in the other home of the same database. */
  readonly keys: SQL
  /** Whether there may be rows in tables that it shares with others. */
  readonly rows: boolean
  /** Whether idempotency keys go with it; left out where it lives in the same database still. */
  readonly withKeys: boolean
  readonly signal?: AbortSignal
}

/**
 * That the fence `f` is of the other home that shares it: shared tables are served without a role, schemas with one. A
 * database has a fence to itself.
 */
export const OTHER_HOME: Readonly<Record<Isolation, SQL>> = {
  shared: sql`f.role is not null`,
  schema: sql`f.role is null and f.state not in ('moved', 'purged')`,
  database: sql`false`,
}

type At = Pick<Moving, 'fleet' | 'directory' | 'report'>

/**
 * Idempotent.
 *
 * @throws REFUSED            the fence says that the tenant lives there
 * @throws SHARD_UNAVAILABLE  the shard cannot be reached
 * @throws TENANT_BUSY        others hold its tables, or the signal
 * @throws TABLE_UNSAFE       rows are left
 */
export async function removeHomeAt(at: At, where: Whereabouts, walls: Walls): Promise<void> {
  const { directory, report } = at
  const { isolation, namespace } = where.home
  report(`removing what is left on ${where.shard.key}`)
  if (isolation !== 'database') await onItsShard(at.fleet, placeOf(where), readsEndedAt(where, walls))
  if (isolation === 'schema') await removeSchema(at, where, walls)
  if (isolation === 'database') await removeDatabase(at, where, walls)
  else if (walls.rows) await removeSharedRows(at, where, walls)
  if (isolation === 'shared') return
  await directory.query(
    compile(sql`
      delete from directory.target where shard = ${sql.value(where.shard.key)}
        and isolation = ${sql.value(isolation)} and namespace = ${sql.value(namespace)}`),
  )
}

const readsEndedAt =
  ({ shard }: Whereabouts, { signal }: Walls) =>
  (client: Client): Promise<void> =>
    readsEnded(client, shard, signal)

const placeOf = ({ shard, home }: Whereabouts) => ({ shard: shard.key, ...home })

function removeSchema({ fleet }: At, where: Whereabouts, { gone }: Walls): Promise<void> {
  const { tenant, home } = where
  return onItsShard(fleet, placeOf(where), (client, shardId) =>
    patiently(client, tenant, async () => {
      await requireGone(client, where, gone)
      await dropSchema(client, { schema: home.namespace, role: tenantRole(shardId, tenant) }, false)
    }),
  )
}

/** Rows in tables of the whole shard: of a tenant that has a schema, only its idempotency keys. */
async function removeSharedRows({ fleet, report }: At, where: Whereabouts, walls: Walls): Promise<void> {
  const tables = await onItsHome(fleet, placeOf(where), (client) => movedTablesOf(client, where))
  const mine = tables.filter(({ id }) =>
    id === IDEMPOTENCY ? walls.withKeys : where.home.isolation === 'shared',
  )
  const told = (gone: number): void => report(`removing rows from ${where.shard.key}`, gone)
  await removeRows({ ...walls, where, tables: mine, report: told })
}

async function removeDatabase({ fleet }: At, where: Whereabouts, walls: Walls): Promise<void> {
  const { namespace } = where.home
  const place = placeOf(where)
  if (!(await onItsShard(fleet, place, (client) => databaseExists(client, namespace)))) return
  // One that was killed while it was made or dropped lets nobody in, and has nobody living in it.
  const isOpen = await onItsShard(fleet, place, async (client) => {
    const [row] = await client.query(
      compile(sql`select datallowconn as open from pg_database where datname = ${sql.value(namespace)}`),
    )
    return row?.open === 't'
  })
  if (isOpen) {
    await onItsHome(fleet, place, (client) => requireGone(client, where, walls.gone))
    await onItsHome(fleet, place, readsEndedAt(where, walls))
  }
  await dropDatabase(accessTo(fleet, place.shard), namespace)
}

async function requireGone(client: Client, { tenant, shard, home }: Whereabouts, gone: SQL): Promise<void> {
  const [row] = await client.query(
    compile(sql`
      select coalesce(bool_and(${gone}), true) as gone from shardgate.tenant_fence f
      where f.tenant_id = ${sql.value(tenant)}`),
  )
  if (row?.gone === 't') return
  const sentence = `${tenant} lives in ${home.namespace} on ${shard.key}, as its fence says.`
  fail('REFUSED', sentence, { tenant }, { hint: 'Nothing was removed. See "shardgate move doctor".' })
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
