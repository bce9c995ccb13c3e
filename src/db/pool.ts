/**
 * The connections to one database: a few pipelined ones that short batches share (shared-connections.ts), and others that
 * one caller holds for a transaction.
 *
 * Sharing is cheap because every batch is a transaction of its own; what takes several steps, may run
 * long or may be given up has a connection to itself. A connection goes back to the pool only when the
 * server says that no transaction is open on it; otherwise it is destroyed, because the next borrower
 * would work inside a stranger's transaction.
 */

import type { Deadline } from '../base/time.ts'
import type { Result } from './batch.ts'
import type { Connection } from './connection.ts'
import { Opener, type OpenerOptions } from './opener.ts'
import { type Check, SharedConnections } from './shared-connections.ts'
import type { Statement } from './sql.ts'
import type { Meter } from './stopwatch.ts'
import { Trials } from './trials.ts'
import { WaitingLine } from './waiting-line.ts'

export type { Check } from './shared-connections.ts'

export interface PoolSizes {
  /** Pipelined connections that batches share; up to twice as many while slow batches hold some up. */
  readonly shared: number
  /** Batches in flight on one shared connection, at most. */
  readonly depth: number
  /** Connections held by one caller each, at most. */
  readonly exclusive: number
  /** Of these, how many stay open when nobody holds them. Left out, all. */
  readonly kept?: number
  /** Milliseconds for which the others stay all the same: a burst is often followed by another. */
  readonly overflowIdleMs?: number
  /** Milliseconds for a new connection. */
  readonly connectMs: number
  /** Milliseconds after which a connection is replaced, give or take a tenth. Left out or 0, it stays. */
  readonly maxAgeMs?: number
  /** Milliseconds without an answer after which a connection is tried before it is used. Left out, it is not. */
  readonly pingAfterMs?: number
}

export interface PoolOptions extends PoolSizes, OpenerOptions {
  /** Callers that may wait for a connection; the next one is refused. */
  readonly waiting: number
}

export interface PoolStats {
  readonly shared: number
  readonly exclusiveInUse: number
  readonly exclusiveIdle: number
  readonly waiting: number
}

const OVERFLOW_IDLE_MS = 10_000

export class Pool {
  #options: PoolOptions
  readonly #opener: Opener
  readonly #trials = new Trials(() => this.#options.pingAfterMs)
  readonly #line: WaitingLine
  readonly #shared: SharedConnections
  readonly #idle: Connection[] = []
  #inUse = 0
  #trimming: NodeJS.Timeout | undefined
  #ended = false

  constructor(options: PoolOptions) {
    this.#options = options
    this.#line = new WaitingLine({
      max: options.waiting,
      sentence: 'All connections to the shard are busy.',
    })
    this.#opener = new Opener(() => this.#options)
    this.#shared = new SharedConnections({
      sizes: () => this.#options,
      opener: this.#opener,
      trials: this.#trials,
      line: this.#line,
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
  resize(sizes: PoolSizes): void {
    this.#options = { ...this.#options, ...sizes }
    this.trim(sizes.kept ?? sizes.exclusive)
    this.#line.wake()
  }

  /**
   * Run `statements` as one batch on a shared connection.
   *
   * @param meter           told of what it has taken
   * @param endsWithClient  whether its connection is closed, and with it the work, when the client hangs up; for pools of
   *                        depth 1, where it is nobody else's
   * @throws OVERLOADED  no connection had room by the deadline, or too many wait already
   * @throws             what `Connection.open` and `Connection.batch` throw
   */
  batch(
    statements: readonly Statement[],
    deadline: Deadline,
    check: Check = () => {},
    meter?: Meter,
    endsWithClient = false,
  ): Promise<Result[]> {
    return this.#shared.batch({ statements, deadline, check, meter, endsWithClient })
  }

  /**
   * Hold a connection while `work` runs. It is kept afterwards only if nothing is in flight on it and the
   * server reports no open transaction.
   *
   * @throws OVERLOADED  no connection was free by the deadline, or too many wait already
   */
  async exclusive<T>(deadline: Deadline, work: (connection: Connection) => Promise<T>): Promise<T> {
    while (this.#inUse >= this.#options.exclusive) await this.#line.wait(deadline)
    this.#inUse++
    try {
      return await this.#lend(await this.#taken(), work)
    } finally {
      this.#inUse--
      this.#trimLater()
      // Everybody who waits looks again: there are two kinds of room.
      this.#line.wake()
    }
  }

  /** Close all connections that nobody holds alone; the next caller opens new ones. */
  drop(reason: string): void {
    for (const connection of [...this.#shared.all, ...this.#idle]) connection.destroy(reason)
  }

  /** Of the connections that callers hold alone, keep no more than `kept` that nobody holds now. */
  trim(kept = 0): void {
    while (this.#idle.length > kept) this.#idle.pop()?.retire('the pool shrinks')
  }

  /** Close the pool for good; whoever waits fails. */
  end(): void {
    this.#ended = true
    clearTimeout(this.#trimming)
    this.#opener.end()
    this.drop('the pool ends')
    this.#line.wake()
  }

  async #taken(): Promise<Connection> {
    for (;;) {
      const connection = this.#idle.pop()
      if (!connection) return this.#open()
      if (this.#trials.isDoubtful(connection)) await this.#trials.of(connection)
      if (connection.usable) return connection
    }
  }

  async #open(): Promise<Connection> {
    const connection = await this.#opener.open((aged) => {
      if (remove(this.#idle, aged)) aged.retire('it is old')
    })
    connection.onLost(() => remove(this.#idle, connection))
    return connection
  }

  async #lend<T>(connection: Connection, work: (connection: Connection) => Promise<T>): Promise<T> {
    try {
      return await work(connection)
    } finally {
      if (!connection.idle || !connection.usable || this.#ended)
        connection.destroy('a transaction did not end cleanly')
      else if (connection.isAged) connection.retire('it is old')
      else this.#idle.push(connection)
    }
  }

  #trimLater(): void {
    const { exclusive, kept = exclusive, overflowIdleMs = OVERFLOW_IDLE_MS } = this.#options
    const isEnough = (): boolean => this.#idle.length + this.#inUse <= kept
    if (this.#trimming || this.#ended || isEnough()) return
    const trim = (): void => {
      this.#trimming = undefined
      if (!isEnough()) this.trim(Math.max(0, kept - this.#inUse))
      this.#trimLater()
    }
    this.#trimming = setTimeout(trim, overflowIdleMs).unref()
  }
}

function remove<T>(items: T[], item: T): boolean {
  const index = items.indexOf(item)
  if (index >= 0) items.splice(index, 1)
  return index >= 0
}
