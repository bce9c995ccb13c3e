/**
 * One shard as the gateway sees it: its connections, its breaker, and the proof that it is the shard it
 * is taken for.
 *
 * Each new connection is checked before use: the shard's own id against the directory's (connection
 * strings that were swapped would write to the wrong server), and the role's rights (a role that owns
 * tables or may pass over row-level security would see every tenant). A shard that fails the check is
 * not served; the others never notice.
 */

import { BrokenCircuitError, CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel'
import type { ShardConfig } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import { type Deadline, deadlineIn } from '../base/time.ts'
import { type Connection, sqlState } from '../db/connection.ts'
import { Pool, type PoolStats } from '../db/pool.ts'
import type { Statement } from '../db/sql.ts'
import { TenantDatabases } from './databases.ts'
import { DatabaseAway, tripsBreaker } from './failures.ts'
import { Lanes, poolSizesOf } from './lanes.ts'
import { IDENTITY, reasonAgainst, strangerReason } from './proof.ts'
import { NONE_REFUSED, type RefusedTables, refusedTables } from './refused-tables.ts'

/** Failures in a row after which the breaker opens. */
const FAILURES_MAX = 3
/** Milliseconds between two tries of an open breaker. Half a second keeps recovery under three. */
const RETRY_MS = 500
/** Callers that may wait for a connection to be opened: in front of them are the lines of the lanes. */
const WAITING_MAX = 1_000

export interface ShardOptions {
  readonly key: string
  readonly config: ShardConfig
  /** The shard's id as the directory has it. */
  readonly id: string
  readonly emit: Emit
}

/** A tenant's own database on the shard, and how long its caller may wait for a connection. */
export interface OwnDatabase {
  readonly name: string
  readonly deadline: Deadline
}

/** Not surveyed yet, serving, or found unsafe since. */
export type ShardState = 'unseen' | 'admitted' | 'refused'

export class Shard {
  readonly key: string
  /** As the directory has it. */
  readonly id: string
  /** Where to stand in line before `use`. */
  readonly lanes: Lanes
  readonly #pool: Pool
  /** Of the slow lane. */
  readonly #slow: Pool
  readonly #databases: TenantDatabases
  readonly #breaker: ReturnType<typeof circuitBreaker>
  readonly #emit: Emit
  #config: ShardConfig
  #state: ShardState = 'unseen'
  /** Something has failed since the breaker was last told of a success. */
  #hasFailed = false
  /** Until the next trial of an open breaker. */
  #trial: NodeJS.Timeout | undefined
  #ended = false
  #refusedTables: RefusedTables = NONE_REFUSED

  constructor({ key, config, id, emit }: ShardOptions) {
    this.key = key
    this.id = id
    this.#emit = emit
    this.#config = config
    const onDestroyed = (reason: string): void => emit({ kind: 'connection.destroyed', shard: key, reason })
    this.lanes = new Lanes(config)
    const options = {
      url: config.url,
      applicationName: 'shardgate',
      waiting: WAITING_MAX,
      onConnect: (connection: Connection) => this.#check(connection),
      onDestroyed,
    }
    const sizes = poolSizesOf(config)
    this.#pool = new Pool({ ...options, ...sizes.main })
    this.#slow = new Pool({ ...options, ...sizes.slow })
    this.#databases = new TenantDatabases({
      config,
      onConnect: (connection, name) => this.#checkDatabase(connection, name),
      onDestroyed,
    })
    this.#breaker = circuitBreaker(handleWhen(tripsBreaker), {
      // Somewhat less than between two trials: one that came too early would be none.
      halfOpenAfter: RETRY_MS / 2,
      breaker: new ConsecutiveBreaker(FAILURES_MAX),
    })
    this.#breaker.onBreak((broken) => {
      emit({ kind: 'shard.down', shard: key, reason: reasonOf(broken) })
      this.#tryLater()
    })
    this.#breaker.onReset(() => emit({ kind: 'shard.up', shard: key }))
  }

  /** Of its own database and of those of its tenants together. */
  get stats(): PoolStats {
    const sum = { shared: 0, exclusiveInUse: 0, exclusiveIdle: 0, waiting: this.lanes.waiting }
    for (const { stats } of [this.#pool, this.#slow, this.#databases]) {
      sum.shared += stats.shared
      sum.exclusiveInUse += stats.exclusiveInUse
      sum.exclusiveIdle += stats.exclusiveIdle
      sum.waiting += stats.waiting
    }
    return sum
  }

  /** False while requests are refused without a try: not admitted yet, or the breaker is open. */
  get available(): boolean {
    return this.#state === 'admitted' && this.#breaker.state === CircuitState.Closed
  }

  get url(): string {
    return this.#config.url
  }

  get connectMs(): number {
    return this.#config.connectMs
  }

  /** Let requests in: the shard's tables have been seen and are safe (admission.ts). */
  admit(): void {
    this.#state = 'admitted'
    this.#emit({ kind: 'shard.up', shard: this.key })
  }

  /** Let no more requests in: what kept its tenants apart is gone. */
  refuse(): void {
    this.#state = 'refused'
  }

  get state(): ShardState {
    return this.#state
  }

  /** 'schema.name' of tables and views that are refused while the rest of the shard is served. */
  get refusedTables(): readonly string[] {
    return this.#refusedTables.ids
  }

  /** Refuse these tables and views, and no others. */
  refuseTables(ids: Iterable<string>): void {
    this.#refusedTables = refusedTables(ids)
  }

  /** @throws TABLE_UNSAFE  a statement names a table that is refused */
  requireSafe(statements: readonly Statement[]): void {
    for (const { text } of statements) {
      const table = this.#refusedTables.namedIn(text)
      if (table === undefined) continue
      fail(
        'TABLE_UNSAFE',
        `The table ${table} is not served now: its protection is gone. Run "shardgate doctor".`,
      )
    }
  }

  /** Take over numbers that may change at run time. The URL may not: it needs a restart. */
  reconfigure(config: ShardConfig): void {
    this.#config = config
    this.lanes.resize(config)
    const { main, slow } = poolSizesOf(config)
    this.#pool.resize(main)
    this.#slow.resize(slow)
    this.#databases.reconfigure(config)
  }

  /**
   * Run `work` on the pool, counted by the breaker.
   *
   * @param database  the tenant's own one, to run it there
   * @param isSlow    whether it is for the slow lane
   * @throws SHARD_UNAVAILABLE  the shard has not been admitted; BrokenCircuitError while the breaker is open
   * @throws                    what `TenantDatabases.use` throws
   */
  async use<T>(work: (pool: Pool) => Promise<T>, database?: OwnDatabase, isSlow = false): Promise<T> {
    if (this.#state !== 'admitted') fail('SHARD_UNAVAILABLE', 'The shard of the tenant is not served now.')
    // Whoever waited for the end of a trial would wait for a connect timeout where nothing answers.
    if (this.#breaker.state !== CircuitState.Closed) throw new BrokenCircuitError()
    try {
      const done = await this.#run(work, database, isSlow)
      if (this.#hasFailed) this.#tellBreaker(() => {})
      this.#hasFailed = false
      return done
    } catch (error) {
      this.#hasFailed = true
      this.#tellBreaker(() => {
        throw error
      })
      throw error
    }
  }

  #run<T>(work: (pool: Pool) => Promise<T>, database: OwnDatabase | undefined, isSlow: boolean): Promise<T> {
    if (database) return this.#databases.use(database.name, database.deadline, work)
    return work(isSlow ? this.#slow : this.#pool)
  }

  /** The way back does not depend on who asks: a shard that is well again is found before its next request comes. */
  #tryLater(): void {
    if (this.#ended) return
    clearTimeout(this.#trial)
    this.#trial = setTimeout(() => void this.#try(), RETRY_MS).unref()
  }

  async #try(): Promise<void> {
    const ask = () => this.#pool.batch([IDENTITY], deadlineIn(this.#config.connectMs))
    await this.#breaker.execute(ask).catch(() => {})
    if (this.#breaker.state !== CircuitState.Closed) this.#tryLater()
  }

  /**
   * It counts failures in a row: as long as there are none, what succeeds need not be told. (Run inside of it, each
   * batch would cost three promises more.) Once it is open, only its own trial closes it.
   */
  #tellBreaker(outcome: () => void): void {
    if (this.#breaker.state === CircuitState.Closed) this.#breaker.execute(outcome).catch(() => {})
  }

  /** Close what is open, so that the address is looked up anew: the server behind it was demoted. */
  dropConnections(): void {
    this.#pool.drop('the server only reads')
    this.#slow.drop('the server only reads')
    this.#databases.drop('the server only reads')
  }

  /** Close the connections to a tenant's own database that it has left, unless somebody is at work there. */
  closeDatabase(name: string): void {
    this.#databases.closeUnused(name)
  }

  end(): void {
    this.#ended = true
    clearTimeout(this.#trial)
    this.#pool.end()
    this.#slow.end()
    this.#databases.end()
  }

  /** Why a database that carries the identity `id` is not this shard. */
  strangerReason(id: string | null | undefined): string {
    return strangerReason(id, this.id)
  }

  async #check(connection: Connection): Promise<void> {
    const reason = await reasonAgainst(connection, this.id, this.#config.connectMs)
    if (reason === undefined) return
    this.#emit({ kind: 'shard.refused', shard: this.key, reason })
    fail(
      'SHARD_UNAVAILABLE',
      'The shard of the tenant is not served: its connection is not what it should be.',
    )
  }

  async #checkDatabase(connection: Connection, database: string): Promise<void> {
    const reason = await reasonAgainst(connection, this.id, this.#config.connectMs).catch(
      (error: unknown) => {
        if (['42P01', '42501', '3F000'].includes(sqlState(error) ?? ''))
          return 'it was not set up as one of a tenant'
        throw error
      },
    )
    if (reason === undefined) return
    this.#emit({ kind: 'database.refused', shard: this.key, database, reason })
    throw new DatabaseAway(reason)
  }
}

function reasonOf(broken: unknown): string {
  const error = (broken as { error?: unknown }).error
  return error instanceof Error ? error.message : 'isolated'
}
