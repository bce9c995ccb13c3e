/** A gateway with a Redis that comes and goes: it serves on, and says what there is. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { openProbe } from '../kit/probe.ts'
import { startRedis, type TestRedis } from '../kit/redis.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

const started = await startRedis()
const POLL = { timeout: 30_000, interval: 50 }

let world: World
const probe = openProbe()
beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1, rows: 1 })
})
afterAll(async () => {
  probe.close()
  await world?.stop()
  await started?.remove()
})

const metricsOf = async ({ adminUrl }: Gateway): Promise<string> =>
  (await fetch(`${adminUrl}/metrics`)).text()

async function expectServed(gateway: Gateway): Promise<void> {
  const token = await worldToken(world, world.tenants[0]!)
  const reply = await probe.send({ url: gateway.url, token, body: { query: '{ projects { totalCount } }' } })
  expect(JSON.parse(String(reply?.body))).toEqual({ data: { projects: { totalCount: expect.any(Number) } } })
}

describe.skipIf(!started)('a gateway with Redis', () => {
  it('serves while it is there, gone and back, and shows which', async () => {
    const server = started as TestRedis
    await server.kill()
    const gateway = await startGateway(world, { REDIS_URL: server.url })
    const shows = async (value: number): Promise<void> =>
      expect.poll(() => metricsOf(gateway), POLL).toMatch(`\ngateway_redis_up ${value}\n`)
    await shows(0)
    await expectServed(gateway)
    await server.start()
    await shows(1)
    await expectServed(gateway)
    await server.kill()
    await shows(0)
    await expectServed(gateway)
    expect(await metricsOf(gateway)).toMatch(/\ngateway_redis_commands_total\{result="answered"\} \d/)
    await gateway.stop()
    expect(gateway.ended).toBe('exit 0')
    const lines = gateway
      .output()
      .split('\n')
      .filter((line) => line.includes('"redis.'))
    expect(lines.map((line) => JSON.parse(line).kind)).toEqual(['redis.down', 'redis.up', 'redis.down'])
  })
})

it('a gateway without Redis says so once, and has no metrics of one', async () => {
  const gateway = await startGateway(world)
  await expectServed(gateway)
  expect(await metricsOf(gateway)).not.toContain('gateway_redis')
  await gateway.stop()
  expect(gateway.output().match(/no Redis is configured/g)).toHaveLength(1)
})
