/**
 * DataLoaders of one request: keys in, rows out in the same order, one statement for all keys that one
 * level of the operation asks for.
 *
 * There is one loader per table and key, or per list of children with its arguments. They are created for
 * a request and die with it, and the statement's tenant is fixed at that moment, so that a row cannot reach
 * another tenant through a cache.
 */

import DataLoader from 'dataloader'
import type { TenantId } from '../base/ids.ts'
import type { Row } from '../db/batch.ts'
import type { Statement, Value } from '../db/sql.ts'
import type { Table } from '../model/types.ts'
import type { AggregatePlan } from './plan/aggregate-types.ts'
import { aggregateStatement } from './plan/aggregates.ts'
import { listStatement, lookupStatement } from './plan/lists.ts'
import { type ListPlan, planText } from './plan/types.ts'

type Key = readonly string[]
type Run = (statements: readonly Statement[]) => Promise<Row[][]>
type KeyLoader<T> = DataLoader<Key, T, string>

/** How many rows the answer may still take. */
export interface Room {
  left(): number
  /** @throws QUERY_TOO_COMPLEX  there are more */
  refuse(): never
}

/** Keys in one statement; a larger level takes several. */
const KEYS_MAX = 1_000

export interface Loaders {
  /**
   * The row whose `by` columns equal the key; null when the tenant has none.
   *
   * @param apart  in a statement of its own: should Postgres refuse the key, no other one is refused with it
   */
  row(table: Table, by: readonly string[], key: Key, apart?: boolean): Promise<Row | null>
  /**
   * The children of the parent that `key` names, one more than the plan's limit where there are more.
   *
   * Of all parents together no more are read than there is room for: 1,000 parents with 100 children
   * each would be in memory before the first of them was counted.
   */
  children(plan: ListPlan, key: Key, room: Room): Promise<Row[]>
  /** The groups of the children of the parent that `key` names; one row for a plan without groups. */
  measures(plan: AggregatePlan, key: Key, room: Room): Promise<Row[]>
  /** Forget what was read: a mutation has changed rows. */
  clear(): void
}

export function createLoaders(tenant: TenantId, run: Run): Loaders {
  const loaders = new Map<string, unknown>()
  const names = new WeakMap<ListPlan | AggregatePlan, string>()

  function loader<T>(name: string, load: (keys: readonly Key[]) => Promise<T[]>): KeyLoader<T> {
    const known = loaders.get(name) as KeyLoader<T> | undefined
    if (known) return known
    const fresh = new DataLoader<Key, T, string>(load, { cacheKeyFn: JSON.stringify, maxBatchSize: KEYS_MAX })
    loaders.set(name, fresh)
    return fresh
  }

  /** Plans of equal arguments share what is loaded. */
  function nameOf(plan: ListPlan | AggregatePlan): string {
    const known = names.get(plan) ?? planText(plan)
    names.set(plan, known)
    return known
  }

  async function loadRows(
    table: Table,
    by: readonly string[],
    keys: readonly Key[],
  ): Promise<(Row | null)[]> {
    const [rows = []] = await run([
      lookupStatement(
        table,
        tenant,
        by,
        keys.map((key) => [...key]),
      ),
    ])
    const found = keys.map((): Row | null => null)
    for (const [n, ...row] of rows) found[Number(n) - 1] = row
    return found
  }

  async function loadLists(
    statement: (parents: Value[][], rowsMax: number) => Statement,
    keys: readonly Key[],
    room: Room,
  ): Promise<Row[][]> {
    // Each page is read one row longer than it is. If there are more than that, some page is cut short.
    const rowsMax = room.left() + keys.length
    const parents = keys.map((key) => [...key])
    const [rows = []] = await run([statement(parents, rowsMax + 1)])
    if (rows.length > rowsMax) room.refuse()
    const groups = keys.map((): Row[] => [])
    for (const [n, ...row] of rows) groups[Number(n) - 1]?.push(row)
    return groups
  }

  return {
    row(table, by, key, apart = false) {
      const name = `row ${JSON.stringify([table.id, by, apart ? key : null])}`
      return loader(name, (keys) => loadRows(table, by, keys)).load(key)
    },
    children: (plan, key, room) =>
      loader(`children ${nameOf(plan)}`, (keys) =>
        loadLists((parents, max) => listStatement(plan, tenant, parents, max), keys, room),
      ).load(key),
    measures: (plan, key, room) =>
      loader(`measures ${nameOf(plan)}`, (keys) =>
        loadLists((parents, max) => aggregateStatement(plan, tenant, parents, max), keys, room),
      ).load(key),
    clear: () => loaders.clear(),
  }
}
