/**
 * SQL as data: fragments are composed with pg-sql2, which refuses any raw interpolation, and compiled
 * once into a text with `$1, $2, …` and its values. Equal fragments give equal texts, so the text's
 * hash is the name of the prepared statement.
 */

import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { type SQL, sql } from 'pg-sql2'
import type { ListShape } from '../base/list-shape.ts'

export { type SQL, sql }

export type Value = string | number | boolean | null | readonly Value[]

export interface Statement {
  readonly text: string
  readonly values: readonly Value[]
  /** Name of the prepared statement; without one it is parsed on every use. */
  readonly name?: string
  /** Of a statement that reads lists: what they ask, for whoever counts. */
  readonly lists?: readonly ListShape[]
  /** For whoever keeps answers. Null: nothing that is served. Left out: nobody knows, and it may be anything. */
  readonly changes?: Changed | null
}

/** What a statement changes. */
export interface Changed {
  /** 'schema.name'. */
  readonly table: string
  /** Other rows may change with its own: a trigger, a key that follows. */
  readonly reaches: boolean
  /** Where the primary key stands in each row that comes back; null where it does not. */
  readonly key: readonly number[] | null
  /** Of a statement that returns rows of several kinds: the first cell of those that it has changed. */
  readonly tag?: string
}

/** Turn a fragment into a prepared statement. */
export function compile(fragment: SQL): Statement {
  const { text, values } = sql.compile(fragment)
  return { text, values: values as Value[], name: statementName(text) }
}

/** As `compile`, for a fragment that changes nothing that is served: it reads, or writes to tables of our own. */
export function inert(fragment: SQL): Statement {
  return { ...compile(fragment), changes: null }
}

/** Give `text` the name under which each connection prepares it. */
export function prepared(text: string, values: readonly Value[] = []): Statement {
  return { text, values, name: statementName(text) }
}

// Hashing costs about 2 µs a text; the same few hundred texts come again and again.
const names = new LRUCache<string, string>({
  max: 2_000,
  maxSize: 4_000_000, // characters
  sizeCalculation: (_, text) => text.length,
})

function statementName(text: string): string {
  const known = names.get(text)
  if (known) return known
  const name = `sg_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`
  names.set(text, name)
  return name
}

/** A value as Postgres reads it in text format; arrays become array literals. */
export function wireText(value: Value): string | null {
  if (value === null) return null
  if (typeof value === 'object') return arrayLiteral(value)
  return String(value)
}

function arrayLiteral(items: readonly Value[]): string {
  return `{${items.map(arrayItem).join(',')}}`
}

function arrayItem(item: Value): string {
  if (item === null) return 'NULL'
  if (typeof item === 'object') return arrayLiteral(item)
  return `"${String(item).replace(/["\\]/g, '\\$&')}"`
}
