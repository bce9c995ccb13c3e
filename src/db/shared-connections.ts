/**
 * Pipelined connections that short batches share: up to a depth in flight on each, one more for each that a slow batch
 * holds up.
 */

import type { Deadline } from '../base/time.ts'
import { type Result, resultsBefore } from './batch.ts'
import { type Connection, isRefusal } from './connection.ts'
import { leastLoaded } from './least-loaded.ts'
import type { Opener } from './opener.ts'
import type { Statement } from './sql.ts'
import type { Meter } from './stopwatch.ts'
import type { Trials } from './trials.ts'
import type { WaitingLine } from './waiting-line.ts'

/**
 * Looks at the answers of a batch, or at those before the one that was refused: a refusal may be another's as well. When
 * it throws, the connection is destroyed, because it can no longer be trusted to answer the right question.
 */
export type Check = (results: readonly Result[], connection: Connection, refusal?: Error) => void

export interface Asked {
  readonly statements: readonly Statement[]
  readonly deadline: Deadline
  readonly check: Check
  readonly meter: Meter | undefined
  readonly endsWithClient: boolean
}

export interface SharedParts {
  readonly sizes: () => { readonly shared: number; readonly depth: number }
  readonly opener: Opener
  readonly trials: Trials
  /** Where to wait for room; it is woken when there may be some. */
  readonly line: WaitingLine
}

/** Milliseconds until the next try to replace an old connection, where no other could be opened. */
const REPLACE_AGAIN_MS = 10_000

export class SharedConnections {
  readonly #parts: SharedParts
  readonly #all: Connection[] = []
  #opening: Promise<Connection> | undefined

  constructor(parts: SharedParts) {
    this.#parts = parts
  }

  get length(): number {
    return this.#all.length
  }

  get all(): readonly Connection[] {
    return this.#all
  }

  /** Throws as `Pool.batch`. */
  batch(asked: Asked): Promise<Result[]> {
    const connection = this.#withRoom(true)
    if (connection && !this.#parts.trials.isDoubtful(connection)) return this.#send(connection, asked)
    return this.#batchLater(asked)
  }

  async #batchLater(asked: Asked): Promise<Result[]> {
    const { line, trials, sizes } = this.#parts
    let mayGrow = true
    for (;;) {
      const connection = this.#withRoom(mayGrow)
      // No await between finding room and taking it, or several callers would find the same room.
      if (connection && !trials.isDoubtful(connection)) return this.#send(connection, asked)
      if (connection) {
        await trials.of(connection)
        // It has just answered: whatever its trial took, there is no reason for another.
        if (connection.usable && connection.inFlight < sizes().depth) return this.#send(connection, asked)
      } else if (mayGrow && this.#canGrow()) mayGrow = await this.#grew()
      else await line.wait(asked.deadline)
    }
  }

  async #send(
    connection: Connection,
    { statements, deadline, check, meter, endsWithClient }: Asked,
  ): Promise<Result[]> {
    const stay = endsWithClient
      ? deadline.whenGone?.(() => connection.retire('its client has hung up'))
      : undefined
    try {
      const results = await connection.batch(statements, deadline, meter)
      distrustIfThrows(connection, () => check(results, connection))
      return results
    } catch (error) {
      if (isRefusal(error)) distrustIfThrows(connection, () => check(resultsBefore(error), connection, error))
      throw error
    } finally {
      stay?.()
      if (connection.inFlight === 0) this.#closeSuperfluous(connection)
      this.#parts.line.wake()
    }
  }

  /** One that is not among the others any more, or is one too many. */
  #closeSuperfluous(connection: Connection): void {
    const isTooMany = this.#all.length > this.#parts.sizes().shared && this.#all.length > this.#max()
    if (isTooMany) connection.destroy('the pool shrinks')
    else if (connection.isAged && !this.#all.includes(connection)) connection.retire('it is old')
  }

  // Answers come in order, so one slow batch holds up all behind it: a connection with one is passed
  // over while there is another.
  #withRoom(mayGrow: boolean): Connection | undefined {
    const { depth } = this.#parts.sizes()
    const quick = leastLoaded(this.#all, depth, ({ stalled }) => !stalled)
    if (!quick && mayGrow && this.#canGrow()) return undefined
    const least = quick ?? leastLoaded(this.#all, depth)
    if (!least || least.inFlight >= depth) return undefined
    if (least.inFlight > 1) this.#growInBackground()
    return least
  }

  /** One more for each that a slow batch holds up; they close when it is done. */
  #max(): number {
    const { shared } = this.#parts.sizes()
    let stalled = 0
    for (const connection of this.#all) if (connection.stalled) stalled++
    return shared + Math.min(stalled, shared)
  }

  #canGrow(): boolean {
    return this.#all.length < this.#max()
  }

  /** Whether there is one more; a failure is the caller's only when there is none at all to wait for. */
  async #grew(): Promise<boolean> {
    try {
      await this.#open()
      return true
    } catch (error) {
      if (this.#all.length === 0) throw error
      return false
    }
  }

  // The caller already has a connection, and a failure here will be met again by somebody who has none.
  #growInBackground(): void {
    if (this.#canGrow() && !this.#opening) this.#open().catch(() => {})
  }

  #open(): Promise<Connection> {
    const { opener, line } = this.#parts
    this.#opening ??= opener
      .open((aged) => this.#replace(aged))
      .then((connection) => {
        this.#all.push(connection)
        connection.onLost(() => this.#remove(connection))
        line.wake()
        return connection
      })
      .finally(() => {
        this.#opening = undefined
      })
    return this.#opening
  }

  /** Nobody waits for it: an old one is used until there is another. */
  #replace(aged: Connection): void {
    if (!aged.usable) return
    this.#open().then(
      () => {
        this.#remove(aged)
        if (aged.inFlight === 0) aged.retire('it is old')
      },
      () => setTimeout(() => this.#replace(aged), REPLACE_AGAIN_MS).unref(),
    )
  }

  #remove(connection: Connection): void {
    const index = this.#all.indexOf(connection)
    if (index >= 0) this.#all.splice(index, 1)
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
