/**
 * Writing followed changes at the other end, as the mover: a transaction there holds one or more whole ones of those
 * that are followed, and with them how far that is. So each is applied once, whoever is killed when.
 *
 *     begin; change, change, …   ──▶   all met their row?   ──▶   progress; commit
 *
 * Many statements go in one write, and the next do not wait for the answers of the last. Only before the commit all
 * answers are looked at: a row that was not met is found by the count in them, which is not an error to Postgres.
 *
 * Without triggers and foreign keys (session_replication_role): what triggers did is among the changes, and keys hold
 * because they held where the changes come from, where a transaction may also break and mend them.
 */

import { fail, isGatewayError } from '../../base/errors.ts'
import { deadlineIn } from '../../base/time.ts'
import { type Result, resultsBefore } from '../../db/batch.ts'
import { Connection, isRefusal, sqlState } from '../../db/connection.ts'
import { lsnOf, lsnText } from '../../db/replication.ts'
import { compile, type Statement, sql } from '../../db/sql.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import { asMover, moverUrlOf } from '../copy/target.ts'
import { reasonOf } from '../reach.ts'
import type { Applied } from './apply-changes.ts'
import { type Direction, homeUrl } from './names.ts'

/** Statements, and characters of their values, that are sent together. */
const TOGETHER = 250
const TOGETHER_CHARS = 262_144

/** Writes that wait for their answers. */
const IN_FLIGHT = 4

/** Milliseconds that a server gets for what was sent together; one row may have hundreds of megabytes. */
const ANSWER_MS = 120_000

/** Milliseconds in which a session that applied the same before, and lost its client, has to be gone. */
const GONE_MS = 15_000

export interface ApplierOptions {
  readonly move: string
  readonly direction: Direction
}

export class Applier {
  readonly #connection: Connection
  readonly #options: ApplierOptions
  readonly #what: string
  /** Null: nothing was ever applied, and there is no row that says so. */
  #progress: bigint | null
  #waiting: Applied[] = []
  #chars = 0
  #isOpen = false
  readonly #inFlight: Promise<void>[] = []
  /** Changes since the last commit. */
  size = 0

  private constructor(
    connection: Connection,
    options: ApplierOptions,
    what: string,
    progress: bigint | null,
  ) {
    this.#connection = connection
    this.#options = options
    this.#what = what
    this.#progress = progress
  }

  /**
   * @throws SHARD_UNAVAILABLE  its server cannot be reached
   * @throws TENANT_BUSY        another session applies the same
   * @throws SETUP_FAILED       the mover may not write quietly
   */
  static async open(to: Whereabouts, options: ApplierOptions): Promise<Applier> {
    const { shard } = to
    const connection = await Connection.open({
      url: homeUrl(moverUrlOf(shard), to),
      connectMs: 5_000,
      applicationName: shard.session?.name ?? 'shardgate control',
    }).catch((cause: unknown) =>
      fail('SHARD_UNAVAILABLE', `${shard.key} cannot be reached: ${reasonOf(cause)}.`, {}, { cause }),
    )
    try {
      // The rule of sessions asks on one of its own: by then this one can be seen, and be ended.
      await asMover(to)(async () => {})
      const send = (statements: readonly Statement[]) => connection.batch(statements, deadlineIn(ANSWER_MS))
      await send(SETTINGS).catch((error: unknown) => mayNot(shard.key, error))
      await send([alone(options)]).catch((error: unknown) => busy(options, error))
      const [, found] = await send([ready, readProgress(options)])
      const lsn = found?.rows[0]?.[0]
      return new Applier(connection, options, shard.key, typeof lsn === 'string' ? lsnOf(lsn) : null)
    } catch (error) {
      connection.destroy('it could not be made ready')
      throw error
    }
  }

  /** End of the last transaction that is applied; null where nothing was begun. */
  get progress(): bigint | null {
    return this.#progress
  }

  onLost(listener: (reason: string) => void): void {
    this.#connection.onLost(listener)
  }

  close(): void {
    this.#connection.destroy('nothing more is applied')
  }

  /** Say where it begins: everything up to `lsn` is there. */
  async begin(lsn: bigint): Promise<void> {
    await this.#send([firstProgress(this.#options, lsn)])
    this.#progress = lsn
  }

  add(applied: Applied): void {
    this.#waiting.push(applied)
    this.size += 1
    for (const value of applied.statement.values) this.#chars += typeof value === 'string' ? value.length : 4
  }

  /** Whether enough waits to be sent. */
  get isFull(): boolean {
    return this.#waiting.length >= TOGETHER || this.#chars >= TOGETHER_CHARS
  }

  /** Send what waits, without waiting for its answers unless too many are due. */
  async send(): Promise<void> {
    const applied = this.#waiting
    this.#waiting = []
    this.#chars = 0
    const sent = this.#apply(applied)
    // Its failure is thrown by whoever waits for it next.
    sent.catch(() => {})
    this.#inFlight.push(sent)
    if (this.#inFlight.length > IN_FLIGHT) await this.#inFlight.shift()
  }

  /** Keep all changes since the last commit, if each has met its row. @param end  of the last transaction among them */
  async commit(end: bigint): Promise<void> {
    this.add({ statement: nextProgress(this.#options, this.#progress, end), tag: 'UPDATE 1', what: PROGRESS })
    await this.send()
    for (let sent = this.#inFlight.shift(); sent; sent = this.#inFlight.shift()) await sent
    const [result] = await this.#send([COMMIT])
    if (result?.tag !== 'COMMIT')
      throw new Error(`A transaction was to be committed; Postgres says ${result?.tag}.`)
    this.#isOpen = false
    this.#progress = end
    this.size = 0
  }

  async #apply(applied: readonly Applied[]): Promise<void> {
    const statements = applied.map(({ statement }) => statement)
    const first = this.#isOpen ? [] : [BEGIN]
    this.#isOpen = true
    let results: Result[]
    try {
      results = await this.#send([...first, ...statements])
    } catch (error) {
      const met = resultsBefore(error as Error).length - first.length
      throw this.#refused(error, applied[Math.max(met, 0)]?.what ?? 'change')
    }
    applied.forEach((change, i) => {
      const tag = results[i + first.length]?.tag
      if (tag !== change.tag) differs(change, tag)
    })
  }

  async #send(statements: readonly Statement[]): Promise<Result[]> {
    try {
      return await this.#connection.batch(statements, deadlineIn(ANSWER_MS))
    } catch (error) {
      if (isRefusal(error)) throw error
      const sentence = `The session on ${this.#what} that applies changes was lost: ${reasonOf(error)}.`
      return fail('SHARD_UNAVAILABLE', sentence, {}, { cause: error })
    }
  }

  /** What Postgres says may hold values of rows, so only the kind of it is told. */
  #refused(cause: unknown, what: string): unknown {
    if (isGatewayError(cause)) return cause
    const state = sqlState(cause) ?? ''
    // Serialization, resources, an operator's intervention, trouble with files: it may go better the next time.
    const code = /^(40|53|55|57|58)/.test(state) ? 'SHARD_UNAVAILABLE' : 'REFUSED'
    const sentence = `The ${what} was refused on ${this.#what} (SQLSTATE ${state}).`
    return caught(() => fail(code, sentence, { state }, { cause, hint: DIFFERENT }))
  }
}

const PROGRESS = 'progress of the move'
const DIFFERENT =
  'The two ends of the move do not hold the same: cancel it, and look at what else writes there.'

function differs({ what, tag }: Applied, came: string | undefined): never {
  if (what === PROGRESS) {
    const sentence = 'Somebody else has applied changes of this move; nothing of ours was kept.'
    return fail('TENANT_BUSY', sentence, {}, { hint: 'See "shardgate move list".' })
  }
  const sentence = `The ${what} has not met its one row: wanted ${tag}, Postgres says ${came ?? 'nothing'}.`
  return fail('REFUSED', sentence, {}, { hint: DIFFERENT })
}

function caught(work: () => never): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}

function mayNot(key: string, cause: unknown): never {
  if (sqlState(cause) !== '42501') throw cause
  const sentence = `A superuser has to run this first on ${key}:\n  grant set on parameter session_replication_role to shardgate_mover;`
  return fail('SETUP_FAILED', sentence, { shard: key }, { cause })
}

function busy({ move }: ApplierOptions, cause: unknown): never {
  if (sqlState(cause) !== '55P03') throw cause
  return fail('TENANT_BUSY', `Another session applies the changes of move ${move}.`, {}, { cause })
}

const setting = (name: string, value: string): Statement =>
  compile(sql`select set_config(${sql.value(name)}, ${sql.value(value)}, false)`)

/** What values are read as, and what a move must not wait for; a commit that was told must survive a crash. */
const SETTINGS: readonly Statement[] = [
  setting('session_replication_role', 'replica'),
  setting('xmloption', 'content'),
  setting('lc_monetary', 'C'),
  setting('statement_timeout', '0'),
  setting('idle_in_transaction_session_timeout', '0'),
  setting('lock_timeout', String(GONE_MS)),
  compile(sql`
    select set_config('transaction_timeout', '0', false) where current_setting('transaction_timeout', true) is not null`),
  compile(sql`
    select set_config('synchronous_commit', 'local', false) where current_setting('synchronous_commit') = 'off'`),
]

/** Held for as long as the session: one that lost its client may still be about to commit. */
const alone = ({ move, direction }: ApplierOptions): Statement =>
  compile(sql`
    select pg_advisory_lock(hashtextextended(${sql.value(`shardgate follow ${move} ${direction}`)}::text, 5349))`)

const ready = setting('lock_timeout', '0')

const BEGIN = compile(sql`begin`)
const COMMIT = compile(sql`commit`)

const its = ({ move, direction }: ApplierOptions) =>
  sql`move = ${sql.value(move)}::bigint and direction = ${sql.value(direction)}`

const readProgress = (options: ApplierOptions): Statement =>
  compile(sql`select lsn from shardgate.move_progress where ${its(options)}`)

const firstProgress = ({ move, direction }: ApplierOptions, lsn: bigint): Statement =>
  compile(sql`
    insert into shardgate.move_progress (move, direction, lsn)
    values (${sql.value(move)}::bigint, ${sql.value(direction)}, ${sql.value(lsnText(lsn))}::pg_lsn)`)

const nextProgress = (options: ApplierOptions, known: bigint | null, end: bigint): Statement =>
  compile(sql`
    update shardgate.move_progress set lsn = ${sql.value(lsnText(end))}::pg_lsn
    where ${its(options)} and lsn = ${sql.value(lsnText(known ?? 0n))}::pg_lsn`)
