/**
 * Plans to SQL. Every statement names its columns, carries the tenant as an explicit predicate beside
 * the row-level policy (two independent walls), and takes every value as a parameter.
 *
 * A statement's text depends only on the plan's shape, never on its values, so that it is prepared once.
 */

import type { TenantId } from '../../base/ids.ts'
import { compile, type SQL, type Statement, sql, type Value } from '../../db/sql.ts'
import type { Column, ColumnType, Table } from '../../model/types.ts'
import type { Condition, ListPlan, Operator, OrderTerm, Position } from './types.ts'

const T = sql.identifier('t')
const K = sql.identifier('k')

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
  const page = sql`select ${columns(plan.table)} from ${from(plan.table)}
    where ${pageConditions(plan, tenant)}
    order by ${orderBy(plan)} limit ${sql.value(plan.limit + 1)}`
  if (!plan.parentColumns) return compile(page)
  const inner = sql`select ${sql.join(plan.table.columns.map(own), ', ')} from ${from(plan.table)}
    where ${pageConditions(plan, tenant)}
    order by ${orderBy(plan)} limit ${sql.value(plan.limit + 1)}`
  return compile(sql`select k.n, ${columns(plan.table)}
    from ${keys(plan.table, plan.parentColumns, parents)} cross join lateral (${inner}) as t
    order by k.n, ${orderBy(plan)} limit ${sql.value(rowsMax)}`)
}

/** The number of rows of a list, for each parent where there are parents: (parent's number, count). */
export function countStatement(
  plan: ListPlan,
  tenant: TenantId,
  parents: readonly Value[][] = [],
): Statement {
  const count = sql`select count(*) from ${from(plan.table)} where ${filterConditions(plan, tenant)}`
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
  return compile(sql`select k.n, ${columns(table)} from ${keys(table, by, values)} join ${from(table)}
    on ${isTenant(table, tenant)} and ${matchesKey(by)}`)
}

export type Changes = readonly { readonly column: Column; readonly value: Value }[]

export function insertStatement(table: Table, tenant: TenantId, changes: Changes): Statement {
  const names = [table.tenantColumn, ...changes.map(({ column }) => column.name)].map((name) =>
    sql.identifier(name),
  )
  const values = [
    cast(tenant, table.tenantType),
    ...changes.map(({ column, value }) => cast(value, column.type)),
  ]
  return compile(sql`insert into ${from(table)} (${sql.join(names, ', ')})
    values (${sql.join(values, ', ')}) returning ${columns(table)}`)
}

export function updateStatement(table: Table, tenant: TenantId, key: Value[], changes: Changes): Statement {
  const set = changes.map(
    ({ column, value }) => sql`${sql.identifier(column.name)} = ${cast(value, column.type)}`,
  )
  return compile(sql`update ${from(table)} set ${sql.join(set, ', ')}
    where ${isTenant(table, tenant)} and ${hasKey(table, key)} returning ${columns(table)}`)
}

export function deleteStatement(table: Table, tenant: TenantId, key: Value[]): Statement {
  return compile(sql`delete from ${from(table)}
    where ${isTenant(table, tenant)} and ${hasKey(table, key)} returning ${columns(table)}`)
}

function from(table: Table): SQL {
  return sql`${sql.identifier(table.schema, table.name)} as t`
}

function columns(table: Table): SQL {
  return sql.join(table.columns.map(own), ', ')
}

function own({ name }: { readonly name: string }): SQL {
  return sql`${T}.${sql.identifier(name)}`
}

function isTenant(table: Table, tenant: TenantId): SQL {
  return sql`${own({ name: table.tenantColumn })} = ${cast(tenant, table.tenantType)}`
}

/** The wanted keys as rows numbered from 1, each column with the type that the table gives it. */
function keys(table: Table, by: readonly string[], values: readonly Value[][]): SQL {
  const arrays = by.map((name, i) => {
    const column = values.map((key) => key[i] ?? null)
    return sql`${sql.value(column as string[])}::${typeName(columnOf(table, name).type)}[]`
  })
  const names = by.map((_, i) => sql.identifier(`k${i}`))
  return sql`unnest(${sql.join(arrays, ', ')}) with ordinality as k(${sql.join(names, ', ')}, n)`
}

function matchesKey(by: readonly string[]): SQL {
  return sql.join(
    by.map((name, i) => sql`${own({ name })} = ${K}.${sql.identifier(`k${i}`)}`),
    ' and ',
  )
}

function hasKey(table: Table, key: Value[]): SQL {
  const parts = table.primaryKey.map((name, i) => compare(columnOf(table, name), 'eq', key[i] ?? null))
  return sql.join(parts, ' and ')
}

function filterConditions(plan: ListPlan, tenant: TenantId): SQL {
  const parts = [isTenant(plan.table, tenant)]
  if (plan.parentColumns) parts.push(matchesKey(plan.parentColumns))
  if (plan.where) parts.push(condition(plan.table, plan.where))
  return sql.join(parts, ' and ')
}

function pageConditions(plan: ListPlan, tenant: TenantId): SQL {
  const parts = [filterConditions(plan, tenant)]
  if (plan.after) parts.push(beyond(plan.table, plan.order, plan.after))
  if (plan.before) parts.push(beyond(plan.table, plan.order.map(reversed), plan.before))
  return sql.join(parts, ' and ')
}

function condition(table: Table, where: Condition): SQL {
  if (where.kind === 'compare') return compare(columnOf(table, where.column), where.operator, where.value)
  // A comparison with NULL is neither true nor false; "not" is to give every row that does not match.
  if (where.kind === 'not') return sql`(${condition(table, where.of)}) is not true`
  if (where.of.length === 0) return where.kind === 'and' ? sql`true` : sql`false`
  const parts = where.of.map((part) => condition(table, part))
  // In brackets, or an "or" would let in rows for which the tenant, the parent or the cursor beside it does not hold.
  return sql`(${sql.join(parts, where.kind === 'and' ? ' and ' : ' or ')})`
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

function compare(column: Column, operator: Operator, value: Value): SQL {
  const at = own(column)
  if (operator === 'isNull') return value ? sql`${at} is null` : sql`${at} is not null`
  if (operator === 'in') return sql`${at} = any(${castList(value, column.type)})`
  if (operator === 'notIn') return sql`${at} <> all(${castList(value, column.type)})`
  return sql`${at} ${SYMBOLS[operator]!} ${cast(pattern(operator, value), column.type)}`
}

function pattern(operator: Operator, value: Value): Value {
  const literal = (): string => String(value).replace(/[\\%_]/g, '\\$&')
  if (operator === 'startsWith') return `${literal()}%`
  if (operator === 'endsWith') return `%${literal()}`
  return operator === 'contains' ? `%${literal()}%` : value
}

/**
 * Rows that come after `position` in `order`: (a, b) > (x, y) written out, because directions may be
 * mixed and nulls have their place. The text depends on which of the values are null, which is
 * part of the plan's shape.
 */
function beyond(table: Table, order: readonly OrderTerm[], position: Position): SQL {
  const [term, ...rest] = order
  if (!term) return sql`false`
  const at = own({ name: term.column })
  const value = position[0] ?? null
  const ties = rest.length > 0 ? beyond(table, rest, position.slice(1)) : sql`false`
  if (value === null) {
    const nullsEnd = term.nullsFirst ? sql`${at} is not null or ` : sql.blank
    return sql`(${nullsEnd}(${at} is null and ${ties}))`
  }
  const wanted = cast(value, columnOf(table, term.column).type)
  const further = term.descending ? sql`${at} < ${wanted}` : sql`${at} > ${wanted}`
  const nullsFurther =
    term.nullsFirst || !columnOf(table, term.column).nullable ? sql.blank : sql` or ${at} is null`
  return sql`(${further}${nullsFurther} or (${at} = ${wanted} and ${ties}))`
}

function orderBy(plan: ListPlan): SQL {
  const terms = plan.backward ? plan.order.map(reversed) : plan.order
  return sql.join(terms.map(orderTerm), ', ')
}

function reversed(term: OrderTerm): OrderTerm {
  return { ...term, descending: !term.descending, nullsFirst: !term.nullsFirst }
}

// Postgres puts nulls last in ascending and first in descending order; only what differs is written,
// so that an ordinary index serves the ordinary case.
function orderTerm(term: OrderTerm): SQL {
  const direction = term.descending ? sql` desc` : sql.blank
  const nulls =
    term.nullsFirst === term.descending ? sql.blank : term.nullsFirst ? sql` nulls first` : sql` nulls last`
  return sql`${own({ name: term.column })}${direction}${nulls}`
}

function cast(value: Value, type: ColumnType): SQL {
  const array = type.array ? sql`[]` : sql.blank
  return sql`${sql.value(value as string | string[] | null)}::${typeName(type)}${array}`
}

function castList(value: Value, type: ColumnType): SQL {
  return sql`${sql.value(value as string[])}::${typeName(type)}[]`
}

function typeName(type: ColumnType): SQL {
  return sql.identifier(type.schema, type.name)
}

export function columnOf(table: Table, name: string): Column {
  const column = table.columns.find((candidate) => candidate.name === name)
  if (!column) throw new Error(`the table ${table.id} has no column ${name}`)
  return column
}
