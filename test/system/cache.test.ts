/** Kept answers over HTTP: opted in while the gateway runs, each tenant's its own, counted, and the same bytes as fresh ones. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Gateway, reconfigure, startGateway, worldToken } from '../kit/gateway.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let gateway: Gateway
let tenant: WorldTenant
let other: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1 })
  ;[tenant, other] = world.tenants as [WorldTenant, WorldTenant]
  gateway = await startGateway(world)
})
afterAll(async () => {
  await gateway?.stop()
  await world?.stop()
})

const TITLES = '{ tasks(orderBy: [{ rowId: ASC }]) { nodes { id rowId title } } }'

async function post(asker: WorldTenant, query: string): Promise<string> {
  const answer = await fetch(gateway.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${await worldToken(world, asker)}`,
    },
    body: JSON.stringify({ query }),
  })
  const text = await answer.text()
  expect(text).not.toContain('"errors"')
  expect(world.scanner.scan(asker.id, text)).toEqual([])
  return text
}

async function looks(result: 'hit' | 'miss'): Promise<number> {
  const metrics = await fetch(`${gateway.adminUrl}/metrics`).then((answer) => answer.text())
  const pattern = new RegExp(
    `^gateway_cache_lookups_total\\{layer="process",result="${result}"\\} (\\d+)$`,
    'm',
  )
  return Number(pattern.exec(metrics)?.[1] ?? 0)
}

it('is asked for nothing until a table is opted in, and for nothing any more when it is not', async () => {
  const fresh = await post(tenant, TITLES)
  expect([await looks('hit'), await looks('miss')]).toEqual([0, 0])
  await reconfigure(world, gateway, { cache: { tables: { 'app.tasks': { ttlMs: 60_000 } } } })
  expect([await post(tenant, TITLES), await post(tenant, TITLES)]).toEqual([fresh, fresh])
  expect([await looks('hit'), await looks('miss')]).toEqual([1, 1])
  await post(other, TITLES)
  expect([await looks('hit'), await looks('miss')]).toEqual([1, 2])
  const [{ id }] = JSON.parse(fresh).data.tasks.nodes
  await post(tenant, `mutation { updateTask(id: "${id}", patch: { title: "over HTTP" }) { __typename } }`)
  expect(await post(tenant, TITLES)).toContain('"over HTTP"')
  expect([await looks('hit'), await looks('miss')]).toEqual([1, 3])
  await reconfigure(world, gateway, { cache: { tables: {} } })
  await post(tenant, TITLES)
  expect([await looks('hit'), await looks('miss')]).toEqual([1, 3])
})
