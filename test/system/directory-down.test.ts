/**
 * The directory down under load: tenants that the gateway knows go on, others are told the truth. And the
 * gateway's start while something that it needs is down.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { type Ending, shardgate } from '../kit/command.ts'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { type Load, startLoad, sumOf } from '../kit/load.ts'
import { openProbe } from '../kit/probe.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'
import type { WireProxy } from '../kit/wire-proxy.ts'

/** Milliseconds for one request. */
const REQUEST_MS = 4_000
/** Milliseconds after which a copy of a placement is old: all are, soon after the directory has gone. */
const CACHE_MS = 100
const ENOUGH = 40
const POLL = { timeout: 30_000, interval: 50 }

let world: World
const probe = openProbe()

beforeAll(async () => {
  world = await startWorld(
    { tenants: 6, shards: 3, rows: 4, proxies: true },
    { limits: { requestMs: REQUEST_MS } },
  )
})
afterAll(async () => {
  probe.close()
  await world?.stop()
})

/** The code of the answer to a tenant, 'ok' for rows. */
async function codeFor(gateway: Gateway, tenant: Pick<WorldTenant, 'id'>): Promise<string> {
  const token = await worldToken(world, tenant as WorldTenant)
  const reply = await probe.send({ url: gateway.url, token, body: { query: '{ projects { totalCount } }' } })
  const { data, errors } = JSON.parse(String(reply?.body))
  return errors ? errors[0].extensions.code : typeof data.projects.totalCount === 'number' ? 'ok' : 'no rows'
}

const answersOf = (load: Load, tenants: readonly WorldTenant[]): boolean =>
  tenants.every((tenant) => (load.counts(tenant).ok ?? 0) >= ENOUGH)

describe('the directory', () => {
  let gateway: Gateway
  let late = 0

  beforeAll(async () => {
    const config = JSON.parse(readFileSync(world.configFile, 'utf8'))
    config.directory.cacheMs = CACHE_MS
    writeFileSync(world.configFile, JSON.stringify(config))
    gateway = await startGateway(world)
  })
  afterAll(() => gateway?.stop())

  const eventCount = (kind: string): number => gateway.output().split(`"kind":"${kind}"`).length - 1

  /** A tenant that was made after the gateway had read all that there were. */
  async function lateTenant(): Promise<{ id: TenantId }> {
    const id = tenantId(`late-${++late}`)
    const shards = world.shards.map(({ key, ownerUrl }) => ({ key, weight: 1, url: ownerUrl }))
    await createTenant({ directoryUrl: world.directoryUrl, strategy: 'modulo', shards }, { id })
    return { id }
  }

  it.each<[string, (proxy: WireProxy) => unknown, (proxy: WireProxy) => unknown]>([
    [
      'refuses connections',
      async (proxy) => {
        await proxy.refuse()
        proxy.cut()
      },
      (proxy) => proxy.restore(),
    ],
    [
      'swallows what is sent',
      (proxy) => proxy.blackhole(),
      (proxy) => {
        proxy.pass()
        proxy.cut()
      },
    ],
  ])('%s: known tenants go on, unknown ones are not guessed', async (name, breakIt, mendIt) => {
    const proxy = world.directoryProxy!
    const callers = await Promise.all(
      world.tenants.map(async (tenant) => ({ tenant, token: await worldToken(world, tenant) })),
    )
    const made = await lateTenant()
    const load = await startLoad(gateway.url, callers)
    const [downs, ups] = [eventCount('directory.down'), eventCount('directory.up')]
    onTestFinished(async () => {
      await load.stop()
    })
    await breakIt(proxy)
    await load.until(() => eventCount('directory.down') > downs)
    expect(await codeFor(gateway, made)).toBe('DIRECTORY_UNAVAILABLE')
    expect(await codeFor(gateway, { id: tenantId(`nobody-${late}`) })).toBe('DIRECTORY_UNAVAILABLE')
    const before = load.mark()
    await load.until(() => answersOf(load, world.tenants))
    const during = load.mark()
    await mendIt(proxy)
    await expect.poll(() => codeFor(gateway, made), POLL).toBe('ok')
    expect(await codeFor(gateway, { id: tenantId(`nobody-${late}`) })).toBe('TENANT_UNKNOWN')
    await load.stop()
    const [first, down, after] = [
      sumOf([...before.values()]),
      sumOf([...during.values()]),
      load.sum(world.tenants),
    ]
    console.log(JSON.stringify({ directory: name, before: first, down, after }))
    expect([first, down, after].flatMap(Object.keys)).toEqual(['ok', 'ok', 'ok'])
    expect(eventCount('directory.up')).toBe(ups + 1)
    expect(gateway.ended).toBeUndefined()
    expect(gateway.output()).not.toMatch(/"kind":"request\.failed"|nhandled|^\s+at /m)
  })
})

describe('a start', () => {
  const serve = () => {
    const env = { PORT: '0', ADMIN_PORT: '0', LOG_LEVEL: 'info' }
    return shardgate(['serve', '-c', world.configFile], env).ended
  }

  /** Only what is meant for a person, without the log. */
  const sentencesOf = ({ err }: Ending): string =>
    err
      .split('\n')
      .filter((line) => !line.startsWith('{'))
      .join('\n')

  async function down(proxies: readonly WireProxy[], work: () => Promise<void>): Promise<void> {
    for (const proxy of proxies) await proxy.refuse()
    try {
      await work()
    } finally {
      for (const proxy of proxies) await proxy.restore()
    }
  }

  it('without the directory says so, and ends', async () => {
    await down([world.directoryProxy!], async () => {
      const ending = await serve()
      expect([ending.status, ending.signal]).toEqual([1, null])
      expect(sentencesOf(ending)).toMatch(/^The directory cannot be reached: connect ECONNREFUSED .*\.\n/)
      expect(ending.err + ending.out).not.toMatch(/^\s+at |test-app|nhandled/m)
    })
  })

  it('without any shard names each and why, and ends', async () => {
    await down(
      world.shards.map(({ proxy }) => proxy!),
      async () => {
        const ending = await serve()
        expect([ending.status, ending.signal]).toEqual([1, null])
        const sentences = sentencesOf(ending)
        expect(sentences).toMatch(/^No shard can be reached:\n/)
        for (const { key } of world.shards)
          expect(sentences).toMatch(new RegExp(`^  ${key}: .*ECONNREFUSED`, 'm'))
        expect(ending.err + ending.out).not.toMatch(/^\s+at |test-app|nhandled/m)
      },
    )
  })

  it('without one shard serves the others, and lets it in once it is up', async () => {
    const [away] = world.shards
    let gateway: Gateway | undefined
    await down([away!.proxy!], async () => {
      gateway = await startGateway(world)
      for (const tenant of world.tenants) {
        expect(await codeFor(gateway, tenant)).toBe(tenant.shard === away!.key ? 'SHARD_UNAVAILABLE' : 'ok')
      }
      expect(gateway.output()).toMatch(
        `"kind":"shard.down","shard":"${away!.key}","reason":"connect ECONNREFUSED`,
      )
    })
    const struck = world.tenants.find(({ shard }) => shard === away!.key)!
    await expect.poll(() => codeFor(gateway!, struck), POLL).toBe('ok')
    expect(gateway!.ended).toBeUndefined()
    await gateway!.stop()
    expect(gateway!.ended).toBe('exit 0')
  })

  it('with an extension that cannot be loaded names it, and ends', async () => {
    await withConfig({ extensions: ['./none.ts'] }, async () => {
      const ending = await serve()
      expect([ending.status, ending.signal]).toEqual([2, null])
      expect(sentencesOf(ending)).toMatch(/none\.ts/)
      expect(ending.err + ending.out).not.toMatch(/^\s+at |nhandled/m)
    })
  })

  it('with two shards exchanged serves neither, and the third', async () => {
    const [a, b, c] = world.shards.map(({ key, appUrl, ownerUrl }) => ({
      key,
      urls: { url: appUrl, ownerUrl },
    }))
    const shards = { [a!.key]: b!.urls, [b!.key]: a!.urls, [c!.key]: c!.urls }
    await withConfig({ shards }, async () => {
      const gateway = await startGateway(world)
      for (const tenant of world.tenants) {
        expect(await codeFor(gateway, tenant)).toBe(tenant.shard === c!.key ? 'ok' : 'SHARD_UNAVAILABLE')
      }
      const ready = await fetch(`${gateway.adminUrl}/readyz`).then((answer) => answer.text())
      expect(ready.split('\n').slice(0, 3)).toEqual(
        [a, b, c].map((shard) => expect.stringContaining(`${shard!.key} ${shard === c ? 'up' : 'down'}`)),
      )
      expect(gateway.output()).toContain(`"kind":"shard.refused","shard":"${a!.key}"`)
      await gateway.stop()
    })
  })
})

/** Change keys of the world's configuration for as long as `work` takes. */
async function withConfig(keys: object, work: () => Promise<void>): Promise<void> {
  const text = readFileSync(world.configFile, 'utf8')
  writeFileSync(world.configFile, JSON.stringify({ ...JSON.parse(text), ...keys }))
  try {
    await work()
  } finally {
    writeFileSync(world.configFile, text)
  }
}
