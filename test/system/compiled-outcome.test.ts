/**
 * A write whose answer is lost, through the whole gateway and in both lanes: it is done once, nobody runs it again, and
 * the client hears the same.
 */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Gateway, logged, reconfigure, startGateway, worldToken } from '../kit/gateway.ts'
import { openProbe } from '../kit/probe.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'
import { commandComplete } from '../kit/wire-proxy.ts'

let world: World
let gateway: Gateway
let token: string
const probe = openProbe()

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1, proxies: true })
  gateway = await startGateway(world, { NODE_ENV: 'production' })
  token = await worldToken(world, world.tenants[0]!)
})
afterAll(async () => {
  probe.close()
  await gateway?.stop()
  await world?.stop()
})

/** Without what is each time another. */
async function create(rowId: number, more = '', headers = {}) {
  const projectId = world.tenants[0]!.values.projectIds[0]!
  const query = `mutation { createTask(input: { rowId: ${rowId}, title: "t", projectId: "${projectId}" }) {
    ... on Task { title ${more} } } }`
  const reply = await probe.send({
    url: gateway.url,
    token,
    body: { query },
    headers: { 'x-request-id': 'same', ...headers },
  })
  return { ...reply, headers: reply?.headers.replace(/^Date: .*$/m, ''), body: String(reply?.body) }
}

const lanes = () => logged(gateway, 'request.done').map(({ lane }) => lane)
const rows = (rowId: number) =>
  world.sql(world.tenants[0]!.shard, 'select from app.tasks where id = $1', [rowId])

it('with a key for repeated operations is the resolver lane’s, and done once', async () => {
  const key = { 'idempotency-key': 'k' }
  const [first, second] = [await create(999, '', key), await create(999, '', key)]
  expect(second.body).toBe(first.body)
  expect(second.headers).toContain('idempotency-replayed: true')
  await expect.poll(lanes).toEqual(['resolver', 'resolver'])
})

it('has an unknown outcome and one effect, whichever lane has run it', async () => {
  const proxy = world.shards[0]!.proxy!
  const cutAt = (tag: string) => proxy.on(commandComplete(tag), 'cut', { times: 1 })
  await create(1_000)
  const lost = [cutAt('INSERT 0 1')]
  const plain = await create(1_001)
  lost.push(cutAt('SELECT 2'))
  const related = await create(1_002, 'project { name }')
  await reconfigure(world, gateway, { http: { compiledLane: false } })
  await create(1_003)
  lost.push(cutAt('COMMIT'))
  const resolver = await create(1_004)
  expect(JSON.stringify(resolver)).toContain('OUTCOME_UNKNOWN')
  expect([plain, related]).toEqual([resolver, resolver])
  expect(lost.map(({ hits }) => hits)).toEqual([1, 1, 1])
  expect(await Promise.all([1_000, 1_001, 1_002, 1_003, 1_004].map(rows))).toEqual(Array(5).fill([{}]))
  await expect
    .poll(() => lanes().slice(2))
    .toEqual(['compiled', 'compiled', 'compiled', 'resolver', 'resolver'])
})
