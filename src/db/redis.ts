/**
 * Redis, for what gateways share and may lose: counters of limits, cached answers, news of changes. Whoever asks
 * must be able to do without: an answer comes within `commandMs`, or none comes, and nothing is ever thrown.
 */

import { createHash, randomUUID } from 'node:crypto'
import type { Redis as Client } from 'ioredis'
import type { Emit } from '../base/events.ts'
import { Channels, gapsOf } from './redis-channels.ts'
import { KeptConnection } from './redis-connection.ts'
import { isForgotten, type RedisResult, reasonOf, resultOf, Stranger } from './redis-faults.ts'
import { within } from './within.ts'

/**
 * Commands that may be given: those that somebody needs. Never one that ties a connection up or changes what its answers
 * mean, as MULTI (what takes several steps is a script), what blocks, SELECT or SUBSCRIBE.
 */
export type RedisClient = Pick<Client, 'get' | 'mget' | 'set' | 'unlink'>

/** A Lua script: `KEYS` and `ARGV` in, what it returns out; `undefined` where Redis has not answered (nil is `null`). */
export type RedisScript = (
  keys: readonly string[],
  args: readonly (string | number)[],
) => Promise<unknown | undefined>

export interface Redis {
  /** Whether commands are tried now; while it is false `ask` and scripts answer `undefined` without any wait. */
  readonly isUp: boolean
  /** What every key and every channel begins with; callers write it: `${redis.prefix}:limit:acme`. */
  readonly prefix: string
  /**
   * Run one command or a few. `undefined` where Redis is away, slow, full, read-only or refuses: never throws, never
   * takes longer than `commandMs`, all commands of `work` together. What ran into that time may have been done all the same.
   */
  ask<T>(work: (client: RedisClient) => Promise<T>): Promise<T | undefined>
  /** By its digest, and by its text where Redis has forgotten it. Made once, run often. */
  script(text: string): RedisScript
  /**
   * Hear a channel. `onGap` is called whenever messages may have been missed: when the connection is lost, when the channel
   * is heard (again), and when a gateway could not publish. What was kept of the channel's matter until then is in doubt.
   *
   * @returns what ends it
   */
  subscribe(channel: string, onMessage: (text: string) => void, onGap: () => void): () => void
  /** Tell all who hear `channel`, this process too. Where that fails, they are told of a gap as soon as it can be. */
  publish(channel: string, text: string): void
  /** How often which result came, since the start. */
  readonly counts: Readonly<Record<RedisResult, number>>
  /** Close the connections; whoever still waits gets `undefined`. */
  end(): void
}

export interface RedisOptions {
  readonly url: string
  readonly prefix: string
  /** Milliseconds that an answer is waited for. */
  readonly commandMs: number
  readonly emit: Emit
}

/** Open it and return at once: it is up when a connection is there. Never throws. */
export function openRedis(options: RedisOptions): Redis {
  return new OpenRedis(options)
}

/**
 * What a new connection must be able to do before anybody waits for it: run a script that writes. A full or a
 * read-only server answers to PING and GET, and would be taken for a good one at each trial.
 */
const TRIAL = `redis.call('set', KEYS[1], ARGV[1], 'px', 1000) return ARGV[1]`

async function tryOut(client: Client, prefix: string): Promise<void> {
  const word = randomUUID()
  const answer = await client.eval(TRIAL, 1, `${prefix}:trial`, word)
  if (answer !== word) throw new Stranger('what is there does not answer as Redis does')
}

class OpenRedis implements Redis {
  readonly prefix: string
  readonly counts = { answered: 0, away: 0, late: 0, lost: 0, unfit: 0, refused: 0 }
  readonly #commandMs: number
  readonly #emit: Emit
  readonly #kept: KeptConnection
  readonly #channels: Channels
  /** Channels that something could not be published to, of which those who listen do not know yet. */
  readonly #unpublished = new Set<string>()
  /** Reasons of refusals that were told already since the connection is there: they may come with each request. */
  readonly #told = new Set<string>()

  constructor({ url, prefix, commandMs, emit }: RedisOptions) {
    this.prefix = prefix
    this.#commandMs = commandMs
    this.#emit = emit
    this.#channels = new Channels(url)
    this.#kept = new KeptConnection({
      url,
      name: 'shardgate',
      check: (client) => tryOut(client, prefix),
      checkMs: commandMs,
      onUp: () => {
        emit({ kind: 'redis.up' })
        this.#told.clear()
        this.#tellGaps()
      },
      onDown: (reason) => emit({ kind: 'redis.down', reason }),
    })
  }

  get isUp(): boolean {
    return this.#kept.client !== undefined
  }

  ask<T>(work: (client: RedisClient) => Promise<T>): Promise<T | undefined> {
    return this.#run(work)
  }

  script(text: string): RedisScript {
    const digest = createHash('sha1').update(text).digest('hex')
    return (keys, args) =>
      this.#run(async (client) => {
        try {
          return await client.evalsha(digest, keys.length, ...keys, ...args)
        } catch (error) {
          if (!isForgotten(error)) throw error
          return await client.eval(text, keys.length, ...keys, ...args)
        }
      })
  }

  subscribe(channel: string, onMessage: (text: string) => void, onGap: () => void): () => void {
    return this.#channels.hear(channel, { onMessage, onGap })
  }

  publish(channel: string, text: string): void {
    void this.#run((client) => client.publish(channel, text)).then((heard) => {
      if (heard === undefined) this.#unpublished.add(channel)
    })
  }

  end(): void {
    this.#kept.end()
    this.#channels.end()
  }

  async #run<T>(work: (client: Client) => Promise<T>): Promise<T | undefined> {
    const { client } = this.#kept
    if (!client) {
      this.counts.away++
      return undefined
    }
    try {
      const answer = await within(work(client), this.#commandMs)
      this.counts.answered++
      return answer
    } catch (error) {
      this.#note(client, error)
      return undefined
    }
  }

  #note(client: Client, error: unknown): void {
    const result = resultOf(error)
    this.counts[result]++
    const reason = reasonOf(error)
    if (result !== 'refused') {
      this.#kept.drop(client, reason)
    } else if (!this.#told.has(reason) && this.#told.size < REASONS_MAX) {
      this.#told.add(reason)
      this.#emit({ kind: 'redis.refused', reason })
    }
  }

  #tellGaps(): void {
    for (const channel of this.#unpublished) {
      void this.#run((client) => client.publish(gapsOf(channel), '')).then((heard) => {
        if (heard !== undefined) this.#unpublished.delete(channel)
      })
    }
  }
}

/** Errors of scripts may name a line or a number each: a few of them are enough to know. */
const REASONS_MAX = 20
