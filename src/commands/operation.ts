/** `shardgate operation`: what was begun and is not finished, and the two ways out of it. */

import { type Command, Option } from 'commander'
import { MOVE_KIND } from '../control/operations/run.ts'
import { listOperations } from '../control/operations/store.ts'
import type { OperationRecord } from '../control/operations/types.ts'
import { abortOperation, resumeOperation } from '../control/operations/unfinished.ts'
import { onDirectory } from '../control/reach.ts'
import { configOf, fleetOf, type MakeContext } from './context.ts'
import { wholeNumber } from './parse.ts'
import { record, table } from './print.ts'
import { watched } from './watched.ts'

export function addOperationCommands(program: Command, contextOf: MakeContext): void {
  const operation = program
    .command('operation')
    .description('Operations on tenants and on the fleet: list them, go on with one, undo one.')

  operation
    .command('list')
    .description('List the operations that are not finished.')
    .option('--all', 'ended ones too')
    .addOption(
      new Option('--limit <number>', 'the latest ones, at most')
        .default(100)
        .argParser(wholeNumber(1, 10_000)),
    )
    .addHelpText('after', '\nExamples:\n  shardgate operation list\n  shardgate operation list --all -o json')
    .action(async (options: { all?: true; limit: number }, command: Command) => {
      const context = contextOf(command)
      const question = { all: options.all ?? false, limit: options.limit }
      const { url } = configOf(context).directory
      context.print(await onDirectory(url, (directory) => listOperations(directory, question)), listText)
    })

  for (const [verb, work, description] of VERBS) {
    operation
      .command(verb)
      .argument('<number>', 'of an operation, as "operation list" shows it')
      .description(description)
      .addHelpText('after', `\nExample:\n  shardgate operation ${verb} 12`)
      .action(async (number: string, _options: unknown, command: Command) => {
        const context = contextOf(command)
        const fleet = fleetOf(configOf(context))
        const ended = await watched(`${verb} operation ${number}`, (report) => work(fleet, number, report))
        context.print(ended, recordText)
      })
  }
}

const VERBS = [
  ['resume', resumeOperation, 'Go on with an operation where it stopped.'],
  ['abort', abortOperation, 'Undo what an unfinished operation has done, as far as it can be undone.'],
] as const

function listText(operations: readonly OperationRecord[], colour: boolean): string {
  if (operations.length === 0) return 'Nothing is unfinished.\n'
  const isMoving = operations.some(({ kind, state }) => kind === MOVE_KIND && state === 'running')
  const note = isMoving ? '\nThose of the kind tenant.move belong to moves: see "shardgate move list".\n' : ''
  const rows = table(
    operations,
    [
      { title: 'operation', cell: ({ id }) => Number(id) },
      { title: 'kind', cell: ({ kind }) => kind },
      { title: 'tenant', cell: ({ tenant }) => tenant },
      { title: 'state', cell: stateText },
      { title: 'step done', cell: ({ done }) => done.at(-1) },
      { title: 'operator', cell: ({ operator }) => operator },
      { title: 'begun', cell: ({ startedAt }) => startedAt },
      { title: 'stopped by', cell: ({ error }) => error?.split('\n')[0] },
    ],
    colour,
  )
  return `${rows}${note}`
}

// Nobody may be running it: 'running' means that it has not ended, also after a kill.
const stateText = ({ state }: OperationRecord): string => (state === 'running' ? 'unfinished' : state)

function recordText({ id, kind, tenant, state }: OperationRecord, colour: boolean): string {
  return record({ operation: id, kind, tenant, state }, colour)
}
