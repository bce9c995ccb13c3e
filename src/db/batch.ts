/**
 * One protocol batch: several statements, one Sync, one round trip.
 *
 * Everything between two Syncs is one implicit transaction, so a setting made locally by the first
 * statement ends with the batch: there is no BEGIN and no COMMIT to pay. Against BEGIN, set_config,
 * query and COMMIT sent one after the other this has 3.5 times the throughput on a point query.
 *
 * The class passes for pg's Query because a pipelined pg client refuses any other. Describe is left out:
 * callers know the columns they asked for, and rows come back as arrays of Postgres text.
 */

import pg from 'pg'
import { serialize } from 'pg-protocol'
import { GatewayError } from '../base/errors.ts'
import type { Outbox } from './outbox.ts'
import { prepared, type Statement, wireText } from './sql.ts'

/** One row as Postgres wrote it: text or null by column position. */
export type Row = readonly (string | null)[]

export interface Result {
  readonly rows: Row[]
  /** The command tag: 'SELECT 2', 'UPDATE 1', 'COMMIT', or 'ROLLBACK' for a COMMIT that failed. */
  readonly tag: string
}

/**
 * As the first statement of a batch: all others see the tables as the next one finds them. Otherwise each sees what
 * has been committed when its turn comes.
 */
export const ONE_SNAPSHOT = prepared('set transaction isolation level repeatable read')

export interface BatchPlan {
  readonly statements: readonly Statement[]
  /** Those of `statements` that this connection has not prepared yet. */
  readonly toParse: readonly Statement[]
  /** Names of prepared statements that this connection shall forget. */
  readonly toClose: readonly string[]
}

/**
 * Bytes of the rows of one batch: a page of 100 rows with a text of 250 kB each has 25 MB. What comes after them is read
 * off the wire and dropped, so that other batches on the connection are not hurt.
 */
export const BATCH_BYTES_MAX = 67_108_864

const answeredBefore = new WeakMap<Error, readonly Result[]>()

/** What the statements of a batch have answered before the one that was refused with `error`. */
export function resultsBefore(error: Error): readonly Result[] {
  return answeredBefore.get(error) ?? []
}

type Settle = (error: Error | null, results: Result[]) => void

export class Batch {
  readonly #plan: BatchPlan
  readonly #outbox: Outbox
  readonly #results: Result[] = []
  #rows: Row[] = []
  #bytes = 0
  callback: (error: Error | null) => void

  constructor(plan: BatchPlan, outbox: Outbox, settle: Settle) {
    this.#plan = plan
    this.#outbox = outbox
    this.callback = (error) => settle(error, this.#results)
  }

  /** Not by the client's own methods, which write each message by itself. */
  submit(): null {
    this.#outbox.add(this.#messages())
    return null
  }

  // Every Parse goes before the first Bind: when the fence refuses the batch, Postgres skips the rest
  // up to the Sync, and a Parse skipped there would leave us believing in a statement that is not.
  #messages(): Uint8Array[] {
    const { toClose, toParse, statements } = this.#plan
    const messages = toClose.map((name) => serialize.close({ type: 'S', name }))
    const parse = ({ name = '', text }: Statement) => messages.push(serialize.parse({ name, text }))
    const run = (statement: Statement): void => {
      if (!statement.name) parse(statement)
      const values = statement.values.map(wireText)
      messages.push(serialize.bind({ statement: statement.name ?? '', values }), serialize.execute())
    }
    // Parse looks at the tables, and after that it is too late to say how the transaction sees them. Nothing refuses it.
    const isFirst = (statement: Statement): boolean => statement.text === ONE_SNAPSHOT.text
    for (const statement of toParse) if (isFirst(statement)) parse(statement)
    for (const statement of statements) if (isFirst(statement)) run(statement)
    for (const statement of toParse) if (!isFirst(statement)) parse(statement)
    for (const statement of statements) if (!isFirst(statement)) run(statement)
    messages.push(serialize.sync())
    return messages
  }

  handleRowDescription(): void {}

  handleDataRow({ fields, length }: { fields: Row; length: number }): void {
    this.#bytes += length
    if (this.#bytes <= BATCH_BYTES_MAX) this.#rows.push(fields)
  }

  handleCommandComplete(message: { text: string }): void {
    this.#results.push({ rows: this.#rows, tag: message.text })
    this.#rows = []
  }

  handleEmptyQuery(): void {
    this.handleCommandComplete({ text: '' })
  }

  handleError(error: Error): void {
    answeredBefore.set(error, this.#results)
    this.callback(error)
  }

  handleReadyForQuery(): void {
    this.callback(this.#bytes > BATCH_BYTES_MAX ? tooManyBytes() : null)
  }
}

// A Query by name alone: its constructor takes a configuration apart and makes a result that nobody reads.
Object.setPrototypeOf(Batch.prototype, pg.Query.prototype)

export function tooManyBytes(): GatewayError {
  const message = `The operation reads rows of more than ${BATCH_BYTES_MAX} bytes in all; ask for shorter lists.`
  return new GatewayError('QUERY_TOO_COMPLEX', message, { limit: 'bytesRead', allowed: BATCH_BYTES_MAX })
}
