/** What `shardgate migrate` prints for people. */

import type { Plan, PlannedFile } from '../control/migrate/plan.ts'
import type { TargetStatus } from '../control/migrate/status.ts'
import type { TargetResult, UpResult } from '../control/migrate/up.ts'
import type { Verdict } from '../control/migrate/verify.ts'
import { table, visible } from './print.ts'
import { durationText } from './progress.ts'

export function planText({ targets, groups, canary, files }: Plan, colour: boolean): string {
  if (groups.length === 0) return `Nothing to do: ${targets} targets have all files.\n`
  const matrix = table(
    groups,
    [
      { title: 'shard', cell: ({ shard }) => shard },
      { title: 'isolation', cell: ({ isolation }) => isolation },
      { title: 'targets', cell: (group) => group.targets },
      { title: 'such as', cell: ({ example }) => example },
      { title: 'lacks', cell: ({ lacks }) => lacks.map(shortOf).join(', ') || 'nothing' },
      { title: 'remark', cell: ({ strange, unreachable }) => unreachable ?? strangeText(strange) },
    ],
    colour,
  )
  const first = canary === null ? '' : `\nCanary is ${visible(canary)}.\n`
  return `${matrix}${first}\n${files.map(fileText).join('')}`
}

const strangeText = (strange: readonly string[]): string =>
  strange.length === 0 ? '' : `has ${strange.join(', ')}, which the folder lacks`

/** '20260101120000_add_priority.sql' as '…120000_add_priority'. */
const shortOf = (file: string): string => file.replace(/^\d{8}/, '…').replace(/\.sql$/, '')

function fileText({ file, targets, kind, held, locks, warnings }: PlannedFile): string {
  const remarks = [
    ...(held ? ['  waits for --contract, which wants all targets to have what comes before it'] : []),
    ...locks.map(({ line, text }) => `  line ${line}: ${text}`),
    ...warnings.map(({ line, text }) => `  WARNING line ${line}: ${text}; mark the file with phase:contract`),
  ]
  return `${[`${file} (${kind}), ${targets} targets`, ...remarks].map(visible).join('\n')}\n`
}

export function upText({ targets, results, left, held, ms }: UpResult, colour: boolean): string {
  const waits = held
    .map((file) => `${file} waits for --contract, and so does what comes after it.\n`)
    .join('')
  if (results.length === 0 && left.length === 0)
    return `Nothing to do: ${targets} targets have all files${held.length > 0 ? ' that may be run now' : ''} (${secondsOf(ms)}).\n${waits}`
  const rows = table(
    results,
    [
      { title: 'target', cell: ({ target }) => target },
      { title: 'applied', cell: ({ applied }) => applied.map(shortOf).join(', ') || 'nothing' },
      { title: 'ms', cell: ({ ms: own }) => Math.round(own) },
      { title: 'result', cell: ({ error }) => (error === null ? 'done' : 'failed') },
    ],
    colour,
  )
  const errors = results.flatMap(({ target, error }) => (error === null ? [] : [`\n${target}: ${error}\n`]))
  const texts = errors.map((text) => text.split('\n').map(visible).join('\n'))
  return `${rows}${texts.join('')}\n${summaryOf(results, left, ms)}${waits}`
}

function summaryOf(results: readonly TargetResult[], left: readonly string[], ms: number): string {
  const failed = results.filter(({ error }) => error !== null).length
  const times = results.map((one) => one.ms).sort((a, b) => a - b)
  const at = (part: number): number =>
    Math.round(times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? 0)
  const counts = [`${results.length - failed} done`, `${failed} failed`, `${left.length} not begun`].join(
    ', ',
  )
  return `${counts} in ${durationText(ms / 1000)}; a target took ${at(0.5)} ms, 95 of 100 at most ${at(0.95)} ms.\n`
}

const secondsOf = (ms: number): string => `${(ms / 1000).toFixed(2)} s`

export function statusText(targets: readonly TargetStatus[], colour: boolean): string {
  return table(
    targets,
    [
      { title: 'shard', cell: ({ shard }) => shard },
      { title: 'isolation', cell: ({ isolation }) => isolation },
      { title: 'target', cell: ({ tenant, namespace }) => tenant ?? namespace },
      { title: 'version', cell: ({ version }) => version },
      { title: 'pending', cell: ({ pending }) => pending ?? '?' },
      { title: 'drift', cell: ({ drift }) => (drift ? 'yes' : '') },
      { title: 'error', cell: ({ error }) => error?.split('\n')[0] ?? '' },
    ],
    colour,
  )
}

export function verdictsText(verdicts: readonly Verdict[]): string {
  const equal = verdicts.filter(({ kind }) => kind === 'as expected').length
  const others = verdicts.filter(({ kind }) => kind !== 'as expected')
  const parts = others.map(({ target, kind, because, differences }) => {
    const lines = differences.map(({ sign, line }) => `  ${sign} ${visible(line)}\n`)
    return `${visible(`${target}: ${kind}; ${because}.`)}\n${lines.join('')}\n`
  })
  return `${parts.join('')}${equal} of ${verdicts.length} targets are as expected.\n`
}
