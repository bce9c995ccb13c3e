/** Export, import and clone of tenants between shards and isolation models. */

import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { exportTenant } from '../../src/control/copy/export.ts'
import { cloneTenant, importTenant } from '../../src/control/copy/import.ts'
import { findTenant } from '../../src/directory/tenants.ts'
import { ISOLATIONS } from '../../src/directory/types.ts'
import { type LifeWorld, lifeWorld } from '../kit/life.ts'

let world: LifeWorld
let folder: string

beforeAll(async () => {
  world = await lifeWorld()
  folder = mkdtempSync(join(tmpdir(), 'shardgate-copy-'))
})
afterAll(async () => {
  await world?.drop()
  if (folder) rmSync(folder, { recursive: true })
})

describe('an export', () => {
  it('has all rows, facts and hashes of the tenant, readable by nobody else, and is written down', async () => {
    const id = await world.add('exported')
    const { folder, manifest } = await exportTenant(world.fleet, id)
    expect(manifest).toMatchObject({
      tenant: 'exported',
      about: { subdomain: 'exported', plan: 'standard', state: 'active' },
      source: { shard: 'shard-a', isolation: 'shared', namespace: 'app' },
      shape: { version: '20260101000000' },
      rows: 4 + 4 + 4 + 8,
      hash: await world.hashOf(id),
    })
    expect(manifest.about.settings).toHaveProperty('branding')
    expect(readdirSync(folder).toSorted()).toEqual(
      ['manifest.json', ...manifest.tables.map(({ file }) => file)].toSorted(),
    )
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    for (const file of readdirSync(folder)) expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600)
    const rows = await world.directory.query(
      `select host, folder from directory.export where tenant_id = '${id}'`,
    )
    expect(rows).toEqual([{ host: hostname(), folder }])
  })
})

describe('a tenant', () => {
  it('goes round all models and shards under other ids, and its contents stay', async () => {
    const first = await world.add('round')
    const hash = await world.hashOf(first)
    let at = first
    for (const [i, isolation] of [...ISOLATIONS.slice(1), 'shared' as const].entries()) {
      const { folder } = await exportTenant(world.fleet, at)
      const next = tenantId(`round-${i}`)
      const shard = ['shard-b', 'shard-a'][i % 2]!
      const { tenant, rows } = await importTenant(world.fleet, folder, { as: next, isolation, shard })
      expect(tenant).toMatchObject({ id: next, state: 'active', isolation, shard, subdomain: next })
      expect(rows).toBe(20)
      expect(await world.hashOf(next)).toBe(hash)
      at = next
    }
    expect(await world.hashOf(first)).toBe(hash)
  })

  it('is cloned as a sandbox, on the same shard or another one', async () => {
    const id = await world.add('cloned', 'schema')
    const { tenant, rows } = await cloneTenant(world.fleet, id, { as: tenantId('sandbox'), shard: 'shard-b' })
    expect(tenant).toMatchObject({
      isolation: 'schema',
      shard: 'shard-b',
      settings: { sandbox: { of: 'cloned' } },
    })
    expect(tenant.settings).toHaveProperty('branding')
    expect(rows).toBe(20)
    expect(await world.hashOf(tenantId('sandbox'))).toBe(await world.hashOf(id))
    expect((await findTenant(world.directory, id))?.settings).not.toHaveProperty('sandbox')
  })
})
