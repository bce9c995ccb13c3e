/** Placements and tenants in a real directory: which row decides, and who sees what. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { bucketOf } from '../../src/directory/buckets.ts'
import { findPlacement, listPlacements } from '../../src/directory/placements.ts'
import { directoryReader } from '../../src/directory/reader.ts'
import { activateTenants, findTenant, listTenants, reserveTenants } from '../../src/directory/tenants.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'

const BUCKETS = 64
let fleet: TestFleet
let db: Client

beforeAll(async () => {
  fleet = await freshFleet({ buckets: BUCKETS })
  db = await connect(fleet.directoryUrl)
})
afterAll(async () => {
  await db?.end()
  await fleet?.drop()
})

async function add(id: string, own?: { shard: string; namespace: string }): Promise<void> {
  const tenant = tenantId(id)
  const bucket = bucketOf(tenant, BUCKETS)
  const row = { id: tenant, name: id, subdomain: id, plan: 'standard', bucket }
  expect(await reserveTenants(db, [own ? { ...row, own: { ...own, isolation: 'shared' } } : row])).toEqual(
    new Set([tenant]),
  )
  await activateTenants(db, [tenant])
}

const bucketShard = async (id: string): Promise<string> => {
  const [row] = await db.query(
    `select shard from directory.bucket where no = ${bucketOf(tenantId(id), BUCKETS)}`,
  )
  return row!.shard!
}

describe('a placement', () => {
  it('follows the bucket of the tenant', async () => {
    await add('follows')
    expect(await findPlacement(db, tenantId('follows'))).toEqual({
      tenant: 'follows',
      shard: await bucketShard('follows'),
      isolation: 'shared',
      namespace: 'app',
      state: 'active',
      epoch: 1,
      subdomain: 'follows',
      name: 'follows',
      plan: 'standard',
      settings: {},
      limits: {},
    })
  })

  it('of its own wins over the bucket, and goes back to it when the row is taken away', async () => {
    const other = (await bucketShard('own')) === 'shard-a' ? 'shard-b' : 'shard-a'
    await add('own', { shard: other, namespace: 'elsewhere' })
    expect(await findPlacement(db, tenantId('own'))).toMatchObject({ shard: other, namespace: 'elsewhere' })
    await db.query(`delete from directory.placement where tenant_id = 'own'`)
    expect(await findPlacement(db, tenantId('own'))).toMatchObject({
      shard: await bucketShard('own'),
      namespace: 'app',
    })
  })

  it('carries state and epoch as they are now', async () => {
    await add('changes')
    await db.query(
      `update directory.tenant set state = 'suspended', epoch = 9007199254740991 where id = 'changes'`,
    )
    expect(await findPlacement(db, tenantId('changes'))).toMatchObject({
      state: 'suspended',
      epoch: Number.MAX_SAFE_INTEGER,
    })
  })

  it('is null for a tenant that does not exist, and for one whose creation is not finished', async () => {
    expect(await findPlacement(db, tenantId('nobody'))).toBeNull()
    const tenant = tenantId('unfinished')
    await reserveTenants(db, [
      { id: tenant, name: 'x', subdomain: 'unfinished', plan: 'standard', bucket: 0 },
    ])
    expect(await findPlacement(db, tenant)).toBeNull()
    expect((await listPlacements(db, 100)).map((found) => found.tenant)).not.toContain('unfinished')
    expect(await findTenant(db, tenant)).toMatchObject({ state: 'creating' })
  })

  it('is DIRECTORY_UNAVAILABLE, not null, when the directory cannot answer', async () => {
    const gone = await connect(fleet.directoryUrl)
    await gone.end()
    await expect(findPlacement(gone, tenantId('follows'))).rejects.toMatchObject({
      code: 'DIRECTORY_UNAVAILABLE',
    })
  })
})

describe('the reader of the gateway', () => {
  it('gives the same placements through its own connections', async () => {
    const reader = directoryReader({ url: fleet.directoryUrl })
    try {
      expect(await reader.find(tenantId('follows'))).toEqual(await findPlacement(db, tenantId('follows')))
      expect(await reader.find(tenantId('nobody'))).toBeNull()
      expect(await reader.list(100)).toEqual(await listPlacements(db, 100))
      expect(await reader.list(1)).toHaveLength(1)
    } finally {
      reader.end()
    }
  })

  it('fault 32: says DIRECTORY_UNAVAILABLE where nobody listens', async () => {
    const url = new URL(fleet.directoryUrl)
    url.port = '1'
    const reader = directoryReader({ url: url.href })
    await expect(reader.find(tenantId('follows'))).rejects.toMatchObject({ code: 'DIRECTORY_UNAVAILABLE' })
    reader.end()
  })

  it('goes on after its backends were killed', async () => {
    const reader = directoryReader({ url: fleet.directoryUrl })
    try {
      await reader.find(tenantId('follows'))
      await db.query(`select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'shardgate directory' and datname = current_database()`)
      expect((await reader.find(tenantId('follows')))?.tenant).toBe('follows')
    } finally {
      reader.end()
    }
  })
})

describe('rows of tenants', () => {
  it('take an id and a subdomain once: of ten who reserve together one gets it', async () => {
    const clients = await Promise.all(Array.from({ length: 10 }, () => connect(fleet.directoryUrl)))
    const tries = clients.map((client, i) =>
      reserveTenants(client, [
        {
          id: tenantId(i % 2 ? `raced-${i}` : 'raced'),
          name: 'x',
          subdomain: 'raced',
          plan: 'standard',
          bucket: 0,
          own: { shard: 'shard-a', isolation: 'shared', namespace: 'app' },
        },
      ]),
    )
    const won = (await Promise.all(tries)).filter(({ size }) => size > 0)
    await Promise.all(clients.map((client) => client.end()))
    expect(won).toHaveLength(1)
    const rows = await db.query(`
      select (select count(*) from directory.tenant where id like 'raced%') as tenants,
        (select count(*) from directory.placement where tenant_id like 'raced%') as placements`)
    expect(rows).toEqual([{ tenants: '1', placements: '1' }])
  })

  it('are listed in pages by id, by bytes and not by language', async () => {
    for (const id of ['page-1', 'page-a', 'page1', 'pagea']) await add(id)
    const first = await listTenants(db, 2, { after: 'page' })
    expect(first.map(({ id }) => id)).toEqual(['page-1', 'page-a'])
    const second = await listTenants(db, 2, { after: 'page-a' })
    expect(second.map(({ id }) => id)).toEqual(['page1', 'pagea'])
  })

  it('cannot hold an id outside the grammar, whoever writes them', async () => {
    for (const id of ['', 'A', 'a_b', '-a', 'a-', 'a\n', 'x'.repeat(41)]) {
      const insert = `insert into directory.tenant (id, name, subdomain, bucket)
        values (E'${id.replace('\n', '\\n')}', 'x', 'bad', 0)`
      await expect(db.query(insert), JSON.stringify(id)).rejects.toMatchObject({ code: '23514' })
    }
  })
})
