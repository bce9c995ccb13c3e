/**
 * Where the values of each level stand in the rows of a statement. Rows of all levels have the same columns, and a
 * column of a union has one type, so values of one type share columns across levels:
 *
 *     tag  bigint  text     text    bigint  timestamptz
 *     0    id      subject  status  author
 *     1    ticket  body             id      created_at     comments, by ticket
 *     2    id      name                                    users
 *
 * That saves the cast of each value to text and back, and all types whose cast is another text. What depends on the
 * arguments of a request (measures, what only cursors need) stands behind, as text.
 */

import { type SQL, sql } from '../../db/sql.ts'
import type { ColumnType } from '../../model/types.ts'
import { castTo, columnOf, readableType } from '../plan/fragments.ts'
import { linksOf } from './found.ts'
import type { Level } from './levels.ts'

/** The types of a statement's columns behind the tag, as far as they hang on the levels alone. */
export interface Layout {
  /** Null: rows have no tag, and their values stand in their own order. */
  readonly types: readonly ColumnType[] | null
}

/** Give every level its places. */
export function layOut(levels: readonly Level[], isBare: boolean): Layout {
  const types: ColumnType[] = []
  for (const level of levels) {
    const taken = new Set<number>()
    const places = typesOf(level).map((type, i) => (isBare ? i : placeFor(type, types, taken)))
    level.links = places.slice(0, linksOf(level))
    level.cells = places.slice(linksOf(level))
    level.more = places.length
  }
  if (isBare) return { types: null }
  for (const level of levels) level.more = types.length + 1
  return { types }
}

/** The first column of that type which the level does not use yet; behind the tag. */
function placeFor(type: ColumnType, types: ColumnType[], taken: Set<number>): number {
  const found = types.findIndex((other, i) => isSame(type, other) && !taken.has(i))
  const place = found >= 0 ? found : types.push(type) - 1
  taken.add(place)
  return place + 1
}

function isSame(a: ColumnType, b: ColumnType): boolean {
  return a.schema === b.schema && a.name === b.name && a.array === b.array
}

const NUMBER: ColumnType = {
  kind: 'bigint',
  schema: 'pg_catalog',
  name: 'int8',
  array: false,
  compares: 'order',
}

/** Of what leads to a row, and of its columns. */
function typesOf(level: Level): ColumnType[] {
  const { table, by, parents } = level
  const [parent] = parents
  const typed = (column: string): ColumnType => readableType(columnOf(table, column).type)
  const keys = (): ColumnType[] => {
    if (level.kind === 'one') return by.map(typed)
    return parent ? parent.own.map((column) => readableType(columnOf(parent.level.table, column).type)) : []
  }
  const links = linksOf(level) === 0 ? [] : level.kind === 'row' ? [NUMBER] : keys()
  return [...links, ...(level.kind === 'measures' ? [] : level.columns.map(typed))]
}

/**
 * The output of a level, in the order of the statement's columns.
 *
 * @param found  what stands at which place
 * @param width  of all rows
 */
export function outputOf({ types }: Layout, found: ReadonlyMap<number, SQL>, width: number): SQL[] {
  return Array.from({ length: width }, (_, i) => {
    const place = i + 1
    const type = types?.[i]
    return found.get(place) ?? (type ? castTo(sql`null`, type) : sql`null::text`)
  })
}
