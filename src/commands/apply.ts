/** `shardgate apply`: do what a plan says, or what a new one would say. */

import type { Command } from 'commander'
import { fail } from '../base/errors.ts'
import { type Fleet, onDirectory } from '../control/reach.ts'
import { type Applied, applyPlan, cancelPlan } from '../control/rebalance/apply.ts'
import { isEmpty, type MovePlan } from '../control/rebalance/document.ts'
import { runningPlan } from '../control/rebalance/store.ts'
import { type CommandContext, configOf, fleetOf, type MakeContext } from './context.ts'
import { stopNote } from './move-here.ts'
import { movesTeller } from './move-progress.ts'
import { planned, readPlan, type Wanted, wished } from './plan.ts'
import { counted, planText } from './plan-text.ts'
import { stoppable } from './stopping.ts'

interface ApplyFlags extends Wanted {
  readonly yes?: true
  readonly queue?: true
  readonly continue?: true
  readonly cancel?: true
}

export function addApplyCommand(program: Command, contextOf: MakeContext): void {
  wished(
    program
      .command('apply')
      .argument('[file]', 'what "plan -f" has written; without it a plan is made, shown and asked about')
      .description('Do what a plan says. The same plan again goes on where it stopped.'),
  )
    .option('-y, --yes', 'do not ask')
    .option('--queue', 'write the moves down for whoever runs "move run", and end')
    .option('--continue', 'go on with the plan that is not finished')
    .option('--cancel', 'give up the plan that is not finished; who has moved stays there')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate apply plan.json\n  shardgate apply --yes\n  shardgate apply --continue\n\n' +
        'Ctrl-C stops where it is safe.',
    )
    .action(async (file: string | undefined, flags: ApplyFlags, command: Command) => {
      const context = contextOf(command)
      requireOne(file, flags)
      const fleet = fleetOf(configOf(context))
      if (flags.cancel) return giveUp(context, fleet)
      const plan = await planOf(context, fleet, file, flags)
      if (plan) await carryOut(context, fleet, plan, flags)
    })
}

function requireOne(file: string | undefined, flags: ApplyFlags): void {
  const given = [file !== undefined && 'a file', flags.continue && '--continue', flags.cancel && '--cancel']
  const came = given.filter((one) => typeof one === 'string')
  if (came.length > 1)
    fail('USAGE', `Wanted one of a file, --continue and --cancel; ${came.join(' and ')} came.`)
  const wishes = [flags.balance !== undefined && '--balance', flags.isolation && '--isolation']
  const [wish] = wishes.filter((one) => typeof one === 'string')
  if (came.length === 1 && wish) fail('USAGE', `${wish} is for a new plan; ${came[0]} came as well.`)
}

/** What is to be done; undefined where nothing is. */
async function planOf(
  context: CommandContext,
  fleet: Fleet,
  file: string | undefined,
  flags: ApplyFlags,
): Promise<MovePlan | undefined> {
  if (file !== undefined) return readPlan(file)
  const running = await onDirectory(fleet.directoryUrl, runningPlan)
  if (flags.continue) {
    if (running) return running.plan
    context.print({ state: 'none' }, () => 'No plan is unfinished.\n')
    return undefined
  }
  if (running) {
    const { id, operator, appliedAt } = running
    const hint = 'Go on with it: shardgate apply --continue. Give it up: shardgate apply --cancel.'
    fail('REFUSED', `Plan ${id}, which ${operator} began at ${appliedAt}, is not finished.`, {}, { hint })
  }
  return agreed(context, await planned(context, flags), flags)
}

async function agreed(
  context: CommandContext,
  plan: MovePlan,
  { yes }: ApplyFlags,
): Promise<MovePlan | undefined> {
  const { terminal } = context
  if (isEmpty(plan)) {
    context.print(plan, planText)
    return undefined
  }
  // The result is what was done; the plan is for who decides.
  terminal.err(`${planText(plan, terminal.colour)}\n`)
  if (yes) return plan
  if (!terminal.ask) {
    const hint = 'Agree with --yes, or write it down first: shardgate plan -f plan.json'
    fail('USAGE', 'Nobody is here who could be asked.', {}, { hint })
  }
  if (await terminal.ask('Do this?')) return plan
  terminal.err('Nothing was changed.\n')
  return undefined
}

async function carryOut(
  context: CommandContext,
  fleet: Fleet,
  plan: MovePlan,
  { queue = false }: { queue?: boolean },
): Promise<void> {
  const teller = movesTeller(false)
  const applied = await stoppable(stopNote(context), (signal) =>
    applyPlan(fleet, plan, { isQueueOnly: queue, signal, onEvent: teller.onEvent }),
  ).finally(teller.still)
  context.print({ ...applied, moves: plan.moves.length }, (done) => appliedText(done, done.moves))
  const { failed, undone } = applied.summary ?? { failed: [], undone: [] }
  if (failed.length + undone.length === 0)
    return queue || applied.state !== 'running' ? undefined : stopped(applied)
  const hint = `See "shardgate move list --all"; mend that, and then: shardgate ${failed.length > 0 ? 'apply --continue' : 'plan'}`
  const sentence = `${counted(failed.length + undone.length, 'move')} did not get there.`
  fail('SETUP_FAILED', sentence, {}, { hint })
}

/** A script that goes on after "apply" has to learn that it was ended before its end. */
function stopped({ id }: Applied): never {
  return fail(
    'DRAINING',
    `Plan ${id} was stopped on its way.`,
    {},
    { hint: 'Go on: shardgate apply --continue' },
  )
}

async function giveUp(context: CommandContext, fleet: Fleet): Promise<void> {
  const teller = movesTeller(false)
  const given = await stoppable(stopNote(context), (signal) =>
    cancelPlan(fleet, { signal, onEvent: teller.onEvent }),
  ).finally(teller.still)
  context.print(given, (result) =>
    result
      ? `Plan ${result.id} is given up; ${counted(result.cancelled, 'move')} cancelled. Who has moved stays there.\n`
      : 'No plan is unfinished.\n',
  )
}

function appliedText({ id, was, state, summary, buckets, bucketsLeft }: Applied, moves: number): string {
  if (was === 'ended before') {
    return `Plan ${id} was ${state === 'done' ? 'done' : 'given up'} before: nothing to do. A new one: shardgate plan\n`
  }
  const arrived = summary === null ? '' : `, ${summary.arrived.length} of ${counted(moves, 'move')}`
  const waits = bucketsLeft === 1 ? 'waits for its tenants' : 'wait for their tenants'
  const left = bucketsLeft > 0 ? `; ${counted(bucketsLeft, 'bucket')} ${waits}` : ''
  const how = state === 'done' ? 'is done' : state === 'running' ? 'is not finished' : 'was given up'
  const moved = buckets + bucketsLeft > 0 ? `, ${counted(buckets, 'bucket')}${left}` : ''
  const head = `Plan ${id} ${how}${arrived}${moved}.\n`
  if (state !== 'running')
    return `${head}Until their windows end, moves can be taken back: shardgate move list\n`
  if (summary === null) return `${head}The moves wait for a runner: shardgate move run\n`
  // How to go on stands with the error.
  return head
}
