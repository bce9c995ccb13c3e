/**
 * `shardgate apply`: doing what a plan says. It is written down first; whoever is killed goes on with it by applying the
 * same plan again, and any runner of moves may help.
 */

import { appendAudit } from '../../directory/audit.ts'
import { setWanted } from '../move/claim.ts'
import { type MovesOptions, runMoves, type Summary } from '../move/runner.ts'
import { MOVE_STATES, type MoveState } from '../move/states.ts'
import { operatorOf } from '../operations/run.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import type { MovePlan } from './document.ts'
import { type Entered, enterPlan } from './enter.ts'
import { runFollowed } from './run.ts'
import { settlePlan } from './settle.ts'
import { endPlan, findPlan, type PlanRecord } from './store.ts'

export interface ApplyOptions extends Pick<MovesOptions, 'signal' | 'onEvent' | 'hands'> {
  /** Whether the moves are only queued, for runners elsewhere. Default is false. */
  readonly isQueueOnly?: boolean
}

export interface Applied {
  /** Of the plan: digits. */
  readonly id: string
  readonly was: Entered['is'] | 'ended before'
  /** Moves by where they are now; null where none were run. */
  readonly summary: Summary | null
  /** Buckets that are where the plan wants them, and those that are not. */
  readonly buckets: number
  readonly bucketsLeft: number
  readonly state: PlanRecord['state']
}

/**
 * Do what a plan says, or go on with it.
 *
 * @throws as `enterPlan`, and DIRECTORY_UNAVAILABLE
 */
export async function applyPlan(fleet: Fleet, plan: MovePlan, options: ApplyOptions = {}): Promise<Applied> {
  const { id, state, is } = await enterPlan(fleet, plan)
  if (state !== 'running') return standing(fleet, plan, { id, was: 'ended before', summary: null })
  // Buckets without tenants follow nobody.
  const settled = await settlePlan(fleet)
  const isToRun = settled?.isOver === false && !options.isQueueOnly
  const summary = isToRun ? await runFollowed(fleet, runOptions(id, options)) : null
  return standing(fleet, plan, { id, was: is, summary })
}

/** With how far the plan has come now. */
function standing(
  fleet: Fleet,
  plan: MovePlan,
  applied: Pick<Applied, 'id' | 'was' | 'summary'>,
): Promise<Applied> {
  return onDirectory(fleet.directoryUrl, async (directory) => {
    const rows = await directory.query('select shard from directory.bucket order by no')
    const there = plan.buckets.filter(({ no, to }) => rows[no]?.shard === to).length
    const state = (await findPlan(directory, plan.hash))?.state ?? 'running'
    return { ...applied, buckets: there, bucketsLeft: plan.buckets.length - there, state }
  })
}

const runOptions = (plan: string, { signal, hands, onEvent }: ApplyOptions): MovesOptions => ({
  plan,
  ...(signal && { signal }),
  ...(hands && { hands }),
  ...(onEvent && { onEvent }),
})

/**
 * Give up the plan that is being applied: moves that have not come past their point of no return are cancelled, tenants
 * that have moved stay where they are now, and their buckets follow where all of them have.
 *
 * @returns null when no plan is being applied
 */
export async function cancelPlan(
  fleet: Fleet,
  options: Pick<ApplyOptions, 'signal' | 'onEvent' | 'hands'> = {},
): Promise<{ id: string; cancelled: number } | null> {
  const settled = await settlePlan(fleet)
  if (!settled || settled.isOver) return null
  const { id } = settled.plan
  const operator = operatorOf(fleet)
  const cancelled = await onDirectory(fleet.directoryUrl, async (directory) => {
    let count = 0
    for (const move of settled.moves.filter(({ state }) => CANCELLABLE.includes(state))) {
      // It may have come past the point of no return meanwhile: then it is not cancelled, and that is no fault.
      const found = await setWanted(directory, move.id, 'cancel', operator).catch(() => null)
      if (found?.changed) count++
    }
    await directory.transaction(async () => {
      await endPlan(directory, settled.plan, 'cancelled')
      const details = { plan: id, moves: count }
      await appendAudit(directory, { operator, action: 'plan cancelled', tenant: null, details })
    })
    return count
  })
  // What a runner had begun is undone by one.
  await runMoves(fleet, runOptions(id, options))
  return { id, cancelled }
}

const CANCELLABLE: readonly MoveState[] = MOVE_STATES.slice(0, MOVE_STATES.indexOf('relocated'))
