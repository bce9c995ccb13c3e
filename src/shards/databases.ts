/**
 * Connections to databases that are a tenant's own, all of one shard together.
 *
 * There may be hundreds of such databases and room for a few dozen connections, so that a database has a small pool
 * that is made on use, gives way to others when nobody uses it, and is closed when it has been idle for a while. Whoever
 * finds no room waits as long as there is time. What is wrong with one database says nothing about its shard: it is
 * told apart here (`DatabaseAway`), and that database is not tried again for a moment.
 */

import type { ShardConfig } from '../base/config.ts'
import { type Clock, type Deadline, systemClock } from '../base/time.ts'
import { type Connection, ConnectionLost } from '../db/connection.ts'
import { databaseUrl } from '../db/database-url.ts'
import { Pool, type PoolSizes, type PoolStats } from '../db/pool.ts'
import { WaitingLine } from '../db/waiting-line.ts'
import { DatabaseAway, isDatabaseAway } from './failures.ts'

/** Pipelined connections to one database; the pool makes it two while a slow batch holds one up. */
const SHARED = 1
/** Connections to one database for mutations, at most. */
const EXCLUSIVE_MAX = 4
/** Callers that may wait for room. */
const WAITING_MAX = 1_000
/** Milliseconds for which a database that was not there is not asked for again. */
const AWAY_MS = 500

export interface DatabasesOptions {
  readonly config: ShardConfig
  /** Runs on each new connection. Throws `DatabaseAway` when the database is not what it should be. */
  readonly onConnect: (connection: Connection, database: string) => Promise<void>
  readonly onDestroyed: (reason: string) => void
  readonly clock?: Clock
}

interface Home {
  readonly pool: Pool
  /** Callers at work on it. */
  users: number
  usedAt: number
  away?: { readonly error: unknown; readonly since: number }
}

/** What a pool throws that may not open another connection. */
const NO_ROOM = new Error('no room for another connection')

export class TenantDatabases {
  readonly #options: DatabasesOptions
  readonly #clock: Clock
  #config: ShardConfig
  /** By name; the least recently used first. */
  readonly #homes = new Map<string, Home>()
  #connections = 0
  readonly #line = new WaitingLine({
    max: WAITING_MAX,
    sentence: 'All connections to databases of tenants are busy.',
  })
  #timer: NodeJS.Timeout | undefined
  #ended = false

  constructor(options: DatabasesOptions) {
    this.#options = options
    this.#config = options.config
    this.#clock = options.clock ?? systemClock
  }

  /** Of all databases together. */
  get stats(): PoolStats {
    const sum = { shared: 0, exclusiveInUse: 0, exclusiveIdle: 0, waiting: this.#line.length }
    for (const { pool } of this.#homes.values()) {
      const { shared, exclusiveInUse, exclusiveIdle, waiting } = pool.stats
      sum.shared += shared
      sum.exclusiveInUse += exclusiveInUse
      sum.exclusiveIdle += exclusiveIdle
      sum.waiting += waiting
    }
    return sum
  }

  /** Connections that are open or being opened. */
  get connections(): number {
    return this.#connections
  }

  /**
   * Run `work` on the pool of the database `name`. It is run again when it found no room, and has done nothing then.
   *
   * @throws DatabaseAway  the database is gone, or takes no connections
   * @throws OVERLOADED    there was no room for another connection by the deadline
   */
  async use<T>(name: string, deadline: Deadline, work: (pool: Pool) => Promise<T>): Promise<T> {
    for (;;) {
      const home = this.#homeOf(name)
      home.users++
      const done = await work(home.pool).then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      )
      home.users--
      home.usedAt = this.#clock.elapsed()
      // Who found no room has left none: to wake others would have them all wake each other for ever.
      const isRefused = 'error' in done && done.error === NO_ROOM
      if (!isRefused) this.#line.wake()
      if ('value' in done) return done.value
      if (!isRefused) throw this.#judged(home, done.error)
      await this.#line.wait(deadline)
    }
  }

  /** Close the pools that nobody has used for `databaseIdleMs`. Called by a timer. */
  closeIdle(): void {
    const before = this.#clock.elapsed() - this.#config.databaseIdleMs
    for (const [name, { users, usedAt }] of this.#homes) {
      if (users === 0 && usedAt <= before) this.#close(name)
    }
  }

  /** Close the pool of a database that nobody uses now. */
  closeUnused(name: string): void {
    if (this.#homes.get(name)?.users === 0) this.#close(name)
  }

  reconfigure(config: ShardConfig): void {
    this.#config = config
    for (const { pool } of this.#homes.values()) pool.resize(this.#sizes())
    this.#makeRoom()
    this.#restartTimer()
  }

  /** As `Pool.drop`. */
  drop(reason: string): void {
    for (const { pool } of this.#homes.values()) pool.drop(reason)
  }

  end(): void {
    this.#ended = true
    clearInterval(this.#timer)
    for (const name of [...this.#homes.keys()]) this.#close(name)
    this.#line.wake()
  }

  #homeOf(name: string): Home {
    const home = this.#homes.get(name) ?? this.#open(name)
    this.#homes.delete(name)
    this.#homes.set(name, home)
    const { away } = home
    if (away && this.#clock.elapsed() - away.since < AWAY_MS) throw away.error
    return home
  }

  #open(name: string): Home {
    if (this.#ended) throw new ConnectionLost('unsent', 'The pools have ended.')
    const { onConnect, onDestroyed } = this.#options
    const pool = new Pool({
      url: databaseUrl(this.#config.url, name),
      applicationName: 'shardgate',
      ...this.#sizes(),
      waiting: WAITING_MAX,
      room: { take: () => this.#take(), giveBack: () => this.#giveBack() },
      onConnect: (connection) => onConnect(connection, name),
      onDestroyed,
    })
    if (!this.#timer) this.#restartTimer()
    return { pool, users: 0, usedAt: this.#clock.elapsed() }
  }

  #sizes(): PoolSizes {
    const { connectMs, readDepth, writeConnections, maxAgeMinutes, pingAfterMs } = this.#config
    const exclusive = Math.min(EXCLUSIVE_MAX, writeConnections)
    const maxAgeMs = maxAgeMinutes * 60_000
    return { connectMs, shared: SHARED, depth: readDepth, exclusive, maxAgeMs, pingAfterMs }
  }

  #judged(home: Home, error: unknown): unknown {
    if (!isDatabaseAway(error)) return error
    const told = error instanceof DatabaseAway ? error : new DatabaseAway(error)
    home.away = { error: told, since: this.#clock.elapsed() }
    return told
  }

  #take(): void {
    if (!this.#makeRoom(1)) throw NO_ROOM
    this.#connections++
  }

  #giveBack(): void {
    this.#connections--
    this.#line.wake()
  }

  /** Whether there is room for `wanted` connections more, after closing what nobody uses: the longest idle first. */
  #makeRoom(wanted = 0): boolean {
    const isEnough = (): boolean => this.#connections + wanted <= this.#config.databaseConnections
    for (const [name, { users, pool }] of this.#homes) {
      if (isEnough()) return true
      if (users === 0 && isOpen(pool.stats)) this.#close(name)
    }
    for (const { pool } of this.#homes.values()) {
      if (isEnough()) return true
      pool.trim()
    }
    return isEnough()
  }

  #close(name: string): void {
    const home = this.#homes.get(name)
    this.#homes.delete(name)
    home?.pool.end()
  }

  #restartTimer(): void {
    clearInterval(this.#timer)
    this.#timer = setInterval(() => this.closeIdle(), this.#config.databaseIdleMs / 2).unref()
  }
}

const isOpen = ({ shared, exclusiveIdle }: PoolStats): boolean => shared + exclusiveIdle > 0
