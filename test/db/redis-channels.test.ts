/** F46: what is heard in a channel of Redis, and that whoever may have missed something is told. */

import { EventEmitter, once } from 'node:events'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { cuttingProxy } from '../kit/cutting-proxy.ts'
import { type Heard, hearRedis } from '../kit/heard-redis.ts'
import { startRedis, type TestRedis } from '../kit/redis.ts'

const started = await startRedis()

describe.skipIf(!started)('channels', () => {
  const server = started as TestRedis
  const closing: (() => unknown)[] = []
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close()
  })
  afterAll(() => server.remove())

  async function open(port = server.port): Promise<Heard> {
    const one = hearRedis(`redis://127.0.0.1:${port}`)
    closing.push(() => one.redis.end())
    await one.next('redis.up')
    return one
  }

  /** Who listens, and what he has heard: texts, and `gap`. */
  function listen({ redis }: Heard, channel = 'news') {
    const heard: string[] = []
    const bell = new EventEmitter()
    const hear = (text: string): void => {
      heard.push(text)
      bell.emit('heard')
    }
    const stop = redis.subscribe(channel, hear, () => hear('gap'))
    const until = async (wanted: readonly string[]): Promise<void> => {
      while (heard.length < wanted.length) await once(bell, 'heard')
      expect(heard).toEqual(wanted)
    }
    return { heard, stop, until }
  }

  it('are heard from the first gap on, by all who listen, each one his own', async () => {
    const [one, other] = [await open(), await open()]
    const [a, b, c] = [listen(one), listen(one), listen(other, 'other news')]
    await Promise.all([a, b, c].map(({ until }) => until(['gap'])))
    other.redis.publish('news', 'first')
    await a.until(['gap', 'first'])
    await b.until(['gap', 'first'])
    b.stop()
    one.redis.publish('other news', 'ours')
    one.redis.publish('news', 'second')
    await a.until(['gap', 'first', 'second'])
    await c.until(['gap', 'ours'])
    expect(b.heard).toEqual(['gap', 'first'])
  })

  it('go on for the others when one who hears throws', async () => {
    const one = await open()
    one.redis.subscribe(
      'news',
      () => {
        throw new Error('no')
      },
      () => {
        throw new Error('no')
      },
    )
    const after = listen(one)
    await after.until(['gap'])
    one.redis.publish('news', 'text')
    await after.until(['gap', 'text'])
  })

  it('have a gap when the connection is lost, and another when they are heard again', async () => {
    const one = await open()
    const a = listen(one)
    await a.until(['gap'])
    await server.command('client', 'kill', 'type', 'pubsub')
    await a.until(['gap', 'gap', 'gap'])
    one.redis.publish('news', 'text')
    await a.until(['gap', 'gap', 'gap', 'text'])
    expect(one.redis.isUp).toBe(true)
  })

  it('have a gap when the server comes back', async () => {
    const one = await open()
    const a = listen(one)
    await a.until(['gap'])
    await server.kill()
    await a.until(['gap', 'gap'])
    await server.start()
    await a.until(['gap', 'gap', 'gap'])
  })

  it('have a gap when the network swallows what is said, without a sign', async () => {
    const proxy = await cuttingProxy(server.port)
    closing.push(proxy.close)
    const one = await open(proxy.port)
    const a = listen(one)
    await a.until(['gap'])
    proxy.blackhole(true)
    await a.until(['gap', 'gap'])
    proxy.blackhole(false)
    await a.until(['gap', 'gap', 'gap'])
  })

  it('have a gap for those who hear well, when somebody else could not publish', async () => {
    const proxy = await cuttingProxy(server.port)
    closing.push(proxy.close)
    const [one, cutOff] = [await open(), await open(proxy.port)]
    const a = listen(one)
    const b = listen(one, 'other news')
    await Promise.all([a.until(['gap']), b.until(['gap'])])
    proxy.blackhole(true)
    cutOff.redis.publish('news', 'lost')
    await cutOff.next('redis.down')
    proxy.blackhole(false)
    await a.until(['gap', 'gap'])
    expect(b.heard).toEqual(['gap'])
  })
})
