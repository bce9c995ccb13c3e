/** The statements by which a transaction of a tenant begins and ends. */

import type { Deadline } from '../base/time.ts'
import type { Result } from '../db/batch.ts'
import { prepared, type Statement } from '../db/sql.ts'
import type { Placement } from '../directory/types.ts'

export type Mode = 'read' | 'write'

export const BEGIN = prepared('begin')
export const COMMIT = prepared('commit')
export const ROLLBACK = prepared('rollback')

const BEGIN_TENANT = prepared('select shardgate.begin_tenant($1, $2, $3, $4)')
const BEGIN_BRIEF = prepared('select shardgate.begin_tenant($1, $2, $3, $4, $5)')

/**
 * Milliseconds that a write on a shared connection waits for the locks of others: longer than any single write takes
 * and short for those whose batches stand behind it, because answers come in order.
 */
export const SHARED_LOCK_MS = 50

/** @param lockMs  how long it may wait for locks; left out, as long as there is time */
export function beginTenant(
  { tenant, epoch }: Placement,
  mode: Mode,
  deadline: Deadline,
  lockMs?: number,
): Statement {
  const leftMs = Math.ceil(deadline.remainingMs())
  if (lockMs === undefined) return { ...BEGIN_TENANT, values: [tenant, epoch, mode, leftMs] }
  return { ...BEGIN_BRIEF, values: [tenant, epoch, mode, leftMs, Math.min(leftMs, lockMs)] }
}

/**
 * The tenant that an answer carries, or ''. Where it stands is told by the answer and not by the question: at the same
 * place of another kind of batch stands a value of somebody's row, which may be any tenant's name and belongs in no alarm.
 */
export function tenantOf(results: readonly Result[]): string {
  const fence = results.find(({ tag }) => tag !== 'SET' && tag !== 'BEGIN')
  return fence?.rows[0]?.[0] ?? ''
}
