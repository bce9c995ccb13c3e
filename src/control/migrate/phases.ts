/**
 * Expand and contract: a file that removes what gateways still use waits until every target has what comes before it.
 *
 *     e1  e2  C3  e4  C5      "up" runs e1 e2 and stops in front of C3; "up --contract" then runs C3 e4, and stops at C5
 */

import { fail } from '../../base/errors.ts'
import { targetName } from '../../directory/targets.ts'
import type { Migration } from './files.ts'
import type { Pending } from './pending.ts'

/** Decides which of a target's missing files are run now. */
export type Cut = (missing: readonly Migration[]) => readonly Migration[]

/** Everything in front of the first file that contracts. */
export const upToContract: Cut = (missing) => upTo(missing, ({ contract }) => contract)

/**
 * The first file of the fleet that contracts, and what follows up to the next one.
 *
 * @param all  every target of the fleet
 * @throws REFUSED  some target lacks a file before it, or cannot be asked
 */
export function throughContract(all: readonly Pending[]): Cut {
  const versions = all.flatMap(({ missing }) =>
    missing.filter(({ contract }) => contract).map(({ version }) => version),
  )
  const [first] = versions.sort()
  if (first === undefined) return upToContract
  const behind = all.filter(
    ({ missing, unreachable }) => unreachable !== undefined || missing.some(({ version }) => version < first),
  )
  if (behind.length > 0) refuse(all, behind, first)
  return (missing) => upTo(missing, ({ contract, version }) => contract && version > first)
}

function upTo(files: readonly Migration[], isEnd: (file: Migration) => boolean): readonly Migration[] {
  const end = files.findIndex(isEnd)
  return end < 0 ? files : files.slice(0, end)
}

function refuse(all: readonly Pending[], behind: readonly Pending[], version: string): never {
  const file = all.flatMap(({ missing }) => missing).find((one) => one.version === version)
  const names = behind.slice(0, 5).map(({ target }) => targetName(target))
  const lacks = `${behind.length} of ${all.length} targets lack files before it or cannot be asked`
  return fail(
    'REFUSED',
    `${file?.file} removes what gateways may use, and ${lacks}: ${names.join(', ')}${behind.length > 5 ? ', …' : ''}.`,
    {},
    { hint: 'Run "shardgate migrate up" until every target has what comes before it.' },
  )
}
