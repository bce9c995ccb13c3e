/**
 * The connections to one database: a few pipelined ones that short batches share, and others that one
 * caller holds for a transaction.
 *
 * Sharing is cheap because every batch is a transaction of its own; what takes several steps, may run
 * long or may be given up has a connection to itself. A connection goes back to the pool only when the
 * server says that no transaction is open on it; otherwise it is destroyed, because the next borrower
 * would work inside a stranger's transaction.
 */

import type { Deadline } from '../base/time.ts'
import { type Result, resultsBefore } from './batch.ts'
import { Connection, ConnectionLost, isRefusal, type Meter } from './connection.ts'
import { leastLoaded } from './least-loaded.ts'
import type { ConnectionOptions } from './settings.ts'
import type { Statement } from './sql.ts'
import { WaitingLine } from './waiting-line.ts'

export interface PoolOptions extends ConnectionOptions {
  /** Pipelined connections that batches share; up to twice as many while slow batches hold some up. */
  readonly shared: number
  /** Batches in flight on one shared connection, at most. */
  readonly depth: number
  /** Connections held by one caller each, at most. */
  readonly exclusive: number
  /** Callers that may wait for a connection; the next one is refused. */
  readonly waiting: number
  /** Of a pool that shares its room with others: asked before each new connection. Throws when there is none. */
  readonly room?: Room
  /** Runs on each new connection before anybody uses it; a rejection closes it. */
  readonly onConnect: (connection: Connection) => Promise<void>
  /** Told of each connection that ended otherwise than by `end()`. */
  readonly onDestroyed: (reason: string) => void
}

export interface Room {
  take(): void
  giveBack(): void
}

/**
 * Looks at the answers of a batch, or at those before the one that was refused: a refusal may be another's as well. When
 * it throws, the connection is destroyed, because it can no longer be trusted to answer the right question.
 */
export type Check = (results: readonly Result[], connection: Connection, refusal?: Error) => void

interface Asked {
  readonly statements: readonly Statement[]
  readonly deadline: Deadline
  readonly check: Check
  readonly meter: Meter | undefined
}

export interface PoolStats {
  readonly shared: number
  readonly exclusiveInUse: number
  readonly exclusiveIdle: number
  readonly waiting: number
}

export class Pool {
  #options: PoolOptions
  readonly #shared: Connection[] = []
  #opening: Promise<Connection> | undefined
  readonly #idle: Connection[] = []
  #inUse = 0
  readonly #line: WaitingLine
  #ended = false

  constructor(options: PoolOptions) {
    this.#options = options
    this.#line = new WaitingLine({
      max: options.waiting,
      sentence: 'All connections to the shard are busy.',
    })
  }

  get stats(): PoolStats {
    return {
      shared: this.#shared.length,
      exclusiveInUse: this.#inUse,
      exclusiveIdle: this.#idle.length,
      waiting: this.#line.length,
    }
  }

  /** Change the numbers at run time; connections above them close when they fall idle. */
  resize(sizes: Pick<PoolOptions, 'shared' | 'depth' | 'exclusive' | 'connectMs'>): void {
    this.#options = { ...this.#options, ...sizes }
    this.trim(sizes.exclusive)
    this.#line.wake()
  }

  /**
   * Run `statements` as one batch on a shared connection.
   *
   * @param meter  told of what it has taken
   * @throws OVERLOADED  no connection had room by the deadline, or too many wait already
   * @throws             what `Connection.open` and `Connection.batch` throw
   */
  batch(
    statements: readonly Statement[],
    deadline: Deadline,
    check: Check = () => {},
    meter?: Meter,
  ): Promise<Result[]> {
    const asked = { statements, deadline, check, meter }
    const connection = this.#sharedWithRoom(true)
    return connection ? this.#send(connection, asked) : this.#batchLater(asked)
  }

  async #batchLater(asked: Asked): Promise<Result[]> {
    const { deadline } = asked
    let mayGrow = true
    for (;;) {
      const connection = this.#sharedWithRoom(mayGrow)
      // No await between finding room and taking it, or several callers would find the same room.
      if (connection) return this.#send(connection, asked)
      if (mayGrow && this.#canGrow()) mayGrow = await this.#grew()
      else await this.#line.wait(deadline)
    }
  }

  /**
   * Hold a connection while `work` runs. It is kept afterwards only if nothing is in flight on it and the
   * server reports no open transaction.
   *
   * @throws OVERLOADED  no connection was free by the deadline, or too many wait already
   */
  async exclusive<T>(deadline: Deadline, work: (connection: Connection) => Promise<T>): Promise<T> {
    // Everybody who waits looks again: there are two kinds of room.
    while (this.#inUse >= this.#options.exclusive) await this.#line.wait(deadline)
    this.#inUse++
    try {
      const connection = this.#takeIdle() ?? (await this.#open())
      return await this.#lend(connection, work)
    } finally {
      this.#inUse--
      this.#line.wake()
    }
  }

  /** Close all connections that nobody holds alone; the next caller opens new ones. */
  drop(reason: string): void {
    for (const connection of [...this.#shared, ...this.#idle]) connection.destroy(reason)
  }

  /** Of the connections that callers hold alone, keep no more than `kept` that nobody holds now. */
  trim(kept = 0): void {
    while (this.#idle.length > kept) this.#idle.pop()?.destroy('the pool shrinks')
  }

  /** Close the pool for good; whoever waits fails. */
  end(): void {
    this.#ended = true
    this.drop('the pool ends')
    this.#line.wake()
  }

  // Whether the work succeeded does not matter: only what the server says of the connection does.
  async #lend<T>(connection: Connection, work: (connection: Connection) => Promise<T>): Promise<T> {
    try {
      return await work(connection)
    } finally {
      if (connection.idle && connection.usable && !this.#ended) this.#idle.push(connection)
      else connection.destroy('a transaction did not end cleanly')
    }
  }

  #takeIdle(): Connection | undefined {
    for (;;) {
      const connection = this.#idle.pop()
      if (!connection || connection.usable) return connection
    }
  }

  async #send(
    connection: Connection,
    { statements, deadline, check, meter }: Asked,
  ): Promise<Result[]> {
    try {
      const results = await connection.batch(statements, deadline, meter)
      distrustIfThrows(connection, () => check(results, connection))
      return results
    } catch (error) {
      if (isRefusal(error)) distrustIfThrows(connection, () => check(resultsBefore(error), connection, error))
      throw error
    } finally {
      if (
        this.#shared.length > this.#options.shared &&
        this.#shared.length > this.#sharedMax() &&
        connection.inFlight === 0
      ) {
        connection.destroy('the pool shrinks')
      }
      this.#line.wake()
    }
  }

  // Answers come in order, so one slow batch holds up all behind it: a connection with one is passed
  // over while there is another.
  #sharedWithRoom(mayGrow: boolean): Connection | undefined {
    const quick = leastLoaded(this.#shared, this.#options.depth, ({ stalled }) => !stalled)
    if (!quick && mayGrow && this.#canGrow()) return undefined
    const least = quick ?? leastLoaded(this.#shared, this.#options.depth)
    if (!least || least.inFlight >= this.#options.depth) return undefined
    if (least.inFlight > 1) this.#growShared()
    return least
  }

  /** One more for each that a slow batch holds up; they close when it is done. */
  #sharedMax(): number {
    let stalled = 0
    for (const connection of this.#shared) if (connection.stalled) stalled++
    return this.#options.shared + Math.min(stalled, this.#options.shared)
  }

  #canGrow(): boolean {
    return this.#shared.length < this.#sharedMax()
  }

  /** Whether there is one more; a failure is the caller's only when there is none at all to wait for. */
  async #grew(): Promise<boolean> {
    try {
      await this.#openShared()
      return true
    } catch (error) {
      if (this.#shared.length === 0) throw error
      return false
    }
  }

  // In the background: the caller already has a connection, and a failure here will be met again by
  // somebody who has none.
  #growShared(): void {
    if (this.#canGrow() && !this.#opening) this.#openShared().catch(() => {})
  }

  #openShared(): Promise<Connection> {
    this.#opening ??= this.#open()
      .then((connection) => {
        this.#shared.push(connection)
        connection.onLost(() => remove(this.#shared, connection))
        this.#line.wake()
        return connection
      })
      .finally(() => {
        this.#opening = undefined
      })
    return this.#opening
  }

  async #open(): Promise<Connection> {
    if (this.#ended) throw new ConnectionLost('unsent', 'The pool has ended.')
    const { room } = this.#options
    room?.take()
    const connection = await Connection.open(this.#options).catch((error: unknown) => {
      room?.giveBack()
      throw error
    })
    if (room) connection.onLost(() => room.giveBack())
    try {
      await this.#options.onConnect(connection)
    } catch (error) {
      connection.destroy('refused after connecting')
      throw error
    }
    if (this.#ended) connection.destroy('the pool has ended')
    connection.onLost((reason) => {
      remove(this.#idle, connection)
      if (!this.#ended) this.#options.onDestroyed(reason)
    })
    return connection
  }
}

function distrustIfThrows(connection: Connection, check: () => void): void {
  try {
    check()
  } catch (error) {
    connection.destroy('it answered another question')
    throw error
  }
}

function remove<T>(items: T[], item: T): void {
  const index = items.indexOf(item)
  if (index >= 0) items.splice(index, 1)
}
