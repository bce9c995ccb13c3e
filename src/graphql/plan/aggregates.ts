/**
 * Statements that measure lists: all measures of one list in one statement, for all its parents where it
 * has parents, each group a row.
 */

import type { TenantId } from '../../base/ids.ts'
import { inert, type SQL, type Statement, sql, type Value } from '../../db/sql.ts'
import {
  type AggregatePlan,
  type GroupOrderTerm,
  type Groups,
  type GroupTerm,
  type MeasureCondition,
  measurePosition,
} from './aggregate-types.ts'
import { comparison } from './comparisons.ts'
import { at, columnOf, from, keys, readable, type Source, source } from './fragments.ts'
import { listConditions } from './lists.ts'
import { measureSql, measureType } from './measures.ts'
import { direction } from './order.ts'
import { withShape } from './shape.ts'

/**
 * The keys and measures of each group; for children the parent's number first.
 *
 * @param rowsMax  groups of all parents together, at most; null is all
 */
export function aggregateStatement(
  plan: AggregatePlan,
  tenant: TenantId,
  parents: readonly Value[][] = [],
  rowsMax: number | null = null,
): Statement {
  const { table, parentColumns } = plan.list
  const measured = measuredSql(plan, tenant)
  if (!parentColumns) return withShape(inert(measured), plan.list, false)
  const end = plan.groups
    ? sql`, ${groupOrder(plan, plan.groups, sql`a.`)} limit ${sql.value(rowsMax)}`
    : sql.blank
  const all = sql`select k.n, a.* from ${keys(table, parentColumns, parents)}
    cross join lateral (${measured}) as a order by k.n${end}`
  return withShape(inert(all), plan.list, false)
}

/** The keys and measures of one list, under the names c0, c1, …; for children of the parent `k`. */
export function measuredSql(plan: AggregatePlan, tenant: TenantId): SQL {
  const of = source(plan.list.table)
  const groups = plan.groups ? grouping(of, plan, plan.groups) : sql.blank
  return sql`select ${outputs(of, plan)} from ${from(of)}
    where ${listConditions(of, plan.list, tenant)}${groups}`
}

/** What a plan gives for a list that cannot have rows: the children of a row whose key is null. */
export function measuresOfNothing({ measures, groups }: AggregatePlan): (string | null)[][] {
  if (groups) return []
  return [measures.map(({ kind }) => (kind === 'count' || kind === 'distinctCount' ? '0' : null))]
}

// Outputs have names of their own (c0, c1, …), by which the order addresses them inside and outside.
const output = (position: number): SQL => sql.identifier(`c${position}`)

function outputs(of: Source, { groups, measures }: AggregatePlan): SQL {
  const parts = [
    ...(groups?.by ?? []).map((term) => groupKey(of, term, groups?.timeZone ?? 'UTC')),
    ...measures.map((measure) => measureSql(of, measure)),
  ]
  return sql.join(
    parts.map((part, i) => sql`${part} as ${output(i)}`),
    ', ',
  )
}

// date_trunc wants the part as a text that is known when the statement is prepared: it is shape, not value.
const UNITS = {
  YEAR: sql`'year'`,
  QUARTER: sql`'quarter'`,
  MONTH: sql`'month'`,
  WEEK: sql`'week'`,
  DAY: sql`'day'`,
  HOUR: sql`'hour'`,
  MINUTE: sql`'minute'`,
} as const

function groupKey(of: Source, { column, part }: GroupTerm, timeZone: string): SQL {
  const found = at(of, column)
  const { type } = columnOf(of.table, column)
  if (part === 'VALUE') return readable(found, type)
  const { kind, name } = type
  if (kind === 'date') return sql`date_trunc(${UNITS[part]}, ${found}::timestamp)::date`
  if (name !== 'timestamptz') return sql`date_trunc(${UNITS[part]}, ${found})`
  return sql`date_trunc(${UNITS[part]}, ${found}, ${sql.value(timeZone)}::text)`
}

function grouping(of: Source, plan: AggregatePlan, groups: Groups): SQL {
  // By number: the time zone is a parameter, and written twice it would be two expressions to Postgres.
  const numbers = groups.by.map((_, i) => sql.literal(i + 1))
  const having = groups.having ? sql` having ${measureCondition(of, groups.having)}` : sql.blank
  return sql` group by ${sql.join(numbers, ', ')}${having}
    order by ${groupOrder(plan, groups)} limit ${sql.value(groups.limit)} offset ${sql.value(groups.offset)}`
}

function groupOrder(plan: AggregatePlan, { by, order }: Groups, prefix: SQL = sql.blank): SQL {
  const position = (term: GroupOrderTerm): number =>
    'key' in term.by
      ? by.findIndex(({ column }) => 'key' in term.by && column === term.by.key)
      : measurePosition(plan, term.by.measure)
  return sql.join(
    order.map((term) => sql`${prefix}${output(position(term))}${direction(term)}`),
    ', ',
  )
}

function measureCondition(of: Source, having: MeasureCondition): SQL {
  if (having.kind === 'compare') {
    const { measure, operator, value } = having
    return comparison(measureSql(of, measure), measureType(of.table, measure), operator, value)
  }
  // As in a filter: "not" is to give every group that does not match, those without a value too.
  if (having.kind === 'not') return sql`(${measureCondition(of, having.of)}) is not true`
  if (having.of.length === 0) return having.kind === 'and' ? sql`true` : sql`false`
  const parts = having.of.map((part) => measureCondition(of, part))
  return sql`(${sql.join(parts, having.kind === 'and' ? ' and ' : ' or ')})`
}
