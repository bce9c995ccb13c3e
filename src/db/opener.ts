/** How a pool opens connections: within its room, checked before anybody uses them, and replaced when they are old. */

import { Connection, ConnectionLost } from './connection.ts'
import type { ConnectionOptions } from './settings.ts'

export interface OpenerOptions extends ConnectionOptions {
  /** Of a pool that shares its room with others: asked before each new connection. Throws when there is none. */
  readonly room?: Room
  /** Runs on each new connection before anybody uses it; a rejection closes it. */
  readonly onConnect: (connection: Connection) => Promise<void>
  /** Told of each connection that ended otherwise than by `end()` or by being retired. */
  readonly onDestroyed: (reason: string) => void
  /** Milliseconds after which a connection is old, give or take a tenth. */
  readonly maxAgeMs?: number
}

export interface Room {
  take(): void
  giveBack(): void
}

/** What the ages of two connections that were opened together differ by, of their age: not all are replaced at once. */
const JITTER = 0.1

export class Opener {
  readonly #options: () => OpenerOptions
  #ended = false

  constructor(options: () => OpenerOptions) {
    this.#options = options
  }

  /** @param onAged  told when it is old; its `isAged` says so from then on */
  async open(onAged: (connection: Connection) => void): Promise<Connection> {
    if (this.#ended) throw new ConnectionLost('unsent', 'The pool has ended.')
    const { room, onConnect, ...options } = this.#options()
    room?.take()
    const connection = await Connection.open(options).catch((error: unknown) => {
      room?.giveBack()
      throw error
    })
    if (room) connection.onLost(() => room.giveBack())
    try {
      await onConnect(connection)
    } catch (error) {
      connection.destroy('refused after connecting')
      throw error
    }
    if (this.#ended) connection.destroy('the pool has ended')
    this.#age(connection, onAged)
    connection.onLost((reason) => {
      if (!this.#ended && !connection.isRetired) this.#options().onDestroyed(reason)
    })
    return connection
  }

  end(): void {
    this.#ended = true
  }

  #age(connection: Connection, onAged: (connection: Connection) => void): void {
    const { maxAgeMs = 0 } = this.#options()
    if (!(maxAgeMs > 0)) return
    const ms = maxAgeMs * (1 - JITTER + 2 * JITTER * Math.random())
    const timer = setTimeout(() => {
      connection.isAged = true
      onAged(connection)
    }, ms).unref()
    connection.onLost(() => clearTimeout(timer))
  }
}
