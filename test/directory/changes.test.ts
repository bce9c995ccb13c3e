/** Looking for changes: what an operator does to a tenant is in this gateway's copies after the next look. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { type PlacementCache, placementCache } from '../../src/directory/cache.ts'
import { type Changes, watchChanges } from '../../src/directory/changes.ts'
import { type DirectoryReader, directoryReader } from '../../src/directory/reader.ts'
import { manualClock } from '../kit/clock.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'

const acme = tenantId('acme')
const other = tenantId('other')

describe('a change in the directory', () => {
  let fleet: TestFleet
  let directory: Client
  let reader: DirectoryReader
  let placements: PlacementCache
  let changes: Changes
  let reads: TenantId[] = []

  beforeAll(async () => {
    fleet = await freshFleet({ weights: { 'shard-a': 1 } })
    directory = await connect(fleet.directoryUrl)
    for (const id of [acme, other]) await createTenant(fleet.fleet, { id })
    reader = directoryReader({ url: fleet.directoryUrl })
    const find: DirectoryReader['find'] = (tenant) => {
      reads.push(tenant)
      return reader.find(tenant)
    }
    placements = placementCache({ find, max: 10, ttlMs: 3_600_000 })
    changes = watchChanges({ changed: reader.changed, renew: (tenants) => placements.renew(tenants) })
    await placements.find(acme)
    await placements.find(other)
    await changes.look()
  })
  afterAll(async () => {
    changes?.end()
    reader?.end()
    await directory?.end()
    await fleet?.drop()
  })

  it.each([
    ['a new name', `name = 'Acme & Sons'`, { name: 'Acme & Sons' }],
    ['settings', `settings = '{"features": ["export"]}'`, { settings: { features: ['export'] } }],
    ['a plan', `plan = 'enterprise'`, { plan: 'enterprise' }],
    ['a suspension', `state = 'suspended'`, { state: 'suspended' }],
    ['its end', `state = 'active'`, { state: 'active' }],
    ['writes that are stopped', `state = 'read-only'`, { state: 'read-only' }],
    ['an epoch', `state = 'active', epoch = epoch + 1`, { state: 'active', epoch: 2 }],
  ])('is in the copies after the next look: %s', async (_, change, wanted) => {
    await directory.query(`update directory.tenant set ${change} where id = '${acme}'`)
    await changes.look()
    expect(await placements.find(acme)).toMatchObject(wanted)
  })

  it('is in them for a placement row, and when that goes', async () => {
    await directory.query(
      `insert into directory.placement values ('${acme}', 'shard-a', 'schema', 'tenant_acme')`,
    )
    await changes.look()
    expect(await placements.find(acme)).toMatchObject({ isolation: 'schema', namespace: 'tenant_acme' })
    await directory.query(`delete from directory.placement where tenant_id = '${acme}'`)
    await changes.look()
    expect(await placements.find(acme)).toMatchObject({ isolation: 'shared', namespace: 'app' })
  })

  it('is read once, however often it is seen, and for nobody else', async () => {
    reads = []
    await directory.query(`update directory.tenant set name = 'again' where id = '${acme}'`)
    for (let i = 0; i < 3; i++) await changes.look()
    expect(reads).toEqual([acme])
  })
})

describe('looking', () => {
  const lookBack: number[] = []
  const clock = manualClock()
  let fails = false
  const changed = async (ms: number): Promise<ReadonlyMap<TenantId, string>> => {
    lookBack.push(ms)
    if (fails) throw new Error('connect ECONNREFUSED')
    return new Map()
  }

  it('pauses longer and longer while the directory is down, and then goes back to where it was', async () => {
    const changes = watchChanges({ changed, renew: async () => {}, clock })
    try {
      await changes.look()
      fails = true
      for (let second = 0; second < 60; second++) {
        clock.advance(1_000)
        await changes.look()
      }
      const tries = lookBack.length
      expect(tries).toBeLessThan(10)
      fails = false
      clock.advance(15_000)
      await changes.look()
      expect(lookBack).toHaveLength(tries + 1)
      expect(lookBack.at(-1)).toBeGreaterThanOrEqual(75_000)
      clock.advance(1_000)
      await changes.look()
      expect(lookBack.at(-1)).toBeLessThan(10_000)
    } finally {
      changes.end()
    }
  })
})
