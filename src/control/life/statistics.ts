/**
 * What the planner knows of tables: samples of their values, which outlive the rows that they came from.
 *
 * A table that is empty now is not sampled, and keeps what is known of it until it has rows again.
 */

import type { Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'

/** Take new samples. Of tables that belong to somebody else Postgres keeps the old ones. */
export async function sampleAnew(
  db: Queryable,
  tables: readonly { readonly schema: string; readonly name: string }[],
): Promise<void> {
  for (const { schema, name } of tables) {
    await db.query(compile(sql`analyze ${sql.identifier(schema, name)}`).text)
  }
}
