/**
 * Answers that gateways keep together in Redis, and what they tell each other of changes.
 *
 *     a write ends ─▶ changed here ─▶ changed in Redis ─▶ told to the others ─▶ its answer leaves
 *
 * In this order: whoever hears of a change and looks again must not find the old answer. After a change that Redis has not
 * taken, and after a gap (a connection was lost, so the server may be another one, or have come back with old data),
 * this gateway does without Redis until it has made all that lies there worthless, for everybody.
 *
 * What comes from Redis is not believed: each answer says whose it is and under which key, and carries a hash of all of it.
 */

import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto'
import type { Emit } from '../../base/events.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Redis, RedisScript } from '../../db/redis.ts'
import { CHANGE, LOOK, RENEW } from './scripts.ts'

/** Where Redis stands as a read begins. */
export interface Moment {
  readonly stamp: string
  readonly tick: number
  /** Of the clock of Redis, in milliseconds. */
  readonly at: number
}

/** An answer, and the names of what it hangs on. */
export interface Answer {
  readonly text: string
  readonly names: readonly string[]
}

export interface SharedAnswer extends Answer {
  /** Milliseconds for which it may still be given. */
  readonly leftMs: number
}

export interface Looked {
  readonly now: Moment
  readonly found: SharedAnswer | undefined
}

export interface KeptAnswer extends Answer {
  readonly tenant: TenantId
  readonly key: string
}

export interface SharedParts {
  readonly redis: Redis
  readonly emit: Emit
  /** Signs what is kept; '' where there is none. */
  readonly secret: () => string
  /** Longest time for which an answer is kept. */
  readonly ttlMaxMs: () => number
  /** Another gateway has changed something. */
  readonly onChange: (tenant: string, names: readonly string[]) => void
  /** Changes of others may have been missed. */
  readonly onGap: () => void
}

/** Milliseconds between two attempts to make worthless what lies there. */
const AGAIN_MS = 1_000
/** Milliseconds for which what has changed is remembered after the last answer that may hang on it. */
const MEMORY_MS = 60_000

export class SharedAnswers {
  readonly #parts: SharedParts
  readonly #id = randomUUID()
  readonly #look: RedisScript
  readonly #change: RedisScript
  readonly #renew: RedisScript
  readonly #channel: string
  readonly #unsubscribe: () => void
  /** Changes on their way, by tenant. */
  readonly #sending = new Map<TenantId, number>()
  /** Counts gaps: what lies in Redis counts once it was renewed after the last of them. */
  #gaps = 0
  #renewed = 0
  #hasHeard = false
  #again: NodeJS.Timeout | undefined

  constructor(parts: SharedParts) {
    const { redis } = parts
    this.#parts = parts
    this.#look = redis.script(LOOK)
    this.#change = redis.script(CHANGE)
    this.#renew = redis.script(RENEW)
    this.#channel = `${redis.prefix}:cache:changes`
    this.#unsubscribe = redis.subscribe(
      this.#channel,
      (text) => this.#hear(text),
      () => this.#miss(),
    )
  }

  /** Undefined where nothing can be said, and nothing must be kept there. */
  async look(tenant: TenantId, key: string): Promise<Looked | undefined> {
    if (!this.#isTrusted(tenant)) return undefined
    const keys = [this.#generation, this.#changed(tenant), this.#answer(tenant, key)]
    const given = await this.#look(keys, [randomUUID(), this.#lifeMs, tenant, key])
    const looked = Array.isArray(given) ? (given as (string | number)[]) : []
    const [stamp, tick, at, text, leftMs] = looked
    // A change that began meanwhile may not have been there yet.
    if (typeof stamp !== 'string' || !this.#isTrusted(tenant)) return undefined
    const now = { stamp, tick: Number(tick), at: Number(at) }
    if (text === undefined) return { now, found: undefined }
    const found = this.#open(String(text), { tenant, key, leftMs: Number(leftMs) })
    if (!found) void this.#parts.redis.ask((client) => client.unlink(this.#answer(tenant, key)))
    return { now, found }
  }

  /** Until `ttlMs` after that moment: the command may be late, and the answer must not live on for it. */
  keep({ tenant, key, text, names }: KeptAnswer, { stamp, tick, at }: Moment, ttlMs: number): void {
    const about = { tenant, key, stamp, tick, names }
    const line = JSON.stringify({ ...about, seal: this.#seal(about, text) })
    const place = this.#answer(tenant, key)
    void this.#parts.redis.ask((client) => client.set(place, `${line}\n${text}`, 'PXAT', at + ttlMs))
  }

  /** Resolves when Redis has been told, or has not answered. */
  async change(tenant: TenantId, names: readonly string[]): Promise<void> {
    this.#sending.set(tenant, (this.#sending.get(tenant) ?? 0) + 1)
    const told = await this.#change([this.#changed(tenant)], [this.#lifeMs, ...names])
    const left = (this.#sending.get(tenant) ?? 1) - 1
    if (left > 0) this.#sending.set(tenant, left)
    else this.#sending.delete(tenant)
    if (typeof told !== 'number') {
      this.#gaps++
      this.#later()
    }
    this.#tell(tenant, names)
  }

  end(): void {
    this.#unsubscribe()
    clearTimeout(this.#again)
  }

  #isTrusted(tenant: TenantId): boolean {
    return this.#renewed === this.#gaps && !this.#sending.has(tenant)
  }

  get #lifeMs(): number {
    return this.#parts.ttlMaxMs() + MEMORY_MS
  }

  get #generation(): string {
    return `${this.#parts.redis.prefix}:cache:generation`
  }

  // Ids of tenants hold no colon, and keys are hashes: no two of these are one.
  #changed(tenant: TenantId): string {
    return `${this.#parts.redis.prefix}:cache:${tenant}:changed`
  }

  #answer(tenant: TenantId, key: string): string {
    return `${this.#parts.redis.prefix}:cache:${tenant}:${key}`
  }

  #miss(): void {
    this.#parts.onGap()
    // The channel is heard for the first time: what lies there was kept by others, who know of no gap.
    if (!this.#hasHeard) {
      this.#hasHeard = true
      return
    }
    this.renew()
  }

  /** Nothing that lies in Redis now counts any more. */
  renew(): void {
    this.#gaps++
    void this.#settle()
  }

  #later(): void {
    this.#again ??= setTimeout(() => {
      this.#again = undefined
      void this.#settle()
    }, AGAIN_MS).unref()
  }

  async #settle(): Promise<void> {
    const gaps = this.#gaps
    const done = await this.#renew([this.#generation], [randomUUID()])
    if (typeof done === 'number') this.#renewed = Math.max(this.#renewed, gaps)
    if (this.#renewed !== this.#gaps) this.#later()
  }

  #tell(tenant: TenantId, names: readonly string[]): void {
    this.#parts.redis.publish(this.#channel, JSON.stringify({ from: this.#id, tenant, names }))
  }

  #hear(text: string): void {
    const { from, tenant, names } = messageOf(text)
    if (from === this.#id) return
    if (tenant && names) this.#parts.onChange(tenant, names)
    else this.#poisoned(undefined, 'a message that no gateway has sent')
  }

  /** What is ours, for this tenant and this key, and as it was written; undefined after an alarm. */
  #open(
    text: string,
    { tenant, key, leftMs }: { readonly tenant: TenantId; readonly key: string; readonly leftMs: number },
  ): SharedAnswer | undefined {
    const end = text.indexOf('\n')
    const { seal, ...about } = objectOf(text.slice(0, Math.max(end, 0)))
    const body = text.slice(end + 1)
    if (!isSame(seal, this.#seal(about, body))) return this.#poisoned(tenant, 'its seal is not ours')
    if (about.tenant !== tenant || about.key !== key)
      return this.#poisoned(tenant, 'it is that of another question')
    return { text: body, names: about.names as string[], leftMs }
  }

  #seal(about: object, text: string): string {
    return createHmac('sha256', this.#parts.secret())
      .update(JSON.stringify(about))
      .update('\n')
      .update(text)
      .digest('base64url')
  }

  #poisoned(tenant: TenantId | undefined, reason: string): undefined {
    this.#parts.emit({ kind: 'cache.poisoned', layer: 'redis', ...(tenant && { tenant }), reason })
    return undefined
  }
}

interface Message {
  readonly from?: string
  readonly tenant?: string
  readonly names?: readonly string[]
}

function messageOf(text: string): Message {
  const { from, tenant, names } = objectOf(text)
  if (typeof from !== 'string' || typeof tenant !== 'string' || !Array.isArray(names)) return {}
  return { from, tenant, names: names.map(String) }
}

function objectOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function isSame(seal: unknown, wanted: string): boolean {
  if (typeof seal !== 'string' || seal.length !== wanted.length) return false
  return timingSafeEqual(Buffer.from(seal), Buffer.from(wanted))
}
