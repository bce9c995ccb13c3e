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

export interface Reader {
  /** Rows of each table. */
  readonly counts: ReadonlyMap<CopyTable, number>
  /** Read one table into `sink`, on the connection of a lane: 0 or 1. */
  read(table: CopyTable, lane: number, sink: Sink, signal: AbortSignal): Promise<void>
}

/**
 * Read the tables of a snapshot and hash them; in the order of the snapshot's tables.
 *
 * @param pour  has each table read once
 * @throws TABLE_UNSAFE  policies hide rows of the tenant from the owner
 */
export async function readTables(
  snapshot: Snapshot,
  report: Report,
  pour: (reader: Reader) => Promise<void>,
): Promise<ReadTable[]> {
  const { tables, readers, hasher } = snapshot
  const counts = await countRows(snapshot)
  const total = [...counts.values()].reduce((sum, rows) => sum + rows, 0)
  const passed = new Map<CopyTable, Passed>()
  const hashes = new Map<CopyTable, TableHash>()
  let done = 0
  const read: Reader['read'] = async (table, lane, sink, signal) => {
    const meter = new Meter((rows) => {
      done += rows
      report(table.id, done, total)
    })
    await pipeline([copyOut(readers[lane]!, readingOf(table)), meter, ...sink], { signal })
    passed.set(table, meter.passed())
  }
  const hashing = inLanes([hasher], bySize(tables, counts), async (client, table) => {
    hashes.set(table, await tableHash(client, table))
  })
  // A failure of one must not leave the other alone with its rejection.
  for (const result of await Promise.allSettled([pour({ counts, read }), hashing])) {
    if (result.status === 'rejected') throw result.reason
  }
  return tables.map((table) => requireAll(table, passed.get(table), hashes.get(table)!))
}

/** The longest first: begun last, it would run on alone. */
export const bySize = (tables: readonly CopyTable[], rows: ReadonlyMap<CopyTable, number>): CopyTable[] =>
  tables.toSorted((a, b) => (rows.get(b) ?? 0) - (rows.get(a) ?? 0))

async function countRows({ tables, hasher }: Snapshot): Promise<Map<CopyTable, number>> {
  const counts = new Map<CopyTable, number>()
  for (const table of tables) {
    const [row] = await hasher.query(compile(sql`select count(*) as rows ${rowsOf(table)}`))
    counts.set(table, Number(row?.rows))
  }
  return counts
}

const readingOf = (table: CopyTable) =>
  sql`copy (select ${columnsOf(table)} ${rowsOf(table)}) to stdout (format text, encoding 'UTF8')`

const NOTHING: Passed = { rows: 0, bytes: 0, sha256: '' }

// A table that is not there at the other end was not read, which is as well when it has no rows.
function requireAll(table: CopyTable, passed = NOTHING, hash: TableHash): ReadTable {
  if (passed.rows === hash.rows) return { ...passed, ...hash }
  const sentence = `${table.id} holds ${hash.rows} rows of the tenant, and its owner sees ${passed.rows} of them.`
  const hint = 'Mend the policies of the table that hide rows of a tenant from it: "shardgate doctor".'
  return fail('TABLE_UNSAFE', sentence, { table: table.id }, { hint })
}
