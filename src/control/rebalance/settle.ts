/** How far the plan that is being applied has come: its buckets follow their tenants, and at last it is finished. */

import { appendAudit } from '../../directory/audit.ts'
import type { MoveState } from '../move/states.ts'
import { listMoves } from '../move/store.ts'
import type { MoveRecord } from '../move/types.ts'
import { operatorOf } from '../operations/run.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import { followTenants } from './buckets.ts'
import { endPlan, type PlanRecord, runningPlan } from './store.ts'

export interface Settled {
  readonly plan: PlanRecord
  /** All of the plan. */
  readonly moves: readonly MoveRecord[]
  /** Whether no move of it is under way or to come any more. */
  readonly isOver: boolean
}

/** States in which a move has nothing more to do for its plan: the window for its way back is the operator's. */
const AT_REST: readonly MoveState[] = ['settled', 'cleaning', 'done', 'aborted', 'rolled-back']

/**
 * Let the buckets of the plan that is being applied follow the tenants that have moved, and end it when all its moves
 * are at rest. Safe to call at any time, by anybody; null when no plan is being applied.
 */
export function settlePlan(fleet: Fleet): Promise<Settled | null> {
  return onDirectory(fleet.directoryUrl, (directory) =>
    directory.transaction(async () => {
      await directory.query('lock table directory.plan in share row exclusive mode')
      const plan = await runningPlan(directory)
      if (!plan) return null
      const moves = await listMoves(directory, { all: true, plan: plan.id })
      await followTenants(directory, plan.plan, moves)
      const isOver = moves.every(({ state }) => AT_REST.includes(state))
      if (isOver) {
        await endPlan(directory, plan, 'done')
        const details = { plan: plan.id, moves: moves.length }
        const entry = { operator: operatorOf(fleet), action: 'plan done', tenant: null, details }
        await appendAudit(directory, entry)
      }
      return { plan, moves, isOver }
    }),
  )
}
