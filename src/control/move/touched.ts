/** Comparing the rows that were touched since both sides were known to hold the same: a look at each by its key. */

import type { Client } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { hashOfSums, rowHash, SUMS } from '../copy/hash.ts'
import { rowsOf } from '../copy/tables.ts'
import { type Chosen, compareRows, type RowDifferences, rowsDiffer } from './drill-down.ts'
import { both, fromSide, type OneSide, type Sides, type Twin, toSide } from './sides.ts'
import type { Moving } from './types.ts'

/** Keys of rows as text, by id of a table; values in the order of the key's columns in the source's table. */
export type Touched = ReadonlyMap<string, readonly (readonly string[])[]>

/**
 * Compare rows with these keys while writes are held; rows that are gone on both sides are equal. One statement a table
 * and side. Tables without a key are compared whole.
 *
 * @throws REFUSED  the target holds something else; see `rowDifferencesOf`
 */
export async function compareTouched(moving: Moving, sides: Sides, touched: Touched): Promise<void> {
  const differences: RowDifferences[] = []
  for (const twin of sides.twins) {
    const keys = touched.get(twin.id) ?? []
    if (keys.length === 0) continue
    moving.signal.throwIfAborted()
    const chosen = chosenBy(twin, keys)
    const [here, there] = await both(
      sumOf(sides.source, fromSide(twin), chosen),
      sumOf(sides.target, toSide(twin), chosen),
    )
    if (here !== there) differences.push(await compareRows(sides, twin, chosen))
  }
  if (differences.length > 0) throw rowsDiffer('rows touched since the last comparison', differences)
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
