/**
 * One connection to Postgres, pipelined: batches are sent as they come and answered in order.
 *
 * It never hands out pg's client. On any doubt (a deadline passed without an answer, a lost socket, a
 * protocol error) the connection is destroyed and whatever was in flight fails: a connection of which
 * we do not know what it will say next must not be asked again. That also replaces cancel requests,
 * which hit a connection rather than a query: Postgres notices the closed socket within a second
 * (client_connection_check_interval) and stops the work.
 */

import pg from 'pg'
import type { Deadline } from '../base/time.ts'
import { Batch, type Result } from './batch.ts'
import { Outbox } from './outbox.ts'
import { PreparedNames } from './prepared-names.ts'
import { type ConnectionOptions, clientConfig } from './settings.ts'
import type { Statement } from './sql.ts'
import { type Meter, Stopwatch } from './stopwatch.ts'

/**
 * The connection is gone, and with it the answer. Unless the reason is 'unsent', nobody knows whether
 * the server has acted.
 */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'
  readonly reason: 'deadline' | 'queued' | 'lost' | 'unsent'

  constructor(reason: 'deadline' | 'queued' | 'lost' | 'unsent', message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** SQLSTATE of an error that Postgres sent, undefined for any other error. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined
}

/**
 * Whether Postgres refused a parameter while it read its text. Then the value is at fault, whatever SQLSTATE its type
 * has for that: tsquery calls it a syntax error, regclass a missing table.
 */
export function isBadParameter(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^[^"]*\$\d+( = |$)/.test(error.where ?? '')
}

/**
 * Whether a prepared statement is gone or gives other columns than before: the tables have changed. Or is there where it
 * was thought to be gone, which each later batch would meet again.
 */
export function isStalePlan(error: unknown): boolean {
  return ['0A000', '26000', '42P05'].includes(sqlState(error) ?? '')
}

/** Sent just before the server hangs up: after pg_terminate_backend, or when its disk is full. */
export function isFatal(error: unknown): boolean {
  return error instanceof pg.DatabaseError && ['FATAL', 'PANIC'].includes(error.severity ?? '')
}

// The session goes on after it.
export function isRefusal(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && !isFatal(error)
}

/** Which rule of the tables a statement broke, as far as Postgres says it. */
export interface Violation {
  readonly state: string
  readonly constraint: string | undefined
  readonly column: string | undefined
}

/** The integrity rule (SQLSTATE class 23) that `error` reports, undefined for any other error. */
export function violation(error: unknown): Violation | undefined {
  if (!(error instanceof pg.DatabaseError) || !error.code?.startsWith('23')) return undefined
  return { state: error.code, constraint: error.constraint, column: error.column }
}

/**
 * The SQLSTATE with which a trigger or a function of the tables has raised an exception of its own; undefined for
 * what Postgres says itself. `raise` gives P0001, or whatever its author chose: the classes that Postgres and the fence
 * have are left out.
 */
export function raisedState(error: unknown): string | undefined {
  const state = sqlState(error)
  return state && /^(P0001|(?!72|F0|HV|P0|XX|SG)[6-9A-Z])/.test(state) ? state : undefined
}

/** Milliseconds that the server gets after its own statement timeout before we give up on it. */
const GRACE_MS = 250

/**
 * Node keeps a list of timers for each number of milliseconds that somebody asks for; every deadline has one of its
 * own, and a list made for each batch costs more than its timer.
 */
const STEP_MS = 50
const inSteps = (ms: number): number => Math.ceil(ms / STEP_MS) * STEP_MS

/** Milliseconds after which a batch in flight is no short read: a hundred times a point query. */
const STALLED_MS = 200

/** A batch whose end Postgres has not told yet. */
interface Unready {
  /** Whose Parse is not confirmed yet. */
  readonly parsing: string[]
  readonly sentAt: number
  readonly meter: Meter | undefined
}

export class Connection {
  /** Whether it shall be replaced; for its pool. */
  isAged = false
  #retired = false
  readonly #client: pg.Client
  readonly #outbox: Outbox
  readonly #prepared = new PreparedNames()
  /** Oldest first. */
  readonly #unready: Unready[] = []
  readonly #stopwatch = new Stopwatch()
  /** When each batch in flight was sent, oldest first. */
  readonly #sentAt: number[] = []
  /** Ends the batch that Postgres has refused, once it says that it is ready again. */
  #refused: (() => void) | undefined
  #lost: Error | undefined
  readonly #onLost: ((reason: string) => void)[] = []

  private constructor(client: pg.Client) {
    this.#client = client
    this.#outbox = new Outbox(() => client.connection.stream)
  }

  /** @throws the driver's error when the server cannot be reached or refuses the log-in */
  static async open(options: ConnectionOptions): Promise<Connection> {
    const client = new pg.Client({ ...clientConfig(options), pipeline: true } as pg.ClientConfig)
    const connection = new Connection(client)
    // Without a listener a killed backend is an uncaught 'error' event, and the process dies.
    client.on('error', (error) => connection.#fail(error))
    client.on('end', () => connection.#fail(new Error('Postgres closed the connection')))
    client.connection.on('parseComplete', () => connection.#parsed())
    client.connection.on('readyForQuery', () => connection.#ready())
    try {
      await client.connect()
    } catch (error) {
      // A driver that has no password to give leaves the socket open, and the server a session for a minute.
      client.connection.stream.destroy()
      throw error
    }
    return connection
  }

  /** Batches that were sent and not answered yet. */
  get inFlight(): number {
    return this.#sentAt.length
  }

  /** Whether a batch would leave in one write with others. */
  get isLoading(): boolean {
    return this.#outbox.isWaiting
  }

  /** Whether the oldest batch in flight takes so long that others should not queue behind it. */
  get stalled(): boolean {
    const [oldest] = this.#sentAt
    return oldest !== undefined && performance.now() - oldest > STALLED_MS
  }

  /** Milliseconds since the session was last done with a batch. */
  get quietMs(): number {
    return this.#stopwatch.quietMs
  }

  get usable(): boolean {
    return this.#lost === undefined
  }

  /** Whether the server says that no transaction is open here. */
  get idle(): boolean {
    return this.inFlight === 0 && this.#client.getTransactionStatus() === 'I'
  }

  /** Calls `listener` once the connection is lost; at once when it is already. */
  onLost(listener: (reason: string) => void): void {
    if (this.#lost) listener(this.#lost.message)
    else this.#onLost.push(listener)
  }

  /**
   * Send the statements in one implicit transaction and wait for all their answers.
   *
   * @param meter  told of what it has taken, whatever becomes of it
   * @throws ConnectionLost    no answer by the deadline, or the connection went away
   * @throws pg.DatabaseError  Postgres refused one of them; none has had an effect
   */
  async batch(asked: readonly Statement[], deadline: Deadline, meter?: Meter): Promise<Result[]> {
    if (this.#lost) throw new ConnectionLost('unsent', 'The connection is closed.', { cause: this.#lost })
    const plan = this.#prepared.plan(asked)
    const sentAt = performance.now()
    this.#unready.push({ parsing: plan.toParse.map(({ name }) => name ?? ''), sentAt, meter })
    this.#sentAt.push(sentAt)
    if (meter) meter.sentAt ??= sentAt
    try {
      return await this.#send(plan, deadline)
    } catch (error) {
      if (isStalePlan(error)) this.destroy('a prepared statement no longer fits the tables')
      else if (isFatal(error)) this.destroy('Postgres ended the session')
      else if (!this.usable && !(error instanceof ConnectionLost)) throw this.#lostWith(error)
      throw error
    } finally {
      this.#sentAt.shift()
    }
  }

  #lostWith(cause: unknown): ConnectionLost {
    return new ConnectionLost('lost', this.#lost?.message ?? 'The connection was lost.', { cause })
  }

  /** Close at once; what is in flight fails. */
  destroy(reason: string): void {
    this.#fail(new Error(reason))
  }

  /** As `destroy`, of one that nobody is at work on: it was well, and is not wanted any more. */
  retire(reason: string): void {
    this.#retired = true
    this.destroy(reason)
  }

  get isRetired(): boolean {
    return this.#retired
  }

  // Of a statement without a name it comes too, after those with one.
  #parsed(): void {
    this.#unready[0]?.parsing.shift()
  }

  /**
   * The oldest batch has ended. What of it was not confirmed was not prepared, and has to be sent again next
   * time. What was confirmed stays, also when a later statement failed: a second Parse of a name is an error.
   *
   * At once, and not when its caller goes on: the confirmations of the next batch may be in the same packet.
   */
  #ready(): void {
    const ended = this.#unready.shift()
    if (ended) this.#stopwatch.answered(ended.sentAt, ended.meter)
    for (const name of ended?.parsing ?? []) this.#prepared.forget(name)
    this.#refused?.()
    this.#refused = undefined
  }

  #send(plan: ConstructorParameters<typeof Batch>[0], deadline: Deadline): Promise<Result[]> {
    // What waited behind another batch says nothing about the server: the one in front may have been slow.
    const behind = this.inFlight > 1
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => {
          reject(new ConnectionLost(behind ? 'queued' : 'deadline', 'Postgres did not answer in time.'))
          this.#fail(new Error('Postgres did not answer in time'))
        },
        inSteps(deadline.remainingMs() + GRACE_MS),
      )
      const settle = (error: Error | null, results: Result[]): void => {
        clearTimeout(timer)
        if (error) reject(error)
        else resolve(results)
      }
      // Postgres sends a refusal at once, and what has become of the transaction later: until then the last
      // state that it told is that of the batch before, and a failed transaction would pass for none.
      const batch = new Batch(plan, this.#outbox, (error, results) => {
        if (isRefusal(error)) this.#refused = () => settle(error, results)
        else settle(error, results)
      })
      this.#client.query(batch as unknown as pg.Submittable)
    })
  }

  #fail(error: Error): void {
    if (this.#lost) return
    this.#lost = error
    const [oldest] = this.#unready
    if (oldest) this.#stopwatch.lost(oldest.sentAt, oldest.meter)
    this.#refused?.()
    this.#client.connection.stream.destroy()
    for (const listener of this.#onLost) listener(error.message)
  }
}
