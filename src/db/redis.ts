/**
 * Redis, for what gateways share and may lose: counters of limits, cached answers, news of changes. Whoever asks
 * must be able to do without: an answer comes within `commandMs`, or none comes, and nothing is ever thrown.
 */

import type { Redis as Ioredis } from 'ioredis'

/**
 * Commands that may be given. Left out are those that tie a connection up or change what its answers mean: MULTI and
 * WATCH (what takes several steps is a script), blocking ones, SELECT, SUBSCRIBE.
 */
export type RedisClient = Pick<
  Ioredis,
  | 'get'
  | 'mget'
  | 'set'
  | 'del'
  | 'unlink'
  | 'exists'
  | 'incrby'
  | 'pexpire'
  | 'pttl'
  | 'hget'
  | 'hgetall'
  | 'hset'
  | 'hincrby'
  | 'hdel'
  | 'sadd'
  | 'srem'
  | 'smembers'
>

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
  /** Close the connections; whoever still waits gets `undefined`. */
  end(): void
}
