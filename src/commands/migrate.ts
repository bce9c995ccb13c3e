/** `shardgate migrate`: new files, what they would do, doing it, and what each target has. */

import { type Command, Option } from 'commander'
import type { Config } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import { newMigration } from '../control/migrate/new.ts'
import { planFleet } from '../control/migrate/plan.ts'
import { fleetStatus } from '../control/migrate/status.ts'
import { migrateFleet, type UpOptions, type UpResult } from '../control/migrate/up.ts'
import { verifyFleet } from '../control/migrate/verify.ts'
import { type CommandContext, configOf, fleetOf, type MakeContext } from './context.ts'
import { planText, statusText, upText, verdictsText } from './migrate-text.ts'
import { wholeNumber } from './parse.ts'
import { terminalProgress } from './progress.ts'
import { doorOf } from './rows-door.ts'

interface UpFlags {
  readonly parallel: number
  readonly canary?: string
  readonly onFailure: 'stop' | 'continue'
  readonly contract?: true
  readonly only?: readonly string[]
}

export function addMigrateCommands(program: Command, contextOf: MakeContext): void {
  const migrate = program
    .command('migrate')
    .description('Migrations of the served tables, on every target: shared schemas, tenants with their own.')
  addNew(migrate, contextOf)
  addPlan(migrate, contextOf)
  addUp(migrate, contextOf)
  addStatus(migrate, contextOf)
  addVerify(migrate, contextOf)
}

function addNew(migrate: Command, contextOf: MakeContext): void {
  migrate
    .command('new')
    .argument('<name...>', 'what it does, in a few words')
    .description('Write an empty migration into the folder of the configuration.')
    .option('--rows', 'one that changes rows, in TypeScript')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate migrate new add priority\n  shardgate migrate new --rows fill priority',
    )
    .action((words: string[], options: { rows?: true }, command: Command) => {
      const context = contextOf(command)
      const { migrations = '' } = fleetOf(configOf(context))
      const file = newMigration(migrations, words.join(' '), { rows: options.rows ?? false })
      context.print({ file }, (made) => `${made.file}\n`)
    })
}

function addPlan(migrate: Command, contextOf: MakeContext): void {
  migrate
    .command('plan')
    .description('Show which targets lack which files, and what these hold up or remove. Changes nothing.')
    .option('--canary <name>', 'the target that is to go first')
    .addHelpText('after', '\nExamples:\n  shardgate migrate plan\n  shardgate migrate plan -o json')
    .action(async (options: { canary?: string }, command: Command) => {
      const context = contextOf(command)
      context.print(await planFleet(fleetOf(configOf(context)), options.canary), planText)
    })
}

function addUp(migrate: Command, contextOf: MakeContext): void {
  migrate
    .command('up')
    .description(
      'Apply what is missing: to one target first, then to the others. Safe to repeat, also after it was killed.',
    )
    .addOption(new Option('--parallel <n>', 'targets at once').default(4).argParser(wholeNumber(1, 64)))
    .option('--canary <name>', 'the target that goes first: a tenant with a home of its own, or a shard')
    .addOption(
      new Option('--on-failure <policy>', 'what becomes of the other targets when one fails')
        .choices(['stop', 'continue'])
        .default('stop'),
    )
    .option(
      '--contract',
      'run the next file that removes what gateways may use, if all targets are ready for it',
    )
    .option('--only <names...>', 'shards, and tenants with a home of their own')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate migrate up\n  shardgate migrate up --parallel 8 --on-failure continue\n  shardgate migrate up --only shard-a\n  shardgate migrate up --contract',
    )
    .action(async (flags: UpFlags, command: Command) => {
      const context = contextOf(command)
      const result = await runUp(configOf(context), context, flags)
      context.print(result, upText)
      const failed = result.results.filter(({ error }) => error !== null).length
      if (failed > 0) fail('SETUP_FAILED', failedText(failed, result), {}, { hint: AGAIN })
    })
}

const AGAIN =
  'Mend what the sentences name, then run "shardgate migrate up" again: it goes on where it stopped.'

function failedText(failed: number, { results, left }: UpResult): string {
  const rest = left.length > 0 ? `; ${left.length} were not begun` : ''
  return `${failed} of ${results.length} targets failed${rest}.`
}

/** Run `migrate up` and tell on standard error how far it is. */
async function runUp(config: Config, context: CommandContext, flags: UpFlags): Promise<UpResult> {
  const progress = terminalProgress()
  const move = { tells: progress.moving('Migrating'), done: 0, total: 0 }
  const tell = (text: string): void => move.tells(text, move.done, move.total)
  const options: UpOptions = {
    ...flags,
    door: doorOf(config),
    report: {
      begins({ targets, of, canary }) {
        move.total = targets
        context.terminal.err(`${targets} of ${of} targets lack files.\n`)
        if (canary !== null) context.terminal.err(`Canary is ${canary}.\n`)
        move.tells = progress.moving('Migrating')
      },
      done({ target }) {
        move.done++
        tell(target)
      },
      tells: tell,
    },
  }
  try {
    return await migrateFleet(fleetOf(config), options)
  } finally {
    progress.still()
  }
}

function addStatus(migrate: Command, contextOf: MakeContext): void {
  migrate
    .command('status')
    .description(
      'Show the version of each target, what it lacks, and its last failure, as the directory has it.',
    )
    .addHelpText(
      'after',
      "\nExamples:\n  shardgate migrate status\n  shardgate migrate status -o json | jq '.[] | select(.error)'",
    )
    .action(async (_options: object, command: Command) => {
      const context = contextOf(command)
      context.print(await fleetStatus(fleetOf(configOf(context))), statusText)
    })
}

function addVerify(migrate: Command, contextOf: MakeContext): void {
  migrate
    .command('verify')
    .description(
      'Compare the real tables of each target with the expected ones. Exit status 1 when any differ.',
    )
    .addHelpText('after', '\nExample:\n  shardgate migrate verify')
    .action(async (_options: object, command: Command) => {
      const context = contextOf(command)
      const progress = terminalProgress()
      const tell = progress.moving('Looking at targets')
      const verdicts = await verifyFleet(fleetOf(configOf(context)), (done, of) =>
        tell('', done, of),
      ).finally(progress.still)
      context.print(verdicts, verdictsText)
      const wrong = verdicts.filter(({ kind }) => kind === 'drift' || kind === 'away').length
      if (wrong > 0) {
        const hint = 'Put the structure back as it was, or write what is wanted into a migration.'
        fail('SETUP_FAILED', `${wrong} of ${verdicts.length} targets are not as expected.`, {}, { hint })
      }
    })
}
