/**
 * One shard down, in each way in which a shard can be down, while tenants of all shards read and write: its
 * tenants are told so without waiting, the others notice nothing, and it comes back by itself.
 */

import { execFileSync } from 'node:child_process'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Gateway, logged, startGateway, worldToken } from '../kit/gateway.ts'
import { type Caller, type Counts, type Load, startLoad } from '../kit/load.ts'
import { type PrivateServer, privateServer } from '../kit/servers.ts'
import { startWorld, type World, type WorldShard } from '../kit/shard-fixture.ts'

/** The shard that goes down; it has a server of its own. */
const DOWN = 'shard-b'
/** Milliseconds for one request; bystanders on a slow machine need far less. */
const REQUEST_MS = 3_000
/** Answers without an error before and after; refusals while the shard is down. */
const ENOUGH = 40
const POLL = { timeout: 30_000, interval: 20 }

let server: PrivateServer
let world: World
let shard: WorldShard
let gateway: Gateway
let callers: Caller[]
let load: Load

beforeAll(async () => {
  server = await privateServer()
  world = await startWorld(
    { tenants: 6, shards: 3, rows: 4, proxies: true, servers: { [DOWN]: server.superuserUrl() } },
    { limits: { requestMs: REQUEST_MS } },
  )
  shard = world.shards.find(({ key }) => key === DOWN)!
  gateway = await startGateway(world)
  callers = await Promise.all(
    world.tenants.map(async (tenant) => ({ tenant, token: await worldToken(world, tenant) })),
  )
})
afterAll(async () => {
  await gateway?.stop()
  await world?.stop()
  await server?.remove()
})

beforeEach(async () => {
  load = await startLoad(gateway.url, callers)
})
afterEach(() => load.stop())

const struck = () => world.tenants.filter((tenant) => tenant.shard === DOWN)
const others = () => world.tenants.filter((tenant) => tenant.shard !== DOWN)
const refusals = (): number => load.sum(struck()).SHARD_UNAVAILABLE ?? 0
const eventCount = (kind: string): number =>
  gateway
    .output()
    .split('\n')
    .filter((line) => line.includes(`"kind":"${kind}","shard":"${DOWN}"`)).length

/** Each of the struck tenants has been answered without an error so often. */
const served = (n: number) => () => struck().every((tenant) => (load.counts(tenant).ok ?? 0) >= n)

/** Break the shard under load, mend it, and say what each side saw. */
async function outage(
  breakIt: () => unknown,
  mendIt: () => unknown,
  meanwhile: () => Promise<void> = async () => {},
): Promise<{ before: Counts; during: Counts; after: Counts; bystanders: Counts }> {
  await load.until(served(10))
  const before = load.sum(struck())
  let bystanders = load.sum(others())
  const restart = (): void => {
    bystanders = add(bystanders, load.sum(others()))
    load.mark()
  }
  load.mark()
  await breakIt()
  await load.until(() => refusals() >= ENOUGH)
  await meanwhile()
  const during = load.sum(struck())
  restart() // An answer from just before the fault must not pass for one after it.
  await mendIt()
  await load.until(served(1))
  restart()
  await load.until(served(ENOUGH / 2))
  const after = load.sum(struck())
  restart()
  return { before, during, after, bystanders }
}

const add = (a: Counts, b: Counts): Counts =>
  Object.fromEntries(
    [...Object.keys(a), ...Object.keys(b)].map((code) => [code, (a[code] ?? 0) + (b[code] ?? 0)]),
  )

const REFUSED = ['ok', 'SHARD_UNAVAILABLE', 'OUTCOME_UNKNOWN']

function expectOutage(name: string, seen: Awaited<ReturnType<typeof outage>>, allowed = REFUSED): void {
  console.log(JSON.stringify({ outage: name, ...seen }))
  expect(Object.keys(seen.bystanders)).toEqual(['ok'])
  expect(Object.keys(seen.before)).toEqual(['ok'])
  expect(allowed).toEqual(expect.arrayContaining(Object.keys(seen.during)))
  expect(Object.keys(seen.after)).toEqual(['ok'])
  expect(gateway.ended).toBeUndefined()
  expect(gateway.output()).not.toMatch(/"kind":"(request\.failed|connection\.mixup)"|nhandled|^\s+at /m)
}

describe('a shard that', () => {
  it('refuses connections', async () => {
    const proxy = shard.proxy!
    const seen = await outage(
      async () => {
        await proxy.refuse()
        proxy.cut()
      },
      () => proxy.restore(),
    )
    expectOutage('refuses', seen)
    expect(eventCount('shard.down')).toBeGreaterThan(0)
    expect(eventCount('shard.up')).toBeGreaterThan(1)
    // Once it is known, a refusal is the compiled lane's: a second run of each would be felt by everybody.
    const refused = logged(gateway, 'request.done').filter(({ code }) => code === 'SHARD_UNAVAILABLE')
    expect(refused.map(({ lane }) => lane)).toContain('compiled')
  })

  it('is stopped, and started again', async () => {
    expectOutage(
      'stopped',
      await outage(
        () => server.stop(),
        () => server.start(),
      ),
    )
  })

  it('is killed with all its processes, and started again', async () => {
    const seen = await outage(
      () => signalAll('SIGKILL'),
      () => server.start(),
    )
    expectOutage('killed', seen)
  })

  it('stands still', async () => {
    const seen = await outage(
      () => signalAll('SIGSTOP'),
      () => signalAll('SIGCONT'),
    )
    expectOutage('stands still', seen, [...REFUSED, 'TIMEOUT'])
  })

  it('swallows what is sent: once the breaker is open, refusals take no connection', async () => {
    const proxy = shard.proxy!
    const downs = eventCount('shard.down')
    const seen = await outage(
      () => proxy.blackhole(),
      () => {
        proxy.pass()
        proxy.cut()
      },
      async () => {
        await load.until(() => eventCount('shard.down') > downs)
        // A balancer must not take the gateway away from the tenants of the other shards.
        await expect.poll(readiness, POLL).toEqual([200, expect.stringContaining(`[-] shard ${DOWN} down`)])
        const [refused, connections] = [refusals(), proxy.counts.connections]
        await load.until(() => refusals() >= refused + 100)
        // One try at a time, which takes a whole connect timeout here, then half a second of peace.
        expect(proxy.counts.connections - connections).toBeLessThan(10)
      },
    )
    expectOutage('swallows', seen, [...REFUSED, 'TIMEOUT'])
  })
})

async function readiness(): Promise<[number, string]> {
  const answer = await fetch(`${gateway.adminUrl}/readyz`)
  return [answer.status, await answer.text()]
}

/** To the server and each of its sessions and workers. */
function signalAll(signal: NodeJS.Signals): void {
  const pid = server.pid!
  const children = execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
  for (const process_ of [pid, ...children.split(/\s+/).filter(Boolean).map(Number)])
    process.kill(process_, signal)
}
