/**
 * The connections of the queue of jobs to the directory: few, and its own, so that a queue with much to do takes none
 * from those that look up placements.
 *
 * Rows are objects with the values that pg makes of them, which is what pg-boss wants.
 */

import pg from 'pg'
import { clientConfig } from './settings.ts'

export interface JobRows<R> {
  readonly rows: R[]
}

/** Runs a text on some connection; several statements without values are one transaction. */
export interface JobExecutor {
  executeSql<R = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<JobRows<R>>
}

export interface JobDatabase extends JobExecutor {
  /** Run `work` in a transaction on one connection; a rejection rolls back and is passed on. */
  transaction<T>(work: (db: JobExecutor) => Promise<T>): Promise<T>
  /** Close the connections when what is under way has ended. */
  end(): Promise<void>
}

/** A pick, an acknowledgement and pg-boss's own upkeep at once; more jobs at a time need no more. */
const CONNECTIONS = 3
/** Milliseconds that one statement may take: the upkeep of a long queue is the longest. */
const STATEMENT_MS = 30_000

/** Opens nothing yet. */
export function jobDatabase(url: string, applicationName = 'shardgate jobs'): JobDatabase {
  const { types: _, ...config } = clientConfig({ url, connectMs: 5_000, applicationName })
  const pool = new pg.Pool({
    ...config,
    max: CONNECTIONS,
    idleTimeoutMillis: 30_000,
    statement_timeout: STATEMENT_MS,
    query_timeout: STATEMENT_MS + 5_000,
  })
  // A connection that is lost while nobody uses it; the next one is new.
  pool.on('error', () => {})
  return {
    executeSql: (text, values) => execute(pool, text, values),
    async transaction(work) {
      const client = await pool.connect()
      let broken: Error | undefined
      // One that is lost meanwhile tells its next caller.
      const onLost = (): void => {}
      client.on('error', onLost)
      try {
        await client.query('begin')
        const result = await work({ executeSql: (text, values) => execute(client, text, values) })
        await client.query('commit')
        return result
      } catch (error) {
        await client.query('rollback').catch((lost: Error) => {
          broken = lost
        })
        throw error
      } finally {
        client.off('error', onLost)
        client.release(broken)
      }
    },
    end: () => pool.end(),
  }
}

async function execute<R>(
  on: pg.Pool | pg.PoolClient,
  text: string,
  values?: readonly unknown[],
): Promise<JobRows<R>> {
  // Of several statements it is a list of results, which pg-boss takes as it is; ours are single.
  const result: unknown = await on.query(text, values && [...values])
  return result as JobRows<R>
}
