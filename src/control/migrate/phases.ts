/**
 * Expand and contract: a file that removes what gateways still use waits until every target has what comes before it.
 *
 *     e1  e2  C3  e4  C5      "up" runs e1 e2 and stops in front of C3; "up --contract" then runs C3 e4, and stops at C5
 *
 * It waits no longer once some target has it, because then it was asked for; nor where no target has anything yet, because
 * then nobody uses what it removes.
 */

import { fail } from '../../base/errors.ts'
import { targetName } from '../../directory/targets.ts'
import type { Migration } from './files.ts'
import type { Pending } from './pending.ts'

/** Decides which of a target's missing files are run now. */
export type Cut = (missing: readonly Migration[]) => readonly Migration[]

export interface Phases {
  readonly files: readonly Migration[]
  /** Every target of the fleet that lacks anything. */
  readonly lacking: readonly Pending[]
  /** Whether there are targets that lack nothing. */
  readonly someHaveAll: boolean
}

/**
 * @param contract  run the first file that waits, and what follows up to the next one that does
 * @throws REFUSED  with `contract`, when some target lacks a file before it or cannot be asked
 */
export function cutOf(phases: Phases, contract = false): Cut {
  const waits = waitingIn(phases)
  const first = phases.files.find(({ version }) => waits.has(version))
  if (!contract || !first) return (missing) => upTo(missing, ({ version }) => waits.has(version))
  requireReady(phases.lacking, first)
  return (missing) => upTo(missing, ({ version }) => waits.has(version) && version > first.version)
}

function waitingIn({ files, lacking, someHaveAll }: Phases): ReadonlySet<string> {
  if (someHaveAll) return new Set()
  const isNew = lacking.every(({ missing, unreachable }) => !unreachable && missing.length === files.length)
  if (isNew) return new Set()
  const contracts = files.filter(({ contract }) => contract)
  const waiting = contracts.filter((file) => lacking.every(({ missing }) => missing.includes(file)))
  return new Set(waiting.map(({ version }) => version))
}

function upTo(files: readonly Migration[], isEnd: (file: Migration) => boolean): readonly Migration[] {
  const end = files.findIndex(isEnd)
  return end < 0 ? files : files.slice(0, end)
}

function requireReady(lacking: readonly Pending[], { file, version }: Migration): void {
  const behind = lacking.filter(
    ({ missing, unreachable }) => unreachable !== undefined || missing.some((one) => one.version < version),
  )
  if (behind.length === 0) return
  const names = behind.slice(0, 5).map(({ target }) => targetName(target))
  const lack = `${behind.length} targets lack files before it or cannot be asked`
  fail(
    'REFUSED',
    `${file} removes what gateways may use, and ${lack}: ${names.join(', ')}${behind.length > 5 ? ', …' : ''}.`,
    {},
    { hint: 'Run "shardgate migrate up" until every target has what comes before it.' },
  )
}
