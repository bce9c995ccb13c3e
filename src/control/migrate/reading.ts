/**
 * What can be told of a file without running it: which locks its statements take, and what they remove that gateways
 * may still use. By their first words, as a person would read them; what is done by functions is not seen.
 */

import type { Migration } from './files.ts'
import { type SqlStatement, statementsOf } from './statements.ts'

export interface Remark {
  /** Line of its statements, from 1. */
  readonly line: number
  /** 'stops all requests of tickets while it runs: alter table tickets …' */
  readonly text: string
}

interface Pattern {
  readonly match: RegExp
  readonly says: string
}

const NAME = String.raw`((?:"[^"]+"|[\w$]+)(?:\.(?:"[^"]+"|[\w$]+))?)`
const starts = (text: string): RegExp => new RegExp(`^\\s*${text.replaceAll(' ', '\\s+')}`, 'i')

// Postgres 18, "Explicit locking". The first that fits holds; a null says that nothing is held up.
const LOCKS: readonly (Omit<Pattern, 'says'> & { readonly says: string | null })[] = [
  { match: starts(`(?:create|drop) (?:unique )?index concurrently`), says: null },
  {
    match: starts(`create (?:unique )?index .*? on (?:only )?${NAME}`),
    says: 'stops writes of $1 while the index is built',
  },
  { match: starts(`alter table (?:if exists )?(?:only )?${NAME} validate constraint`), says: null },
  { match: starts(`alter table (?:if exists )?(?:only )?${NAME} attach partition`), says: null },
  {
    match: starts(
      `alter table (?:if exists )?(?:only )?${NAME} add (?:constraint \\S+ )?foreign key(?!.*not valid)`,
    ),
    says: 'stops writes of $1 and of the table it refers to while all rows are checked',
  },
  {
    match: starts(
      `alter table (?:if exists )?(?:only )?${NAME} .*(?:\\btype\\b|set data type|generated always as .* stored)`,
    ),
    says: 'stops all requests of $1 while every row is written anew',
  },
  {
    match: starts(
      `alter table (?:if exists )?(?:only )?${NAME} .*(?:set not null|add (?:constraint \\S+ )?check(?!.*not valid)|add (?:constraint \\S+ )?(?:unique|primary key)(?!.*using index))`,
    ),
    says: 'stops all requests of $1 while every row is read',
  },
  {
    match: starts(`alter table (?:if exists )?(?:only )?${NAME}`),
    says: 'stops all requests of $1 for a moment',
  },
  { match: starts(`drop table (?:if exists )?${NAME}`), says: 'stops all requests of $1' },
  { match: starts(`truncate (?:table )?(?:only )?${NAME}`), says: 'stops all requests of $1 for a moment' },
  {
    match: starts(
      `(?:vacuum full|cluster|reindex (?:table|index)|refresh materialized view) (?!concurrently)${NAME}`,
    ),
    says: 'stops all requests of $1 while it runs',
  },
  {
    match: starts(`create (?:or replace )?(?:constraint )?trigger .*? on ${NAME}`),
    says: 'stops writes of $1 for a moment',
  },
  {
    match: starts(`(?:create|alter|drop) policy .*? on ${NAME}`),
    says: 'stops all requests of $1 for a moment',
  },
  { match: starts(`lock (?:table )?(?:only )?${NAME}`), says: 'locks $1' },
]

const REMOVALS: readonly Pattern[] = [
  { match: starts(`drop table (?:if exists )?${NAME}`), says: 'drops the table $1' },
  { match: starts(`drop (?:materialized )?view (?:if exists )?${NAME}`), says: 'drops the view $1' },
  { match: starts(`drop (type|domain|function|procedure|schema)`), says: 'drops a $1' },
  { match: starts(`truncate (?:table )?(?:only )?${NAME}`), says: 'empties $1' },
  {
    match: starts(`alter (?:table|view|type) (?:if exists )?(?:only )?${NAME} rename`),
    says: 'renames a part of $1, or all of it',
  },
  {
    match: starts(
      `alter table (?:if exists )?(?:only )?${NAME} .*\\bdrop (?!default|not null|constraint|identity|expression)`,
    ),
    says: 'drops a column of $1',
  },
  {
    match: starts(`alter table (?:if exists )?(?:only )?${NAME} .*\\bset not null`),
    says: 'refuses rows of $1 that were allowed before',
  },
  {
    match: starts(
      `alter table (?:if exists )?(?:only )?${NAME} .*\\balter (?:column )?\\S+ (?:set data )?type\\b`,
    ),
    says: 'changes the type of a column of $1',
  },
  {
    match: starts(`alter table (?:if exists )?(?:only )?${NAME} set schema`),
    says: 'moves $1 to another schema',
  },
  { match: starts(`revoke `), says: 'takes rights away' },
]

/** Statements that hold requests up; tables that the file makes itself hold up nobody. */
export function locksOf(migration: Migration): Remark[] {
  const made = madeBy(migration)
  return remarks(migration, (text) => {
    const found = LOCKS.find(({ match }) => match.test(text))
    const table = found?.match.exec(text)?.[1]
    return found?.says && !made.has(plain(table)) ? found.says.replace('$1', table ?? '') : undefined
  })
}

/** Statements that remove what gateways may use, in a file that does not say so. */
export function unmarkedRemovalsOf(migration: Migration): Remark[] {
  if (migration.contract) return []
  const made = madeBy(migration)
  return remarks(migration, (text) => {
    const found = REMOVALS.find(({ match }) => match.test(text))
    const table = found?.match.exec(text)?.[1]
    return found && !made.has(plain(table)) ? found.says.replace('$1', table ?? '') : undefined
  })
}

function madeBy(migration: Migration): ReadonlySet<string> {
  const create = starts(`create (?:unlogged )?table (?:if not exists )?${NAME}`)
  return new Set(statementsOf(migration.up).flatMap(({ text }) => plain(create.exec(bare(text))?.[1]) || []))
}

const plain = (name = ''): string => name.replaceAll('"', '').toLowerCase()

/** Without comments, on one line. */
const bare = (text: string): string => text.replace(/--[^\n]*/g, ' ').replace(/\s+/g, ' ')

function remarks(migration: Migration, read: (text: string) => string | undefined): Remark[] {
  if (migration.perTenant) return []
  return statementsOf(migration.up).flatMap((statement) => {
    const says = read(bare(statement.text))
    return says === undefined ? [] : [{ line: statement.line, text: `${says}: ${headOf(statement)}` }]
  })
}

function headOf({ text }: SqlStatement): string {
  const line = bare(text)
  return line.length <= HEAD_MAX ? line : `${line.slice(0, HEAD_MAX)}…`
}

const HEAD_MAX = 80
