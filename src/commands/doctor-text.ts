/**
 * What the doctor says, for a person. A few findings are told whole; of many, unsafe tables become rows, what is wrong
 * is told once a kind with the number of tables, and what a migration mends is left to `adopt`.
 */

import type { Diagnosis } from '../control/diagnosis.ts'
import { table, visible } from './print.ts'

/** Findings that are told whole, each with its SQL, at most. */
const WHOLE_MAX = 12

export interface FindingsTextOptions {
  /** Tell all of them whole. */
  readonly full: boolean
  readonly colour: boolean
}

export function findingsText(all: readonly Diagnosis[], options: FindingsTextOptions): string {
  const [notes, findings] = parted(all, ({ severity }) => severity === 'note')
  const wrong = findings.length === 0 ? 'Nothing is wrong.\n' : wrongText(findings, options)
  return notes.length === 0 ? wrong : `${wrong}\n${notesText(notes)}`
}

/** Names in one line, at most. */
const NAMES_MAX = 10

/** A line for each reason: of a hundred partitions there is one thing to say. */
function notesText(notes: readonly Diagnosis[]): string {
  const lines = [...Map.groupBy(notes, ({ reason }) => reason)].map(([reason, of]) => {
    const names = [...new Set(of.map(({ table }) => table))]
    const more = names.length > NAMES_MAX ? ` and ${names.length - NAMES_MAX} more` : ''
    return visible(`  ${names.slice(0, NAMES_MAX).join(', ')}${more}: ${reason}`)
  })
  return `Not in the API:\n${lines.join('\n')}\n`
}

function wrongText(findings: readonly Diagnosis[], options: FindingsTextOptions): string {
  if (options.full || findings.length <= WHOLE_MAX) return whole(findings)
  // What is about no table, or what no migration mends, is told whole: it is little, and a person has to do it.
  const [apart, many] = parted(
    findings,
    ({ table, adopt, severity }) => !table || (!adopt && severity === 'unsafe'),
  )
  if (many.length === 0) return whole(findings)
  const unsafe = many.filter(({ severity }) => severity === 'unsafe')
  return [
    ...(apart.length > 0 ? [whole(apart)] : []),
    ...(unsafe.length > 0 ? [tablesText(unsafe, options.colour)] : []),
    kindsText(many, options.colour),
    next(many),
  ].join('\n')
}

// In their order otherwise: the SQL of one may want that of those before it.
function whole(findings: readonly Diagnosis[]): string {
  const [unsafe, advice] = parted(findings, ({ severity }) => severity === 'unsafe')
  return `${[...unsafe, ...advice].map(findingText).join('\n\n')}\n`
}

function findingText({ where, table, check, severity, reason, sql }: Diagnosis): string {
  const head = `${severity}  ${where}${table ? `  ${table}` : ''}  ${check}`
  const lines = [head, ...indented(reason, 2), ...(sql === undefined ? [] : indented(sql, 4))]
  return lines.map(visible).join('\n')
}

function indented(text: string, spaces: number): string[] {
  return text.split('\n').map((line) => `${' '.repeat(spaces)}${line}`)
}

interface TableRow {
  readonly table: string
  readonly unsafe: string
  readonly shards: string[]
}

/** A row for each table, and one more only where shards differ. */
function tablesText(findings: readonly Diagnosis[], colour: boolean): string {
  const rows = new Map<string, TableRow>()
  for (const [shard, own] of Map.groupBy(findings, ({ where }) => where)) {
    for (const [name = '', of] of Map.groupBy(own, ({ table }) => table)) {
      const row = { table: name, unsafe: checksOf(of), shards: [shard] }
      const key = JSON.stringify([name, row.unsafe])
      const known = rows.get(key)
      if (known) known.shards.push(shard)
      else rows.set(key, row)
    }
  }
  const alike = new Set([...rows.values()].map(({ shards }) => shards.join())).size === 1
  return table(
    [...rows.values()],
    [
      { title: 'unsafe table', cell: (row) => row.table },
      ...(alike ? [] : [{ title: 'on', cell: ({ shards }: TableRow) => shards.join(', ') }]),
      { title: 'because of', cell: ({ unsafe }) => unsafe },
    ],
    colour,
  )
}

/** 'unique-key ×2, row-security'. */
function checksOf(findings: readonly Diagnosis[]): string {
  return [...Map.groupBy(findings, ({ check }) => check)]
    .map(([check, { length }]) => (length === 1 ? check : `${check} ×${length}`))
    .join(', ')
}

/** Each check once, in the words of its first finding. */
function kindsText(findings: readonly Diagnosis[], colour: boolean): string {
  const kinds = [...Map.groupBy(findings, ({ check }) => check)].map(([check, of]) => ({
    check,
    severity: of[0]!.severity,
    tables: new Set(of.map(({ table }) => table)).size,
    example: `${of[0]!.table}: ${of[0]!.reason}`,
  }))
  const [unsafe, advice] = parted(kinds, ({ severity }) => severity === 'unsafe')
  return table(
    [...unsafe, ...advice],
    [
      { title: 'check', cell: ({ check }) => check },
      { title: 'is', cell: ({ severity }) => severity },
      { title: 'tables', cell: ({ tables }) => tables },
      { title: 'for example', cell: ({ example }) => example },
    ],
    colour,
  )
}

function next(findings: readonly Diagnosis[]): string {
  const mended = findings.filter(({ adopt }) => adopt).length
  const adopt = mended === 0 ? '' : `"shardgate adopt" writes a migration that mends ${mended} of these. `
  return `${adopt}"shardgate doctor --full" tells each with its SQL.\n`
}

function parted<T>(items: readonly T[], isFirst: (item: T) => boolean): [T[], T[]] {
  return [items.filter(isFirst), items.filter((item) => !isFirst(item))]
}
