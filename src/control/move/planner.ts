/**
 * What the target's planner is told of rows that were copied. Sessions of gateways keep their plans, and one that was
 * made while a shared table was almost empty reads the whole of it for each look-up by key, until autovacuum comes by.
 * ANALYZE makes them plan anew; and of a home that is new the planner knows nothing at all before.
 */

import { compile, sql } from '../../db/sql.ts'
import type { CopyTable } from '../copy/tables.ts'
import { sampleAnew } from '../life/statistics.ts'
import { onHome } from '../reach.ts'
import type { Moving } from './types.ts'

/** Rows that have come into a table. */
export interface Filled {
  readonly table: CopyTable
  readonly rows: number
}

/** Sample the tables that have grown by what autovacuum would sample them for: 50 rows, and a tenth of what is known. */
export async function tellPlanner({ target }: Moving, filled: readonly Filled[]): Promise<void> {
  await onHome(target.shard, target.home, async (client) => {
    const grown: CopyTable[] = []
    for (const { table, rows } of filled) {
      const { schema, name } = table
      const [known] = await client.query(
        compile(sql`
          select greatest(c.reltuples, 0) as rows from pg_class c
          where c.relnamespace = to_regnamespace(quote_ident(${sql.value(schema)})) and c.relname = ${sql.value(name)}`),
      )
      if (rows > 50 + Number(known?.rows) / 10) grown.push(table)
    }
    await sampleAnew(client, grown)
  })
}
