/** How many gateways there are: each lets Redis know once a second that it is there, and hears who else is. */

import { type Clock, systemClock } from '../../base/time.ts'
import type { Redis } from '../../db/redis.ts'

export interface GatewayCount {
  /** The most that were there in the last minute that Redis spoke of. */
  readonly count: number
  /** Say that this one is there, and hear how many are. Never throws. */
  beat(): Promise<void>
  end(): void
}

const BEAT_MS = 1_000
/**
 * Without a beat for so long, a gateway is no more. Long, because too few are dangerous and too many are not: one that
 * only stood still, or a Redis that has just started and has heard of one, must not make the shares of all larger.
 */
const GONE_MS = 60_000
/** Where Redis has never said: a guess on the safe side, as most have fewer. */
const UNKNOWN = 4

/** KEYS[1]  a sorted set of gateways, by the time of their last beat. ARGV: the gateway, the milliseconds */
const BEAT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
`

export function countGateways(
  redis: Pick<Redis, 'script' | 'prefix'>,
  gateway: string,
  clock: Clock = systemClock,
): GatewayCount {
  const run = redis.script(BEAT)
  let most: { readonly count: number; readonly at: number } | undefined
  const beat = async (): Promise<void> => {
    const count = Number(await run([`${redis.prefix}:gateways`], [gateway, GONE_MS]))
    const at = clock.elapsed()
    if (count > 0 && (!most || count >= most.count || at - most.at > GONE_MS)) most = { count, at }
  }
  void beat()
  const timer = setInterval(beat, BEAT_MS).unref()
  return {
    get count() {
      return most?.count ?? UNKNOWN
    },
    beat,
    end: () => clearInterval(timer),
  }
}
