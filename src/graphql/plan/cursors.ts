/**
 * Cursors: the position of a row in an order, for the one list and tenant that it was made for.
 *
 * A cursor holds the values of the order's terms as Postgres text (exact to the microsecond) and a
 * mark made of tenant, table and order. One that was made for another tenant, table or order is refused
 * with the same words as one that is garbage. The mark is a plain hash, not a signature: whoever forges
 * a cursor gets nothing that `filter` would not give, because the tenant never comes from the cursor.
 */

import { hash } from 'node:crypto'
import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Row } from '../../db/batch.ts'
import type { Table } from '../../model/types.ts'
import { decodeOpaque, encodeOpaque } from './opaque.ts'
import { computedTerms } from './order.ts'
import { type OrderTerm, type Position, planText } from './types.ts'

// Of an order by long texts too: what this gives out, it has to take back.
const CURSOR_LENGTH_MAX = 65_536

export function cursorMark(tenant: TenantId, table: Table, order: readonly OrderTerm[]): string {
  const known = marks.get(order) ?? new Map<TenantId, string>()
  marks.set(order, known)
  if (known.size >= MARKS_MAX) known.clear()
  const mark = known.get(tenant) ?? markOf(tenant, table, order)
  known.set(tenant, mark)
  return mark
}

/** Marks of one order that are kept; a list that compiled operations share has the same order each time. */
const MARKS_MAX = 1_000
const marks = new WeakMap<readonly OrderTerm[], Map<TenantId, string>>()

function markOf(tenant: TenantId, table: Table, order: readonly OrderTerm[]): string {
  return hash('sha256', [tenant, table.id, planText(order)].join('\0'), 'base64url').slice(0, 12)
}

/** @param row  as `listStatement` gives it: columns, then computed values */
export function encodeCursor(mark: string, table: Table, order: readonly OrderTerm[], row: Row): string {
  const computed = computedTerms(order)
  const position = order.map((term) => {
    const { by } = term
    if (by.kind !== 'column') return row[table.columns.length + computed.indexOf(term)] ?? null
    return row[table.columns.findIndex(({ name }) => name === by.column)] ?? null
  })
  return encodeOpaque([mark, ...position])
}

/** @throws BAD_USER_INPUT  `cursor` was not made for this list */
export function decodeCursor(
  argument: string,
  cursor: string,
  mark: string,
  order: readonly OrderTerm[],
): Position {
  const [found, ...position] = decodeOpaque(cursor, CURSOR_LENGTH_MAX)
  const fits =
    position.length === order.length && position.every((value) => value === null || typeof value === 'string')
  if (found !== mark || !fits) {
    fail(
      'BAD_USER_INPUT',
      `"${argument}" is not a cursor of this list in this order; take one from its edges or pageInfo.`,
    )
  }
  return position as Position
}
