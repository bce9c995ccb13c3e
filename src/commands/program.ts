/**
 * The `shardgate` command line as one value: its verbs, its options and what its exit status means.
 *
 *     0 done    1 failed    2 wrong usage or configuration    3 refused
 */

import { Command, CommanderError, Option } from 'commander'
import { ERRORS, isGatewayError } from '../base/errors.ts'
import { VERSION } from '../base/version.ts'
import { addAdoptCommand } from './adopt.ts'
import { addAdviseCommand } from './advise.ts'
import { addApplyCommand } from './apply.ts'
import { addAuditCommands } from './audit.ts'
import { addConfigCommands } from './config.ts'
import { contextMaker } from './context.ts'
import { addCopyCommands } from './copy.ts'
import { addDoctorCommand } from './doctor.ts'
import { addJobsCommands } from './jobs.ts'
import { addLifeCommands } from './life.ts'
import { addMigrateCommands } from './migrate.ts'
import { addMoveCommands } from './move.ts'
import { addOperationCommands } from './operation.ts'
import { addPlanCommand } from './plan.ts'
import { systemTerminal, type Terminal, visible } from './print.ts'
import { addPurgeCommands } from './purge.ts'
import { addSchemaCommands } from './schema.ts'
import { addServeCommand, addStartCommand, type RunGateway } from './serve.ts'
import { addSetupCommand } from './setup.ts'
import { addTenantCommands } from './tenant.ts'
import { addTokenCommand } from './token.ts'
import { addUsageCommands } from './usage.ts'

/**
 * Run one command line, `args` without program and file.
 *
 * @param run  builds the gateway, for the commands that serve
 * @returns the exit status; never throws
 */
export async function runCommand(
  args: readonly string[],
  run: RunGateway,
  terminal: Terminal = systemTerminal(),
): Promise<number> {
  const program = commandLine(terminal, run)
  try {
    await program.parseAsync(args, { from: 'user' })
    return 0
  } catch (error) {
    return explain(error, { args, terminal, program })
  }
}

/** All verbs; run them with `runCommand`. */
export function commandLine(terminal: Terminal, run: RunGateway): Command {
  const program = new Command('shardgate')
    .description('One GraphQL API over tenants on many Postgres servers.')
    .version(VERSION, '-V, --version', 'print the version')
    .exitOverride()
    .configureOutput({ writeOut: terminal.out, writeErr: terminal.err, outputError: () => {} })
    .configureHelp({ showGlobalOptions: true })
    .option('-c, --config <file>', 'configuration', 'shards.config.json')
    .addOption(
      new Option('-o, --output <form>', 'form of the result').choices(['table', 'json']).default('table'),
    )
    .option('--debug', 'show where an error came from')
    .addHelpText('after', '\nExit status: 0 done, 1 failed, 2 wrong usage, 3 refused.')
  const contextOf = contextMaker(terminal)
  addStartCommand(program, contextOf, run)
  addServeCommand(program, contextOf, run)
  addSchemaCommands(program, contextOf)
  addSetupCommand(program, contextOf)
  addConfigCommands(program, contextOf)
  addDoctorCommand(program, contextOf)
  addAdoptCommand(program, contextOf)
  addMigrateCommands(program, contextOf)
  addPlanCommand(program, contextOf)
  addApplyCommand(program, contextOf)
  const tenant = addTenantCommands(program, contextOf)
  addAdviseCommand(tenant, contextOf)
  addLifeCommands(tenant, contextOf)
  addCopyCommands(tenant, contextOf)
  addPurgeCommands(tenant, contextOf)
  addMoveCommands(program, contextOf)
  addOperationCommands(program, contextOf)
  addAuditCommands(program, contextOf)
  addJobsCommands(program, contextOf, run)
  addUsageCommands(program, contextOf)
  addTokenCommand(program, contextOf)
  return program
}

interface Call {
  readonly args: readonly string[]
  readonly terminal: Terminal
  readonly program: Command
}

function explain(error: unknown, call: Call): number {
  const { args, terminal } = call
  if (error instanceof CommanderError) return explainUsage(error, call)
  const known = isGatewayError(error)
  const code = known ? error.code : 'INTERNAL_SERVER_ERROR'
  const message = error instanceof Error ? error.message : String(error)
  const hint = known
    ? error.hint
    : 'This is a bug or a database that answers in an unknown way; --debug tells where.'
  tell({ code, message, hint: hint === ERRORS.USAGE.hint ? helpOf(call) : hint }, call)
  if (args.includes('--debug')) terminal.err(`${traceOf(error)}\n`)
  return ERRORS[code].exit
}

// Help and version are no errors; a group without a verb prints its help and is one.
function explainUsage(error: CommanderError, call: Call): number {
  if (error.exitCode === 0) return 0
  if (error.code === 'commander.help') return ERRORS.USAGE.exit
  const message = error.message
    .replace(/^error: /, '')
    .replaceAll('\n', ' ')
    .replace(/^./, (first) => first.toUpperCase())
  const sentence = /[.)]$/.test(message) ? message : `${message}.`
  tell({ code: 'USAGE', message: sentence, hint: helpOf(call) }, call)
  return ERRORS.USAGE.exit
}

/** The help of the command that was meant, as far as its words are known. */
function helpOf({ args, program }: Call): string {
  const words = [program.name()]
  let at = program
  for (const arg of args) {
    const found = at.commands.find((command) => command.name() === arg)
    if (!found) continue
    at = found
    words.push(arg)
  }
  return `See "${words.join(' ')} --help".`
}

function tell(error: { code: string; message: string; hint: string }, { args, terminal }: Call): void {
  const lines = error.message.split('\n').map(visible).join('\n')
  const text = wantsJson(args) ? JSON.stringify({ error }, null, 2) : `${lines}\n${error.hint}`
  terminal.err(`${text}\n`)
}

// Read from the words themselves: the error may be that they could not be parsed.
function wantsJson(args: readonly string[]): boolean {
  return args.some((arg, i) => {
    if (arg === '-o' || arg === '--output') return args[i + 1] === 'json'
    return arg === '-ojson' || arg === '--output=json'
  })
}

function traceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause === undefined ? '' : `\ncaused by ${traceOf(error.cause)}`
  return `${error.stack ?? error.message}${cause}`
}
