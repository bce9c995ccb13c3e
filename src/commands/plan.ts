/** `shardgate plan`: what the file wants and is not so. */

import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { canonicalJson } from '../base/canonical.ts'
import { fail } from '../base/errors.ts'
import { onDirectory } from '../control/reach.ts'
import { MEASURES, type Measure } from '../control/rebalance/costs.ts'
import { desiredOf } from '../control/rebalance/desired.ts'
import { isEmpty, type MovePlan, planFrom } from '../control/rebalance/document.ts'
import { makePlan } from '../control/rebalance/plan.ts'
import { runningPlan } from '../control/rebalance/store.ts'
import { type CommandContext, configOf, fleetOf, type MakeContext } from './context.ts'
import { planText } from './plan-text.ts'
import { terminalProgress } from './progress.ts'

export interface Wanted {
  readonly balance?: Measure
  readonly until: number
  readonly isolation?: true
  readonly quick?: true
}

interface PlanFlags extends Wanted {
  readonly file?: string
  readonly check?: true
}

export function addPlanCommand(program: Command, contextOf: MakeContext): void {
  wished(
    program
      .command('plan')
      .description(
        'Compare the configuration with the directory: who has to move, how long it takes, and what the shards hold before and after. Changes nothing.',
      )
      .option('-f, --file <file>', 'write the plan here, for "apply"'),
  )
    .option('--check', 'exit status 3 when there is anything to do, or that cannot be done')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate plan\n  shardgate plan -f plan.json && shardgate apply plan.json\n  shardgate plan --balance size --until 5',
    )
    .action(async (flags: PlanFlags, command: Command) => {
      const context = contextOf(command)
      const plan = await planned(context, flags)
      if (flags.file !== undefined) writePlan(flags.file, plan)
      context.print(plan, planText)
      if (flags.file !== undefined && context.options.output === 'table') {
        context.terminal.err(`Written to ${flags.file}. Do it: shardgate apply ${flags.file}\n`)
      }
      await tellUnfinished(context)
      if (!flags.check || (isEmpty(plan) && plan.problems.length === 0)) return
      fail('REFUSED', 'The directory is not as the file wants it.', {}, { hint: 'Do it: shardgate apply' })
    })
}

/** A plan that is made meanwhile leaves out whom the other one has yet to move. */
async function tellUnfinished(context: CommandContext): Promise<void> {
  const running = await onDirectory(configOf(context).directory.url, runningPlan)
  if (!running) return
  const ways = 'Go on with it: shardgate apply --continue. Give it up: shardgate apply --cancel.'
  context.terminal.err(`Plan ${running.id} is not finished. ${ways}\n`)
}

/** The options that say what a plan is to do beyond the file. */
export const wished = (command: Command): Command =>
  command
    .addOption(
      new Option(
        '--balance <measure>',
        'even the shards out, too: by database time, bytes or tenants',
      ).choices(MEASURES),
    )
    .addOption(
      new Option('--until <percent>', 'spread between shards at which balancing stops')
        .argParser(percent)
        .default(0.1, '10'),
    )
    .option('--isolation', 'give tenants the isolation that their plan promises, too')
    .option('--quick', 'do not look at what is in the way of each move')

function percent(text: string): number {
  const value = Number(text)
  if (/^\d{1,3}(\.\d{1,2})?$/.test(text) && value > 0) return value / 100
  throw new InvalidArgumentError('Wanted a percentage above 0, such as 10 or 2.5.')
}

export async function planned(
  context: CommandContext,
  { balance, until, isolation, quick }: Wanted,
): Promise<MovePlan> {
  const config = configOf(context)
  const desired = desiredOf(config)
  const progress = terminalProgress()
  const told = progress.moving('Planning')
  const options = { until, told: (what: string, done: number, total: number) => told(what, done, total) }
  return makePlan(fleetOf(config), desired, {
    ...options,
    ...(balance !== undefined && { balance }),
    ...(isolation && { isolation }),
    ...(quick && { isQuick: quick }),
  }).finally(progress.still)
}

/** Whole or not at all. */
function writePlan(file: string, plan: MovePlan): void {
  try {
    writeFileSync(`${file}.new`, `${canonicalJson(plan)}\n`)
    renameSync(`${file}.new`, file)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    fail('USAGE', `${file} cannot be written: ${reason}.`, {}, { cause })
  }
}

/** @throws USAGE, REFUSED  there is no such file, or it is no plan */
export function readPlan(file: string): MovePlan {
  try {
    return planFrom(readFileSync(file, 'utf8'), file)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === undefined || !('syscall' in (cause as object))) throw cause
    return fail('USAGE', `${file} cannot be read: ${(cause as Error).message}.`, {}, { cause })
  }
}
