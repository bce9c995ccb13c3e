/** Conditions of a filter as SQL, about the rows of one source. */

import type { TenantId } from '../../base/ids.ts'
import { type SQL, sql, type Value } from '../../db/sql.ts'
import type { Column } from '../../model/types.ts'
import { at, cast, castList, columnOf, type Source } from './fragments.ts'
import type { Condition, Operator } from './types.ts'

/** In brackets wherever it needs them; true, false or null for each row. */
export function condition(of: Source, where: Condition, tenant: TenantId): SQL {
  if (where.kind === 'compare')
    return compare(of, columnOf(of.table, where.column), where.operator, where.value)
  // A comparison with NULL is neither true nor false; "not" is to give every row that does not match.
  if (where.kind === 'not') return sql`(${condition(of, where.of, tenant)}) is not true`
  if (where.of.length === 0) return where.kind === 'and' ? sql`true` : sql`false`
  const parts = where.of.map((part) => condition(of, part, tenant))
  // In brackets, or an "or" would let in rows for which the tenant, the parent or the cursor beside it does not hold.
  return sql`(${sql.join(parts, where.kind === 'and' ? ' and ' : ' or ')})`
}

/** The primary key equals `key`. */
export function hasKey(of: Source, key: readonly Value[]): SQL {
  const { table } = of
  const parts = table.primaryKey.map((name, i) => compare(of, columnOf(table, name), 'eq', key[i] ?? null))
  return sql.join(parts, ' and ')
}

const SYMBOLS: Partial<Record<Operator, SQL>> = {
  eq: sql`=`,
  neq: sql`<>`,
  gt: sql`>`,
  gte: sql`>=`,
  lt: sql`<`,
  lte: sql`<=`,
  like: sql`like`,
  ilike: sql`ilike`,
  startsWith: sql`like`,
  endsWith: sql`like`,
  contains: sql`like`,
}

function compare(of: Source, column: Column, operator: Operator, value: Value): SQL {
  const found = at(of, column.name)
  if (operator === 'isNull') return value ? sql`${found} is null` : sql`${found} is not null`
  if (operator === 'in') return sql`${found} = any(${castList(value, column.type)})`
  if (operator === 'notIn') return sql`${found} <> all(${castList(value, column.type)})`
  return sql`${found} ${SYMBOLS[operator]!} ${cast(pattern(operator, value), column.type)}`
}

function pattern(operator: Operator, value: Value): Value {
  const literal = (): string => String(value).replace(/[\\%_]/g, '\\$&')
  if (operator === 'startsWith') return `${literal()}%`
  if (operator === 'endsWith') return `%${literal()}`
  return operator === 'contains' ? `%${literal()}%` : value
}
