/** Placements as the door meets them: tenants that have moved since, and tenants that are suspended. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openWorldDoor, type WorldDoor } from '../kit/door.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let gate: WorldDoor

beforeAll(async () => {
  world = await startWorld({ tenants: 4, shards: 2, isolations: ['shared'] })
})
afterAll(() => world?.stop())
beforeEach(async () => {
  gate = await openWorldDoor(world)
})
afterEach(() => gate.end())

const shardOf = async (tenant: WorldTenant) => {
  const [[id] = []] = await gate.ask(tenant.id, 'select id from shardgate.identity')
  return [...gate.fleet.values()].find((shard) => shard.id === id)?.key
}
const forget = ({ id, shard }: WorldTenant) =>
  world.sql(shard, 'delete from shardgate.tenant_fence where tenant_id = $1', [id])
const directory = (text: string, { id }: WorldTenant) => world.sql('directory', text, [id])
const seen = (kind: string) => gate.events.filter((event) => event.kind === kind).length

describe('a tenant whom its shard does not know', () => {
  it('is looked for in the directory, and found on the other shard', async () => {
    const tenant = world.tenants[0]!
    expect(await shardOf(tenant)).toBe('shard-a')
    await world.sql('shard-b', `insert into shardgate.tenant_fence values ($1, 'active', 1)`, [tenant.id])
    await directory(`insert into directory.placement values ($1, 'shard-b', 'shared', 'app')`, tenant)
    await forget(tenant)
    expect([await shardOf(tenant), seen('placement.refreshed')]).toEqual(['shard-b', 1])
    expect([await shardOf(tenant), seen('placement.refreshed')]).toEqual(['shard-b', 1])
  })

  it('is SHARD_UNAVAILABLE when the directory does not know better, after one look', async () => {
    const tenant = world.tenants[1]!
    await forget(tenant)
    await expect(shardOf(tenant)).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    expect(seen('placement.refreshed')).toBe(1)
  })
})

describe('a tenant that the directory has suspended', () => {
  const suspend = (tenant: WorldTenant) =>
    directory(`update directory.tenant set state = 'suspended', epoch = 2 where id = $1`, tenant)

  it('is refused before its shard is asked, which may not have been told', async () => {
    const tenant = world.tenants[2]!
    await suspend(tenant)
    await expect(shardOf(tenant)).rejects.toMatchObject({
      code: 'TENANT_SUSPENDED',
      message: 'The tenant is suspended.',
    })
    expect(seen('statement.done')).toBe(0)
  })

  it('or offboarded is told so', async () => {
    const tenant = world.tenants[2]!
    await directory(
      `update directory.tenant set state = 'offboarded', state_before = 'active', offboarded_at = now(),
        purge_after = now() where id = $1`,
      tenant,
    )
    await expect(shardOf(tenant)).rejects.toMatchObject({
      code: 'TENANT_SUSPENDED',
      message: 'The tenant has been offboarded.',
    })
    expect(seen('statement.done')).toBe(0)
  })

  it('is refused as soon as its shard does not take the old placement any more', async () => {
    const tenant = world.tenants[3]!
    expect(await shardOf(tenant)).toBe('shard-b')
    await suspend(tenant)
    await world.sql('shard-b', 'update shardgate.tenant_fence set epoch = 2 where tenant_id = $1', [
      tenant.id,
    ])
    await expect(shardOf(tenant)).rejects.toMatchObject({ code: 'TENANT_SUSPENDED' })
    expect(seen('statement.done')).toBe(2)
  })
})
