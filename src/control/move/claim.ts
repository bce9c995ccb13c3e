/**
 * Who runs a move: claiming one, and telling its runner what is wanted of it.
 *
 *     token     drawn anew with each claim: a higher one ends everything that a lower one may do
 *     lease     until when the holder need not be asked whether it lives
 *     operation keeps others from the tenant, from the claim until the move comes to rest
 */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Client, Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { findTenant } from '../../directory/tenants.ts'
import { lockKey, MOVE_KIND, unfinished, wayOut } from '../operations/run.ts'
import { findRunning, insertOperation } from '../operations/store.ts'
import { endLost } from './sessions.ts'
import { ENDED, TRANSITIONS } from './states.ts'
import { doing, enterState, known, tell } from './store.ts'
import type { MoveRecord } from './types.ts'

/** How many moves may run at once. */
export interface Limits {
  /** Over all shards. */
  readonly atOnce: number
  /** That come from a shard, or go to it. */
  readonly perShard: number
}

/** On which terms a move is claimed; left out, on none. */
export interface Terms {
  /** Over all runners. */
  readonly limits?: Limits
  /** The token that the move had when it was chosen; null for none. Another one since then: another runner was faster. */
  readonly token?: string | null
}

/**
 * Take a move: one that nobody has begun, one whose runner is silent for longer than its lease, or one that rests in
 * its window, to be rolled back or completed. A queued one is `claimed` by that.
 *
 * @param runner   who takes it, for people: 'host 4711'
 * @param leaseMs  how long others have to wait for a sign of life
 * @throws REFUSED      there is no such move, it has ended, or its tenant is not where it was to be moved from
 * @throws TENANT_BUSY  another runner holds it, an operation on the tenant is not finished, or there are as many moves
 *                      already as there may be
 */
export async function claimMove(
  directory: Client,
  id: string,
  runner: string,
  leaseMs: number,
  { limits, token }: Terms = {},
): Promise<MoveRecord> {
  await endLostOf(directory, id)
  return directory.transaction(async () => {
    // Whoever counts moves counts those that others are just claiming.
    if (limits) await directory.query(`select pg_advisory_xact_lock(${CLAIMS})`).then(() => hasten(directory))
    const record = await locked(directory, id)
    requireFree(record, token)
    if (limits) await requireRoom(directory, record, limits)
    if (record.state === 'queued') await requireSource(directory, record)
    const operation = await holdTenant(directory, record)
    await directory.query(
      compile(sql`
        update directory.move set token = nextval('directory.move_token'), runner = ${sql.value(runner)},
          lease_until = clock_timestamp() + ${sql.value(leaseMs)}::float8 * interval '1 millisecond',
          operation = ${sql.value(operation)}::bigint,
          to_epoch = coalesce(to_epoch, ${nextEpoch(record.tenant)}), changed_at = clock_timestamp()
        where id = ${sql.value(id)}::bigint`),
    )
    const claimed = await known(directory, id)
    return claimed.state === 'queued' ? enterState(directory, claimed, 'done') : claimed
  })
}

/** A runner that is stopped in a transaction keeps the row of its move: nobody could claim it, or say what is wanted. */
async function endLostOf(directory: Client, id: string): Promise<void> {
  const before = await known(directory, id)
  if (before.token !== null && !before.isHeld) await endLost(directory, before)
}

async function locked(directory: Queryable, id: string): Promise<MoveRecord> {
  const { id: same } = await known(directory, id)
  // What is read after this is what it is: nobody else writes the row until the end of the transaction.
  await directory.query(
    compile(sql`select from directory.move where id = ${sql.value(same)}::bigint for update`),
  )
  await hasten(directory)
  return known(directory, same)
}

/**
 * From the moment of a lock on, the server ends the transaction where its client stands still: who is claiming a move
 * has no name yet by which others could end it, and half a statement on its way is no idle session. Not before: whoever
 * waits for the lock of such a client would be ended with it. Postgres 15 and 16 have no `transaction_timeout`.
 */
async function hasten(directory: Queryable): Promise<void> {
  await directory.query(`
    select set_config('transaction_timeout', '5s', true)
    where current_setting('transaction_timeout', true) is not null`)
}

function requireFree(record: MoveRecord, token: string | null = record.token): void {
  const { id, tenant, state, isHeld, runner } = record
  if (ENDED.includes(state)) fail('REFUSED', `Move ${id} of ${tenant} is ${doing(record)}.`, {}, OVER)
  const hint = `Wait for its end: shardgate move watch ${id}`
  const sentence = `${runner} runs move ${id} of ${tenant} at this moment.`
  if (isHeld || record.token !== token) fail('TENANT_BUSY', sentence, { wait: 'runner' }, { hint })
}

const CLAIMS = '5349, 6'

/** A move in its window waits, and its cleaning goes slowly by itself: neither takes a place. */
async function requireRoom(directory: Queryable, record: MoveRecord, limits: Limits): Promise<void> {
  const { id, source, target, state } = record
  if (['settled', 'cleaning'].includes(state)) return
  const of = (shard: string) => sql`count(*) filter (where ${sql.value(shard)} in (from_shard, to_shard))`
  const [row] = await directory.query(
    compile(sql`
      select count(*) as everywhere, ${of(source.shard)} as source, ${of(target.shard)} as target
      from directory.move
      where lease_until > clock_timestamp() and state not in ('settled', 'cleaning')
        and id <> ${sql.value(id)}::bigint`),
  )
  const busy = Number(row?.everywhere) >= limits.atOnce ? 'moves.atOnce' : undefined
  const isShardBusy = Math.max(Number(row?.source), Number(row?.target)) >= limits.perShard
  const limit = busy ?? (isShardBusy ? 'moves.perShard' : undefined)
  if (limit === undefined) return
  const sentence = `Move ${id} has to wait: as many run as ${limit} allows.`
  fail('TENANT_BUSY', sentence, { wait: limit }, { hint: 'See "shardgate move list".' })
}

const OVER = { hint: 'There is nothing left to do for it.' }

async function requireSource(directory: Queryable, { id, tenant, source }: MoveRecord): Promise<void> {
  const now = await findTenant(directory, tenant)
  const hint = `Give it up: shardgate move cancel ${id}`
  if (!now) return fail('REFUSED', `There is no tenant ${tenant} any more.`, {}, { hint })
  const isThere = (['shard', 'isolation', 'namespace', 'epoch'] as const).every(
    (key) => now[key] === source[key],
  )
  if (isThere) return
  const sentence = `${tenant} is at ${now.shard} (${now.isolation}, epoch ${now.epoch}); move ${id} wanted it at ${source.shard} (${source.isolation}, epoch ${source.epoch}).`
  fail('REFUSED', sentence, {}, { hint })
}

/**
 * Nobody else may change the tenant: neither who runs an operation now, nor who left one unfinished.
 *
 * @returns id of the operation that holds it for the move
 */
async function holdTenant(
  directory: Client,
  { id, tenant, operation, operator }: MoveRecord,
): Promise<string> {
  const key = lockKey(tenant, MOVE_KIND)
  const [lock] = await directory.query(compile(sql`select pg_try_advisory_xact_lock(${key}) as mine`))
  const running = await findRunning(directory, tenant, MOVE_KIND)
  if (running && running.id === operation) return running.id
  if (running)
    fail('TENANT_BUSY', `${unfinished(running)} ${wayOut(running)}`, { operation: Number(running.id) })
  if (lock?.mine !== 't') fail('TENANT_BUSY', `Somebody else works on ${tenant} at this moment.`, {}, WAIT)
  const begun = await insertOperation(directory, { kind: MOVE_KIND, tenant, input: { move: id }, operator })
  return begun.id
}

const WAIT = { hint: 'Wait for its end.' }

/** An epoch that the tenant never had, and that no move of it has drawn. */
export function nextEpoch(tenant: TenantId) {
  return sql`1 + greatest(
    (select epoch from directory.tenant where id = ${sql.value(tenant)}),
    (select max(to_epoch) from directory.move as other where other.tenant_id = ${sql.value(tenant)}),
    (select max((memory->>'returnEpoch')::bigint) from directory.move as other
      where other.tenant_id = ${sql.value(tenant)}))`
}

export type Want = MoveRecord['wanted']

/**
 * Say what is wanted of a move. One that nobody has begun ends at once when it is cancelled.
 *
 * @returns the move as it is now, and whether anything has changed
 * @throws REFUSED  there is no such move, or it is too late for that
 */
export async function setWanted(
  directory: Client,
  id: string,
  wanted: Want,
  operator: string,
): Promise<{ move: MoveRecord; changed: boolean }> {
  await endLostOf(directory, id)
  return directory.transaction(async () => {
    const record = await locked(directory, id)
    requirePossible(record, wanted)
    const begins = wanted === 'run' && (record.memory.failures ?? 0) > 0
    if (record.wanted === wanted && !begins) return { move: record, changed: false }
    const ends = wanted === 'cancel' && record.state === 'queued'
    await directory.query(
      compile(sql`
        update directory.move set wanted = ${sql.value(ends ? 'run' : wanted)}, memory = memory - 'failures',
          state = ${ends ? sql`'aborted'` : sql`state`},
          times = times || ${ends ? sql`jsonb_build_object('aborted', clock_timestamp()::text)` : sql`'{}'`},
          changed_at = clock_timestamp()
        where id = ${sql.value(id)}::bigint`),
    )
    await tell(directory, { ...record, operator }, ends ? 'aborted' : `${VERBS[wanted]} wanted`)
    return { move: await known(directory, id), changed: true }
  })
}

const VERBS: Readonly<Record<Want, string>> = { run: 'resume', pause: 'pause', cancel: 'cancel' }

function requirePossible(record: MoveRecord, wanted: Want): void {
  const { id, tenant, state } = record
  const whose = `Move ${id} of ${tenant}`
  if (ENDED.includes(state)) fail('REFUSED', `${whose} is ${doing(record)}.`, {}, OVER)
  if (wanted === 'cancel' && TRANSITIONS[state].cancelled === null) fail(...tooLate(record, whose))
  if (wanted === 'pause' && UNPAUSED.includes(state))
    fail(
      'REFUSED',
      `${whose} is ${state}; from there it cannot be paused.`,
      {},
      { hint: `See "shardgate move show ${id}".` },
    )
  const isUndone = state === 'aborting' || record.wanted === 'cancel'
  if (wanted !== 'cancel' && isUndone)
    fail(
      'REFUSED',
      `${whose} is being cancelled.`,
      {},
      { hint: `Begin a new one: shardgate move start ${tenant}` },
    )
  if (wanted === 'run' && state === 'settled')
    fail(
      'REFUSED',
      `${whose} has settled; nothing of it is paused.`,
      {},
      { hint: `See "shardgate move show ${id}".` },
    )
}

/** Nothing runs there, or what runs opens the tenant for its users. */
export const UNPAUSED: readonly MoveRecord['state'][] = ['relocated', 'settled', 'returned', 'aborting']

function tooLate({ id, state }: MoveRecord, whose: string): Parameters<typeof fail> {
  const sentence = `${whose} is ${state}, behind the point where it can be cancelled.`
  const hint =
    state === 'settled'
      ? `Bring the tenant back: shardgate move rollback ${id}`
      : `See "shardgate move show ${id}".`
  return ['REFUSED', sentence, {}, { hint }]
}
