/** Running moves, and letting the buckets of a plan follow them: what every runner does, whoever has applied the plan. */

import { type MovesEvent, type MovesOptions, runMoves, type Summary } from '../move/runner.ts'
import type { Fleet } from '../reach.ts'
import { settlePlan } from './settle.ts'

/** As `runMoves`; each time a move has come to rest, the plan that is being applied is looked at. */
export async function runFollowed(fleet: Fleet, options: MovesOptions = {}): Promise<Summary> {
  const { onEvent = () => {} } = options
  let following: Promise<unknown> = Promise.resolve()
  const tell = (event: MovesEvent): void => {
    onEvent(event)
    const isAtRest = event.kind === 'state' && event.from !== null && RESTS.includes(event.move.state)
    // What fails here is made up for at the end.
    if (isAtRest) following = following.then(() => settlePlan(fleet)).catch(() => {})
  }
  const summary = await runMoves(fleet, { ...options, onEvent: tell })
  await following
  await settlePlan(fleet)
  return summary
}

const RESTS: readonly string[] = ['settled', 'aborted']
