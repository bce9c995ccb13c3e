/**
 * The shape of a list: what its plan asks of its table, without a value. The door tells of it when the
 * statement has run, and index advice is made from that.
 */

import type { ListShape } from '../../base/list-shape.ts'
import type { Statement } from '../../db/sql.ts'
import type { Condition, ListPlan, OrderTerm } from './types.ts'

/** `statement`, marked as one that runs `plan`, its pages or only its rows as a whole. */
export function withShape(statement: Statement, plan: ShapedPlan, ordered: boolean): Statement {
  return { ...statement, lists: [listShape(plan, ordered)] }
}

type ShapedPlan = Pick<ListPlan, 'table' | 'where' | 'parentColumns'> & Partial<Pick<ListPlan, 'order'>>

/** @param ordered  whether the rows are wanted in order; a count or a sum does not care */
export function listShape({ table, where, order, parentColumns }: ShapedPlan, ordered: boolean): ListShape {
  const found: Found = { equals: new Set(), ranges: new Set(), nulls: new Map(), matches: new Map() }
  if (where) collect(where, found)
  return {
    table: table.id,
    parent: parentColumns,
    equals: [...found.equals].sort(),
    ranges: [...found.ranges].sort(),
    nulls: sortedEntries(found.nulls).map(([column, isNull]) => ({ column, isNull })),
    matches: sortedEntries(found.matches).map(([, match]) => match),
    order: ordered ? ownColumns(order ?? []) : [],
  }
}

interface Found {
  readonly equals: Set<string>
  readonly ranges: Set<string>
  readonly nulls: Map<string, boolean>
  readonly matches: Map<string, ListShape['matches'][number]>
}

const RANGES: ReadonlySet<string> = new Set(['gt', 'gte', 'lt', 'lte', 'in'])
// Rows that differ from a value are most rows: an index that leaves them out leaves out next to nothing.
const UNHELPFUL: ReadonlySet<string> = new Set(['neq', 'notIn'])

// One index serves conditions that must all hold; what stands below "or" and "not", or in another table, it
// does not serve.
function collect(where: Condition, found: Found): void {
  if (where.kind === 'and') for (const part of where.of) collect(part, found)
  if (where.kind !== 'compare') return
  const { column, operator, at, value } = where
  if (at) found.matches.set(`${column} at`, { column, operator: 'at' })
  else if (operator === 'eq') found.equals.add(column)
  else if (operator === 'isNull') found.nulls.set(column, value === true)
  else if (RANGES.has(operator)) found.ranges.add(column)
  else if (!UNHELPFUL.has(operator)) found.matches.set(`${column} ${operator}`, { column, operator })
}

/** An index gives the order up to the first term that is not one of its columns. */
function ownColumns(order: readonly OrderTerm[]): ListShape['order'] {
  const end = order.findIndex(({ by }) => by.kind !== 'column')
  return order.slice(0, end < 0 ? order.length : end).flatMap(({ by, descending, nullsFirst }) => {
    return by.kind === 'column' ? [{ column: by.column, descending, nullsFirst }] : []
  })
}

function sortedEntries<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1))
}
