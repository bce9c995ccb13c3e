/**
 * The gateway's connections to the directory: two that are shared, since the cache above asks seldom.
 */

import type { DirectoryFigures } from '../base/directory-metrics.ts'
import { type TenantId, tenantId } from '../base/ids.ts'
import { type Clock, deadlineIn, systemClock } from '../base/time.ts'
import type { Result, Row } from '../db/batch.ts'
import { ConnectionLost, sqlState } from '../db/connection.ts'
import { Pool } from '../db/pool.ts'
import type { Statement } from '../db/sql.ts'
import { figuresFrom, figuresStatement } from './figures.ts'
import {
  asked,
  changesStatement,
  placementFrom,
  placementStatement,
  placementsStatement,
} from './placements.ts'
import { type Structures, structuresFrom, structuresStatement } from './structures.ts'
import type { FindPlacement, Placement } from './types.ts'

const CONNECTIONS = 2

export interface DirectoryReader {
  readonly find: FindPlacement
  /** Up to `limit` placements, newest tenants first. Throws DIRECTORY_UNAVAILABLE. */
  readonly list: (limit: number) => Promise<Placement[]>
  /**
   * Tenants that have changed in the last `ms` milliseconds, each with a mark of its last change.
   * Throws DIRECTORY_UNAVAILABLE.
   */
  readonly changed: (ms: number) => Promise<ReadonlyMap<TenantId, string>>
  /** What is written down of targets: of all, or of those that have changed. Throws DIRECTORY_UNAVAILABLE. */
  readonly structures: (since: string | null) => Promise<Structures>
  /** What it says of the whole fleet in numbers. Throws DIRECTORY_UNAVAILABLE. */
  readonly figures: () => Promise<DirectoryFigures>
  /** Close the connections; reads that are under way fail. */
  end(): void
}

export interface DirectoryReaderOptions {
  readonly url: string
  /** Milliseconds for a new connection. Default is 2000. */
  readonly connectMs?: number
  /** Milliseconds for one read. Default is 2000; listing gets five times as much. */
  readonly readMs?: number
  readonly clock?: Clock
}

/** Opens nothing yet: a directory that is down at the start is met by the first read. */
export function directoryReader(options: DirectoryReaderOptions): DirectoryReader {
  const { url, connectMs = 2_000, readMs = 2_000, clock = systemClock } = options
  const pool = new Pool({
    url,
    connectMs,
    applicationName: 'shardgate directory',
    shared: CONNECTIONS,
    depth: 64,
    exclusive: 1,
    waiting: 10_000,
    onConnect: async () => {},
    onDestroyed: () => {},
  })
  const rowsOf = (statement: Statement, ms: number): Promise<Row[]> =>
    asked(async () => {
      const deadline = deadlineIn(ms, clock)
      const [result] = await overLost(() => pool.batch([statement], deadline))
      return result?.rows ?? []
    })
  const read = async (statement: Statement, ms: number): Promise<Placement[]> =>
    (await rowsOf(statement, ms)).map(([text]) => placementFrom(text))
  return {
    find: async (tenant) => (await read(placementStatement(tenant), readMs))[0] ?? null,
    list: (limit) => read(placementsStatement(limit), readMs * 5),
    changed: async (ms) => {
      const rows = await rowsOf(changesStatement(ms), readMs)
      return new Map(rows.map(([id, mark]) => [tenantId(id ?? ''), mark ?? '']))
    },
    structures: async (since) => {
      const [row] = await rowsOf(structuresStatement(since), readMs * 5)
      return structuresFrom(row?.[0])
    },
    // On a connection of its own, which is closed again: placements must not wait behind it.
    figures: () =>
      asked(async () => {
        const deadline = deadlineIn(readMs, clock)
        const results = await pool.exclusive(deadline, (alone) => alone.batch([figuresStatement()], deadline))
        pool.trim()
        return figuresFrom(results[0]?.rows[0]?.[0])
      }),
    end: () => pool.end(),
  }
}

// After a restart of the directory each connection is found dead once, by the read that it is given first.
// Reading again is safe, and there are only so many dead ones.
async function overLost(read: () => Promise<Result[]>, tries = CONNECTIONS): Promise<Result[]> {
  try {
    return await read()
  } catch (error) {
    if (!isDead(error) || tries === 0) throw error
    return overLost(read, tries - 1)
  }
}

/** The server ended the session: on an administrator's command (57P01) or in a crash (57P02). */
function isDead(error: unknown): boolean {
  if (error instanceof ConnectionLost) return error.reason === 'lost'
  return ['57P01', '57P02'].includes(sqlState(error) ?? '')
}
