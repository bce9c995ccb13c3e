/** The statements by which a transaction of a tenant begins and ends. */

import type { TenantId } from '../base/ids.ts'
import { type Deadline, deadlineIn } from '../base/time.ts'
import type { Result, Row } from '../db/batch.ts'
import type { Connection } from '../db/connection.ts'
import { prepared, type Statement } from '../db/sql.ts'
import type { Placement } from '../directory/types.ts'

export type Mode = 'read' | 'write'

export const BEGIN = prepared('begin')
export const COMMIT = prepared('commit')
export const ROLLBACK = prepared('rollback')

const BEGIN_TENANT = prepared('select shardgate.begin_tenant($1, $2, $3, $4)')
const BEGIN_WRITE = prepared('select shardgate.begin_tenant($1, $2, $3, $4, $5)')
const BEGIN_TRACED = prepared(`select shardgate.begin_tenant($1, $2, $3, $4), ${named('$5')}`)
const BEGIN_TRACED_WRITE = prepared(`select shardgate.begin_tenant($1, $2, $3, $4, $5), ${named('$6')}`)

/**
 * A transaction that belongs to a trace says so by its application_name, which pg_stat_activity shows and log lines of
 * the server can (%a). A comment in each statement would be another text each time: another prepared statement, or one
 * that is planned anew while it is being watched.
 */
function named(parameter: string): string {
  return `pg_catalog.set_config('application_name', 'shardgate trace=' || ${parameter}::text, true)`
}

/**
 * Milliseconds that a write on a shared connection waits for rows that others hold: longer than any single write takes
 * and short for those whose batches stand behind it, because answers come in order.
 */
export const SHARED_LOCK_MS = 50

/** @param lockMs  how long a write may wait for rows that others hold; left out, as long as there is time */
export function beginTenant(
  { tenant, epoch }: Placement,
  mode: Mode,
  deadline: Deadline,
  lockMs = Number.POSITIVE_INFINITY,
): Statement {
  const leftMs = Math.ceil(Math.min(deadline.remainingMs(), deadline.statementMs ?? Number.POSITIVE_INFINITY))
  const values = [tenant, epoch, mode, leftMs, ...(mode === 'read' ? [] : [Math.min(leftMs, lockMs)])]
  const traceId = deadline.witness?.traceId
  if (traceId === undefined) return { ...(mode === 'read' ? BEGIN_TENANT : BEGIN_WRITE), values }
  return { ...(mode === 'read' ? BEGIN_TRACED : BEGIN_TRACED_WRITE), values: [...values, traceId] }
}

/** What a shard says of a tenant. */
export interface Fence {
  readonly state: string
  readonly epoch: number
  /** Whether nobody holds the tenant's lock alone, or waits to. */
  readonly isFree: boolean
}

const LOOK = prepared(`
  select state, epoch, pg_catalog.pg_try_advisory_xact_lock_shared(shardgate.tenant_lock(tenant_id))
  from shardgate.tenant_fence where tenant_id = $1`)

/** The statement that looks at the fence of a tenant, for `fenceFrom`. */
export function lookAtFence(tenant: TenantId): Statement {
  return { ...LOOK, values: [tenant] }
}

export function fenceFrom(row: Row | undefined): Fence | null {
  const [state, epoch, isFree] = row ?? []
  return state == null ? null : { state, epoch: Number(epoch), isFree: isFree === 't' }
}

/** Which requests would not have to wait for the end of a move; those that are refused otherwise need not either. */
export function openingsOf({ epoch }: Placement, fence: Fence | null): Record<Mode, boolean> {
  const read = fence !== null && fence.epoch === epoch && fence.state !== 'moved'
  return { read, write: read && fence.state !== 'frozen' && fence.isFree }
}

const OWN_ROLE = prepared('select current_user = session_user')

/**
 * Whether a session has another role than it logged in with: SQL of an extension that says "set role" does that, and
 * nobody could begin a transaction there any more. Its connection is destroyed; one that is well stays, with what is in
 * flight on it.
 */
export async function hasLostRole(connection: Connection): Promise<boolean> {
  const answer = await connection.batch([OWN_ROLE], deadlineIn(PROBE_MS)).catch(() => [])
  if (answer[0]?.rows[0]?.[0] === 'f') connection.destroy('its session has lost its role')
  return !connection.usable
}

const PROBE_MS = 2_000

/**
 * The tenant that an answer carries, or ''. Where it stands is told by the answer and not by the question: at the same
 * place of another kind of batch stands a value of somebody's row, which may be any tenant's name and belongs in no alarm.
 */
export function tenantOf(results: readonly Result[]): string {
  const fence = results.find(({ tag }) => tag !== 'SET' && tag !== 'BEGIN')
  return fence?.rows[0]?.[0] ?? ''
}
