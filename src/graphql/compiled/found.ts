/** Rows of a statement, sorted by level and by the key that leads to them, as the writers want them. */

import type { Row } from '../../db/batch.ts'
import type { Level, RowLevel } from './levels.ts'

/** What a level has given: rows in their order, or rows by their parent's key. */
export interface Found {
  readonly rows: Row[]
  readonly byKey: Map<string, Row[]>
}

const NONE: readonly Row[] = []

/** Cells of a row that say what leads to it: the key of its parent, or its number among several that are asked for. */
export function linksOf(level: Level): number {
  if (level.kind === 'row') return level.isNumbered ? 1 : 0
  return level.parents.length > 0 ? level.by.length : 0
}

/** By the tags of `levels`. */
export function sortRows(levels: readonly Level[], rows: Row[]): Found[] {
  const [only] = levels
  const isBare = levels.length === 1
  if (only && isBare && linksOf(only) === 0) return [{ rows, byKey: new Map() }]
  const found: Found[] = []
  const linked: (readonly number[])[] = []
  for (const level of levels) {
    found[level.tag] = { rows: [], byKey: new Map() }
    linked[level.tag] = level.links
  }
  for (const row of rows) {
    const tag = isBare ? 0 : Number(row[0])
    const { rows: own, byKey } = found[tag]!
    const links = linked[tag]!
    if (links.length === 0) own.push(row)
    else {
      const link = links.length === 1 ? row[links[0]!]! : links.map((place) => row[place]).join('\0')
      const same = byKey.get(link)
      if (same) same.push(row)
      else byKey.set(link, [row])
    }
  }
  return found
}

export function rowsOf({ byKey }: Found, link: string): readonly Row[] {
  return byKey.get(link) ?? NONE
}

/** The key that `places` of a row hold, as a link; null when a part of it is. */
export function linkOf(row: Row, { cells }: RowLevel, places: readonly number[]): string | null {
  if (places.length === 1) return row[cells[places[0]!]!] ?? null
  const parts = places.map((place) => row[cells[place]!] ?? null)
  return parts.includes(null) ? null : parts.join('\0')
}
