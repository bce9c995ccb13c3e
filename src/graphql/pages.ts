/**
 * Pages: the arguments of a list to a plan, and the rows that it gives to a connection.
 *
 * One row more than asked is read, which answers "is there a next page" without counting. The rows are one
 * statement, `totalCount` another, and each is sent only where the operation selects what it gives.
 */

import { fail } from '../base/errors.ts'
import type { TenantId } from '../base/ids.ts'
import type { Row } from '../db/batch.ts'
import type { Table } from '../model/types.ts'
import { countPlan } from './aggregates/plans.ts'
import type { PageInfo } from './builder.ts'
import { conditionOf } from './filters/plans.ts'
import { termsOf } from './orders.ts'
import type { AggregatePlan } from './plan/aggregate-types.ts'
import { cursorMark, decodeCursor, encodeCursor } from './plan/cursors.ts'
import type { ListPlan, Tables } from './plan/types.ts'

export interface ListArguments {
  first?: number | null | undefined
  last?: number | null | undefined
  after?: string | null | undefined
  before?: string | null | undefined
  offset?: number | null | undefined
  filter?: object | null | undefined
  orderBy?: readonly object[] | null | undefined
}

export interface PageSizes {
  /** Largest `first` or `last`. */
  readonly pageSize: number
  /** Rows of a list that asks for no number. */
  readonly pageSizeDefault: number
  /** Rows in one answer, of lists and of relations together. */
  readonly rows: number
}

export interface Edge {
  readonly cursor: string
  readonly node: Row
}

/** A list as a field of the API has it: what the operation does not select is not read. */
export interface Page {
  readonly plan: ListPlan
  /** The rows of the page, read when they are first asked for. */
  readonly shown: () => Promise<Shown>
  /** Counts all rows of the list. */
  readonly totalCount: () => Promise<number>
  readonly measure: MeasureList
}

interface Shown {
  readonly nodes: readonly Row[]
  readonly edges: readonly Edge[]
  readonly pageInfo: PageInfo
}

/** The groups of a plan about the whole list of a page; one row for a plan without groups. */
export type MeasureList = (plan: AggregatePlan) => Promise<readonly Row[]>

/** What all lists of a schema share. */
export interface Lists {
  readonly tables: Tables
  readonly sizes: () => PageSizes
  /** Whether answers with rows of a table may be kept; left out where none are. */
  readonly keeps?: ((table: Table) => boolean) | undefined
}

/**
 * @throws BAD_USER_INPUT     arguments that contradict each other, a page too large, a foreign cursor
 * @throws QUERY_TOO_COMPLEX  a filter or an order too large
 */
export function listPlan(
  lists: Lists,
  table: Table,
  tenant: TenantId,
  args: ListArguments,
  parentColumns: readonly string[] | null = null,
): ListPlan {
  const { tables } = lists
  const rows = {
    table,
    order: termsOf(tables, table, args.orderBy),
    where: conditionOf(tables, table, args.filter),
  }
  return pagePlan(lists, rows, tenant, args, parentColumns)
}

/** Which rows a list has, and in which order: what all its pages share. */
export type ListRows = Pick<ListPlan, 'table' | 'where' | 'order'>

/** A page of `rows`. @throws as `listPlan`, for all that is about the page */
export function pagePlan(
  { sizes }: Lists,
  rows: ListRows,
  tenant: TenantId,
  args: ListArguments,
  parentColumns: readonly string[] | null,
): ListPlan {
  checkEnds(args)
  const { table, order } = rows
  const position = (argument: 'after' | 'before') => {
    const cursor = args[argument]
    return cursor == null ? null : decodeCursor(argument, cursor, cursorMark(tenant, table, order), order)
  }
  return {
    ...rows,
    limit: pageLimit(args, sizes()),
    offset: pageOffset(args.offset),
    backward: args.last != null,
    after: position('after'),
    before: position('before'),
    parentColumns,
  }
}

/** @throws BAD_USER_INPUT  both `first` and `last`, or more than a page */
export function pageLimit({ first, last }: ListArguments, { pageSize, pageSizeDefault }: PageSizes): number {
  if (first != null && last != null) {
    return fail('BAD_USER_INPUT', 'Both "first" and "last" came; one of them says which end to read from.')
  }
  const name = last != null ? 'last' : 'first'
  const asked = last ?? first ?? Math.min(pageSizeDefault, pageSize)
  if (asked >= 0 && asked <= pageSize) return asked
  return fail('BAD_USER_INPUT', `"${name}" wants a number from 0 to ${pageSize}; ${asked} came.`)
}

// Postgres reads the rows that it passes over: 10,000 take it some milliseconds, and further on a cursor
// gets to the same page without them.
const OFFSET_MAX = 10_000

/** @throws BAD_USER_INPUT  negative or too large */
export function pageOffset(offset: number | null | undefined): number {
  if (offset == null) return 0
  if (offset >= 0 && offset <= OFFSET_MAX) return offset
  return fail(
    'BAD_USER_INPUT',
    `"offset" wants a number from 0 to ${OFFSET_MAX}; ${offset} came. Further on, go by cursors: "after".`,
  )
}

function checkEnds({ offset, last, before }: ListArguments): void {
  if (offset == null || (last == null && before == null)) return
  const sentence =
    '"offset" counts from the start of the list, or from "after"; it does not go with "last" and "before".'
  fail('BAD_USER_INPUT', sentence)
}

/**
 * A connection.
 *
 * @param load  the rows of `plan`, which may be one more than its limit
 */
export function pageOf(
  plan: ListPlan,
  tenant: TenantId,
  load: () => Promise<readonly Row[]>,
  measure: MeasureList,
): Page {
  const totalCount = async (): Promise<number> => {
    const [row] = await measure(countPlan(plan))
    return Number(row?.[0])
  }
  let shown: Promise<Shown> | undefined
  return {
    plan,
    shown() {
      shown ??= load().then((found) => shownOf(plan, tenant, found, totalCount))
      return shown
    },
    totalCount,
    measure,
  }
}

function shownOf(
  plan: ListPlan,
  tenant: TenantId,
  found: readonly Row[],
  totalCount: () => Promise<number>,
): Shown {
  const more = found.length > plan.limit
  const kept = found.slice(0, plan.limit)
  const nodes = plan.backward ? kept.reverse() : kept
  const mark = cursorMark(tenant, plan.table, plan.order)
  const cursor = (row: Row): string => encodeCursor(mark, plan.table, plan.order, row)
  // A page behind the end of its list shows no rows: only the count tells whether there are any before it.
  const hasPassedOver = () => plan.offset > 0 && (found.length > 0 || totalCount().then((count) => count > 0))
  return {
    nodes,
    get edges() {
      return nodes.map((node) => ({ node, cursor: cursor(node) }))
    },
    get pageInfo() {
      const [start, end] = [nodes[0], nodes.at(-1)]
      return {
        hasNextPage: plan.backward ? plan.before !== null : more,
        // Only when it is asked for: a count that nobody waits for would fail with nobody to hear of it.
        get hasPreviousPage() {
          return plan.backward ? more : plan.after !== null || hasPassedOver()
        },
        startCursor: start ? cursor(start) : null,
        endCursor: end ? cursor(end) : null,
      }
    },
  }
}
