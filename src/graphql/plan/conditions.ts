/** Conditions of a filter as SQL, about the rows of one source. */

import type { TenantId } from '../../base/ids.ts'
import { type SQL, sql } from '../../db/sql.ts'
import { comparison, JSON_TYPES, jsonValue } from './comparisons.ts'
import { at, columnOf, from, isTenant, type Source, within } from './fragments.ts'
import type { Comparison, Condition, Join, RelatedCondition } from './types.ts'

/** In brackets wherever it needs them; true, false or null for each row. */
export function condition(of: Source, where: Condition, tenant: TenantId): SQL {
  if (where.kind === 'compare') return compared(of, where)
  if (where.kind === 'related') return related(of, where, tenant)
  // A comparison with NULL is neither true nor false; "not" is to give every row that does not match.
  if (where.kind === 'not') return sql`(${condition(of, where.of, tenant)}) is not true`
  if (where.of.length === 0) return where.kind === 'and' ? sql`true` : sql`false`
  const parts = where.of.map((part) => condition(of, part, tenant))
  // In brackets, or an "or" would let in rows for which the tenant, the parent or the cursor beside it does not hold.
  return sql`(${sql.join(parts, where.kind === 'and' ? ' and ' : ' or ')})`
}

/** The rows of `join` that belong to a row of `outer`: which they are, with the tenant of their own. */
export function belongs(outer: Source, inner: Source, { columns }: Join, tenant: TenantId): SQL {
  const pairs = columns.map(({ own, other }) => sql`${at(inner, other)} = ${at(outer, own)}`)
  return sql.join([isTenant(inner, tenant), ...pairs], ' and ')
}

function compared(of: Source, { column, at: place, operator, value }: Comparison): SQL {
  const found = at(of, column)
  if (place) return comparison(jsonValue(found, place), JSON_TYPES[place.as], operator, value)
  return comparison(found, columnOf(of.table, column).type, operator, value)
}

// Not "every row satisfies" but "no row fails to": a row for which the condition is null fails.
function related(outer: Source, { join, quantifier, where }: RelatedCondition, tenant: TenantId): SQL {
  const inner = within(outer, join.table)
  const inside = condition(inner, where, tenant)
  const wanted = quantifier === 'every' ? sql`(${inside}) is not true` : inside
  const found = sql`exists (select from ${from(inner)}
      where ${belongs(outer, inner, join, tenant)} and ${wanted})`
  return quantifier === 'some' ? found : sql`not ${found}`
}
