/** Rows of a statement, sorted by level and by the key that leads to them, as the writers want them. */

import type { Row } from '../../db/batch.ts'
import type { Level, RowLevel } from './levels.ts'

/** What a level has given: rows in their order, or rows by their parent's key. */
export interface Found {
  readonly rows: Row[]
  readonly byKey: Map<string, Row[]>
}

const NONE: readonly Row[] = []

/** By the tags of `levels`. */
export function sortRows(levels: readonly Level[], rows: Row[]): Found[] {
  if (levels.length === 1) return [{ rows, byKey: new Map() }]
  const found: Found[] = []
  const linked: number[] = []
  for (const { tag, parents, by } of levels) {
    found[tag] = { rows: [], byKey: new Map() }
    linked[tag] = parents.length > 0 ? by.length : 0
  }
  for (const row of rows) {
    const tag = Number(row[0])
    const { rows: own, byKey } = found[tag]!
    const links = linked[tag]!
    if (links === 0) own.push(row)
    else {
      const link = links === 1 ? row[1]! : row.slice(1, 1 + links).join('\0')
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
export function linkOf(row: Row, { offset }: RowLevel, places: readonly number[]): string | null {
  if (places.length === 1) return row[offset + places[0]!] ?? null
  const parts = places.map((place) => row[offset + place] ?? null)
  return parts.includes(null) ? null : parts.join('\0')
}
