/**
 * Trials of connections that have not answered for a while: a firewall between here and the server may have forgotten
 * them without a word, and a statement would wait for its whole deadline to find out.
 */

import { deadlineIn } from '../base/time.ts'
import type { Connection } from './connection.ts'
import { prepared } from './sql.ts'

const PING = prepared('select 1')
/** Milliseconds for the answer; a connection that needs more is worth less than a new one. */
const PING_MS = 500

export class Trials {
  readonly #afterMs: () => number | undefined
  readonly #running = new Map<Connection, Promise<void>>()

  constructor(afterMs: () => number | undefined) {
    this.#afterMs = afterMs
  }

  /** Whether it should be tried before it is used, or is just being tried. */
  isDoubtful(connection: Connection): boolean {
    if (this.#running.size > 0 && this.#running.has(connection)) return true
    return connection.inFlight === 0 && connection.quietMs > (this.#afterMs() ?? Number.POSITIVE_INFINITY)
  }

  /** Resolves when it is known; a connection that has not answered is not usable then. Everybody waits for the same trial. */
  of(connection: Connection): Promise<void> {
    const running = this.#running.get(connection)
    if (running) return running
    const fresh = connection
      .batch([PING], deadlineIn(PING_MS))
      .then(
        () => {},
        () => connection.destroy('it did not answer after a rest'),
      )
      .finally(() => this.#running.delete(connection))
    this.#running.set(connection, fresh)
    return fresh
  }
}
