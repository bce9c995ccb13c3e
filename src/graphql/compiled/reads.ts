/**
 * What the answer of a unit hangs on, for whoever keeps it: rows, where it was made of rows that were asked for by their
 * keys and of those that they refer to; otherwise all of its tables.
 */

import type { Row } from '../../db/batch.ts'
import type { Table } from '../../model/types.ts'
import { ofRow, ofTable } from '../cache/names.ts'
import { type Found, linkOf } from './found.ts'
import { type Level, placeOf, type RowLevel } from './levels.ts'

/** Whether answers with rows of a table may be kept. */
export type KeepsTable = (table: Table) => boolean

/** Read the keys of rows that answers may hang on. Call it before the levels are laid out. */
export function readKeys(levels: readonly Level[], keeps: KeepsTable): void {
  for (const level of levels) {
    if (!isOfRows(level) || !keeps(level.table)) continue
    for (const column of level.table.primaryKey) placeOf(level, column)
  }
}

/** Every table in a plan, wherever it stands there: under the name "table", as `planText` has it too. */
export function addTables(part: unknown, found: Set<Table>): void {
  if (typeof part !== 'object' || part === null) return
  for (const [name, value] of Object.entries(part)) {
    if (name === 'table') found.add(value as Table)
    else addTables(value, found)
  }
}

/**
 * Names of what the rows of a unit hang on.
 *
 * @param tables  all that its statement reads
 * @param sorted  its rows
 * @param asked   how many rows were asked for at the root
 */
export function namesRead(
  levels: readonly Level[],
  tables: readonly Table[],
  sorted: () => readonly Found[],
  asked: number,
): readonly string[] {
  if (!levels.every(isOfRows)) return tables.map(({ id }) => ofTable(id))
  const found = sorted()
  return levels.flatMap((level) => namesOfLevel(level, found, asked))
}

function isOfRows(level: Level): level is RowLevel {
  return level.kind === 'row' || level.kind === 'one'
}

/** A row that was looked for and is not there may come: then it is the table. */
function namesOfLevel(level: RowLevel, found: readonly Found[], asked: number): string[] {
  const { table, columns, cells } = level
  const places = table.primaryKey.map((column) => cells[columns.indexOf(column)])
  const rows = rowsIn(found[level.tag]!)
  const isKnown = places.every((place) => place !== undefined) && isEachThere(level, found, asked)
  if (!isKnown) return [ofTable(table.id)]
  return rows.map((row) =>
    ofRow(
      table.id,
      places.map((place) => row[place!] ?? null),
    ),
  )
}

function isEachThere(level: RowLevel, found: readonly Found[], asked: number): boolean {
  const { byKey } = found[level.tag]!
  if (level.kind === 'row') return rowsIn(found[level.tag]!).length === asked
  return level.parents.every(({ level: parent, own }) => {
    const places = own.map((column) => parent.columns.indexOf(column))
    return rowsIn(found[parent.tag]!).every((row) => {
      const link = linkOf(row, parent, places)
      return link === null || byKey.has(link)
    })
  })
}

function rowsIn({ rows, byKey }: Found): readonly Row[] {
  return byKey.size === 0 ? rows : [...byKey.values()].flat()
}
