/**
 * Keys that get the tenant column in front, while their table is read and written.
 *
 *     index built beside ──▶ foreign keys turned to it ──▶ key exchanged ──▶ foreign keys checked
 *
 * An exchange is a moment; building and checking take their time and hold up nobody. A partitioned table has its
 * indexes built part by part, and its foreign keys are turned in the moment of the exchange, because the index
 * of the whole comes into being then.
 */

import { quoted, quotedList } from '../model/quote.ts'
import type { ForeignKeyFacts, IndexFacts, TableFacts, TableName } from '../model/safety/facts.ts'
import { tableSql } from '../model/safety/finding.ts'
import { exchangeExclusion, foreignKeyClause, indexBody } from '../model/safety/keys.ts'
import {
  classSql,
  derivedName,
  hasConstraint,
  type Locks,
  leansWithout,
  literal,
  lockOf,
  locksOf,
  remark,
  shortly,
  startsOtherwise,
  unhurriedly,
} from './adopt-text.ts'

const SUFFIX = 'shardgate'

export interface KeyToWiden {
  readonly table: TableFacts
  readonly index: IndexFacts
}

/** Whether the foreign keys that lean on a key are turned in the very moment in which it is exchanged. */
export function isTurnedTogether({ table, index }: KeyToWiden, column: string): boolean {
  return table.kind === 'p' || index.columns.includes(column)
}

/** An index that is not needed: another key of the table holds the same columns, with the tenant. */
function isSpare({ table, index }: KeyToWiden, column: string): boolean {
  if (index.primary || index.exclusion || index.columns.includes(null) || index.partial) return false
  const set = (columns: readonly (string | null)[]): string =>
    JSON.stringify([...new Set([column, ...columns])].sort())
  return table.indexes.some(
    (other) =>
      other !== index &&
      other.unique &&
      other.valid &&
      !other.partial &&
      !other.deferrable &&
      set(other.columns) === set(index.columns) &&
      (other.primary || other.columns.includes(column) || other.name < index.name),
  )
}

/** Names of the indexes that are built beside: what a run that was stopped may have left half built. */
export function builtIndexes(key: KeyToWiden, column: string): TableName[] {
  const { table, index } = key
  if (index.exclusion || isSpare(key, column)) return []
  if (table.kind !== 'p') return [{ schema: table.schema, name: derivedName(index.name, SUFFIX) }]
  return table.leaves.map(({ schema, name }) => ({ schema, name: leafIndexName(name, index) }))
}

const leafIndexName = (leaf: string, index: IndexFacts): string =>
  derivedName(`${leaf}_${index.name}`, SUFFIX)

/** Build the new index beside the old one. */
export function buildIndex(key: KeyToWiden, column: string): string[] {
  const { table, index } = key
  const places = table.kind === 'p' ? table.leaves : [table]
  const uniquely = index.unique ? 'unique ' : ''
  return builtIndexes(key, column).map(
    ({ name }, i) =>
      `create ${uniquely}index concurrently if not exists ${quoted(name)}\n  on ${tableSql(places[i]!)} ${indexBody(index, column)};`,
  )
}

/** Exchange the key, and turn the foreign keys that have to be turned with it. */
export function exchangeKey(key: KeyToWiden, column: string): string {
  const { table, index } = key
  const leaning = table.incoming.filter((found) => found.index === index.name)
  const strangers = leaning.filter(({ ownIsTenant }) => !ownIsTenant)
  const turned = isTurnedTogether(key, column) ? leaning.filter(({ ownIsTenant }) => ownIsTenant) : []
  const moment = shortly(
    [
      ...[...strangers, ...turned].map(dropForeignKey),
      ...exchange(key, column),
      ...turned.flatMap((found) => addForeignKey(found, column, found.leaves.length === 0)),
    ],
    together(table, [...strangers, ...turned]),
    startsOtherwise({ schema: table.schema, name: index.name }, column),
  )
  const warnings = [
    ...(index.exclusion ? [HELD] : []),
    ...(strangers.length > 0 ? [farewell(strangers, column)] : []),
  ]
  return [...warnings, moment].join('\n')
}

function together(table: TableFacts, keys: readonly ForeignKeyFacts[]): Locks {
  const own = lockOf(table)
  const others = locksOf(...keys)
  return { tables: [...own.tables, ...others.tables], breadth: own.breadth + others.breadth }
}

const HELD = remark(
  'ATTENTION: an exclusion constraint cannot be built beside; the table is held until it is.',
)

function farewell(strangers: readonly ForeignKeyFacts[], column: string): string {
  const names = strangers.map((key) => `${key.name} of ${key.schema}.${key.table}`).join(', ')
  return remark(
    `ATTENTION: ${names} is dropped here and not made again: that table has no column ${column}, and a key`,
    'that leaves the tenant out cannot stay. Give it the column first if you want to keep the foreign key.',
  )
}

function exchange(key: KeyToWiden, column: string): string[] {
  const { table, index } = key
  if (index.exclusion) return [...exchangeExclusion(table, index, column), ...attributes(key)]
  const out = index.constraint
    ? `alter table ${tableSql(table)} drop constraint ${quoted(index.name)};`
    : `drop index ${quoted(table.schema, index.name)};`
  if (isSpare(key, column)) return [out]
  return [out, ...(table.kind === 'p' ? inParts(key, column) : atOnce(key, column)), ...attributes(key)]
}

function atOnce(key: KeyToWiden, column: string): string[] {
  const { table, index } = key
  const [{ name } = table] = builtIndexes(key, column)
  if (!index.constraint) {
    return [`alter index ${quoted(table.schema, name)} rename to ${quoted(index.name)};`]
  }
  return [
    `alter table ${tableSql(table)} add constraint ${quoted(index.name)} ${kindOf(index)} using index ${quoted(name)}${timing(index)};`,
  ]
}

// The index of the whole takes in those of its parts that are there already.
function inParts(key: KeyToWiden, column: string): string[] {
  const { table, index } = key
  if (!index.constraint) {
    return [`create unique index ${quoted(index.name)} on ${tableSql(table)} ${indexBody(index, column)};`]
  }
  const parts = builtIndexes(key, column).map(({ name }, i) => {
    const by = `${kindOf(index)} using index ${quoted(name)}${timing(index)}`
    return `alter table ${tableSql(table.leaves[i]!)} add constraint ${quoted(name)} ${by};`
  })
  const columns = [column, ...index.columns.filter((name) => name !== null && name !== column)]
  const whole = `${kindOf(index)} ${quotedList(columns as string[])}${timing(index)}`
  return [...parts, `alter table ${tableSql(table)} add constraint ${quoted(index.name)} ${whole};`]
}

const kindOf = (index: IndexFacts): string => (index.primary ? 'primary key' : 'unique')

const timing = (found: { deferrable: boolean; deferred: boolean }): string =>
  found.deferrable ? ` deferrable${found.deferred ? ' initially deferred' : ''}` : ''

/** What hung on the old key and must not be lost. */
function attributes({ table, index }: KeyToWiden): string[] {
  const { comment, identity, constraint, name } = index
  const what = constraint
    ? `constraint ${quoted(name)} on ${tableSql(table)}`
    : `index ${quoted(table.schema, name)}`
  return [
    ...(comment === null ? [] : [`comment on ${what} is ${literal(comment)};`]),
    ...(identity ? [`alter table ${tableSql(table)} replica identity using index ${quoted(name)};`] : []),
  ]
}

/** Hold a foreign key to the tenant on both sides, for rows that come; those that are there are checked later. */
export function turnForeignKey(key: ForeignKeyFacts, column: string): string[] {
  const own = { schema: key.schema, name: key.table }
  const due = leansWithout(own, key.name, column)
  if (key.leaves.length === 0) {
    return [shortly([dropForeignKey(key), ...addForeignKey(key, column, true)], locksOf(key), due)]
  }
  // The foreign key of a partitioned table cannot be NOT VALID before Postgres 18; it takes in those of its parts.
  const name = derivedName(key.name, SUFFIX)
  return [
    ...key.leaves.map((leaf) => {
      const clause = `${quoted(name)} ${foreignKeyClause(key, column)}`
      return shortly(
        [`alter table ${tableSql(leaf)} add constraint ${clause}\n  not valid;`],
        { tables: [leaf, { schema: key.otherSchema, name: key.otherTable }], breadth: key.breadth },
        `${due}\nand not ${hasConstraint(leaf, name)}`,
      )
    }),
    ...key.leaves.map((leaf) => validate(leaf, name, key)),
    shortly([dropForeignKey(key), ...addForeignKey(key, column, false)], locksOf(key), due),
  ]
}

function dropForeignKey(key: ForeignKeyFacts): string {
  return `alter table ${quoted(key.schema, key.table)} drop constraint ${quoted(key.name)};`
}

function addForeignKey(key: ForeignKeyFacts, column: string, later: boolean): string[] {
  const table = quoted(key.schema, key.table)
  const name = quoted(key.name)
  return [
    `alter table ${table} add constraint ${name} ${foreignKeyClause(key, column)}${later ? '\n  not valid' : ''};`,
    ...(key.comment === null
      ? []
      : [`comment on constraint ${name} on ${table} is ${literal(key.comment)};`]),
  ]
}

/** Check the rows that were there before a foreign key was turned. */
export function checkForeignKey(key: ForeignKeyFacts): string {
  return validate({ schema: key.schema, name: key.table }, key.name, key)
}

// Postgres checks with the rights of the owner. Where policies hide rows from it, everything would pass:
// with row_security off it is an error instead.
function validate(table: TableName, name: string, { rowsHidden }: ForeignKeyFacts): string {
  const statement = `alter table ${tableSql(table)} validate constraint ${quoted(name)};`
  if (rowsHidden) {
    return remark(
      `For a superuser: the policies hide rows from the owner, who would find nothing wrong.`,
      `  ${statement}`,
    )
  }
  const due = `exists (select from pg_constraint where conrelid = ${classSql(table)} and conname = ${literal(name)} and not convalidated)`
  return unhurriedly([statement], due)
}
