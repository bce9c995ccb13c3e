/** A Redis of ours with what it says of itself. */

import type { Event } from '../../src/base/events.ts'
import { openRedis, type Redis } from '../../src/db/redis.ts'

type RedisEvent = Extract<Event, { kind: `redis.${string}` }>
type Of<K> = Extract<RedisEvent, { kind: K }>

/** More than a machine that is busy with other tests takes for an answer. */
export const COMMAND_MS = 500

export interface Heard {
  readonly redis: Redis
  readonly events: readonly RedisEvent[]
  kinds(): string[]
  /** The next event of this kind that nobody has been given yet, also one that has come already. */
  next<K extends RedisEvent['kind']>(kind: K): Promise<Of<K>>
}

export function hearRedis(url: string, prefix = 'test'): Heard {
  const events: RedisEvent[] = []
  const given = new Set<RedisEvent>()
  let wake = (): void => {}
  const redis = openRedis({
    url,
    prefix,
    commandMs: COMMAND_MS,
    emit: (event) => {
      events.push(event as RedisEvent)
      wake()
    },
  })
  async function next<K extends RedisEvent['kind']>(kind: K): Promise<Of<K>> {
    for (;;) {
      const found = events.find((event) => event.kind === kind && !given.has(event))
      if (found) {
        given.add(found)
        return found as Of<K>
      }
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  return { redis, events, kinds: () => events.map(({ kind }) => kind), next }
}
