/** `shardgate move doctor`: what moves have left behind, and removing it. */

import type { Command } from 'commander'
import { fail } from '../base/errors.ts'
import {
  type Cleaned,
  cleanLeftovers,
  type Finding,
  findLeftovers,
  type Leftovers,
} from '../control/move/move-doctor.ts'
import { configOf, fleetOf, type MakeContext } from './context.ts'
import { table, visible } from './print.ts'

/** @param move  the group `move` of the command line */
export function addMoveDoctor(move: Command, contextOf: MakeContext): void {
  move
    .command('doctor')
    .description(
      'Find what moves that have ended have left: rows, homes, fences, slots, publications. Changes nothing without --clean.',
    )
    .option('--clean', 'remove it, but for what somebody uses')
    .addHelpText('after', '\nExamples:\n  shardgate move doctor\n  shardgate move doctor --clean')
    .action(async ({ clean = false }: { readonly clean?: boolean }, command: Command) => {
      const context = contextOf(command)
      const fleet = fleetOf(configOf(context))
      const report = (text: string): void => context.terminal.err(`${visible(text)}\n`)
      if (!clean) {
        const found = await findLeftovers(fleet)
        context.print(found, foundText)
        return requireReached(found.unreached)
      }
      const cleaned = await cleanLeftovers(fleet, report)
      context.print(cleaned, cleanedText)
      requireReached(cleaned.unreached)
      if (cleaned.left.length > 0) fail('REFUSED', `${cleaned.left.length} are left.`, {}, { hint: MEND })
    })
}

const MEND = 'What stands beside each says why. Mend that, then type the command again.'

function requireReached(unreached: readonly string[]): void {
  if (unreached.length > 0) fail('SHARD_UNAVAILABLE', unreached.join(' '))
}

function foundText({ findings }: Leftovers, colour: boolean): string {
  if (findings.length === 0) return 'Moves have left nothing behind.\n'
  const rows = findings.map((finding) => ({ ...finding, note: finding.held ?? '' }))
  return `${tableOf(rows, colour)}\nRemove it: shardgate move doctor --clean\n`
}

function cleanedText({ removed, left }: Cleaned, colour: boolean): string {
  if (removed.length + left.length === 0) return 'Moves have left nothing behind.\n'
  const rows = [
    ...removed.map((finding) => ({ ...finding, note: 'removed' })),
    ...left.map((finding) => ({ ...finding, note: `left: ${finding.why}` })),
  ]
  return tableOf(rows, colour)
}

function tableOf(rows: readonly (Finding & { readonly note: string })[], colour: boolean): string {
  return table(
    rows,
    [
      { title: 'what', cell: ({ kind }) => (kind === 'record' ? 'written down' : kind) },
      { title: 'shard', cell: ({ place }) => place.shard },
      { title: 'name', cell: ({ name }) => name },
      { title: 'tenant', cell: ({ tenant }) => tenant },
      { title: 'move', cell: ({ move }) => move },
      { title: 'note', cell: ({ note }) => note },
    ],
    colour,
  )
}
