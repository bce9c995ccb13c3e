/** Whether rows of one home fit into another, as sentences. */

import { fail } from '../../base/errors.ts'
import type { Isolation } from '../../directory/types.ts'
import { differencesOf } from '../../model/structure.ts'
import { onHome, onShard } from '../reach.ts'
import { type Shape, shapeOf, type Whereabouts } from './snapshot.ts'
import { type CopyColumn, type CopyTable, tablesOf } from './tables.ts'

/** A table as it was read. */
export interface ReadShape {
  readonly table: string
  readonly columns: readonly CopyColumn[]
  readonly ofTenant: boolean
  readonly rows: number
}

/** What was read. */
export interface ReadRows {
  readonly shape: Shape
  readonly tables: readonly ReadShape[]
}

export function shapesOf(tables: readonly CopyTable[], rows: ReadonlyMap<CopyTable, number>): ReadShape[] {
  return tables.map((table) => ({
    table: table.id,
    columns: table.columns,
    ofTenant: table.tenant !== null,
    rows: rows.get(table) ?? 0,
  }))
}

/**
 * The tables of a home, by id.
 *
 * @throws REFUSED  the rows do not fit
 */
export function requireFit(target: Whereabouts, { shape, tables }: ReadRows): Promise<CopyTable[]> {
  const { shard, home } = target
  return onHome(shard, home, async (client) => {
    requireShape(shape, await shapeOf(client, target), shard.key)
    const there = await tablesOf(client, target)
    requireTables(tables, there, shard.key)
    return there
  })
}

/**
 * The same of a home that is not made yet: it will have the tables of its shard.
 *
 * @throws REFUSED  the rows would not fit
 */
export function requireFuture(
  place: Omit<Whereabouts, 'home'> & { readonly isolation: Isolation },
  { shape, tables }: ReadRows,
): Promise<void> {
  const { shard, tenant, tenancy, isolation } = place
  const shared = tenancy.schemas[0] ?? 'public'
  return onShard(shard, async (client) => {
    const now = { tenant, tenancy, home: { isolation: 'shared', namespace: shared } } as const
    requireShape(shape, await shapeOf(client, now), shard.key)
    requireTables(
      tables,
      await tablesOf(client, { tenant, tenancy, home: { isolation, namespace: shared } }),
      shard.key,
    )
  })
}

/** Differences in one message; the rest is counted. */
const SHOWN = 6

/**
 * @param where  for the sentence: 'shard-b'
 * @throws REFUSED  the tables there are of another version, or differ
 */
function requireShape(read: Shape, there: Shape, where: string): void {
  const hint = 'Bring both to the same version first: "shardgate migrate up", "shardgate migrate status".'
  if (read.version !== there.version) {
    const [from, to] = [read.version, there.version].map((version) => version ?? '(none)')
    fail('REFUSED', `The rows are of tables at migration ${from}, and ${where} is at ${to}.`, {}, { hint })
  }
  const found = differencesOf(read.lines, there.lines)
  if (found.length === 0) return
  const rest = found.length > SHOWN ? [`  and ${found.length - SHOWN} more`] : []
  const lines = [...found.slice(0, SHOWN).map(({ sign, line }) => `  ${sign} ${line}`), ...rest]
  fail(
    'REFUSED',
    [`The tables of ${where} differ from those that the rows come from:`, ...lines].join('\n'),
    {},
    { hint },
  )
}

/**
 * The tables for what was read, in the order of the home.
 *
 * @throws REFUSED  there are rows of a table that is not there, has other columns, or is shared
 */
function requireTables(read: readonly ReadShape[], there: readonly CopyTable[], where: string): void {
  for (const from of read) {
    const to = there.find(({ id }) => id === from.table)
    if (!to) {
      if (from.rows === 0) continue
      fail(
        'REFUSED',
        `There are ${from.rows} rows of ${from.table}, and no such table for a tenant on ${where}.`,
        {},
        {
          hint: 'Choose another --isolation: shared tables, and schemas, do not hold all that a database holds.',
        },
      )
    }
    const [had, has] = [columnsOf(from.columns), columnsOf(to.columns)]
    if (had === has && from.ofTenant === (to.tenant !== null)) continue
    fail('REFUSED', `${from.table} has other columns on ${where}: ${has}; the rows have ${had}.`)
  }
}

const columnsOf = (columns: readonly CopyColumn[]): string =>
  columns.map(({ name, type }) => `${name} ${type}`).join(', ')
