/** `shardgate move pause|resume|cancel|rollback|complete|receipt`: what can be wanted of a move that there is. */

import type { Command } from 'commander'
import { fail } from '../base/errors.ts'
import { listReceipts } from '../control/life/receipts.ts'
import { setWanted } from '../control/move/claim.ts'
import { isUrgent } from '../control/move/queue.ts'
import { MOVE_RECEIPT } from '../control/move/receipt.ts'
import { checkReceipt, type ReceiptCheck, receiptSentences } from '../control/move/receipt-check.ts'
import { completeMove, rollbackMove } from '../control/move/run.ts'
import { telling } from '../control/move/runner.ts'
import { ENDED, type MoveState } from '../control/move/states.ts'
import { doing, known, listMoves } from '../control/move/store.ts'
import type { MoveRecord } from '../control/move/types.ts'
import { operatorOf } from '../control/operations/run.ts'
import { type Fleet, onDirectory } from '../control/reach.ts'
import { type CommandContext, configOf, fleetOf, type MakeContext } from './context.ts'
import { runHere, stopNote } from './move-here.ts'
import { movesTeller } from './move-progress.ts'
import { nextText } from './move-text.ts'
import { stoppable } from './stopping.ts'

/** @param move  the group `move` of the command line */
export function addMoveVerbs(move: Command, contextOf: MakeContext): void {
  addPause(move, contextOf)
  addGoOn(move, contextOf, 'resume')
  addGoOn(move, contextOf, 'cancel')
  addRollback(move, contextOf)
  addComplete(move, contextOf)
  addReceipt(move, contextOf)
}

const NUMBER = ['<number>', 'of a move, as "move list" shows it'] as const

function addPause(move: Command, contextOf: MakeContext): void {
  move
    .command('pause')
    .argument(...NUMBER)
    .description('Stop a move where it is safe. Its tenant is served as before.')
    .addHelpText('after', '\nExample:\n  shardgate move pause 12')
    .action(async (number: string, _flags: unknown, command: Command) => {
      const context = contextOf(command)
      const { move: now, changed } = await want(fleetOf(configOf(context)), number, 'pause')
      context.print(now, ({ id, tenant, isHeld }) => {
        const when = isHeld ? 'pauses as soon as that is safe' : 'pauses'
        const note = changed ? '' : ' already; nothing was changed'
        return `Move ${id} of ${tenant} ${when}${note}.\nGo on: shardgate move resume ${id}\n`
      })
    })
}

function want(fleet: Fleet, number: string, wanted: 'pause' | 'run' | 'cancel') {
  return onDirectory(fleet.directoryUrl, (db) => setWanted(db, number, wanted, operatorOf(fleet)))
}

const GO_ON = {
  resume: {
    wanted: 'run',
    description: 'Go on with a move that pauses, was stopped, or has failed.',
  },
  cancel: {
    wanted: 'cancel',
    description: 'Undo a move that has not reached its point of no return: the tenant stays where it is.',
  },
} as const

function addGoOn(move: Command, contextOf: MakeContext, verb: keyof typeof GO_ON): void {
  const { wanted, description } = GO_ON[verb]
  move
    .command(verb)
    .argument(...NUMBER)
    .description(description)
    .option('--no-wait', 'leave it to whoever runs "move run", and end')
    .addHelpText('after', `\nExample:\n  shardgate move ${verb} 12`)
    .action(async (number: string, { wait }: { wait: boolean }, command: Command) => {
      const context = contextOf(command)
      const fleet = fleetOf(configOf(context))
      const { move: now } = await want(fleet, number, wanted)
      const ended = wait && !ENDED.includes(now.state) ? await runHere(context, fleet, now) : now
      context.print(ended, goneOnText)
    })
}

const goneOnText = (now: MoveRecord): string =>
  `Move ${now.id} of ${now.tenant} is ${now.state}.\n${nextText(now)}`

function addRollback(move: Command, contextOf: MakeContext): void {
  move
    .command('rollback')
    .argument(...NUMBER)
    .description('Bring a tenant back that has settled, with all that it has written since. Safe to repeat.')
    .addHelpText('after', '\nExample:\n  shardgate move rollback 12')
    .action(async (number: string, _flags: unknown, command: Command) => {
      const context = contextOf(command)
      const fleet = fleetOf(configOf(context))
      const now = await inState(fleet, number, RETURNING, tooLateToReturn)
      const returned = await told(context, now, (options) => rollbackMove(fleet, now.id, options)).catch(
        (error: unknown) => openAgain(context, fleet, now, error),
      )
      context.print(returned, goneOnText)
    })
}

/** A tenant whose writes are held must not wait for somebody who looks. @throws  the failure, where none are */
async function openAgain(
  context: CommandContext,
  fleet: Fleet,
  { id }: MoveRecord,
  error: unknown,
): Promise<MoveRecord> {
  const now = await onDirectory(fleet.directoryUrl, (db) => known(db, id))
  if (isUrgent(now)) return runHere(context, fleet, now)
  throw error
}

const RETURNING: readonly MoveState[] = ['settled', 'returning', 'return-frozen', 'returned']
const CLEANING: readonly MoveState[] = ['settled', 'cleaning']

/** @throws REFUSED  there is no such move, or it is in none of those states */
async function inState(
  fleet: Fleet,
  number: string,
  states: readonly MoveState[],
  refuse: (move: MoveRecord) => never,
): Promise<MoveRecord> {
  const now = await onDirectory(fleet.directoryUrl, (db) => known(db, number))
  return states.includes(now.state) ? now : refuse(now)
}

function tooLateToReturn(move: MoveRecord): never {
  const { id, tenant, source, state } = move
  const hints: Readonly<Partial<Record<MoveState, string>>> = {
    cleaning: `Its window has ended. Move it back: shardgate move start ${tenant} --to ${source.shard}`,
    done: `Its window has ended. Move it back: shardgate move start ${tenant} --to ${source.shard}`,
    aborted: 'It never came to its new place.',
    'rolled-back': 'It is back already.',
  }
  const hint = hints[state] ?? `It has not settled. Give it up: shardgate move cancel ${id}`
  return fail(
    'REFUSED',
    `Move ${id} of ${tenant} is ${doing(move)}; there is no way back to take.`,
    {},
    { hint },
  )
}

/** Run what one move is wanted to do, and tell of it. */
function told(
  context: CommandContext,
  move: MoveRecord,
  work: (options: ReturnType<typeof telling> & { stop: AbortSignal }) => Promise<MoveRecord>,
): Promise<MoveRecord> {
  const teller = movesTeller(true)
  return stoppable(stopNote(context), (stop) => work({ ...telling(move, teller.onEvent), stop })).finally(
    teller.still,
  )
}

function addComplete(move: Command, contextOf: MakeContext): void {
  move
    .command('complete')
    .argument('[number]', 'of a move that has settled')
    .description('End the window of a move: the way back goes, and the rows that were left at the old place.')
    .option('--all', 'of all moves that have settled')
    .addHelpText('after', '\nExamples:\n  shardgate move complete 12\n  shardgate move complete --all')
    .action(async (number: string | undefined, { all = false }: { all?: boolean }, command: Command) => {
      const context = contextOf(command)
      if ((number === undefined) !== all)
        fail('USAGE', 'move complete: wanted the number of a move, or --all, and not both.')
      const fleet = fleetOf(configOf(context))
      const moves =
        number === undefined ? await settled(fleet) : [await inState(fleet, number, CLEANING, notSettled)]
      const completed: MoveRecord[] = []
      for (const one of moves)
        completed.push(await told(context, one, (options) => completeMove(fleet, one.id, options)))
      context.print(number === undefined ? completed : completed[0], () => completedText(completed))
    })
}

async function settled(fleet: Fleet): Promise<MoveRecord[]> {
  const moves = await onDirectory(fleet.directoryUrl, (db) => listMoves(db, { all: false }))
  return moves.filter(({ state }) => CLEANING.includes(state))
}

function notSettled(move: MoveRecord): never {
  const { id, tenant } = move
  const isOver = ENDED.includes(move.state)
  const hint = isOver ? 'There is nothing to complete.' : `See "shardgate move show ${id}".`
  return fail(
    'REFUSED',
    `Move ${id} of ${tenant} is ${doing(move)}${isOver ? '' : ', and has not settled'}.`,
    {},
    { hint },
  )
}

function completedText(moves: readonly MoveRecord[]): string {
  if (moves.length === 0) return 'No move is in its window; nothing was changed.\n'
  return moves.map(goneOnText).join('')
}

function addReceipt(move: Command, contextOf: MakeContext): void {
  move
    .command('receipt')
    .argument(...NUMBER)
    .description(
      'Print the receipt of a move as it was written, or check it against the log and the data of now.',
    )
    .option('--check', 'whether it is as it was written, and what has changed since')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate move receipt 12 > receipt.json\n  shardgate move receipt 12 --check',
    )
    .action(async (number: string, { check }: { check?: true }, command: Command) => {
      const context = contextOf(command)
      const fleet = fleetOf(configOf(context))
      const now = await onDirectory(fleet.directoryUrl, (db) => known(db, number))
      const receipt = now.receipt ?? noReceipt(now)
      if (!check) return context.terminal.out(await bodyOf(fleet, now, receipt))
      const checked = await checkReceipt(fleet, receipt)
      if (!checked.isIntact || checked.seal === null) return notAsWritten(checked)
      context.print(checked, (found) => `${receiptSentences(found).join('\n')}\n`)
    })
}

function noReceipt(move: MoveRecord): never {
  const hint = `A move has one when it has settled. See "shardgate move show ${move.id}".`
  return fail(
    'REFUSED',
    `Move ${move.id} of ${move.tenant} is ${doing(move)}, and has no receipt.`,
    {},
    { hint },
  )
}

/** The document to its last byte: its hash is what stands in the audit log. */
async function bodyOf(fleet: Fleet, { tenant }: MoveRecord, receipt: string): Promise<string> {
  const all = await onDirectory(fleet.directoryUrl, (db) => listReceipts(db, tenant, MOVE_RECEIPT))
  const found = all.find(({ id }) => String(id) === receipt)
  return found?.body ?? fail('REFUSED', `Receipt ${receipt} is not in the directory any more.`)
}

function notAsWritten(check: ReceiptCheck): never {
  const [verdict = ''] = receiptSentences(check)
  return fail('REFUSED', verdict, {}, { hint: 'See "shardgate audit verify".' })
}
