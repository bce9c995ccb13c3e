/**
 * F45: connections to Redis that are cut, anywhere in an answer. Each value says whose it is: an answer is the one that
 * was asked for, or there is none.
 *
 *     TAGGED=100000 vitest run --config test/vitest.config.ts test/db/redis-cuts.test.ts
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CuttingProxy, cuttingProxy } from '../kit/cutting-proxy.ts'
import { type Heard, hearRedis } from '../kit/heard-redis.ts'
import { type Random, seededRandom } from '../kit/random.ts'
import { startRedis, type TestRedis } from '../kit/redis.ts'

const TAGGED = Number(process.env.TAGGED ?? 10_000)
const KEYS = 500
/** Each reads by itself, and is cut by itself. */
const READERS = 8
/** Questions of one reader at once. */
const AT_ONCE = 25

const started = await startRedis()

describe.skipIf(!started)('F45: tagged reads', () => {
  const server = started as TestRedis
  let proxy: CuttingProxy
  /** From a few bytes to more than one packet. */
  const tagged = (key: number): string => `value of ${key}: ${'x'.repeat((key * 37) % 5_000)}`

  beforeAll(async () => {
    proxy = await cuttingProxy(server.port)
    const keys = Array.from({ length: KEYS }, (_, key) => [`k${key}`, tagged(key)])
    await server.command('mset', ...keys.flat())
  })
  afterAll(async () => {
    await proxy.close()
    await server.remove()
  })

  interface Tally {
    right: number
    wrong: number
    none: number
  }

  async function read({ redis, next }: Heard, dice: Random, tally: Tally): Promise<void> {
    const script = redis.script(`return redis.call('get', KEYS[1])`)
    const ask = async (): Promise<void> => {
      const key = dice.int(KEYS)
      const answer = await (dice.chance(0.5)
        ? script([`k${key}`], [])
        : redis.ask((client) => client.get(`k${key}`)))
      tally[answer === undefined ? 'none' : answer === tagged(key) ? 'right' : 'wrong']++
    }
    while (tally.right < TAGGED / READERS) {
      if (!redis.isUp) await next('redis.up')
      await Promise.all(Array.from({ length: AT_ONCE }, ask))
    }
  }

  it(`are never each other's: ${TAGGED}, while connections are cut after any byte`, {
    timeout: 600_000,
  }, async () => {
    const dice = seededRandom('cuts')
    // A trial answers some 5 bytes; most connections give a hundred answers or so.
    proxy.cutAfter(() => Math.floor(dice.unit() ** 2 * 2_000_000))
    const tallies = await Promise.all(
      Array.from({ length: READERS }, async (_, i) => {
        const one = hearRedis(`redis://127.0.0.1:${proxy.port}`)
        const tally = { right: 0, wrong: 0, none: 0 }
        await read(one, dice.fork(`reader ${i}`), tally)
        one.redis.end()
        return tally
      }),
    )
    const sum = (of: keyof Tally): number => tallies.reduce((all, tally) => all + tally[of], 0)
    expect(sum('wrong')).toBe(0)
    expect(sum('right')).toBeGreaterThanOrEqual(TAGGED)
    expect(sum('none')).toBeGreaterThan(0)
    expect(proxy.cuts).toBeGreaterThanOrEqual(READERS)
  })

  it('are whole when they come byte by byte', async () => {
    proxy.cutAfter(() => undefined)
    proxy.slice(1)
    const one = hearRedis(`redis://127.0.0.1:${proxy.port}`)
    await one.next('redis.up')
    for (let key = 0; key < 40; key += 4)
      expect(await one.redis.ask((client) => client.mget(`k${key}`, 'missing'))).toEqual([tagged(key), null])
    one.redis.end()
  })
})
