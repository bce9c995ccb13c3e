/** Statements that read rows: the page of a list, the number of its rows, rows by their keys. */

import type { TenantId } from '../../base/ids.ts'
import { compile, type SQL, type Statement, sql, type Value } from '../../db/sql.ts'
import type { Table } from '../../model/types.ts'
import { condition } from './conditions.ts'
import { columns, from, isTenant, keys, matchesKey, type Source, source } from './fragments.ts'
import { beyond, orderBy, reversed } from './order.ts'
import type { ListPlan } from './types.ts'

/**
 * Rows of a page: the table's columns in the model's order; for children the parent's number first.
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
  const page = sql`select ${columns(of)} from ${from(of)}
    where ${pageConditions(of, plan, tenant)}
    order by ${orderBy(of, plan)} limit ${sql.value(plan.limit + 1)}`
  if (!plan.parentColumns) return compile(page)
  return compile(sql`select k.n, ${columns(of)}
    from ${keys(plan.table, plan.parentColumns, parents)} cross join lateral (${page}) as t
    order by k.n, ${orderBy(of, plan)} limit ${sql.value(rowsMax)}`)
}

/** The number of rows of a list, for each parent where there are parents: (parent's number, count). */
export function countStatement(
  plan: ListPlan,
  tenant: TenantId,
  parents: readonly Value[][] = [],
): Statement {
  const of = source(plan.table)
  const count = sql`select count(*) from ${from(of)} where ${listConditions(of, plan, tenant)}`
  if (!plan.parentColumns) return compile(count)
  return compile(
    sql`select k.n, (${count}) from ${keys(plan.table, plan.parentColumns, parents)} order by k.n`,
  )
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
  return compile(sql`select k.n, ${columns(of)} from ${keys(table, by, values)} join ${from(of)}
    on ${isTenant(of, tenant)} and ${matchesKey(of, by)}`)
}

/** Which rows are in the list at all, over all its pages. */
export function listConditions(of: Source, plan: ListPlan, tenant: TenantId): SQL {
  const parts = [isTenant(of, tenant)]
  if (plan.parentColumns) parts.push(matchesKey(of, plan.parentColumns))
  if (plan.where) parts.push(condition(of, plan.where, tenant))
  return sql.join(parts, ' and ')
}

function pageConditions(of: Source, plan: ListPlan, tenant: TenantId): SQL {
  const parts = [listConditions(of, plan, tenant)]
  if (plan.after) parts.push(beyond(of, plan.order, plan.after))
  if (plan.before) parts.push(beyond(of, plan.order.map(reversed), plan.before))
  return sql.join(parts, ' and ')
}
