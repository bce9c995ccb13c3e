/**
 * What has become of a batch whose answer did not come: a write is never sent twice and never reported as
 * refused, and a shard that swallows what is sent is left alone after three deadlines.
 */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { deadlineIn } from '../../src/base/time.ts'
import { ConnectionLost } from '../../src/db/connection.ts'
import { openWorldDoor, type WorldDoor } from '../kit/door.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'
import { commandComplete, type WireProxy } from '../kit/wire-proxy.ts'

let world: World
let tenant: WorldTenant
let proxy: WireProxy
let gate: WorldDoor

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1, proxies: true })
  tenant = world.tenants[0]!
  proxy = world.shards[0]!.proxy!
})
afterAll(() => world?.stop())
beforeEach(async () => {
  gate = await openWorldDoor(world)
})
afterEach(() => gate.end())

// No key of the table stands in the way of a second row.
const INSERT = `insert into app.invoices (tenant_id, project_id, reference, cents)
  values ($1, $2, gen_random_uuid()::text, $3)`
const insert = (cents: number) =>
  gate.ask(tenant.id, INSERT, [tenant.id, tenant.values.projectIds[0]!, cents], 'write')
const count = async (cents: number) =>
  (await world.sql(tenant.shard, 'select from app.invoices where cents = $1', [cents])).length

describe('a batch whose answer is lost after it was sent', () => {
  it('that writes has an unknown outcome and exactly one effect', async () => {
    await insert(1)
    const lost = proxy.on(commandComplete('INSERT 0 1'), 'cut', { times: 1 })
    await expect(insert(2)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' })
    expect([lost.hits, await count(1), await count(2)]).toEqual([1, 1, 1])
  })

  it('that writes has an unknown outcome too when its backend was killed', async () => {
    const suicide = gate.ask(
      tenant.id,
      `select set_config('role', 'none', true), pg_terminate_backend(pg_backend_pid())`,
      [],
      'write',
    )
    await expect(suicide).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' })
  })

  it('that reads is sent once more, and the caller does not notice', async () => {
    const text = 'select count(*) from app.projects'
    const [before] = await gate.ask(tenant.id, text)
    const lost = proxy.on(commandComplete('SELECT 1'), 'cut', { times: 1 })
    expect(await gate.ask(tenant.id, text)).toEqual([before])
    expect(lost.hits).toBe(1)
  })
})

describe('the breaker', () => {
  const shard = () => gate.fleet.get(tenant.shard)!
  const isDown = () => gate.events.some(({ kind }) => kind === 'shard.down')

  it('opens after three deadlines: requests are refused without a new connection', async () => {
    const { promise: allOpen, resolve } = Promise.withResolvers<void>()
    let open = 0
    const transaction = (ms: number) =>
      gate.door.withTenant(tenant.id, 'write', deadlineIn(ms), async () => {
        if (++open === 3) resolve()
        await allOpen
        return { keep: false, value: null }
      })
    await Promise.all([transaction(5_000), transaction(5_000), transaction(5_000)])
    proxy.blackhole()
    try {
      const swallowed = await Promise.allSettled([transaction(50), transaction(50), transaction(50)])
      for (const { reason } of swallowed as PromiseRejectedResult[])
        expect(reason).toMatchObject({ code: 'TIMEOUT' })
      const tries = proxy.counts.connections
      for (let i = 0; i < 5; i++)
        await expect(gate.ask(tenant.id, 'select 1')).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
      expect([proxy.counts.connections - tries, isDown()]).toEqual([0, true])
    } finally {
      proxy.pass()
      proxy.cut()
    }
  })

  it.each([
    ['deadline', true],
    ['queued', false],
    ['lost', false],
    ['unsent', false],
  ] as const)('after three connections lost for the reason "%s": open is %s', async (why, opens) => {
    let served = 0
    const lose = () => shard().use(() => Promise.reject(new ConnectionLost(why, 'lost by the test')))
    for (let i = 0; i < 3; i++) await expect(lose()).rejects.toThrow('lost by the test')
    await shard()
      .use(async () => served++)
      .catch(() => {})
    expect([served, isDown()]).toEqual(opens ? [0, true] : [1, false])
  })
})
