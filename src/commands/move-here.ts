/** One move, run by this command to where it rests. */

import { fail } from '../base/errors.ts'
import { type MovesEvent, runMoves } from '../control/move/runner.ts'
import { known } from '../control/move/store.ts'
import type { MoveRecord } from '../control/move/types.ts'
import { type Fleet, onDirectory } from '../control/reach.ts'
import type { CommandContext } from './context.ts'
import { movesTeller } from './move-progress.ts'
import { stoppable } from './stopping.ts'

/**
 * Run one move until it rests, whoever runs it.
 *
 * @throws what it was left or undone with; DRAINING when the operator has stopped this command before
 */
export async function runHere(
  context: CommandContext,
  fleet: Fleet,
  { id }: MoveRecord,
): Promise<MoveRecord> {
  const teller = movesTeller(true)
  let failure: unknown
  const onEvent = (event: MovesEvent): void => {
    if (event.kind === 'failed') failure = event.error
    teller.onEvent(event)
  }
  const summary = await stoppable(stopNote(context), (signal) =>
    runMoves(fleet, { only: [id], signal, onEvent }),
  ).finally(teller.still)
  const now = await onDirectory(fleet.directoryUrl, (directory) => known(directory, id))
  if (summary.failed.includes(id) || (now.state === 'aborted' && failure !== undefined))
    throw failure ?? new Error(now.error ?? '')
  if (summary.open.includes(id)) stopped(now)
  return now
}

function stopped({ id, tenant, state }: MoveRecord): never {
  const hint = `Go on: shardgate move resume ${id}`
  return fail('DRAINING', `Stopped: move ${id} of ${tenant} is ${state}.`, {}, { hint })
}

/** What is told at the first Ctrl-C. */
export const stopNote =
  ({ terminal }: CommandContext) =>
  (): void =>
    terminal.err('Stopping where it is safe. Once more to stop at once.\n')
