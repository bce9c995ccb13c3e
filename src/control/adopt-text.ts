/**
 * The pieces of which an adoption is written: statements that hold a table for a moment and give up rather than
 * let a queue grow behind them, names that fit, and questions whether something is still to be done.
 */

import { createHash } from 'node:crypto'
import { quoted } from '../model/quote.ts'
import type { ForeignKeyFacts, TableFacts, TableName } from '../model/safety/facts.ts'

/**
 * Milliseconds in which a moment gets all of its locks or gives up. Requests wait behind it that long, and no
 * longer: well below `deadlock_timeout`, a second, after which Postgres would take one of two that wait for
 * each other, and it may take the request.
 */
const LOCKS_MS = 600

/** What a moment needs for itself alone. */
export interface Locks {
  readonly tables: readonly TableName[]
  /** How many tables are locked with them. */
  readonly breadth: number
  /** Leave out what is a part or a child of them. */
  readonly only?: true
}

export const lockOf = (table: TableFacts): Locks => ({ tables: [table], breadth: table.breadth })

export const locksOf = (...keys: readonly ForeignKeyFacts[]): Locks => ({
  tables: keys.flatMap((key) => [
    { schema: key.schema, name: key.table },
    { schema: key.otherSchema, name: key.otherTable },
  ]),
  breadth: keys.reduce((sum, { breadth }) => sum + breadth, 0),
})

/**
 * `statements` as one transaction, which holds its tables for a moment. They run when `condition` holds, so that
 * the file can be run again, and on shards that need less.
 */
export function shortly(statements: readonly string[], locks: Locks, condition?: string): string {
  return block([...taking(locks), ...statements], condition)
}

// All locks first, each waiting for its share of the time. The weak lock before them keeps nobody waiting, and an
// autovacuum, which gives way only to who waits for a second, has given way by then.
function taking({ tables, breadth, only }: Locks): string[] {
  const each = `set local lock_timeout = '${Math.max(1, Math.floor(LOCKS_MS / Math.max(1, breadth)))}ms';`
  if (tables.length === 0) return [each]
  const named = tables.map((table) => `${only ? 'only ' : ''}${quoted(table.schema, table.name)}`)
  const names = [...new Set(named)].join(', ')
  return [
    `lock table ${names} in share update exclusive mode;`,
    each,
    `lock table ${names} in access exclusive mode;`,
  ]
}

/** Statements that take their time and hold up nobody: they may wait. */
export function unhurriedly(statements: readonly string[], condition: string): string {
  return block(statements, condition)
}

function block(statements: readonly string[], condition?: string): string {
  const indented = (text: string, by: string): string =>
    // A line break within a name or a text belongs to it.
    by + text.replace(/"(?:[^"]|"")*"|'(?:[^']|'')*'|\n/g, (part) => (part === '\n' ? `\n${by}` : part))
  if (condition === undefined) {
    return doBlock(['begin', ...statements.map((text) => indented(text, '  ')), 'end'].join('\n'))
  }
  const inner = statements.map((text) => indented(text, '    '))
  return doBlock(['begin', `  if ${condition} then`, ...inner, '  end if;', 'end'].join('\n'))
}

function doBlock(body: string): string {
  let tag = '$adopt$'
  for (let n = 2; body.includes(tag); n++) tag = `$adopt${n}$`
  return `do ${tag} ${body} ${tag};`
}

/** An index whose building was stopped is there and of no use, and would pass for the one that is wanted. */
export function dropHalfBuilt(indexes: readonly TableName[]): string {
  const list = indexes.map((index) => `    ${classSql(index)}`).join(',\n')
  return doBlock(`declare
  half_built regclass;
begin
  set local lock_timeout = '${LOCKS_MS}ms';
  for half_built in select indexrelid from pg_index where not indisvalid and indexrelid in (
${list}
  ) loop
    execute 'drop index ' || half_built;
  end loop;
end`)
}

/** Bytes of a name in Postgres. */
const NAME_MAX = 63

/** `name` with `suffix`; a name that would be cut by Postgres is cut here, and stays one of its own. */
export function derivedName(name: string, suffix: string): string {
  const whole = `${name}_${suffix}`
  if (Buffer.byteLength(whole) <= NAME_MAX) return whole
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8)
  const room = NAME_MAX - Buffer.byteLength(`_${hash}_${suffix}`)
  let kept = name
  while (Buffer.byteLength(kept) > room) kept = [...kept].slice(0, -1).join('')
  return `${kept}_${hash}_${suffix}`
}

export function literal(text: string): string {
  const escaped = text.replaceAll("'", "''")
  return text.includes('\\') ? `e'${escaped.replaceAll('\\', '\\\\')}'` : `'${escaped}'`
}

/** Lines of a comment; a line break within a name must not end it. */
export function remark(...lines: readonly string[]): string {
  return lines.map((line) => `-- ${line.replace(/\p{Cc}+/gu, ' ')}`.trimEnd()).join('\n')
}

/** `to_regclass(…)`: null for what does not exist. */
export function classSql({ schema, name }: TableName): string {
  return `to_regclass(${literal(quoted(schema, name))})`
}

export function hasConstraint(table: TableName, name: string): string {
  return `exists (select from pg_constraint where conrelid = ${classSql(table)} and conname = ${literal(name)})`
}

/** Whether the column `column` of `table` may be null. */
export function mayBeNull(table: TableName, column: string): string {
  return [
    `exists (select from pg_attribute a where a.attrelid = ${classSql(table)} and a.attname = ${literal(column)}`,
    `  and (not a.attnotnull or exists (select from pg_constraint k where k.conrelid = a.attrelid`,
    `    and k.contype = 'n' and k.conkey = array[a.attnum] and not k.convalidated)))`,
  ].join('\n')
}

/** Whether the index exists and does not start with `column`. */
export function startsOtherwise(index: TableName, column: string): string {
  return [
    `exists (select from pg_index x where x.indexrelid = ${classSql(index)} and not exists (`,
    `  select from pg_attribute a where a.attrelid = x.indrelid and a.attnum = x.indkey[0]`,
    `    and a.attname = ${literal(column)}))`,
  ].join('\n')
}

/** Whether the foreign key exists and lacks `column`, or sets it to null when the other row is deleted. */
export function leansWithout(table: TableName, name: string, column: string): string {
  return [
    `exists (select from pg_constraint k where k.conrelid = ${classSql(table)} and k.conname = ${literal(name)}`,
    `  and (k.confdeltype in ('n', 'd') and k.confdelsetcols is null or not exists (`,
    `    select from unnest(k.conkey, k.confkey) pair (own, other)`,
    `    join pg_attribute a on a.attrelid = k.conrelid and a.attnum = pair.own`,
    `    join pg_attribute b on b.attrelid = k.confrelid and b.attnum = pair.other`,
    `    where a.attname = ${literal(column)} and b.attname = ${literal(column)})))`,
  ].join('\n')
}
