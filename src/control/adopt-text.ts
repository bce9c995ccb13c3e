/**
 * The pieces of which an adoption is written: statements that hold a table for a moment and give up rather than
 * let a queue grow behind them, names that fit, and questions whether something is still to be done.
 */

import { createHash } from 'node:crypto'
import { quoted } from '../model/quote.ts'
import type { TableName } from '../model/safety/facts.ts'

/**
 * Below `deadlock_timeout`, which is a second: where this and a request wait for each other, this gives up
 * before Postgres chooses one of the two.
 */
const LOCK_TIMEOUT = '500ms'

/**
 * `statements` as one transaction, each of them short. They run when `condition` holds, so that the file can
 * be run again, and on shards that need less.
 */
export function shortly(statements: readonly string[], condition?: string): string {
  return block([`set local lock_timeout = '${LOCK_TIMEOUT}';`], statements, condition)
}

/** The same for a statement that takes its time and holds up nobody: it may wait. */
export function unhurriedly(statements: readonly string[], condition?: string): string {
  return block([], statements, condition)
}

function block(first: readonly string[], statements: readonly string[], condition?: string): string {
  const indented = (text: string, by: string): string =>
    // A line break within a name or a text belongs to it.
    by + text.replace(/"(?:[^"]|"")*"|'(?:[^']|'')*'|\n/g, (part) => (part === '\n' ? `\n${by}` : part))
  const body = [
    ...first.map((text) => indented(text, '  ')),
    ...(condition === undefined
      ? statements.map((text) => indented(text, '  '))
      : [`  if ${condition} then`, ...statements.map((text) => indented(text, '    ')), '  end if;']),
  ].join('\n')
  return doBlock(`begin\n${body}\nend`)
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
  set local lock_timeout = '${LOCK_TIMEOUT}';
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
    `    select from pg_attribute a where a.attrelid = k.conrelid and a.attnum = any (k.conkey)`,
    `      and a.attname = ${literal(column)})))`,
  ].join('\n')
}
