/** The order of a list as SQL: its terms, and which rows lie beyond a position in it. */

import { type SQL, sql } from '../../db/sql.ts'
import { at, cast, columnOf, type Source } from './fragments.ts'
import type { ListPlan, OrderTerm, Position } from './types.ts'

/**
 * Rows that come after `position` in `order`: (a, b) > (x, y) written out, because directions may be
 * mixed and nulls have their place. The text depends on which of the values are null, which is
 * part of the plan's shape.
 */
export function beyond(of: Source, order: readonly OrderTerm[], position: Position): SQL {
  const [term, ...rest] = order
  if (!term) return sql`false`
  const found = at(of, term.column)
  const value = position[0] ?? null
  const ties = rest.length > 0 ? beyond(of, rest, position.slice(1)) : sql`false`
  if (value === null) {
    const nullsEnd = term.nullsFirst ? sql`${found} is not null or ` : sql.blank
    return sql`(${nullsEnd}(${found} is null and ${ties}))`
  }
  const column = columnOf(of.table, term.column)
  const wanted = cast(value, column.type)
  const further = term.descending ? sql`${found} < ${wanted}` : sql`${found} > ${wanted}`
  const nullsFurther = term.nullsFirst || !column.nullable ? sql.blank : sql` or ${found} is null`
  return sql`(${further}${nullsFurther} or (${found} = ${wanted} and ${ties}))`
}

export function orderBy(of: Source, { order, backward }: ListPlan): SQL {
  const terms = backward ? order.map(reversed) : order
  return sql.join(
    terms.map((term) => orderTerm(of, term)),
    ', ',
  )
}

export function reversed(term: OrderTerm): OrderTerm {
  return { ...term, descending: !term.descending, nullsFirst: !term.nullsFirst }
}

// Postgres puts nulls last in ascending and first in descending order; only what differs is written,
// so that an ordinary index serves the ordinary case.
function orderTerm(of: Source, term: OrderTerm): SQL {
  const direction = term.descending ? sql` desc` : sql.blank
  const nulls =
    term.nullsFirst === term.descending ? sql.blank : term.nullsFirst ? sql` nulls first` : sql` nulls last`
  return sql`${at(of, term.column)}${direction}${nulls}`
}
