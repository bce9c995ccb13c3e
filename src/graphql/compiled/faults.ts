/**
 * What must not be found out when a write is kept already: that its row cannot be answered with. Postgres looks for it
 * in the statement that writes, and refuses that, so that nothing is kept and the resolver lane tells what is wrong.
 */

import { type SQL, sql } from '../../db/sql.ts'
import type { ColumnType, TypeKind } from '../../model/types.ts'
import { at, columnOf, source } from '../plan/fragments.ts'
import type { Level } from './levels.ts'

/** Their texts are never longer than a hundred characters. */
const SHORT: ReadonlySet<TypeKind> = new Set([
  'boolean',
  'int',
  'bigint',
  'float',
  'uuid',
  'date',
  'time',
  'datetime',
  'interval',
  'enum',
])

/** One more column where rows of the level may have a fault: reading it divides by nought. */
export function faultless(level: Level, columns: readonly string[]): SQL[] {
  if (level.kind === 'measures' || level.bytesMax === undefined) return []
  const of = source(level.table)
  const found = columns.map((name) => ({ value: at(of, name), type: columnOf(level.table, name).type }))
  const long = found.filter(({ type }) => isLong(type)).map(({ value }) => sql`octet_length(${value}::text)`)
  const faults = [
    ...(long.length > 0 ? [sql`greatest(${sql.join(long, ', ')}) > ${sql.literal(level.bytesMax)}`] : []),
    // A list was declared, and an array may be a table.
    ...found.filter(({ type }) => type.array).map(({ value }) => sql`array_ndims(${value}) > 1`),
  ]
  return faults.length > 0 ? [sql`1 / case when ${sql.join(faults, ' or ')} then 0 else 1 end`] : []
}

function isLong({ kind, array }: ColumnType): boolean {
  return array || !SHORT.has(kind)
}
