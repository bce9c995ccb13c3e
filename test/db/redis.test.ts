/** Redis, up and in every state in which it is of no use: nobody waits twice, nothing is thrown, no answer is another's. */

import { setTimeout as pause } from 'node:timers/promises'
import type { Redis as Client } from 'ioredis'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { COMMAND_MS, type Heard, hearRedis } from '../kit/heard-redis.ts'
import { rawServer } from '../kit/raw-server.ts'
import { startRedis, type TestRedis } from '../kit/redis.ts'

/** What docs/redis.md says that is enough, for the prefix of these tests. */
const RIGHTS = ['~test:*', '&test:*', '+@all', '-@dangerous', '-@admin']

const started = await startRedis()

describe.skipIf(!started)('Redis', () => {
  const server = started as TestRedis
  const heard: Heard[] = []
  const closing: (() => Promise<void>)[] = []

  /** One that is up, unless the test wants to see it come up. */
  async function open(url = server.url): Promise<Heard> {
    const one = hearRedis(url)
    heard.push(one)
    return one
  }
  async function openUp(): Promise<Heard> {
    const one = await open()
    await one.next('redis.up')
    return one
  }

  /** It is not tried, so there is nothing to wait for. */
  async function expectAway({ redis }: Heard): Promise<void> {
    let tried = 0
    const before = redis.counts.away
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => redis.ask(async () => `answer ${++tried}`)),
    )
    expect(new Set(answers)).toEqual(new Set([undefined]))
    expect(tried).toBe(0)
    expect(redis.counts.away).toBe(before + 100)
    expect(redis.isUp).toBe(false)
  }

  beforeEach(() => server.command('flushall'))
  afterEach(async () => {
    for (const { redis } of heard.splice(0)) redis.end()
    for (const close of closing.splice(0)) await close()
  })
  afterAll(() => server.remove())

  it('answers commands and scripts', async () => {
    const { redis } = await openUp()
    expect(await redis.ask((client) => client.set('a', '1', 'PX', 60_000))).toBe('OK')
    expect(await redis.ask((client) => client.mget('a', 'b'))).toEqual(['1', null])
    const sum = redis.script(`return redis.call('incrby', KEYS[1], ARGV[1])`)
    expect(await sum(['a'], [41])).toBe(42)
    expect(await redis.script('return nil')([], [])).toBe(null)
    expect(redis.counts).toEqual({ answered: 4, away: 0, late: 0, lost: 0, unfit: 0, refused: 0 })
  })

  it('F41: is away at the start, and is up once it is there', async () => {
    await server.kill()
    const one = await open()
    await expectAway(one)
    expect((await one.next('redis.down')).reason).toMatch(/ECONNREFUSED/)
    await expectAway(one)
    await server.start()
    await one.next('redis.up')
    expect(await one.redis.ask((client) => client.get('a'))).toBe(null)
  })

  it('F41: is killed under those who wait, and comes back without the scripts that it knew', async () => {
    const one = await openUp()
    const script = one.redis.script('return ARGV[1]')
    expect(await script([], ['x'])).toBe('x')
    server.suspend()
    const waiting = Array.from({ length: 20 }, () => one.redis.ask((client) => client.get('a')))
    await server.kill()
    expect(new Set(await Promise.all(waiting))).toEqual(new Set([undefined]))
    await one.next('redis.down')
    await expectAway(one)
    await server.start()
    await one.next('redis.up')
    expect(await script([], ['y'])).toBe('y')
    expect(one.kinds()).toEqual(['redis.up', 'redis.down', 'redis.up'])
  })

  it('F42: is silent: whoever waits then gets nothing, nobody waits after that', async () => {
    const one = await openUp()
    await server.command('client', 'pause', 2_000)
    const waiting = Array.from({ length: 20 }, () => one.redis.ask((client) => client.get('a')))
    expect(new Set(await Promise.all(waiting))).toEqual(new Set([undefined]))
    expect((await one.next('redis.down')).reason).toBe(`no answer within ${COMMAND_MS} ms`)
    await expectAway(one)
    await one.next('redis.up')
    expect(one.kinds()).toEqual(['redis.up', 'redis.down', 'redis.up'])
    expect(await one.redis.ask((client) => client.get('a'))).toBe(null)
  })

  it('bounds all commands of one question together', async () => {
    const { redis } = await openUp()
    const slow = redis.ask(async (client) => {
      for (;;) await client.get('a')
    })
    expect(await slow).toBe(undefined)
    expect(redis.counts.late).toBe(1)
  })

  it('takes an answer that has come while this process was held up', async () => {
    const { redis } = await openUp()
    const answer = redis.ask((client) => client.set('a', '1'))
    const end = performance.now() + 2 * COMMAND_MS
    while (performance.now() < end);
    expect(await answer).toBe('OK')
    expect(redis.isUp).toBe(true)
  })

  it('F43: has lost its keys and its scripts', async () => {
    const { redis } = await openUp()
    const count = redis.script(`return redis.call('incr', KEYS[1])`)
    expect(await count(['a'], [])).toBe(1)
    expect(await count(['a'], [])).toBe(2)
    await server.command('flushall')
    await server.command('script', 'flush')
    expect(await Promise.all([count(['a'], []), count(['a'], [])])).toEqual([1, 2])
    expect(redis.counts.refused).toBe(0)
  })

  it('F44: is full: down for all, although it answers, until there is room', async () => {
    const one = await openUp()
    await server.command('config', 'set', 'maxmemory', 1)
    expect(await one.redis.ask((client) => client.set('a', '1'))).toBe(undefined)
    expect((await one.next('redis.down')).reason).toMatch(/^OOM /)
    await expectAway(one)
    await pause(700) // A trial or two.
    await expectAway(one)
    await server.command('config', 'set', 'maxmemory', 0)
    await one.next('redis.up')
    expect(one.kinds()).toEqual(['redis.up', 'redis.down', 'redis.up'])
  })

  it('F44: has become a replica that only reads', async () => {
    const one = await openUp()
    await server.command('replicaof', '127.0.0.1', 1)
    const script = one.redis.script(`return redis.call('set', KEYS[1], 'x')`)
    expect(await script(['a'], [])).toBe(undefined)
    await one.next('redis.down')
    await expectAway(one)
    await server.command('replicaof', 'no', 'one')
    await one.next('redis.up')
    expect(await script(['a'], [])).toBe('OK')
  })

  it('F44: is busy with a script', async () => {
    const one = await openUp()
    await server.command('config', 'set', 'lua-time-limit', 5)
    const endless = server.command('eval', 'for i = 1, 1e9 do end', 0).catch(() => {})
    await expect.poll(() => one.redis.ask((client) => client.get('a'))).toBe(undefined)
    await one.next('redis.down')
    await expectAway(one)
    await server.command('script', 'kill')
    await endless
    await one.next('redis.up')
  })

  it.each([
    ['-LOADING Redis is loading the dataset in memory\r\n', /^LOADING/],
    ['-MASTERDOWN Link with MASTER is down\r\n', /^MASTERDOWN/],
    ['-NOAUTH Authentication required.\r\n', /^NOAUTH/],
    ['-ERR max number of clients reached\r\n', /^ERR max/],
    ['HTTP/1.1 400 Bad Request\r\n\r\n', /./],
    ['$-7\r\n:::', /./],
    ['', /no answer|no connection/],
  ])('F44: answers %j to everything', async (answer, reason) => {
    const raw = await rawServer(answer)
    closing.push(raw.close)
    const one = await open(`redis://127.0.0.1:${raw.port}`)
    expect((await one.next('redis.down')).reason).toMatch(reason)
    await expectAway(one)
  })

  it('F47: has something else under a key: that is refused, and only that', async () => {
    const one = await openUp()
    await server.command('rpush', 'list', 'x')
    for (let i = 0; i < 5; i++) expect(await one.redis.ask((client) => client.get('list'))).toBe(undefined)
    expect(await one.redis.ask((client) => client.set('a', '1'))).toBe('OK')
    expect(one.redis.counts).toMatchObject({ answered: 1, refused: 5 })
    expect(one.kinds()).toEqual(['redis.up', 'redis.refused'])
    expect((await one.next('redis.refused')).reason).toMatch(/^WRONGTYPE/)
  })

  it('F47: takes what cannot be read for no answer, and says nothing of what it was', async () => {
    const one = await openUp()
    await server.command('set', 'a', 'a private word')
    const read = one.redis.ask(async (client) => JSON.parse((await client.get('a')) ?? ''))
    expect(await read).toBe(undefined)
    const thrown = one.redis.ask(() => {
      throw new Error('a private word')
    })
    expect(await thrown).toBe(undefined)
    const unknown = one.redis.ask((client) => (client as Client).call('nonsense', 'private'))
    expect(await unknown).toBe(undefined)
    expect(one.kinds()).toEqual(['redis.up', 'redis.refused', 'redis.refused', 'redis.refused'])
    expect(JSON.stringify(one.events)).not.toContain('private')
    expect(one.redis.isUp).toBe(true)
  })

  it('takes no other database than the one of its address', async () => {
    const one = await open(`${server.url}/99`)
    expect((await one.next('redis.down')).reason).toMatch(/^ERR DB index/)
    const other = await open(`${server.url}/3`)
    await other.next('redis.up')
    await other.redis.ask((client) => client.set('test:a', '1'))
    expect(await server.command('exists', 'test:a')).toBe(0)
    expect(one.kinds()).toEqual(['redis.down'])
  })

  it('says nothing of a password', async () => {
    await server.command('acl', 'setuser', 'able', 'on', '>right-word', ...RIGHTS)
    await server.command('acl', 'setuser', 'weak', 'on', '>right-word', '~*', '&*', '+get')
    const [wrong, weak, able] = await Promise.all(
      ['able:wrong-word', 'weak:right-word', 'able:right-word'].map((who) =>
        open(server.url.replace('//', `//${who}@`)),
      ),
    )
    expect((await wrong?.next('redis.down'))?.reason).toMatch(/^WRONGPASS/)
    expect((await weak?.next('redis.down'))?.reason).toMatch(/^NOPERM/)
    await able?.next('redis.up')
    const say = (): void => able?.redis.publish('test:news', 'heard')
    const heard = new Promise<string>((resolve) => able?.redis.subscribe('test:news', resolve, say))
    expect(await heard).toBe('heard')
    expect(await able?.redis.script(`return redis.call('time')`)(['test:a'], [])).toHaveLength(2)
    expect(JSON.stringify([wrong, weak, able].map((one) => one?.events))).not.toContain('-word')
  })

  it('ends: whoever waits gets nothing, and nobody is told', async () => {
    const one = await openUp()
    server.suspend()
    const waiting = one.redis.ask((client) => client.get('a'))
    one.redis.end()
    server.resume()
    expect(await waiting).toBe(undefined)
    await expectAway(one)
    expect(one.kinds()).toEqual(['redis.up'])
  })
})
