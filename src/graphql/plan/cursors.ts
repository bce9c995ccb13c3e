/**
 * Cursors: the position of a row in an order, for the one list and tenant that it was made for.
 *
 * A cursor holds the values of the order's columns as Postgres text (exact to the microsecond) and a
 * mark made of tenant, table and order. One that was made for another tenant, table or order is refused
 * with the same words as one that is garbage. The mark is a plain hash, not a signature: whoever forges
 * a cursor gets nothing that `filter` would not give, because the tenant never comes from the cursor.
 */

import { createHash } from 'node:crypto'
import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Row } from '../../db/batch.ts'
import type { Table } from '../../model/types.ts'
import { decodeOpaque, encodeOpaque } from './opaque.ts'
import type { OrderTerm, Position } from './types.ts'

const CURSOR_LENGTH_MAX = 4_096

export function cursorMark(tenant: TenantId, table: Table, order: readonly OrderTerm[]): string {
  const terms = order.map((term) => `${term.column} ${term.descending} ${term.nullsFirst}`)
  return createHash('sha256')
    .update([tenant, table.id, ...terms].join('\0'))
    .digest('base64url')
    .slice(0, 12)
}

export function encodeCursor(mark: string, table: Table, order: readonly OrderTerm[], row: Row): string {
  const position = order.map(
    (term) => row[table.columns.findIndex(({ name }) => name === term.column)] ?? null,
  )
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
