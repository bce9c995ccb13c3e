/** Rows of plans: `directory.plan`. */

import type { Queryable, TextRow } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { NewMove } from '../move/store.ts'
import { type MovePlan, planFrom } from './document.ts'

export interface PlanRecord {
  /** Digits. */
  readonly id: string
  readonly plan: MovePlan
  readonly state: 'running' | 'done' | 'cancelled'
  readonly operator: string
  /** Postgres text of a timestamptz. */
  readonly appliedAt: string
}

const RECORD = sql`select id, body::text, state, operator, applied_at from directory.plan`

export async function insertPlan(
  directory: Queryable,
  plan: MovePlan,
  operator: string,
): Promise<PlanRecord> {
  const body = JSON.stringify(plan)
  const [row] = await directory.query(
    compile(sql`
      insert into directory.plan (hash, body, operator)
      values (${sql.value(plan.hash)}, ${sql.value(body)}::jsonb, ${sql.value(operator)})
      returning id, body::text, state, operator, applied_at`),
  )
  return recordFrom(row!)
}

/**
 * Queue the moves of a plan in their order, in one statement: for as long as a plan is entered, cutovers that are under
 * way wait for the audit log.
 */
export async function insertMoves(
  directory: Queryable,
  { id, operator }: PlanRecord,
  moves: readonly Pick<NewMove, 'tenant' | 'source' | 'target'>[],
): Promise<void> {
  const list = JSON.stringify(moves.map((move, i) => ({ ...move, position: i + 1 })))
  await directory.query(
    compile(sql`
      insert into directory.move (tenant_id, from_shard, from_isolation, from_namespace, from_epoch,
        to_shard, to_isolation, to_namespace, plan, position, operator, times)
      select tenant, source->>'shard', source->>'isolation', source->>'namespace', (source->>'epoch')::bigint,
        target->>'shard', target->>'isolation', target->>'namespace', ${sql.value(id)}::bigint, position,
        ${sql.value(operator)}, jsonb_build_object('queued', clock_timestamp())
      from jsonb_to_recordset(${sql.value(list)}::jsonb)
        as queued (tenant text, source jsonb, target jsonb, position int)
      order by position`),
  )
}

/** By its hash; null when it was never applied. */
export async function findPlan(directory: Queryable, hash: string): Promise<PlanRecord | null> {
  const [row] = await directory.query(compile(sql`${RECORD} where hash = ${sql.value(hash)}`))
  return row ? recordFrom(row) : null
}

/** The one that is not finished; there is at most one. */
export async function runningPlan(directory: Queryable): Promise<PlanRecord | null> {
  const [row] = await directory.query(compile(sql`${RECORD} where state = 'running' order by id limit 1`))
  return row ? recordFrom(row) : null
}

export async function endPlan(
  directory: Queryable,
  { id }: PlanRecord,
  state: 'done' | 'cancelled',
): Promise<void> {
  await directory.query(
    compile(sql`
      update directory.plan set state = ${sql.value(state)}
      where id = ${sql.value(id)}::bigint and state = 'running'`),
  )
}

function recordFrom(row: TextRow): PlanRecord {
  return {
    id: row.id ?? '',
    plan: planFrom(row.body ?? '', `plan ${row.id}`),
    state: row.state as PlanRecord['state'],
    operator: row.operator ?? '',
    appliedAt: row.applied_at ?? '',
  }
}
