/** Statements that read rows: the page of a list, rows by their keys. */

import type { TenantId } from '../../base/ids.ts'
import { inert, type SQL, type Statement, sql, type Value } from '../../db/sql.ts'
import type { Table } from '../../model/types.ts'
import { condition } from './conditions.ts'
import { columns, from, isTenant, keys, matchesKey, type Source, source } from './fragments.ts'
import { beyond, computedBeside, type OrderValue, orderBy, orderValues, reversed } from './order.ts'
import { withShape } from './shape.ts'
import type { ListPlan, OrderTerm } from './types.ts'

/**
 * Rows of a page: the table's columns in the model's order, then the computed values of the list's order; for
 * children the parent's number first.
 *
 * @param rowsMax  rows of all parents together, at most; null is all
 */
export function listStatement(
  plan: ListPlan,
  tenant: TenantId,
  parents: readonly Value[][] = [],
  rowsMax: number | null = null,
): Statement {
  const of = source(plan.table)
  const order = plan.backward ? plan.order.map(reversed) : plan.order
  const values = orderValues(of, order)
  const offset = plan.offset > 0 ? sql` offset ${sql.value(plan.offset)}` : sql.blank
  const page = sql`select ${outputs(of, order, values)} from ${from(of)}${computedBeside(of, order, tenant)}
    where ${pageConditions(of, plan, tenant)}
    order by ${orderBy(values, order)} limit ${sql.value(plan.limit + 1)}${offset}`
  if (!plan.parentColumns) return withShape(inert(page), plan, true)
  const found = orderValues(of, order, of.alias)
  const pages = sql`select k.n, ${outputs(of, order, found)}
    from ${keys(plan.table, plan.parentColumns, parents)} cross join lateral (${page}) as t
    order by k.n, ${orderBy(found, order)} limit ${sql.value(rowsMax)}`
  return withShape(inert(pages), plan, true)
}

function outputs(of: Source, order: readonly OrderTerm[], values: readonly OrderValue[]): SQL {
  const computed = values.filter((_, i) => order[i]?.by.kind !== 'column').map(({ found }) => found)
  return sql.join([columns(of), ...computed], ', ')
}

/**
 * Rows whose `by` columns equal one of `values`, the number of the value first. Values are matched in
 * Postgres, because one value may have several texts ('1' and '1.00', a UUID in capitals).
 */
export function lookupStatement(
  table: Table,
  tenant: TenantId,
  by: readonly string[],
  values: readonly Value[][],
): Statement {
  const of = source(table)
  return inert(sql`select k.n, ${columns(of)} from ${keys(table, by, values)} join ${from(of)}
    on ${isTenant(of, tenant)} and ${matchesKey(of, by)}`)
}

/** Which rows are in the list at all, over all its pages. */
export function listConditions(of: Source, plan: ListPlan, tenant: TenantId): SQL {
  const parts = [isTenant(of, tenant)]
  if (plan.parentColumns) parts.push(matchesKey(of, plan.parentColumns))
  if (plan.where) parts.push(condition(of, plan.where, tenant))
  return sql.join(parts, ' and ')
}

/** Which rows are beyond the cursors of a page, too. */
export function pageConditions(of: Source, plan: ListPlan, tenant: TenantId): SQL {
  const { order, after, before } = plan
  const values = orderValues(of, order)
  const parts = [listConditions(of, plan, tenant)]
  if (after) parts.push(beyond(values, order, after))
  if (before) parts.push(beyond(values, order.map(reversed), before))
  return sql.join(parts, ' and ')
}
