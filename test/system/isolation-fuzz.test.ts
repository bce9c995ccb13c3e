/**
 * Isolation from outside: random operations of many tenants of all isolation models at once against a gateway process, while its
 * backends are killed, its tables locked, its connections cut, and its clients hang up. The same operations go through
 * both lanes: first with the compiled one, then with the resolvers alone.
 *
 * The short form runs with the other tests. The long form, in numbers of operations, and any run again:
 *
 *     COUNT=20000 npx vitest run --config test/vitest.config.ts test/system/isolation-fuzz.test.ts
 *     SEED=1234 COUNT=20000 npx vitest …
 */

import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startFaults } from '../kit/faults.ts'
import { type FuzzSetup, type FuzzTenant, fuzz, twins } from '../kit/fuzz.ts'
import { type Gateway, logged, reconfigure, startGateway, worldSchema, worldToken } from '../kit/gateway.ts'
import { isolationsOfRun } from '../kit/isolation-model.ts'
import { openProbe } from '../kit/probe.ts'
import { runRandom } from '../kit/random.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'
import { harvest, type TenantPool } from '../kit/world-source.ts'

const COUNT = Number(process.env.COUNT ?? 1_500)
const TIMEOUT_MS = 60_000 + COUNT * 60
/** Milliseconds for one request; a locked table lasts longer. */
const REQUEST_MS = 600
/** Patience with a shard after the faults; half a second is what its breaker takes. */
const RECOVERY_MS = 15_000
/** On each shard one tenant of each isolation model asks, and one only owns rows. */
const ASKING = 9
const MIXED = ['schema', 'database', 'shared'] as const

let world: World
let gateway: Gateway
let setup: FuzzSetup
const probe = openProbe()

beforeAll(async () => {
  world = await startWorld(
    {
      tenants: 12,
      shards: 3,
      rows: 8,
      proxies: true,
      isolations: process.env.ISOLATION ? isolationsOfRun() : MIXED,
    },
    { limits: { requestMs: REQUEST_MS, aliases: 200, rootFields: 30 }, http: { drainMs: 1 } },
  )
  gateway = await startGateway(world, { NODE_ENV: 'production' })
  const tenants = await Promise.all(world.tenants.map(fuzzTenant))
  for (const tenant of tenants) await fillPool(tenant)
  setup = {
    url: gateway.url,
    schema: await worldSchema(world),
    tenants: tenants.slice(0, ASKING),
    pools: tenants.map(({ pool }) => pool),
    scanner: world.scanner,
    probe,
    random: runRandom(),
  }
})
afterAll(async () => {
  probe.close()
  await gateway?.stop()
  await world?.stop()
})

async function fuzzTenant(tenant: World['tenants'][number]): Promise<FuzzTenant> {
  const { id, canary, values } = tenant
  return { id, token: await worldToken(world, tenant), pool: { canary, values, ids: [], cursors: [] } }
}

async function ask({ token }: FuzzTenant, query: string): Promise<{ data: Record<string, unknown> }> {
  const reply = await probe.send({ url: gateway.url, token, body: { query } })
  return JSON.parse(String(reply?.body))
}

async function fillPool(tenant: FuzzTenant): Promise<void> {
  const lists = ['projects', 'tasks', 'invoices', 'labels']
  const query = `{ ${lists.map((list) => `${list} { nodes { id } edges { cursor } }`).join(' ')} }`
  const pool: TenantPool = tenant.pool
  harvest(pool, await ask(tenant, query))
  expect(pool.ids.length).toBeGreaterThanOrEqual(32)
}

// After the faults a shard may be taken for down for a moment, and then has to come back by itself.
async function recovered(tenant: FuzzTenant): Promise<void> {
  const end = performance.now() + RECOVERY_MS
  for (;;) {
    const { data } = await ask(tenant, '{ tasks(first: 1) { nodes { id } } }')
    if (data) return
    if (performance.now() > end) throw new Error(`The shard of ${tenant.id} has not come back by itself.`)
    await setImmediate()
  }
}

/** What the gateway itself calls a fault of its own, as its log has it. */
const innerFaults = (): string[] =>
  gateway
    .output()
    .split('\n')
    .filter((line) => line.includes('"kind":"request.failed"') || line.includes('"kind":"connection.mixup"'))

/** How many operations the compiled lane has answered. */
const compiled = (): number =>
  logged(gateway, 'request.done').filter(({ lane }) => lane === 'compiled').length

const bystanders = () => Promise.all(world.tenants.slice(ASKING).map((tenant) => world.contents(tenant)))

describe.each([true, false])('with the compiled lane: %s', (compiledLane) => {
  const half = Math.ceil(COUNT / 2)

  beforeAll(async () => {
    if (!compiledLane) await reconfigure(world, gateway, { http: { compiledLane } })
  })

  it(
    `shows nobody a foreign value in ${half} operations while everything fails around it`,
    async () => {
      const before = await bystanders()
      const answered = compiled()
      const random = setup.random.fork(`faults, compiled lane: ${compiledLane}`)
      const faults = startFaults(world, random, { everyMs: 120, lockMs: REQUEST_MS + 300 })
      const counts = await fuzz(setup, half, 2)
      await faults.stop()
      const { leaks, lost, ...numbers } = counts
      const byLane = { compiled: compiled() - answered }
      const { seed } = setup.random
      console.log(
        JSON.stringify({
          ...{ seed, ...numbers, ...byLane, ...faults.counts, scannedBytes: world.scanner.bytes },
        }),
      )

      // A process that has ended has said why last.
      expect(gateway.ended, gateway.output().slice(-3_000)).toBeUndefined()
      expect(leaks).toEqual([])
      expect(lost).toEqual([])
      expect(counts.sent).toBeGreaterThanOrEqual(half)
      expect(innerFaults()).toEqual([])
      expect(counts.codes.INTERNAL_SERVER_ERROR ?? 0).toBe(0)
      // A run in which nothing was asked, answered, kept or broken would prove nothing.
      expect(counts.withForeign).toBeGreaterThan(half / 3)
      expect(counts.answered).toBeGreaterThan(half / 3)
      expect(counts.mutationsKept).toBeGreaterThan(half / 100)
      expect(faults.counts.killed).toBeGreaterThan(0)
      if (compiledLane) expect(byLane.compiled).toBeGreaterThan(half / 10)
      else expect(byLane.compiled).toBe(0)
      expect(await bystanders()).toEqual(before)
    },
    TIMEOUT_MS,
  )

  it(
    'answers foreign values byte for byte as it answers values of nobody',
    async () => {
      await Promise.all(setup.tenants.map(recovered))
      const answered = compiled()
      const counts = await twins(setup, Math.ceil(half / 30))
      const byLane = { compiled: compiled() - answered }
      console.log(JSON.stringify({ twins: counts.asked, mutations: counts.mutations, ...byLane }))
      expect(counts.differences).toEqual([])
      expect(counts.mutations).toBeGreaterThan(0)
      if (compiledLane) expect(byLane.compiled).toBeGreaterThan(counts.asked / 4)
      else expect(byLane.compiled).toBe(0)
    },
    TIMEOUT_MS,
  )
})

it('has stored nothing of one tenant in the rows of another', async () => {
  for (const tenant of world.tenants) {
    expect(world.scanner.scan(tenant.id, await world.contents(tenant))).toEqual([])
  }
})

it('writes no value of any tenant into its log or its metrics', async () => {
  const metrics = await fetch(`${gateway.adminUrl}/metrics`).then((answer) => answer.text())
  expect(world.scanner.scan(null, metrics)).toEqual([])
  expect(world.scanner.scan(null, gateway.output())).toEqual([])
  expect(gateway.ended).toBeUndefined()
})
