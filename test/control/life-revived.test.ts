/** Tenants that were purged and that a backup brings back: noticed, never served, and removed again. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { diagnose } from '../../src/control/doctor.ts'
import { purgeTenant } from '../../src/control/life/purge.ts'
import { listReceipts } from '../../src/control/life/receipts.ts'
import { findRevived, purgeAgain } from '../../src/control/life/revived.ts'
import { changeState } from '../../src/control/life/state.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { withClient } from '../../src/db/client.ts'
import { findPlacement, listPlacements } from '../../src/directory/placements.ts'
import { canary } from '../kit/canary.ts'
import { openWorldDoor } from '../kit/door.ts'
import { type LifeWorld, lifeWorld, refusal, TENANCY } from '../kit/life.ts'

let world: LifeWorld
beforeAll(async () => {
  world = await lifeWorld()
})
afterAll(() => world?.drop())

async function purged(id: string, isolation: 'shared' | 'schema'): Promise<TenantId> {
  const tenant = await world.add(id, isolation, 2)
  await changeState(world.fleet, 'offboard', tenant, { days: 0 })
  await purgeTenant(world.fleet, tenant, { name: canary(id).text('name') })
  return tenant
}

const onShard = (text: string) =>
  withClient(world.test.shards[0]!.superuserUrl, (client) => client.query(text))

/** What a backup of the shard holds, put back: the fence of the old life, and a row. */
async function restoreShard(tenant: TenantId): Promise<void> {
  await onShard(`
    update shardgate.tenant_fence set state = 'active', epoch = 1 where tenant_id = '${tenant}';
    insert into app.projects (tenant_id, id, name) values ('${tenant}', 1, '${canary(tenant).text('old')}')`)
}

/** The directory's row of the old life, put back. */
async function restoreDirectory(tenant: TenantId): Promise<void> {
  await world.directory.query(`
    insert into directory.tenant (id, name, subdomain, state, bucket, epoch)
    values ('${tenant}', '${tenant}', '${tenant}', 'active', 0, 1);
    insert into directory.placement (tenant_id, shard, namespace) values ('${tenant}', 'shard-a', 'app')`)
}

const revived = async () =>
  (await findRevived(world.fleet)).map(({ tenant, where, what }) => `${where} ${tenant}: ${what}`)

async function ask(tenant: TenantId): Promise<string | undefined> {
  const door = await openWorldDoor({ ...world, directoryUrl: world.test.directoryUrl })
  const { code, message } = await refusal(
    door.ask(tenant, 'select id from app.projects where tenant_id = $1', [tenant]),
  )
  door.end()
  return code ?? message
}

describe('a tenant that a backup brings back', () => {
  it('of the shard and of a part of the directory is not served, and is told by doctor', async () => {
    const tenant = await purged('lazarus', 'shared')
    expect(await revived()).toEqual([])
    await restoreShard(tenant)
    await restoreDirectory(tenant)
    expect(await findPlacement(world.directory, tenant)).toBe(null)
    expect(await listPlacements(world.directory, 100)).toEqual([])
    expect(await ask(tenant)).toBe('TENANT_UNKNOWN')
    expect(await revived()).toEqual([
      'directory lazarus: a row at epoch 1',
      'shard-a lazarus: a fence in the state active',
      'shard-a lazarus: rows in shared tables',
    ])
    const shards = world.test.shards.map(({ key, url }) => ({
      key,
      appUrl: url('app'),
      ownerUrl: url('owner'),
    }))
    const findings = await diagnose({
      directoryUrl: world.test.directoryUrl,
      buckets: 64,
      tenancy: TENANCY,
      shards,
    })
    expect(findings.filter(({ check }) => check === 'revived').map(({ where }) => where)).toEqual([
      'directory',
      'shard-a',
      'shard-a',
    ])
    await purgeAgain(world.fleet, tenant)
    expect(await revived()).toEqual([])
    expect(await world.traces(tenant)).toEqual([])
    expect(await world.fence(tenant)).toMatch(/^purged/)
    expect(await listReceipts(world.directory, tenant)).toHaveLength(2)
    expect(await refusal(purgeAgain(world.fleet, tenant))).toMatchObject({
      code: 'REFUSED',
      message: 'No backup has brought lazarus back.',
    })
  })

  it('of the whole directory, tombstone and all lost, is refused by its shard and told by it', async () => {
    const tenant = await purged('orpheus', 'shared')
    await world.directory.query(`delete from directory.tombstone where tenant_id = 'orpheus'`)
    await restoreDirectory(tenant)
    expect(await ask(tenant)).toBe('SHARD_UNAVAILABLE')
    expect(await revived()).toEqual(['directory orpheus: a row, though shard-a knows that it was purged'])
    await purgeAgain(world.fleet, tenant)
    expect(await revived()).toEqual([])
    expect(await findPlacement(world.directory, tenant)).toBe(null)
  })

  it('with its schema, is dropped again', async () => {
    const tenant = await purged('persephone', 'schema')
    await onShard(`create schema "tenant_persephone" authorization shardgate_owner; 
      create table "tenant_persephone".rows as select '${canary(tenant).text('old')}'`)
    expect(await revived()).toEqual(['shard-a persephone: its schema tenant_persephone'])
    await onShard(`alter table "tenant_persephone".rows owner to shardgate_owner`)
    await purgeAgain(world.fleet, tenant)
    expect(await revived()).toEqual([])
    expect(await world.traces(tenant)).toEqual([])
  })

  it('is not removed where a new tenant of that id lives', async () => {
    const tenant = await purged('phoenix', 'shared')
    await createTenant(world.fleet, { id: tenant, shard: 'shard-a' })
    expect(await revived()).toEqual([])
    expect(await refusal(purgeAgain(world.fleet, tenant))).toMatchObject({ code: 'REFUSED' })
    expect(await findPlacement(world.directory, tenant)).toMatchObject({ state: 'active', epoch: 3 })
    expect(await refusal(purgeAgain(world.fleet, tenantId('nobody')))).toMatchObject({ code: 'REFUSED' })
  })
})
