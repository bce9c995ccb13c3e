/**
 * A plain connection for the control plane, set-up and tests: one at a time, rows as objects, several
 * statements in one text. Requests of tenants never come this way (shards/door.ts is their only one).
 */

import pg from 'pg'
import { clientConfig } from './settings.ts'
import type { Statement } from './sql.ts'

export { sqlState } from './connection.ts'

/** Values are Postgres text or null: cast in SQL, or parse them where they are used. */
export type TextRow = Record<string, string | null>

export interface Queryable {
  query<R extends TextRow = TextRow>(statement: Statement | string): Promise<R[]>
}

export interface ConnectSettings {
  /** Default is 5000. */
  readonly connectMs?: number
  readonly applicationName?: string
}

export class Client implements Queryable {
  readonly #client: pg.Client

  constructor(client: pg.Client) {
    this.#client = client
  }

  async query<R extends TextRow = TextRow>(statement: Statement | string): Promise<R[]> {
    if (typeof statement === 'string') return rowsOf<R>(await this.#client.query(statement))
    return rowsOf<R>(await this.#client.query(statement.text, [...statement.values]))
  }

  /** Run `work` between BEGIN and COMMIT; a rejection rolls back and is passed on. */
  async transaction<T>(work: (client: Client) => Promise<T>): Promise<T> {
    await this.query('begin')
    try {
      const result = await work(this)
      await this.query('commit')
      return result
    } catch (error) {
      // The first error says what went wrong; a rollback on a dead connection would only hide it.
      await this.query('rollback').catch(() => {})
      throw error
    }
  }

  /** Run `work` in the transaction that is open here, or in one of its own: for parts of somebody's larger one. */
  atomically<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const isOpen = ['T', 'E'].includes(this.#client.getTransactionStatus() ?? '')
    return isOpen ? work(this) : this.transaction(work)
  }

  /** Send a query of a kind of its own (db/copy.ts); nothing else may be sent before it has ended. */
  submit<Q extends pg.Submittable>(query: Q): Q {
    return this.#client.query(query)
  }

  end(): Promise<void> {
    return this.#client.end()
  }
}

/** @throws the driver's error when the server cannot be reached or refuses the log-in */
export async function connect(url: string, settings: ConnectSettings = {}): Promise<Client> {
  const client = new pg.Client(
    clientConfig({
      url,
      connectMs: settings.connectMs ?? 5_000,
      applicationName: settings.applicationName ?? 'shardgate control',
    }),
  )
  // A backend that is killed emits 'error' on an idle client; the next query reports it to its caller.
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (error) {
    // The driver gives up and leaves the socket open; the server would keep a session for it for a minute.
    client.end().catch(() => {})
    throw error
  }
  return new Client(client)
}

/** Connect, run `work`, and close whatever happened. */
export async function withClient<T>(
  url: string,
  work: (client: Client) => Promise<T>,
  settings: ConnectSettings = {},
): Promise<T> {
  const client = await connect(url, settings)
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

function rowsOf<R>(result: pg.QueryResult | pg.QueryResult[]): R[] {
  const last = Array.isArray(result) ? result.at(-1) : result
  return (last?.rows ?? []) as R[]
}
