/**
 * Kept answers while Redis is paused, flushed, full, read-only, cut, killed, and while somebody throws its keys away: reads
 * whose values say whose they are and how old, through two gateways, with writes among them. No wrong value, no error.
 *
 * The short form runs with the other tests. The long form, in reads:
 *
 *     npm run test:cache                        100,000
 *     COUNT=1000000 SEED=1234 npm run test:cache
 */

import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CacheTraffic, openCacheTraffic } from '../kit/cache-traffic.ts'
import { until } from '../kit/cached-gateways.ts'
import { runRandom } from '../kit/random.ts'
import { startRedis, type TestRedis } from '../kit/redis.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

const COUNT = Number(process.env.COUNT ?? 8_000)
const random = runRandom()
const redis: TestRedis | undefined = await startRedis()

let world: World
beforeAll(async () => {
  world = await startWorld({ tenants: 4, shards: 1, rows: 5 })
})
afterAll(async () => {
  await world?.stop()
  await redis?.remove()
})

function expectRight({ tally }: CacheTraffic): void {
  expect(tally.wrong.slice(0, 10)).toEqual([])
  expect(tally.hits).toBeGreaterThan(tally.reads / 10)
}

it(
  'each gateway for itself: never behind its own writes, and behind those of others for the time to live',
  async () => {
    const traffic = await openCacheTraffic(world, random.fork('alone'))
    await traffic.run(COUNT / 4)
    traffic.end()
    expectRight(traffic)
  },
  60_000 + COUNT * 5,
)

describe.skipIf(!redis)('with Redis', () => {
  const server = redis!
  const command = (name: string, ...args: (string | number)[]) =>
    server.command(name, ...args).catch(() => {})

  const faults: Readonly<Record<string, () => Promise<unknown>>> = {
    'paused for less than a command may take': () => command('client', 'pause', 20),
    paused: () => command('client', 'pause', 200),
    stopped: async () => {
      server.suspend()
      await pause(150)
      server.resume()
    },
    flushed: () => command('flushall'),
    full: async () => {
      await command('config', 'set', 'maxmemory', 1)
      await pause(100)
      await command('config', 'set', 'maxmemory', 0)
    },
    'read-only': async () => {
      await command('replicaof', '127.0.0.1', 1)
      await pause(100)
      await command('replicaof', 'no', 'one')
    },
    'cut off for commands': () => command('client', 'kill', 'type', 'normal'),
    'cut off for messages': () => command('client', 'kill', 'type', 'pubsub'),
    'without what has changed': async () => {
      for (const { id } of world.tenants) await command('del', `test:cache:${id}:changed`)
    },
    killed: async () => {
      await server.kill()
      await pause(50)
      await server.start()
    },
  }

  it(
    'whatever becomes of it',
    async () => {
      const traffic = await openCacheTraffic(world, random.fork('shared'), { redisUrl: server.url })
      let isOver = false
      const reads = traffic.run(COUNT).finally(() => {
        isOver = true
      })
      const chaos = random.fork('faults')
      const names = chaos.shuffle(Object.keys(faults))
      for (let i = 0; !isOver; i++) {
        await faults[names[i % names.length]!]!()
        await Promise.race([reads, pause(chaos.int(400))])
      }
      await reads
      await until(() => traffic.gateways.every(({ redis: one }) => one?.isUp))
      await traffic.run(COUNT / 10)
      const alarms = traffic.gateways.flatMap(({ events }) =>
        events.filter(({ kind }) => kind === 'cache.poisoned'),
      )
      const shared = traffic.gateways.flatMap(({ events }) =>
        events.filter(
          (event) => event.kind === 'cache.asked' && event.layer === 'redis' && event.result === 'hit',
        ),
      )
      traffic.end()
      expectRight(traffic)
      expect(alarms).toEqual([])
      expect(shared.length).toBeGreaterThan(0)
      const { reads: all, hits, writes } = traffic.tally
      console.info(
        `${all} reads, ${hits} of them kept answers (${shared.length} from Redis), among ${writes} writes; seed ${random.seed}`,
      )
    },
    120_000 + COUNT * 10,
  )
})
