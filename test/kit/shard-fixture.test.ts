/** The test world: tenants where they were put, every value tagged, proxies in the way. */

import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadConfig } from '../../src/base/config.ts'
import { startWorld, type World } from './shard-fixture.ts'

let world: World

beforeAll(async () => {
  world = await startWorld({ tenants: 4, shards: 3, rows: 4, proxies: true }, { limits: { pageSize: 7 } })
})
afterAll(() => world.stop())

const asApp = async (url: string, tenant: string, sql: string) => {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await client.query('begin')
    await client.query(`select shardgate.begin_tenant($1, 1, 'read', 10000)`, [tenant])
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

it('deals tenants to shards in turn, by their buckets', async () => {
  expect(world.tenants.map(({ shard }) => shard)).toEqual(['shard-a', 'shard-b', 'shard-c', 'shard-a'])
  const fenced = await Promise.all(
    world.shards.map(({ key }) => world.sql(key, 'select tenant_id from shardgate.tenant_fence order by 1')),
  )
  expect(fenced.map((rows) => rows.length)).toEqual([2, 1, 1])
  expect(await world.sql('directory', 'select * from directory.placement')).toEqual([])
})

it("shows the app role one tenant, and in everything that it shows that tenant's tag", async () => {
  for (const { id, shard } of world.tenants) {
    const { appUrl } = world.shards.find(({ key }) => key === shard)!
    for (const table of ['projects', 'tasks', 'invoices', 'labels']) {
      const rows = await asApp(appUrl, id, `select to_jsonb(t) - 'tenant_id' as t from app.${table} t`)
      expect(rows.length).toBeGreaterThanOrEqual(4)
      for (const row of rows) {
        expect(world.scanner.scan(id, JSON.stringify(row))).toEqual([])
        expect(world.scanner.scan(null, JSON.stringify(row)).length).toBeGreaterThan(0)
      }
    }
  }
})

it('tags each value that can carry a tag', async () => {
  const [tenant] = world.tenants
  const [row] = await world.sql('shard-a', 'select * from app.projects where tenant_id = $1 limit 1', [
    tenant!.id,
  ])
  const { tenant_id, created_at, ...values } = row!
  for (const value of Object.values(values)) {
    const text = Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : JSON.stringify(value)
    expect(world.scanner.scan(null, text)).not.toEqual([])
  }
})

it('knows which values are whose', async () => {
  const [tenant] = world.tenants
  const found = await world.sql('shard-a', 'select id from app.invoices where tenant_id = $1 order by 1', [
    tenant!.id,
  ])
  expect(found.map(({ id }) => id)).toEqual(tenant!.values.invoiceIds)
})

it('reaches each server by way of its proxy', async () => {
  for (const { appUrl, proxy } of world.shards) {
    const before = proxy!.counts.connections
    await asApp(appUrl, world.tenants[0]!.id, 'select 1').catch(() => {})
    expect(proxy!.counts.connections).toBe(before + 1)
  }
})

it('writes a configuration that can be loaded', () => {
  const config = loadConfig(world.configFile, {})
  expect(Object.keys(config.shards)).toEqual(['shard-a', 'shard-b', 'shard-c'])
  expect(config.limits.pageSize).toBe(7)
})

it('reads the contents of a tenant, and sees one that changed', async () => {
  const [tenant] = world.tenants
  const before = await world.contents(tenant!)
  expect(await world.contents(tenant!)).toBe(before)
  await world.sql('shard-a', 'update app.tasks set done = not done where tenant_id = $1 and id = 1', [
    tenant!.id,
  ])
  expect(await world.contents(tenant!)).not.toBe(before)
})
