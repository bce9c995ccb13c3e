/**
 * Replication slots: made with a snapshot of the moment from which they keep changes, and dropped.
 *
 * A slot belongs to one database and its name to the whole server. It keeps WAL until somebody acknowledges it, so one
 * that is left behind fills the disk.
 */

import pg from 'pg'
import { fail } from '../base/errors.ts'
import { sleep } from '../base/time.ts'
import { type Queryable, sqlState, withClient } from './client.ts'
import { clientConfig } from './settings.ts'
import { compile, sql } from './sql.ts'

export interface WalsenderOptions {
  /** application_name; default is 'shardgate control'. */
  readonly applicationName?: string
  /**
   * Asked once the session is open and can be seen by others, before anything is sent on it; throws when it must not be
   * used. Sessions of replication take no statements with parameters, so it has to be asked on another one.
   */
  readonly admit?: () => Promise<void>
}

/**
 * Values as COPY writes them in a move (control/copy/hash.ts has the list), and no end by a timer: between two commands
 * a session with an exported snapshot is a transaction that does nothing.
 */
const SETTINGS = `
  set TimeZone = 'UTC'; set DateStyle = 'ISO'; set IntervalStyle = 'iso_8601'; set bytea_output = 'hex';
  set extra_float_digits = 1; set lc_monetary = 'C'; set xmloption = 'content';
  set idle_in_transaction_session_timeout = 0; set statement_timeout = 0; set lock_timeout = 0;
  select set_config('transaction_timeout', '0', false) where current_setting('transaction_timeout', true) is not null`

/** Open a session of replication. @throws the driver's error, or what `admit` throws */
export async function openWalsender(
  url: string,
  { applicationName = 'shardgate control', admit }: WalsenderOptions,
): Promise<pg.Client> {
  const settings = { ...clientConfig({ url, connectMs: 5_000, applicationName }), replication: 'database' }
  const client = new pg.Client(settings)
  client.on('error', () => {})
  try {
    await client.connect()
    await admit?.()
    await client.query(SETTINGS)
    return client
  } catch (error) {
    client.end().catch(() => {})
    throw error
  }
}

export interface SlotOptions extends WalsenderOptions {
  /** Milliseconds to wait for transactions that are under way. Default is 30,000. */
  readonly waitMs?: number
}

export interface NewSlot {
  /** Where its changes begin: 'X/X'. */
  readonly lsn: string
  /** For `set transaction snapshot`: exactly what was committed before `lsn`. Gone after `end`. */
  readonly snapshot: string
  end(): Promise<void>
}

/**
 * Make a slot for pgoutput. Postgres waits for every transaction of the server that has written something and is not
 * over: those of other databases, too.
 *
 * @param url   of a role with REPLICATION
 * @throws TENANT_BUSY  some of those go on for longer than `waitMs`: they are named, and no slot is left
 */
export async function createSlot(url: string, name: string, options: SlotOptions = {}): Promise<NewSlot> {
  requireSlotName(name)
  const walsender = await openWalsender(url, options)
  try {
    const { rows } = await orBlocked(url, walsender, options, () =>
      walsender.query(`CREATE_REPLICATION_SLOT "${name}" LOGICAL pgoutput (SNAPSHOT 'export')`),
    )
    const [slot] = rows as { consistent_point: string; snapshot_name: string }[]
    if (!slot) throw new Error('Postgres made a slot and said nothing about it.')
    return { lsn: slot.consistent_point, snapshot: slot.snapshot_name, end: () => walsender.end() }
  } catch (error) {
    walsender.end().catch(() => {})
    throw error
  }
}

function requireSlotName(name: string): void {
  if (!/^[a-z0-9_]{1,63}$/.test(name)) throw new Error(`"${name}" is no name for a slot.`)
}

// The server goes on waiting when its client has gone; its end is what removes the slot that is half made.
async function orBlocked<T>(
  url: string,
  walsender: pg.Client,
  { applicationName, waitMs = 30_000 }: SlotOptions,
  work: () => Promise<T>,
): Promise<T> {
  const { rows } = await walsender.query('select pg_backend_pid() as pid')
  const pid = String((rows as { pid: string }[])[0]?.pid)
  const working = work()
  const over = new AbortController()
  const late = sleep(waitMs, over.signal).then(() => 'late' as const)
  working.catch(() => {})
  try {
    const first = await Promise.race([working, late])
    if (first !== 'late') return first
    return await withClient(
      url,
      async (client) => {
        const names = await waitedFor(client, waitMs)
        await client.query(compile(sql`select pg_terminate_backend(${sql.value(pid)}::int, 5000)`))
        return blocked(names, waitMs)
      },
      applicationName === undefined ? {} : { applicationName },
    )
  } finally {
    over.abort()
  }
}

function blocked(names: readonly string[], waitMs: number): never {
  const who = names.length > 0 ? names.join('; ') : 'transactions that have ended just now'
  const sentence = `A replication slot waits for every transaction that is under way on its server; ${waitMs} ms were not enough for: ${who}.`
  const hint = 'Wait for them, or end them: "select pg_terminate_backend(PID)".'
  return fail('TENANT_BUSY', sentence, { waitedMs: waitMs }, { hint })
}

// What is visible of sessions of other roles: who they are and whether they have written, not since when.
async function waitedFor(client: Queryable, waitMs: number): Promise<string[]> {
  const rows = await client.query(
    compile(sql`
      select format('%s of %s in %s (process %s)', coalesce(nullif(application_name, ''), 'a session'), usename, datname, pid)
        || coalesce(format(', since %s', date_trunc('second', xact_start)), '') as name
      from pg_stat_activity
      where backend_xid is not null and pid <> pg_backend_pid()
        and (xact_start is null or xact_start < clock_timestamp() - ${sql.value(waitMs)}::float8 * interval '1 millisecond')
      union all
      select format('the prepared transaction %L of %s in %s', gid, owner, database) from pg_prepared_xacts
      order by 1`),
  )
  return rows.flatMap(({ name }) => name ?? [])
}

/** Milliseconds that a slot may be held after the session that used it was told to end. */
const RELEASED_MS = 10_000

/**
 * Drop a slot, and end the session that uses it. One that is not there is no fault.
 *
 * @param client  of a role with REPLICATION, the one that uses the slot
 * @throws TENANT_BUSY  the session that uses it does not end
 */
export async function dropSlot(client: Queryable, name: string): Promise<void> {
  requireSlotName(name)
  for (const end = performance.now() + RELEASED_MS; ; await sleep(20)) {
    await releaseSlot(client, name)
    try {
      await client.query(
        compile(sql`
          select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = ${sql.value(name)}`),
      )
      return
    } catch (error) {
      if (sqlState(error) === UNDEFINED) return
      if (sqlState(error) !== IN_USE) throw error
      if (performance.now() > end) fail('TENANT_BUSY', `The session that uses the slot ${name} does not end.`)
    }
  }
}

/** A slot that is gone, or a session that has gone meanwhile. */
const UNDEFINED = '42704'
const IN_USE = '55006'

/** End whoever uses a slot. */
export async function releaseSlot(client: Queryable, name: string): Promise<void> {
  await client.query(
    compile(sql`
      select pg_terminate_backend(active_pid) from pg_replication_slots
      where slot_name = ${sql.value(name)} and active_pid is not null`),
  )
}

/** Whether Postgres refused because somebody uses the slot. */
export const isInUse = (error: unknown): boolean => sqlState(error) === IN_USE

/** 'X/X' as a number that can be compared. */
export function lsnOf(text: string): bigint {
  const [high = '0', low = '0'] = text.split('/')
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}

export function lsnText(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffff_ffffn).toString(16)}`.toUpperCase()
}
