/**
 * Rows of moves: `directory.move`, read, claimed and brought from state to state together with the audit log.
 *
 * Whoever has claimed a move writes only where the row still has its token: after somebody else has claimed it, nothing
 * of the earlier runner's takes effect.
 */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import { type Client, type Queryable, sqlState, type TextRow } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { appendAudit } from '../../directory/audit.ts'
import { endOperation, findOperation } from '../operations/store.ts'
import { MOVE, recordFrom } from './record.ts'
import { ENDED, type MoveEvent, type MoveState, TRANSITIONS } from './states.ts'
import type { MoveMemory, MoveRecord, Path, Progress, Side } from './types.ts'

export interface NewMove {
  readonly tenant: TenantId
  readonly source: Side
  readonly target: Omit<Side, 'epoch'>
  readonly operator: string
  /** Id of a plan, and the place in it; default is none. */
  readonly plan?: string
  readonly position?: number
}

/** What is written down together with a new state. */
export interface Entering {
  /** Added to what is there. */
  readonly memory?: MoveMemory
  readonly pauseMs?: number
  /** From now on, by the directory's clock. */
  readonly windowMinutes?: number
  readonly path?: Path
  /** Default: an error of before is forgotten. */
  readonly error?: string
  readonly receipt?: string
}

const UNFINISHED = sql`move.state not in ('done', 'aborted', 'rolled-back')`

/**
 * Write down that a tenant shall be moved.
 *
 * @throws TENANT_BUSY    it has a move that has not ended, one that can still be rolled back included
 * @throws SHARD_UNKNOWN  one of the shards has not been set up
 */
export function insertMove(directory: Client, wanted: NewMove): Promise<MoveRecord> {
  const { tenant, operator } = wanted
  return directory.atomically(async () => {
    const open = await openMoveOf(directory, tenant)
    if (open)
      fail('TENANT_BUSY', `${tenant} has move ${open.id} already, ${doing(open)}.`, {}, lookAt(open.id))
    const [row] = await insert(directory, wanted).catch((cause: unknown) => refuseRow(cause, wanted))
    await tell(directory, { operator, tenant, id: row?.id ?? '' }, 'queued')
    return known(directory, row?.id ?? '')
  })
}

function insert(directory: Queryable, wanted: NewMove): Promise<TextRow[]> {
  const { tenant, source, target, operator, plan = null, position = 0 } = wanted
  return directory.query(
    compile(sql`
      insert into directory.move (tenant_id, from_shard, from_isolation, from_namespace, from_epoch,
        to_shard, to_isolation, to_namespace, plan, position, operator, times)
      values (${sql.value(tenant)}, ${sql.value(source.shard)}, ${sql.value(source.isolation)},
        ${sql.value(source.namespace)}, ${sql.value(source.epoch)}, ${sql.value(target.shard)},
        ${sql.value(target.isolation)}, ${sql.value(target.namespace)}, ${sql.value(plan)}::bigint,
        ${sql.value(position)}, ${sql.value(operator)}, jsonb_build_object('queued', clock_timestamp()::text))
      returning id`),
  )
}

function refuseRow(cause: unknown, { tenant, source, target }: NewMove): never {
  if (sqlState(cause) === '23505')
    fail('TENANT_BUSY', `${tenant} has a move already.`, {}, { cause, ...LIST })
  if (sqlState(cause) !== '23503') throw cause
  const keys = `${source.shard} or ${target.shard}`
  return fail('SHARD_UNKNOWN', `${keys} is not in the directory. Run "shardgate setup" first.`, {}, { cause })
}

const LIST = { hint: 'See "shardgate move list".' }
const lookAt = (id: string): { hint: string } => ({ hint: `See "shardgate move show ${id}".` })

export async function findMove(directory: Queryable, id: string): Promise<MoveRecord | null> {
  if (!/^\d{1,18}$/.test(id)) return null
  const [row] = await directory.query(compile(sql`${MOVE} where move.id = ${sql.value(id)}::bigint`))
  return row ? recordFrom(row) : null
}

/** Those of `ids` that there are, oldest first. */
export async function findMoves(directory: Queryable, ids: readonly string[]): Promise<MoveRecord[]> {
  const rows = await directory.query(
    compile(sql`${MOVE} where move.id = any(${sql.value(ids)}::bigint[]) order by move.id`),
  )
  return rows.map(recordFrom)
}

/** @throws REFUSED  there is no such move */
export async function known(directory: Queryable, id: string): Promise<MoveRecord> {
  const hint = 'See "shardgate move list --all".'
  const found = await findMove(directory, id)
  return found ?? fail('REFUSED', `There is no move ${JSON.stringify(id.slice(0, 40))}.`, {}, { hint })
}

export interface MoveFilter {
  /** Ended ones too. */
  readonly all: boolean
  readonly tenant?: TenantId
  /** Id of a plan. */
  readonly plan?: string
  /** The latest ones, at most; default is all. */
  readonly limit?: number
}

/** Oldest first. */
export async function listMoves(directory: Queryable, filter: MoveFilter): Promise<MoveRecord[]> {
  const { all, tenant, plan, limit = null } = filter
  const conditions = [
    ...(all ? [] : [UNFINISHED]),
    ...(tenant === undefined ? [] : [sql`move.tenant_id = ${sql.value(tenant)}`]),
    ...(plan === undefined ? [] : [sql`move.plan = ${sql.value(plan)}::bigint`]),
    sql`true`,
  ]
  const rows = await directory.query(
    compile(sql`
      select * from (${MOVE} where ${sql.join(conditions, ' and ')}
        order by move.id desc limit ${sql.value(limit)}::int) as latest order by id`),
  )
  return rows.map(recordFrom)
}

/** The move of a tenant that has not ended: at most one, which may be in its window. */
export async function openMoveOf(directory: Queryable, tenant: TenantId): Promise<MoveRecord | null> {
  const [row] = await directory.query(
    compile(sql`${MOVE} where move.tenant_id = ${sql.value(tenant)} and ${UNFINISHED}`),
  )
  return row ? recordFrom(row) : null
}

/**
 * Bring a move where `event` leads from the state it is in, as its holder; in the caller's transaction where one is
 * open, as the last thing there: it ends with the lock of the audit log. When the move comes to rest, the tenant is
 * free for other operations.
 *
 * @returns the move as it is now
 * @throws REFUSED      the event leads nowhere from that state, or over a commit point though the move is cancelled
 * @throws TENANT_BUSY  the lease is lost: somebody else has claimed the move since
 */
export async function enterState(
  directory: Client,
  record: MoveRecord,
  event: MoveEvent,
  entering: Entering = {},
): Promise<MoveRecord> {
  const { id, tenant, state, operator } = record
  const next = TRANSITIONS[state][event]
  if (next === null)
    fail('REFUSED', `Move ${id} of ${tenant} is ${state}; "${event}" leads nowhere from there.`)
  return directory.atomically(async () => {
    const rows = await directory.query(
      compile(sql`
        update directory.move set state = ${sql.value(next)}, progress = '{}', ${assignments(entering)}
          times = times || jsonb_build_object(${sql.value(next)}::text, clock_timestamp()::text),
          ${RESTING.includes(next) ? AT_REST : sql.blank}
          changed_at = clock_timestamp()
        where ${mine(record)} and state = ${sql.value(state)}
          ${COMMITTED.includes(next) ? sql`and wanted <> 'cancel'` : sql.blank} returning id`),
    )
    if (rows.length === 0) await refuseEntering(directory, record)
    if (RESTING.includes(next)) await freeTenant(directory, record, next)
    await tell(directory, { operator, tenant, id }, next)
    return known(directory, id)
  })
}

/** States in which the tenant is nobody's: others may work on it. */
const RESTING: readonly MoveState[] = [...ENDED, 'settled']

/** States behind a commit point. */
const COMMITTED: readonly MoveState[] = ['relocated', 'returned']

async function refuseEntering(directory: Queryable, record: MoveRecord): Promise<never> {
  const { id, tenant, token, state } = record
  const now = await known(directory, id)
  if (now.token !== token) loseLease(record)
  if (now.wanted === 'cancel') fail('REFUSED', `Move ${id} of ${tenant} is being cancelled.`)
  return fail('REFUSED', `Move ${id} of ${tenant} is ${now.state} and not ${state}.`)
}

// What was wanted of the way there has been met, or comes too late.
const AT_REST = sql`lease_until = null, wanted = 'run',`

function assignments({ memory = {}, pauseMs, windowMinutes, path, error, receipt }: Entering): SQL {
  const set = [
    sql`memory = (memory - 'failures') || ${sql.value(JSON.stringify(memory))}::jsonb`,
    sql`error = ${sql.value(error ?? null)}`,
    ...(pauseMs === undefined ? [] : [sql`pause_ms = ${sql.value(pauseMs)}::float8`]),
    ...(windowMinutes === undefined
      ? []
      : [sql`window_until = clock_timestamp() + ${sql.value(windowMinutes)}::float8 * interval '1 minute'`]),
    ...(path === undefined ? [] : [sql`path = ${sql.value(path)}`]),
    ...(receipt === undefined ? [] : [sql`receipt = ${sql.value(receipt)}::bigint`]),
  ]
  return sql`${sql.join(set, ', ')},`
}

async function freeTenant(directory: Client, record: MoveRecord, state: MoveState): Promise<void> {
  const { operator } = record
  const held = record.operation === null ? null : await findOperation(directory, record.operation)
  if (held?.state !== 'running') return
  await endOperation(directory, operator, held, state === 'aborted' ? 'aborted' : 'done')
}

/** The row, as long as nobody else has claimed it. */
function mine({ id, token }: MoveRecord): SQL {
  return sql`id = ${sql.value(id)}::bigint and token = ${sql.value(token)}::bigint`
}

/** @throws TENANT_BUSY  always */
export function loseLease({ id, tenant }: MoveRecord): never {
  const sentence = `The lease of move ${id} of ${tenant} is lost: another runner has claimed it.`
  return fail('TENANT_BUSY', sentence, { move: Number(id) }, lookAt(id))
}

/** Write down how far the holder has come, for those who watch. */
export async function keepProgress(
  directory: Queryable,
  record: MoveRecord,
  progress: Progress,
): Promise<void> {
  await directory.query(
    compile(
      sql`update directory.move set progress = ${sql.value(JSON.stringify(progress))} where ${mine(record)}`,
    ),
  )
}

/** Write down why the holder's run ended early; it counts as a failure until the move comes into another state. */
export async function keepMoveError(directory: Queryable, record: MoveRecord, error: string): Promise<void> {
  await directory.query(
    compile(sql`
      update directory.move set error = ${sql.value(error)}, changed_at = clock_timestamp(),
        memory = memory || jsonb_build_object('failures', coalesce((memory->>'failures')::int, 0) + 1)
      where ${mine(record)}`),
  )
}

/**
 * Let go of a move: it can be claimed at once. One that has come to rest keeps its tenant from nothing.
 *
 * Nothing happens when somebody else has claimed it.
 */
export function releaseMove(directory: Client, record: MoveRecord): Promise<void> {
  return directory.atomically(async () => {
    const [row] = await directory.query(
      compile(sql`update directory.move set lease_until = null where ${mine(record)} returning state`),
    )
    const state = row?.state as MoveState | undefined
    if (state && RESTING.includes(state)) await freeTenant(directory, record, state)
  })
}

/** Add an entry to the audit log: 'move settled'. */
export function tell(
  directory: Queryable,
  { operator, tenant, id }: { operator: string; tenant: TenantId; id: string },
  what: string,
): Promise<void> {
  return appendAudit(directory, { operator, action: `move ${what}`, tenant, details: { move: id } })
}

/** 'settled since 2026-…' */
export function doing({ state, times, changedAt }: MoveRecord): string {
  return `${state} since ${times[state] ?? changedAt}`
}
