/**
 * Kept answers of two gateways that share a Redis: who has what when, and what lies there that none of them has written.
 */

import { createHmac } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type CachedGateway, openCachedGateway, until } from '../kit/cached-gateways.ts'
import { startRedis, type TestRedis } from '../kit/redis.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

const redis: TestRedis | undefined = await startRedis()

describe.skipIf(!redis)('two gateways and a Redis', () => {
  const server = redis!
  let world: World
  let tenant: WorldTenant
  let other: WorldTenant
  let a: CachedGateway
  let b: CachedGateway

  beforeAll(async () => {
    world = await startWorld({ tenants: 2, shards: 1, isolations: ['shared'] })
    ;[tenant, other] = world.tenants as [WorldTenant, WorldTenant]
  })
  afterAll(async () => {
    await world?.stop()
    await server.remove()
  })
  beforeEach(async () => {
    await server.command('flushall')
    a = await openCachedGateway(world, { redisUrl: server.url })
    b = await openCachedGateway(world, { redisUrl: server.url })
    await until(() => a.redis!.isUp && b.redis!.isUp)
    await untilHeard()
  })
  afterEach(() => {
    a.end()
    b.end()
  })

  /** Both hear what the other one tells. */
  async function untilHeard(): Promise<void> {
    await until(
      async () =>
        Number(((await server.command('pubsub', 'numsub', 'test:cache:changes')) as unknown[])[1]) >= 2,
    )
  }

  const id = (type: string, ...key: unknown[]) =>
    Buffer.from(JSON.stringify([type, ...key.map(String)])).toString('base64url')
  const TITLES = '{ tasks(orderBy: [{ rowId: ASC }]) { nodes { rowId title } } }'
  const RENAME = `mutation ($id: ID!, $title: String!) {
    updateTask(id: $id, patch: { title: $title }) { ... on Task { title } } }`
  const rename = (gateway: CachedGateway, title: string) =>
    gateway.write(tenant, RENAME, { id: id('Task', 1), title })
  const shared = async (): Promise<string[]> =>
    ((await server.command('keys', 'test:cache:*')) as string[]).filter((key) => key.length > 60)
  const asked = (gateway: CachedGateway, result: string) =>
    gateway.events.filter(
      (event) => event.kind === 'cache.asked' && event.layer === 'redis' && event.result === result,
    ).length
  const alarms = (gateway: CachedGateway) =>
    gateway.events.filter(({ kind }) => kind === 'cache.poisoned').length

  /** Ask for the titles, and wait until Redis has them. */
  async function fill(gateway: CachedGateway): Promise<string> {
    const { text } = await gateway.ask(tenant, TITLES)
    await until(async () => (await shared()).length > 0)
    return text!
  }

  it('share what one of them has read', async () => {
    const text = await fill(a)
    expect(await b.ask(tenant, TITLES)).toEqual({ text, cache: 'hit' })
    expect(b.reads).toBe(0)
    expect(await b.ask(tenant, TITLES)).toEqual({ text, cache: 'hit' })
    expect(asked(b, 'hit')).toBe(1)
  })

  it('tell each other of writes', async () => {
    await fill(a)
    await b.ask(tenant, TITLES)
    await rename(b, 'written by the other')
    await until(async () => (await a.ask(tenant, TITLES)).text?.includes('written by the other') === true)
    expect((await b.ask(tenant, TITLES)).text).toContain('written by the other')
    expect(alarms(a) + alarms(b)).toBe(0)
  })

  it('do not give what was kept while a write came in between', async () => {
    await rename(a, 'old')
    const arrived = Promise.withResolvers<void>()
    const gone = Promise.withResolvers<void>()
    b.afterRead = async () => {
      b.afterRead = () => {}
      arrived.resolve()
      await gone.promise
    }
    const early = b.ask(tenant, TITLES)
    await arrived.promise
    await rename(a, 'new')
    gone.resolve()
    await early
    const third = await openCachedGateway(world, { redisUrl: server.url })
    await until(() => third.redis!.isUp)
    expect((await third.ask(tenant, TITLES)).text).toContain('"new"')
    third.end()
  })

  describe('fault 47: what lies there and is not ours is a miss and an alarm', () => {
    it.each([
      ['garbage', () => 'garbage'],
      ['an empty line', () => '\n{}'],
      ['another text under our words', (value: string) => value.replace('"rowId":1', '"rowId":9')],
      ['an answer of ours that was cut', (value: string) => value.slice(0, -4)],
    ])('%s', async (_, change) => {
      const text = await fill(a)
      const [key] = await shared()
      const value = (await server.command('get', key!)) as string
      await server.command('set', key!, change(value))
      expect(await b.ask(tenant, TITLES)).toEqual({ text, cache: 'miss' })
      expect(alarms(b)).toBe(1)
    })

    it('a value of another kind', async () => {
      const text = await fill(a)
      const [key] = await shared()
      await server.command('del', key!)
      await server.command('hset', key!, 'a', 'b')
      expect(await b.ask(tenant, TITLES)).toEqual({ text, cache: 'miss' })
      expect(alarms(b)).toBe(1)
    })

    it("another tenant's whole answer", async () => {
      const text = await fill(a)
      const [key] = await shared()
      await a.ask(other, TITLES)
      await until(async () => (await shared()).length === 2)
      const foreign = (await shared()).find((each) => each !== key)!
      await server.command('copy', foreign, key!, 'replace')
      expect(await b.ask(tenant, TITLES)).toEqual({ text, cache: 'miss' })
      expect(alarms(b)).toBe(1)
    })

    it('and one that was made up, where a secret signs them', async () => {
      const config = { secret: 'a secret that whoever writes there has not' }
      const [c, d] = await Promise.all(
        [1, 2].map(() => openCachedGateway(world, { redisUrl: server.url, config })),
      )
      await until(() => c!.redis!.isUp && d!.redis!.isUp)
      const text = await fill(c!)
      const [key] = await shared()
      const [line = '', body = ''] = ((await server.command('get', key!)) as string).split('\n')
      const { seal: _, ...about } = JSON.parse(line)
      const made = body.replace('"rowId":1', '"rowId":9')
      const seal = createHmac('sha256', '')
        .update(JSON.stringify(about))
        .update('\n')
        .update(made)
        .digest('base64url')
      await server.command('set', key!, `${JSON.stringify({ ...about, seal })}\n${made}`)
      expect(await d!.ask(tenant, TITLES)).toEqual({ text, cache: 'miss' })
      expect(alarms(d!)).toBe(1)
      c!.end()
      d!.end()
    })

    it('a message that no gateway has sent', async () => {
      await server.command('publish', 'test:cache:changes', 'garbage')
      await until(() => alarms(a) === 1 && alarms(b) === 1)
    })
  })

  describe('what Redis forgets never brings an old answer back', () => {
    it('flushed', async () => {
      await fill(a)
      await server.command('flushall')
      await rename(a, 'after the flush')
      expect((await a.ask(tenant, TITLES)).text).toContain('after the flush')
      await until(async () => (await b.ask(tenant, TITLES)).text?.includes('after the flush') === true)
    })

    it('only what has changed thrown away', async () => {
      await fill(a)
      const third = await openCachedGateway(world, { redisUrl: server.url })
      await until(() => third.redis!.isUp)
      await rename(a, 'not to be forgotten')
      await server.command('del', `test:cache:${tenant.id}:changed`)
      expect((await third.ask(tenant, TITLES)).text).toContain('not to be forgotten')
      third.end()
    })

    it('killed and back with what it had before a write', async () => {
      await fill(a)
      await b.ask(tenant, TITLES)
      const kept = await Promise.all(
        ((await server.command('keys', 'test:cache:*')) as string[]).map(
          async (key) => [key, await dump(key)] as const,
        ),
      )
      await rename(a, 'while it went back')
      await server.kill()
      await server.start()
      for (const [key, value] of kept) await restore(key, value)
      await until(() => a.redis!.isUp && b.redis!.isUp)
      await untilHeard()
      await until(
        async () =>
          (await server.command('get', 'test:cache:generation')) !==
          kept.find(([key]) => key === 'test:cache:generation')?.[1],
      )
      expect((await a.ask(tenant, TITLES)).text).toContain('while it went back')
      expect((await b.ask(tenant, TITLES)).text).toContain('while it went back')
    })
  })

  type Dumped = string | Record<string, string>
  async function dump(key: string): Promise<Dumped> {
    if ((await server.command('type', key)) === 'string') return (await server.command('get', key)) as string
    const flat = (await server.command('hgetall', key)) as string[]
    return Array.isArray(flat)
      ? Object.fromEntries(
          Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i]!, flat[2 * i + 1]!]),
        )
      : flat
  }
  async function restore(key: string, value: Dumped): Promise<void> {
    await server.command('del', key)
    if (typeof value === 'string') await server.command('set', key, value, 'px', 60_000)
    else await server.command('hset', key, ...Object.entries(value).flat())
  }

  it('forget what they have when they may have missed something', async () => {
    await fill(a)
    await b.ask(tenant, TITLES)
    await server.kill()
    await rename(a, 'while nobody heard')
    await server.start()
    await until(async () => (await b.ask(tenant, TITLES)).text?.includes('while nobody heard') === true)
  })

  it('does not trust it with what it did not take: a full one refuses changes and still gives answers', async () => {
    await fill(a)
    await server.command('config', 'set', 'maxmemory', 1)
    await rename(a, 'while it was full')
    await server.command('config', 'set', 'maxmemory', 0)
    await until(() => a.redis!.isUp)
    expect((await a.ask(tenant, TITLES)).text).toContain('while it was full')
    await until(async () => (await b.ask(tenant, TITLES)).text?.includes('while it was full') === true)
  })

  it('goes on without it, and never behind its own writes', async () => {
    await fill(a)
    await server.command('client', 'pause', 300)
    await rename(a, 'while it was paused')
    expect((await a.ask(tenant, TITLES)).text).toContain('while it was paused')
    await until(() => a.redis!.isUp && b.redis!.isUp)
    expect((await a.ask(tenant, TITLES)).text).toContain('while it was paused')
    await until(async () => (await b.ask(tenant, TITLES)).text?.includes('while it was paused') === true)
    const third = await openCachedGateway(world, { redisUrl: server.url })
    await until(() => third.redis!.isUp)
    expect((await third.ask(tenant, TITLES)).text).toContain('while it was paused')
    third.end()
  })
})
