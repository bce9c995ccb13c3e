/** Statements that a query has written: names go through format('%I'), never through a template. */

import type { Client, TextRow } from '../db/client.ts'

/** Run what the column `statement` of the rows says, one after the other. */
export async function runWritten(client: Client, statements: Promise<TextRow[]>): Promise<void> {
  for (const { statement } of await statements) if (statement) await client.query(statement)
}
