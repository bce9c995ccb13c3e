/**
 * `shardgate apply`: doing what a plan says. It is written down first; whoever is killed goes on with it by applying the
 * same plan again, and any runner of moves may help.
 */

import { appendAudit } from '../../directory/audit.ts'
import { setWanted } from '../move/claim.ts'
import { type MovesEvent, type MovesOptions, runMoves, type Summary } from '../move/runner.ts'
import { MOVE_STATES, type MoveState } from '../move/states.ts'
import { operatorOf } from '../operations/run.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import type { MovePlan } from './document.ts'
import { type Entered, enterPlan } from './enter.ts'
import { type Settled, settlePlan } from './settle.ts'
import { endPlan } from './store.ts'

export interface ApplyOptions extends Pick<MovesOptions, 'signal' | 'onEvent' | 'hands'> {
  /** Whether the moves are only queued, for runners elsewhere. Default is false. */
  readonly isQueueOnly?: boolean
}

export interface Applied {
  /** Of the plan: digits. */
  readonly id: string
  readonly was: Entered['is'] | 'done before'
  /** Moves by where they are now; null where none were run. */
  readonly summary: Summary | null
  /** Buckets that were changed. */
  readonly buckets: number
  /** Buckets that wait for tenants. */
  readonly bucketsLeft: number
  /** Whether nothing of the plan is left to do. */
  readonly isOver: boolean
}

/**
 * Do what a plan says, or go on with it.
 *
 * @throws as `enterPlan`, and DIRECTORY_UNAVAILABLE
 */
export async function applyPlan(fleet: Fleet, plan: MovePlan, options: ApplyOptions = {}): Promise<Applied> {
  const entered = await enterPlan(fleet, plan)
  const { id } = entered
  if (entered.state !== 'running') {
    return { id, was: 'done before', summary: null, buckets: 0, bucketsLeft: 0, isOver: true }
  }
  // Buckets without tenants follow nobody.
  const settled = await settlePlan(fleet)
  const was = entered.is
  if (!settled || settled.isOver || options.isQueueOnly) return appliedOf(id, was, null, settled)
  const summary = await runFollowed(fleet, id, options)
  return appliedOf(id, was, summary, await settlePlan(fleet))
}

/** Run the moves of the plan; each time one has settled, buckets follow. */
async function runFollowed(fleet: Fleet, plan: string, options: ApplyOptions): Promise<Summary> {
  const { signal, hands, onEvent = () => {} } = options
  let following: Promise<unknown> = Promise.resolve()
  const tell = (event: MovesEvent): void => {
    onEvent(event)
    if (event.kind !== 'state' || event.move.state !== 'settled') return
    // What fails here is made up for at the end.
    following = following.then(() => settlePlan(fleet)).catch(() => {})
  }
  const summary = await runMoves(fleet, {
    plan,
    onEvent: tell,
    ...(signal && { signal }),
    ...(hands && { hands }),
  })
  await following
  return summary
}

function appliedOf(
  id: string,
  was: Applied['was'],
  summary: Summary | null,
  settled: Settled | null,
): Applied {
  if (!settled) return { id, was, summary, buckets: 0, bucketsLeft: 0, isOver: true }
  const { buckets, bucketsLeft, isOver } = settled
  return { id, was, summary, buckets, bucketsLeft, isOver }
}

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
    return count
  })
  // What a runner had begun is undone by one.
  await runFollowed(fleet, id, options)
  await settlePlan(fleet)
  await onDirectory(fleet.directoryUrl, (directory) =>
    directory.transaction(async () => {
      await endPlan(directory, settled.plan, 'cancelled')
      const details = { plan: id, moves: cancelled }
      await appendAudit(directory, { operator, action: 'plan cancelled', tenant: null, details })
    }),
  )
  return { id, cancelled }
}

const CANCELLABLE: readonly MoveState[] = MOVE_STATES.slice(0, MOVE_STATES.indexOf('relocated'))
