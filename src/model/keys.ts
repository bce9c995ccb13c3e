/** The unique keys of a table, constraints and plain unique indexes alike, for both hold in Postgres; and its checks. */

import type { PgClass, PgIndex } from 'pg-introspection'
import type { Key } from './types.ts'

export interface UniqueKey extends Key {
  readonly primary: boolean
}

/** Sorted by name. A partial or expression index is no key: it does not find one row by its columns. */
export function uniqueKeys(table: PgClass): UniqueKey[] {
  return table
    .getIndexes()
    .filter(isKey)
    .map((index) => ({
      name: index.getIndexClass()?.relname ?? '',
      columns: keyColumns(index),
      primary: index.indisprimary === true,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** What CHECK constraints look at, sorted by name. */
export function checksOf(table: PgClass): Key[] {
  return table
    .getConstraints()
    .filter(({ contype }) => contype === 'c')
    .map((check) => ({
      name: check.conname,
      columns: (check.getAttributes() ?? []).map(({ attname }) => attname),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

function isKey(index: PgIndex): boolean {
  const whole = index.indpred === null && index.indexprs === null
  return index.indisunique === true && index.indisvalid === true && whole
}

// Columns after the first `indnkeyatts` are only carried along (INCLUDE).
function keyColumns(index: PgIndex): string[] {
  const keys = index.getKeys().slice(0, index.indnkeyatts ?? undefined)
  return keys.flatMap((attribute) => attribute?.attname ?? [])
}
