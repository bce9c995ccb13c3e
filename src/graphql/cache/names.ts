/**
 * Names of what answers hang on and writes change, within one tenant:
 *
 *     *                all of its rows: changed by writes of which nobody knows what they have reached
 *     t:app.tickets    which rows a table has, and all that is in them: changed by each write of it
 *     r:412:app.users  the rows of one slot of a table, by their primary keys: changed by writes of them
 *
 * Every answer hangs on `*`; a list on its tables, a row that was asked for by its key on its slot. Rows have slots,
 * so that a tenant has a bounded number of names; two rows of one slot cost each other an answer now and then.
 */

import { hash } from 'node:crypto'
import type { Row } from '../../db/batch.ts'
import type { Statement } from '../../db/sql.ts'

export const ANYTHING = '*'

/** Slots of a table: a write of one row takes away, on the average, one in 1,024 of the others. */
const SLOTS = 1_024
/** Names of one answer or one write. With more, an answer hangs on its tables, and a write changes anything. */
export const NAMES_MAX = 100

export const ofTable = (table: string): string => `t:${table}`

/** @param key  of its primary key, as Postgres writes it */
export function ofRow(table: string, key: readonly (string | null)[]): string {
  const slot = Number.parseInt(hash('sha1', JSON.stringify(key)).slice(0, 8), 16) % SLOTS
  return `r:${slot}:${table}`
}

/** What a statement has changed, by the rows that it has returned. */
export function changedBy({ changes }: Pick<Statement, 'changes'>, rows: readonly Row[]): readonly string[] {
  if (changes === null) return []
  if (changes === undefined || changes.reaches || changes.key === null) return [ANYTHING]
  const { table, key, tag } = changes
  const own = tag === undefined ? rows : rows.filter(([cell]) => cell === tag)
  if (own.length > NAMES_MAX) return [ANYTHING]
  const names = own.map((row) =>
    ofRow(
      table,
      key.map((place) => row[place] ?? null),
    ),
  )
  return [...new Set([ofTable(table), ...names])]
}
