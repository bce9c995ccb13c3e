/** Reading a tenant's rows of one moment, several tables at a time, into wherever they go. */

import type { Duplex, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fail } from '../../base/errors.ts'
import { copyOut } from '../../db/copy.ts'
import { compile, sql } from '../../db/sql.ts'
import type { Report } from '../operations/types.ts'
import { type TableHash, tableHash } from './hash.ts'
import { inLanes } from './lanes.ts'
import { Meter, type Passed } from './lines.ts'
import type { Snapshot } from './snapshot.ts'
import { type CopyTable, columnsOf, rowsOf } from './tables.ts'

/** Where the rows of a table go: what they pass, and the end, which is done when they are kept. */
export type Sink = readonly [...Duplex[], Writable]

/** What was read of a table. */
export interface ReadTable extends Passed, TableHash {}

export interface Reading {
  /** Told what is read, with the rows of all tables. */
  readonly report: Report
  /** Opens the sink of a table; its place in the list of tables comes with it. */
  sinkOf(table: CopyTable, no: number): Promise<Sink>
}

/**
 * Read all tables of a snapshot and hash them; in the order of the snapshot's tables.
 *
 * @throws TABLE_UNSAFE  policies hide rows of the tenant from the owner
 */
export async function readTables(snapshot: Snapshot, { report, sinkOf }: Reading): Promise<ReadTable[]> {
  const { tables, readers, hasher } = snapshot
  const counts = await countRows(snapshot)
  const total = [...counts.values()].reduce((sum, rows) => sum + rows, 0)
  const passed = new Map<CopyTable, Passed>()
  const hashes = new Map<CopyTable, TableHash>()
  let done = 0
  const told = (table: CopyTable) => (rows: number) => {
    done += rows
    report(table.id, done, total)
  }
  const jobs = byMost(tables, counts)
  const hashing = inLanes([hasher], jobs, async (client, table, signal) => {
    if (!signal.aborted) hashes.set(table, await tableHash(client, table))
  })
  // A failure of one must not leave the other alone with its rejection.
  const reading = inLanes(readers, jobs, async (client, table, signal) => {
    const meter = new Meter(told(table))
    const sink = await sinkOf(table, tables.indexOf(table))
    await pipeline([copyOut(client, readingOf(table)), meter, ...sink], { signal })
    passed.set(table, meter.passed())
  })
  for (const result of await Promise.allSettled([reading, hashing])) {
    if (result.status === 'rejected') throw result.reason
  }
  return tables.map((table) => requireAll(table, passed.get(table)!, hashes.get(table)!))
}

async function countRows({ tables, hasher }: Snapshot): Promise<Map<CopyTable, number>> {
  const counts = new Map<CopyTable, number>()
  for (const table of tables) {
    const [row] = await hasher.query(compile(sql`select count(*) as rows ${rowsOf(table)}`))
    counts.set(table, Number(row?.rows))
  }
  return counts
}

// The longest first: begun last, it would run on alone.
const byMost = (tables: readonly CopyTable[], counts: ReadonlyMap<CopyTable, number>): CopyTable[] =>
  tables.toSorted((a, b) => (counts.get(b) ?? 0) - (counts.get(a) ?? 0))

const readingOf = (table: CopyTable) =>
  sql`copy (select ${columnsOf(table)} ${rowsOf(table)}) to stdout (format text, encoding 'UTF8')`

function requireAll(table: CopyTable, passed: Passed, hash: TableHash): ReadTable {
  if (passed.rows === hash.rows) return { ...passed, ...hash }
  const sentence = `${table.id} holds ${hash.rows} rows of the tenant, and its owner sees ${passed.rows} of them.`
  const hint = 'Mend the policies of the table that hide rows of a tenant from it: "shardgate doctor".'
  return fail('TABLE_UNSAFE', sentence, { table: table.id }, { hint })
}
