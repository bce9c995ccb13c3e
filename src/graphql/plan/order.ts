/**
 * The order of a list as SQL: its terms, and which rows lie beyond a position in it.
 *
 * A term that is no column of the list's table (a column of the row that it belongs to, the number of its children)
 * is computed once for each row, in a lateral of its own, so that it can be selected for the cursor, ordered by
 * and compared without being written three times.
 */

import type { TenantId } from '../../base/ids.ts'
import { type SQL, sql } from '../../db/sql.ts'
import type { ColumnType, Table } from '../../model/types.ts'
import { belongs } from './conditions.ts'
import { at, cast, columnOf, from, readable, readableType, type Source, symbol, within } from './fragments.ts'
import { measureSql, measureType } from './measures.ts'
import type { OrderBy, OrderTerm, Position } from './types.ts'

/** The terms whose values are selected after the table's columns, in this order. */
export function computedTerms(order: readonly OrderTerm[]): OrderTerm[] {
  return order.filter(({ by }) => by.kind !== 'column')
}

/** The value of a term in a statement. */
export interface OrderValue {
  readonly found: SQL
  readonly type: ColumnType
  readonly nullable: boolean
}

const COMPUTED = sql.identifier('o')

/**
 * The value of each term.
 *
 * @param computed  alias under which the computed ones stand
 */
export function orderValues(of: Source, order: readonly OrderTerm[], computed: SQL = COMPUTED): OrderValue[] {
  const terms = computedTerms(order)
  return order.map((term) => ({
    ...typeOf(of.table, term.by),
    found:
      term.by.kind === 'column'
        ? at(of, term.by.column)
        : sql`${computed}.${computedName(of.table, terms.indexOf(term))}`,
  }))
}

function typeOf(table: Table, by: OrderBy): Omit<OrderValue, 'found'> {
  if (by.kind === 'one') return { type: readableType(typeOf(by.join.table, by.by).type), nullable: true }
  if (by.kind === 'column') return columnOf(table, by.column)
  return { type: measureType(by.join.table, by.measure), nullable: by.measure.kind !== 'count' }
}

// Its page is a table for the statement around it, in which every name has to be there once.
function computedName({ columns }: Table, position: number): SQL {
  let name = `o${position}`
  while (columns.some((column) => column.name === name)) name += '_'
  return sql.identifier(name)
}

/** What computes the computed terms, to follow the table in `from`; blank when there are none. */
export function computedBeside(of: Source, order: readonly OrderTerm[], tenant: TenantId): SQL {
  const terms = computedTerms(order)
  if (terms.length === 0) return sql.blank
  const values = terms.map(
    ({ by }, i) => sql`${computedValue(of, by, tenant)} as ${computedName(of.table, i)}`,
  )
  return sql` cross join lateral (select ${sql.join(values, ', ')}) as ${COMPUTED}`
}

function computedValue(outer: Source, by: OrderBy, tenant: TenantId): SQL {
  if (by.kind === 'column') return readable(at(outer, by.column), columnOf(outer.table, by.column).type)
  const inner = within(outer, by.join.table)
  const rows = sql`from ${from(inner)} where ${belongs(outer, inner, by.join, tenant)}`
  if (by.kind === 'many') return sql`(select ${measureSql(inner, by.measure)} ${rows})`
  // One row by its key; where two should be (a constraint that is checked later), not an error for the whole list.
  return sql`(select ${computedValue(inner, by.by, tenant)} ${rows} limit 1)`
}

/**
 * Rows that come after `position` in `order`: (a, b) > (x, y) written out, because directions may be
 * mixed and nulls have their place. The text depends on which of the values are null, which is
 * part of the plan's shape.
 */
export function beyond(values: readonly OrderValue[], order: readonly OrderTerm[], position: Position): SQL {
  const [term, ...rest] = order
  const [value, ...furtherValues] = values
  if (!term || !value) return sql`false`
  const { found, type, nullable } = value
  const given = position[0] ?? null
  const ties = rest.length > 0 ? beyond(furtherValues, rest, position.slice(1)) : sql`false`
  if (given === null) {
    const nullsEnd = term.nullsFirst ? sql`${found} is not null or ` : sql.blank
    return sql`(${nullsEnd}(${found} is null and ${ties}))`
  }
  const wanted = cast(given, type)
  const sign = term.descending ? sql`<` : sql`>`
  const nullsFurther = term.nullsFirst || !nullable ? sql.blank : sql` or ${found} is null`
  const further = sql`${found} ${symbol(type, sign)} ${wanted}${nullsFurther}`
  return sql`(${further} or (${found} ${symbol(type, sql`=`)} ${wanted} and ${ties}))`
}

/** The terms for `order by`; one that says nothing where a table has no column with an order. */
export function orderBy(values: readonly OrderValue[], order: readonly OrderTerm[]): SQL {
  if (order.length === 0) return sql`(select null)`
  return sql.join(
    order.map((term, i) => sql`${values[i]!.found}${direction(term)}`),
    ', ',
  )
}

export function reversed(term: OrderTerm): OrderTerm {
  return { ...term, descending: !term.descending, nullsFirst: !term.nullsFirst }
}

/**
 * Postgres puts nulls last in ascending and first in descending order; only what differs is written, so that
 * an ordinary index serves the ordinary case.
 */
export function direction({ descending, nullsFirst }: Omit<OrderTerm, 'by'>): SQL {
  const nulls = nullsFirst === descending ? sql.blank : nullsFirst ? sql` nulls first` : sql` nulls last`
  return sql`${descending ? sql` desc` : sql.blank}${nulls}`
}
