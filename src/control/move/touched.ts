/** Comparing the rows that were touched since both sides were known to hold the same: a look at each by its key. */

import type { Client } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { EXACT, hashOfSums, rowHash, SUMS } from '../copy/hash.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import { rowsOf } from '../copy/tables.ts'
import { type Chosen, compareRows, type RowDifferences, rowsDiffer } from './drill-down.ts'
import { aboutAllRows } from './hash-tree.ts'
import { both, fromSide, type OneSide, type Sides, type Twin, toSide } from './sides.ts'
import type { Moving } from './types.ts'

/** Keys of rows as text, by id of a table; values in the order of the key's columns in the source's table. */
export type Touched = ReadonlyMap<string, readonly (readonly string[])[]>

/**
 * Compare rows with these keys while writes are held; rows that are gone on both sides are equal. One statement a table
 * and side. Tables without a key are compared whole.
 *
 * @param sides  outside of transactions
 * @throws REFUSED  the target holds something else; see `rowDifferencesOf`
 */
export async function compareTouched(moving: Moving, sides: Sides, touched: Touched): Promise<void> {
  const twins = sides.twins.filter(({ id }) => (touched.get(id)?.length ?? 0) > 0)
  if (twins.length === 0) return
  const differences: RowDifferences[] = []
  await inBoth(moving, sides, async () => {
    for (const twin of twins) {
      const chosen = chosenBy(twin, touched.get(twin.id) ?? [])
      const [here, there] = await both(
        sumOf(sides.source, fromSide(twin), chosen),
        sumOf(sides.target, toSide(twin), chosen),
      )
      if (here !== there) differences.push(await compareRows(sides, twin, chosen))
    }
  })
  if (differences.length > 0) throw rowsDiffer('rows touched since the last comparison', differences)
}

async function inBoth({ source, target }: Moving, sides: Sides, work: () => Promise<void>): Promise<void> {
  await sides.source.transaction(async () => {
    await sides.target.transaction(async () => {
      await both(prepare(sides.source, source), prepare(sides.target, target))
      await work()
    })
  })
}

async function prepare(client: Client, where: Whereabouts): Promise<void> {
  // Each row by its key, whatever the planner thinks of tables that nothing has analysed yet.
  await client.query(
    'set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off',
  )
  await aboutAllRows(client, where)
  await client.query(compile(EXACT))
}

async function sumOf(client: Client, side: OneSide, chosen: Chosen): Promise<string> {
  const [row] = await client.query(
    compile(sql`select ${SUMS} from (select ${rowHash(side.table)} as h ${chosen(side)} offset 0) as hashed`),
  )
  return `${row?.rows} ${hashOfSums(row)}`
}

function chosenBy({ keys }: Twin, touched: readonly (readonly string[])[]): Chosen {
  const texts = (keys?.[0] ?? []).map((_, i) => touched.map((key) => key[i] ?? ''))
  return ({ table, key }) => {
    const rows = table.tenant ? rowsOf(table) : sql`${rowsOf(table)} where true`
    // Where the tenant's column is all of the key there is one row.
    if (!key || key.length === 0) return rows
    const wanted = key.map(
      ({ name, type }, i) =>
        sql`t.${sql.identifier(name)} = k.${sql.identifier(`c${i}`)}::${sql.identifier(...type)}`,
    )
    // "offset 0", or the planner might go through all of the tenant's rows and look for each among the keys.
    return sql`
      from unnest(${sql.join(texts.map(textsOf), ', ')}) as k (${sql.join(
        key.map((_, i) => sql.identifier(`c${i}`)),
        ', ',
      )})
      cross join lateral (select t.* ${rows} and ${sql.join(wanted, ' and ')} offset 0) as t where true`
  }
}

const textsOf = (texts: readonly string[]): SQL => sql`${sql.value(texts)}::text[]`
