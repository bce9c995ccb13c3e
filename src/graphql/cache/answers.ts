/**
 * Answers that are kept: those of queries all of whose tables the configuration names (`cache.tables`).
 *
 *     key ─▶ this process ─▶ somebody who is reading it just now ─▶ Redis ─▶ the shard
 *
 * An answer is given again only while nothing that it hangs on has changed since the moment before it was read
 * (versions.ts, names.ts), and no longer than its time to live, counted from that moment. A write through this gateway
 * changes them before its answer leaves; one through another gateway as soon as Redis tells of it.
 */

import { LRUCache } from 'lru-cache'
import type { CacheConfig } from '../../base/config-cache.ts'
import type { Emit } from '../../base/events.ts'
import type { TenantId } from '../../base/ids.ts'
import { type Clock, type Deadline, systemClock } from '../../base/time.ts'
import type { Row } from '../../db/batch.ts'
import type { Redis } from '../../db/redis.ts'
import type { Statement } from '../../db/sql.ts'
import { ANYTHING, changedBy } from './names.ts'
import { type Answer, SharedAnswers } from './shared.ts'
import { Versions } from './versions.ts'

/** A question whose answer may be kept. */
export interface Question {
  readonly tenant: TenantId
  /** Equal for equal questions only: see keeping.ts. */
  readonly key: string
  readonly deadline: Deadline
}

/** What was read, and the names of what it hangs on (names.ts). */
export interface Fresh {
  readonly text: string
  names(): readonly string[]
}

/** An answer, and whether it was there already. */
export interface Given {
  readonly text: string
  readonly cache: 'hit' | 'miss'
}

export interface AnswerCacheParts {
  readonly config: () => CacheConfig
  readonly emit: Emit
  readonly redis?: Redis | undefined
  readonly clock?: Clock
}

interface Entry {
  readonly tenant: TenantId
  readonly key: string
  readonly text: string
  /** With their tenant. */
  readonly names: readonly string[]
  readonly tick: number
}

/** An answer that is being read. */
interface Flight {
  readonly tick: number
  /** Undefined where its reader has failed, which is not for others to answer for. */
  readonly text: Promise<string | undefined>
}

/** Changed with everything of a tenant: what is being read just now is as of then or older. */
const EACH = '+'
/** Readers of one answer who fail before somebody else reads for himself alone. */
const FLIGHTS_MAX = 2
/** Milliseconds after a deadline at which a write whose end nobody knows has surely ended: its session notices in one second. */
const DOUBT_MS = 5_000
/** Bytes of an entry beside its text and its names, and of one of these. */
const ENTRY_BYTES = 600
const NAME_BYTES = 100

export class AnswerCache {
  readonly #parts: AnswerCacheParts
  readonly #clock: Clock
  readonly #versions = new Versions()
  readonly #shared: SharedAnswers | undefined
  readonly #flights = new Map<string, Flight>()
  readonly #doubts = new Set<NodeJS.Timeout>()
  #config: CacheConfig | undefined
  #entries: LRUCache<string, Entry>
  #ttls: ReadonlyMap<string, number> = new Map()

  constructor(parts: AnswerCacheParts) {
    const { redis, emit, config, clock = systemClock } = parts
    this.#parts = parts
    this.#clock = clock
    this.#entries = entriesOf(config(), clock)
    this.#follow()
    this.#shared =
      redis &&
      new SharedAnswers({
        redis,
        emit,
        secret: () => config().secret ?? '',
        ttlMaxMs: () => Math.max(1, ...this.#tables.values()),
        onChange: (tenant, names) => this.#change(tenant, names),
        onGap: () => this.#versions.changeAll(),
      })
  }

  /** Whether any answers are kept. */
  get isOn(): boolean {
    return this.#tables.size > 0
  }

  /** What decides about answers beside the question; another object when it has changed. */
  get settings(): CacheConfig {
    return this.#parts.config()
  }

  /** Milliseconds for which an answer of these tables may be kept; 0 where it may not. */
  ttlMs(tables: Iterable<string>): number {
    let least = Number.POSITIVE_INFINITY
    for (const table of tables) least = Math.min(least, this.#tables.get(table) ?? 0)
    return Number.isFinite(least) ? least : 0
  }

  isKept(table: string): boolean {
    return this.#tables.has(table)
  }

  /** Names of what a statement has changed that answers may hang on. */
  namesOf(statement: Statement, rows: readonly Row[]): readonly string[] {
    const { changes } = statement
    return changes && !changes.reaches && !this.isKept(changes.table) ? [] : changedBy(statement, rows)
  }

  /** The answer, where this process has it. */
  find({ tenant, key }: Question): string | undefined {
    this.#follow()
    const entry = this.#entries.get(key)
    const text = entry && this.#open(entry, tenant, key)
    this.#parts.emit({ kind: 'cache.asked', layer: 'process', result: text === undefined ? 'miss' : 'hit' })
    return text
  }

  /**
   * The answer from wherever it is to be had first; `read` is the last resort. Call it where `find` has found nothing.
   *
   * @throws what `read` throws
   */
  async get(question: Question, ttlMs: number, read: () => Promise<Fresh>): Promise<Given> {
    const { tenant, key, deadline } = question
    for (let i = 0; i < FLIGHTS_MAX; i++) {
      const flight = this.#flights.get(key)
      // Whoever has just been told that a write has ended must not be given what was read before.
      const isCurrent = flight && this.#versions.areAsOf(namesIn(tenant, [EACH, ANYTHING]), flight.tick)
      if (!isCurrent) return this.#lead(question, ttlMs, read)
      const text = await within(flight.text, deadline)
      if (text === undefined) continue
      this.#parts.emit({ kind: 'cache.asked', layer: 'flight', result: 'hit' })
      return { text, cache: 'hit' }
    }
    return { text: (await read()).text, cache: 'miss' }
  }

  /** A write has ended. Resolves when all who can be told have been told: its answer may leave then. */
  async changed(tenant: TenantId, names: readonly string[]): Promise<void> {
    if (names.length === 0) return
    this.#change(tenant, names)
    await this.#shared?.change(tenant, names)
  }

  /** A write may have been kept, or may be in a moment: until that is over nothing of the tenant's is kept. */
  async doubted(tenant: TenantId, deadline: Deadline): Promise<void> {
    const release = this.#versions.hold(nameIn(tenant, ANYTHING))
    const timer = setTimeout(() => {
      this.#doubts.delete(timer)
      void this.changed(tenant, [ANYTHING])
      release()
    }, deadline.remainingMs() + DOUBT_MS).unref()
    this.#doubts.add(timer)
    await this.changed(tenant, [ANYTHING])
  }

  end(): void {
    for (const timer of this.#doubts) clearTimeout(timer)
    this.#shared?.end()
  }

  get #tables(): ReadonlyMap<string, number> {
    this.#follow()
    return this.#ttls
  }

  /** Take over another configuration: nothing of before it is given any more. */
  #follow(): void {
    const config = this.#parts.config()
    if (config === this.#config) return
    // Of what was written while nothing was kept, or other tables, nobody was told.
    if (this.#config) this.#shared?.renew()
    this.#config = config
    this.#ttls = new Map(Object.entries(config.tables).map(([table, { ttlMs }]) => [table, ttlMs]))
    this.#entries = entriesOf(config, this.#clock)
  }

  #change(tenant: string, names: readonly string[]): void {
    this.#versions.change(namesIn(tenant, [EACH, ...names]))
  }

  async #lead(question: Question, ttlMs: number, read: () => Promise<Fresh>): Promise<Given> {
    const { key } = question
    const { promise, resolve } = Promise.withResolvers<string | undefined>()
    const flight = { tick: this.#versions.now, text: promise }
    this.#flights.set(key, flight)
    let text: string | undefined
    try {
      const given = await this.#read(question, flight.tick, ttlMs, read)
      text = given.text
      return given
    } finally {
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
      resolve(text)
    }
  }

  async #read(question: Question, tick: number, ttlMs: number, read: () => Promise<Fresh>): Promise<Given> {
    const { tenant, key } = question
    const started = this.#clock.elapsed()
    const looked = await this.#shared?.look(tenant, key)
    if (this.#shared) {
      const result = looked ? (looked.found ? 'hit' : 'miss') : 'away'
      this.#parts.emit({ kind: 'cache.asked', layer: 'redis', result })
    }
    if (looked?.found) {
      const { text, names, leftMs } = looked.found
      this.#keep(question, { text, names }, tick, started + Math.min(leftMs, ttlMs))
      return { text, cache: 'hit' }
    }
    const { text, names: namesOf } = await read()
    const answer = { text, names: [ANYTHING, ...namesOf()] }
    const isKept = this.#keep(question, answer, tick, started + ttlMs)
    if (isKept && looked) this.#shared?.keep({ tenant, key, ...answer }, looked.now, ttlMs)
    return { text, cache: 'miss' }
  }

  /**
   * @param until  of the clock
   * @returns whether it may be kept
   */
  #keep({ tenant, key }: Question, { text, names }: Answer, tick: number, until: number): boolean {
    const own = namesIn(tenant, names)
    const leftMs = Math.floor(until - this.#clock.elapsed())
    if (leftMs < 1 || text.length > this.settings.answerBytes || !this.#versions.areAsOf(own, tick))
      return false
    this.#entries.set(key, { tenant, key, text, names: own, tick }, { ttl: leftMs })
    return true
  }

  /** What was kept for this tenant and this key, and still counts. */
  #open(entry: Entry, tenant: TenantId, key: string): string | undefined {
    const isOurs = entry.tenant === tenant && entry.key === key
    if (isOurs && this.#versions.areAsOf(entry.names, entry.tick)) return entry.text
    this.#entries.delete(key)
    if (!isOurs) {
      const reason = 'it is that of another question'
      this.#parts.emit({ kind: 'cache.poisoned', layer: 'process', tenant, reason })
    }
    return undefined
  }
}

function entriesOf({ entries, bytes }: Pick<CacheConfig, 'entries' | 'bytes'>, clock: Clock) {
  return new LRUCache<string, Entry>({
    max: entries,
    maxSize: bytes,
    perf: { now: () => clock.elapsed() },
    ttlResolution: 0,
    // Two bytes for a character is what a text takes that is not Latin.
    sizeCalculation: ({ text, names }) => 2 * text.length + NAME_BYTES * names.length + ENTRY_BYTES,
  })
}

const nameIn = (tenant: string, name: string): string => `${tenant} ${name}`

function namesIn(tenant: string, names: readonly string[]): string[] {
  return names.map((name) => nameIn(tenant, name))
}

/** What `found` gives; undefined when the deadline comes first. */
async function within<T>(found: Promise<T>, deadline: Deadline): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => resolve(undefined), deadline.remainingMs())
  try {
    return await Promise.race([found, late])
  } finally {
    clearTimeout(timer)
  }
}
