/** `shardgate move`: tenants to other shards and other isolation models, while their users go on writing. */

import { type Command, Option } from 'commander'
import { fail } from '../base/errors.ts'
import { tenantId } from '../base/ids.ts'
import { createLog } from '../base/log.ts'
import type { MovesEvent, Summary } from '../control/move/runner.ts'
import { foreseeMove, type MoveRequest, startMove } from '../control/move/start.ts'
import { findMoves, known, listMoves } from '../control/move/store.ts'
import { type Fleet, onDirectory } from '../control/reach.ts'
import { runFollowed } from '../control/rebalance/run.ts'
import { ISOLATIONS, type Isolation } from '../directory/types.ts'
import { configOf, fleetOf, type MakeContext } from './context.ts'
import { addMoveDoctor } from './move-doctor.ts'
import { runHere, stopNote } from './move-here.ts'
import { logged, movesTeller } from './move-progress.ts'
import { listText, nextText, outlookText, showText } from './move-text.ts'
import { addMoveVerbs } from './move-verbs.ts'
import { watchMoves } from './move-watch.ts'
import { wholeNumber } from './parse.ts'
import { stoppable } from './stopping.ts'

export function addMoveCommands(program: Command, contextOf: MakeContext): void {
  const move = program
    .command('move')
    .description(
      'Move tenants to other shards and isolation models while they are used: begin, look, go back.',
    )
  addStart(move, contextOf)
  addList(move, contextOf)
  addShow(move, contextOf)
  addWatch(move, contextOf)
  addRun(move, contextOf)
  addMoveVerbs(move, contextOf)
  addMoveDoctor(move, contextOf)
}

interface StartFlags {
  readonly to: string
  readonly isolation?: Isolation
  readonly dryRun?: true
  readonly wait: boolean
}

function addStart(move: Command, contextOf: MakeContext): void {
  move
    .command('start')
    .argument('<tenant>', 'a tenant')
    .description('Move a tenant. Its users go on working; writes are held for a moment at the end.')
    .requiredOption('--to <shard>', 'where it goes; its own shard, for another isolation')
    .addOption(
      new Option('--isolation <model>', 'how it is kept there (default: as now)').choices(ISOLATIONS),
    )
    .option('--dry-run', 'say how it would go and what is in the way, and change nothing')
    .option('--no-wait', 'write it down for whoever runs "move run", and end')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate move start acme --to shard-b --dry-run\n  shardgate move start acme --to shard-b\n' +
        '  shardgate move start acme --to shard-a --isolation schema\n\n' +
        'Ctrl-C stops where it is safe; "move resume" goes on from there.',
    )
    .action(async (id: string, flags: StartFlags, command: Command) => {
      const context = contextOf(command)
      const { to: shard, isolation } = flags
      const request: MoveRequest = { tenant: tenantId(id), shard, ...(isolation && { isolation }) }
      const fleet = fleetOf(configOf(context))
      if (flags.dryRun) return context.print(await foreseeMove(fleet, request), outlookText)
      const started = await startMove(fleet, request)
      const ended = flags.wait ? await runHere(context, fleet, started) : started
      context.print(ended, (now) => `Move ${now.id} of ${now.tenant} is ${now.state}.\n${nextText(now)}`)
    })
}

function addList(move: Command, contextOf: MakeContext): void {
  move
    .command('list')
    .description('List moves that have not ended, those in their window included.')
    .option('--all', 'ended ones too')
    .addOption(
      new Option('--limit <number>', 'the latest ones, at most')
        .default(100)
        .argParser(wholeNumber(1, 10_000)),
    )
    .addHelpText('after', '\nExamples:\n  shardgate move list\n  shardgate move list --all -o json')
    .action(async ({ all = false, limit }: { all?: boolean; limit: number }, command: Command) => {
      const context = contextOf(command)
      const { url } = configOf(context).directory
      context.print(await onDirectory(url, (db) => listMoves(db, { all, limit })), listText)
    })
}

function addShow(move: Command, contextOf: MakeContext): void {
  move
    .command('show')
    .argument('<number>', 'of a move, as "move list" shows it')
    .description('Show a move: where it is, how long each state took, what can be typed next.')
    .addHelpText('after', '\nExample:\n  shardgate move show 12')
    .action(async (number: string, _flags: unknown, command: Command) => {
      const context = contextOf(command)
      const { url } = configOf(context).directory
      context.print(await onDirectory(url, (db) => known(db, number)), showText)
    })
}

function addWatch(move: Command, contextOf: MakeContext): void {
  move
    .command('watch')
    .argument('[number]', 'of a move (default: all that have not ended)')
    .description('Look on while moves are made, whoever runs them.')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate move watch\n  shardgate move watch 12\n\nCtrl-C ends the looking, not the move.',
    )
    .action(async (number: string | undefined, _flags: unknown, command: Command) => {
      const context = contextOf(command)
      const { url } = configOf(context).directory
      const ids = await onDirectory(url, async (db) =>
        (number === undefined ? await listMoves(db, { all: false }) : [await known(db, number)]).map(
          ({ id }) => id,
        ),
      )
      const read = () => onDirectory(url, (db) => findMoves(db, ids))
      await stoppable(
        () => {},
        (signal) => watchMoves({ read, output: process.stderr, signal }),
      )
      context.print(await read(), listText)
    })
}

function addRun(move: Command, contextOf: MakeContext): void {
  move
    .command('run')
    .description(
      'Make the moves that are asked for, take over what was left, and close the windows that have ended.',
    )
    .option('--forever', 'wait for more when nothing is left; any number of such runners share the work')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate move run\n  shardgate move run --forever -o json >> moves.log\n\nCtrl-C stops where it is safe.',
    )
    .action(async ({ forever = false }: { forever?: boolean }, command: Command) => {
      const context = contextOf(command)
      const fleet = fleetOf(configOf(context))
      if (forever && context.options.output === 'json') return serveMoves(fleet)
      const teller = movesTeller(!process.stderr.isTTY)
      const summary = await stoppable(stopNote(context), (signal) =>
        runFollowed(fleet, { forever, signal, onEvent: teller.onEvent }),
      ).finally(teller.still)
      context.print(summary, summaryText)
      if (summary.failed.length > 0) left(summary)
    })
}

/** A runner that nobody sits at: what happens is logged as a gateway does, a line of JSON each. */
async function serveMoves(fleet: Fleet): Promise<void> {
  const log = createLog('info')
  const onEvent = (event: MovesEvent): void => {
    for (const told of logged(event)) log.listener(told)
  }
  await stoppable(
    () => log.listener({ kind: 'gateway.draining', reason: 'told to stop' }),
    (signal) => runFollowed(fleet, { forever: true, signal, onEvent }),
  ).finally(log.flush)
}

function left({ failed }: Summary): never {
  const which = failed.length === 1 ? `Move ${failed[0]} is` : `Moves ${failed.join(', ')} are`
  return fail('SETUP_FAILED', `${which} left with an error.`, {}, { hint: 'See "shardgate move list".' })
}

export function summaryText({ arrived, undone, paused, failed, open }: Summary): string {
  const counts = [
    [arrived, 'arrived'],
    [undone, 'undone'],
    [paused, 'paused'],
    [failed, 'left with an error'],
    [open, 'stopped on the way'],
  ] as const
  const parts = counts.flatMap(([ids, what]) => (ids.length === 0 ? [] : [`${ids.length} ${what}`]))
  return parts.length === 0 ? 'There was nothing to do.\n' : `Moves: ${parts.join(', ')}.\n`
}
