/** A row of `directory.move` as a record. */

import { tenantId } from '../../base/ids.ts'
import type { TextRow } from '../../db/client.ts'
import { sql } from '../../db/sql.ts'
import type { MoveState } from './states.ts'
import type { MoveMemory, MoveRecord, Path, Progress, Side } from './types.ts'

/** What `recordFrom` reads. */
export const MOVE = sql`
  select move.*, coalesce(move.lease_until > clock_timestamp(), false) as is_held from directory.move`

export function recordFrom(row: TextRow): MoveRecord {
  const side = (end: 'from' | 'to'): Side => ({
    shard: row[`${end}_shard`] ?? '',
    isolation: row[`${end}_isolation`] as Side['isolation'],
    namespace: row[`${end}_namespace`] ?? '',
    epoch: Number(row[`${end}_epoch`] ?? 0),
  })
  return {
    id: row.id ?? '',
    tenant: tenantId(row.tenant_id),
    source: side('from'),
    target: side('to'),
    path: row.path as Path | null,
    state: row.state as MoveState,
    wanted: row.wanted as MoveRecord['wanted'],
    plan: row.plan ?? null,
    position: Number(row.position),
    operation: row.operation ?? null,
    token: row.token ?? null,
    runner: row.runner ?? null,
    isHeld: row.is_held === 't',
    progress: JSON.parse(row.progress ?? '{}') as Progress,
    times: JSON.parse(row.times ?? '{}') as MoveRecord['times'],
    memory: JSON.parse(row.memory ?? '{}') as MoveMemory,
    pauseMs: row.pause_ms == null ? null : Number(row.pause_ms),
    windowUntil: row.window_until ?? null,
    receipt: row.receipt ?? null,
    error: row.error ?? null,
    operator: row.operator ?? '',
    createdAt: row.created_at ?? '',
    changedAt: row.changed_at ?? '',
  }
}
