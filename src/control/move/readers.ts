/**
 * Waiting for reads that are under way in a home that the tenant has left.
 *
 * Reads take no lock, so that nothing holds them up. One that began before the fence said that the tenant has moved may
 * send its next statement long after that, and must not find half of the rows: they stay until it has ended. New ones
 * are refused by the fence, so the wait has an end.
 */

import { fail } from '../../base/errors.ts'
import { sleep } from '../../base/time.ts'
import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { ShardAccess } from '../reach.ts'

/** Milliseconds between two looks. */
const LOOK_MS = 50

/** Milliseconds after which somebody reads for longer than any request may. */
const PATIENCE_MS = 60_000

/**
 * Wait until every transaction of the gateways' role that is open now in this database has ended.
 *
 * @param client  of any role: who runs which transaction is no secret in Postgres, only what it runs
 * @throws TENANT_BUSY  one does not end; or the move is to pause
 */
export async function readsEnded(
  client: Client,
  { key, appUrl }: Pick<ShardAccess, 'key' | 'appUrl'>,
  signal?: AbortSignal,
): Promise<void> {
  const role = appUrl ? decodeURIComponent(new URL(appUrl).username) : 'shardgate_app'
  const until = performance.now() + PATIENCE_MS
  let left = await openReads(client, role)
  while (left.length > 0) {
    if (signal?.aborted) fail('TENANT_BUSY', 'The move is to pause.')
    if (performance.now() > until) return tooLong(key, left)
    await sleep(LOOK_MS, signal)
    const now = await openReads(client, role)
    left = left.filter((one) => now.some(({ id }) => id === one.id))
  }
}

interface Read {
  /** Number that this transaction has and no later one of the server. */
  readonly id: string
  readonly pid: string
}

async function openReads(client: Client, role: string): Promise<Read[]> {
  const rows = await client.query(
    compile(sql`
      select held.virtualxid as id, held.pid
      from pg_locks as held join pg_stat_activity as who on who.pid = held.pid
      where held.locktype = 'virtualxid' and held.granted
        and who.datname = current_database() and who.usename = ${sql.value(role)}`),
  )
  return rows.map(({ id, pid }) => ({ id: id ?? '', pid: pid ?? '' }))
}

function tooLong(key: string, left: readonly Read[]): never {
  const pids = left.map(({ pid }) => pid).join(', ')
  const sentence = `Somebody has been reading on ${key} for more than ${PATIENCE_MS / 1_000} s (process ${pids}), so nothing is removed there yet.`
  return fail('TENANT_BUSY', sentence, {}, { hint: 'It is tried again; end the long transaction.' })
}
