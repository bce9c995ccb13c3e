/**
 * A statement as text, read for one thing: does each table that it names stand beside the tenant?
 *
 * A select is taken apart by its brackets. What stands in brackets is a select of its own or part of an expression, so
 * that a predicate counts only where it holds for every row: at the level of its table, and with no "or" beside it.
 */

import type { Statement } from '../../src/db/sql.ts'
import type { Table } from '../../src/model/types.ts'

/** The text between two brackets, with what stands in brackets inside taken out: `§0`, `§1`, … */
interface Level {
  readonly text: string
  readonly inner: readonly Level[]
}

/** Each mention of a table that is not held to the tenant: its alias, and where it stands. */
export function unguarded(statement: Statement, tenant: string, tables: readonly Table[]): string[] {
  const owned = new Map(
    tables.flatMap(({ schema, name, tenantColumn }) =>
      tenantColumn === null ? [] : [[`"${schema}"."${name}"`, tenantColumn] as const],
    ),
  )
  return levelsOf(statement.text).flatMap((level) => faultsOf(level, statement, tenant, owned))
}

/** How many tables a statement names; each time counts. */
export function mentions({ text }: Statement, tables: readonly Table[]): number {
  const names = tables.map(({ schema, name }) => `"${schema}"."${name}"`)
  return levelsOf(text).reduce((sum, level) => sum + mentioned(level.text, names).length, 0)
}

const TOKEN = /"(?:[^"]|"")*"|'(?:[^']|'')*'|[()]|[^"'()]+/g

function levelsOf(text: string): Level[] {
  const all: Level[] = []
  const open: { text: string; inner: Level[] }[] = [{ text: '', inner: [] }]
  for (const [token] of text.matchAll(TOKEN)) {
    const now = open.at(-1)!
    if (token === '(') open.push({ text: '', inner: [] })
    else if (token === ')') {
      const closed = open.pop()!
      all.push(closed)
      const around = open.at(-1)!
      around.text += `§${around.inner.push(closed) - 1}`
    } else now.text += token
  }
  if (open.length !== 1) throw new Error(`brackets do not match: ${text}`)
  return [...all, open[0]!]
}

const MENTION = /(\S+)\s+("[^"]+"\."(?:[^"]|"")+")(?:\s+as\s+("(?:[^"]|"")+"|\w+))?/gi

function mentioned(text: string, names: Iterable<string>) {
  const known = new Set(names)
  return [...text.matchAll(MENTION)]
    .map(([, before = '', name = '', alias = name]) => ({ before: before.toLowerCase(), name, alias }))
    .filter(({ name }) => known.has(name))
}

function faultsOf(
  level: Level,
  statement: Statement,
  tenant: string,
  owned: ReadonlyMap<string, string>,
): string[] {
  return level.text.split(/\bunion(?: all)?\b/i).flatMap((select) =>
    mentioned(select, owned.keys()).flatMap(({ before, name, alias }) => {
      const column = owned.get(name)!
      const isHeld = before === 'into' ? isInserted : isFiltered
      return isHeld(select, level, alias, column, statement, tenant) ? [] : [`${before} ${name} as ${alias}`]
    }),
  )
}

type Held = (
  select: string,
  level: Level,
  alias: string,
  column: string,
  statement: Statement,
  tenant: string,
) => boolean

const isFiltered: Held = (select, _, alias, column, { values }, tenant) => {
  const predicate = new RegExp(
    String.raw`\b(where|and|on) ${escaped(alias)}\."?${escaped(column)}"?(?:::\S+)* = \$(\d+)\b`,
    'g',
  )
  const found = [...select.matchAll(predicate)].some(([, , number]) => values[Number(number) - 1] === tenant)
  const conditions = /\b(?:where|on)\b(.*?)(?:\b(?:returning|group by|order by)\b|$)/s.exec(select)?.[1] ?? ''
  return found && !/\bor\b/i.test(conditions)
}

/** The tenant's column is the first of those that are given, and its value is the tenant. */
const isInserted: Held = (select, { inner }, _, column, { values }, tenant) => {
  const [, names, given = '', rest = ''] = /\binto\b.*?§(\d+)\s+(values|select)\s+(\S+)/is.exec(select) ?? []
  const first = names === undefined ? '' : inner[Number(names)]!.text
  const value = given === 'values' ? (inner[Number(rest.slice(1))]?.text ?? '') : rest
  const number = /^\s*\$(\d+)\b/.exec(value)?.[1]
  return new RegExp(`^"?${escaped(column)}"?\\b`).test(first) && values[Number(number) - 1] === tenant
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
