/** Creating tenants: finished or invisible, wherever it dies, whoever else is at it. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Failpoint } from '../../src/base/failpoints.ts'
import { tenantId } from '../../src/base/ids.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { withClient } from '../../src/db/client.ts'
import { bucketOf } from '../../src/directory/buckets.ts'
import { findPlacement } from '../../src/directory/placements.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'

let modulo: TestFleet
let weighed: TestFleet

beforeAll(async () => {
  modulo = await freshFleet()
  weighed = await freshFleet({ strategy: 'directory', weights: { 'shard-a': 1, 'shard-b': 3, 'shard-c': 0 } })
})
afterAll(() => Promise.all([modulo?.drop(), weighed?.drop()]))

/** Every fence of a tenant: 'shard state epoch'. */
async function fences({ shards }: TestFleet, id: string): Promise<string[]> {
  const found = await Promise.all(
    shards.map(({ key, superuserUrl }) =>
      withClient(superuserUrl, async (db) => {
        const rows = await db.query(
          `select state, epoch from shardgate.tenant_fence where tenant_id = '${id}'`,
        )
        return rows.map(({ state, epoch }) => `${key} ${state} ${epoch}`)
      }),
    ),
  )
  return found.flat()
}

const placed = ({ directoryUrl }: TestFleet, id: string) =>
  withClient(directoryUrl, (db) => findPlacement(db, tenantId(id)))

const dyingAt = (fleet: Fleet, at: Failpoint): Fleet => ({
  ...fleet,
  failpoints: {
    hit: async (name) => {
      if (name === at) throw new Error(`died at ${at}`)
    },
  },
})

describe('a new tenant', () => {
  it('follows its bucket under modulo, with id for name and subdomain', async () => {
    const { tenant, created } = await createTenant(modulo.fleet, { id: tenantId('acme') })
    expect(created).toBe(true)
    expect(tenant).toMatchObject({
      id: 'acme',
      name: 'acme',
      subdomain: 'acme',
      plan: 'standard',
      state: 'active',
      bucket: bucketOf(tenantId('acme'), 64),
      placedBy: 'bucket',
      epoch: 1,
    })
    expect(await placed(modulo, 'acme')).toMatchObject({ shard: tenant.shard, epoch: 1 })
    expect(await fences(modulo, 'acme')).toEqual([`${tenant.shard} active 1`])
  })

  it('goes to the shard with the most room for its weight under directory, and stays there by its own row', async () => {
    const shards: string[] = []
    for (let i = 0; i < 8; i++) {
      const { tenant } = await createTenant(weighed.fleet, { id: tenantId(`w${i}`) })
      expect(tenant.placedBy).toBe('placement')
      shards.push(tenant.shard)
    }
    expect(shards.filter((shard) => shard === 'shard-b')).toHaveLength(6)
    expect(shards.filter((shard) => shard === 'shard-c')).toHaveLength(0)
  })

  it('goes where the operator says, be it to a shard of weight 0', async () => {
    const { tenant } = await createTenant(weighed.fleet, { id: tenantId('byhand'), shard: 'shard-c' })
    expect(tenant).toMatchObject({ shard: 'shard-c', placedBy: 'placement' })
    expect(await fences(weighed, 'byhand')).toEqual(['shard-c active 1'])
  })
})

describe('the same tenant again', () => {
  it('is no change', async () => {
    const wanted = { id: tenantId('twice'), name: 'Twice', subdomain: 'two' }
    const first = await createTenant(modulo.fleet, wanted)
    const again = await createTenant(modulo.fleet, wanted)
    expect(again).toEqual({ tenant: first.tenant, created: false })
    expect((await createTenant(modulo.fleet, { id: wanted.id })).created).toBe(false)
  })

  it('otherwise described is refused, and says what differs', async () => {
    await expect(createTenant(modulo.fleet, { id: tenantId('twice'), name: 'Other' })).rejects.toMatchObject({
      code: 'TENANT_EXISTS',
      message: 'Tenant twice exists with name "Twice", not "Other".',
    })
    await expect(createTenant(modulo.fleet, { id: tenantId('new'), subdomain: 'two' })).rejects.toMatchObject(
      {
        code: 'TENANT_EXISTS',
        message: 'The subdomain "two" belongs to tenant twice.',
      },
    )
    expect(await fences(modulo, 'new')).toEqual([])
  })

  it('by ten at once is one tenant with one fence', async () => {
    const results = await Promise.all(
      Array.from({ length: 10 }, () => createTenant(weighed.fleet, { id: tenantId('raced') })),
    )
    expect(new Set(results.map(({ tenant }) => tenant.shard)).size).toBe(1)
    expect(await fences(weighed, 'raced')).toEqual([`${results[0]!.tenant.shard} active 1`])
  })
})

describe('a creation that dies', () => {
  it.each(['create.reserved', 'create.fenced'] as const)(
    'at %s is invisible, and the same command finishes it',
    async (at) => {
      const id = tenantId(at.replace('.', '-'))
      await expect(createTenant(dyingAt(weighed.fleet, at), { id })).rejects.toThrow(`died at ${at}`)
      expect(await placed(weighed, id)).toBeNull()

      // Weights that would choose another shard now must not: the first choice is written down.
      const turned = {
        ...weighed.fleet,
        shards: weighed.fleet.shards.map((s) => ({ ...s, weight: s.key === 'shard-c' ? 9 : 0 })),
      }
      const { tenant, created } = await createTenant(turned, { id })
      expect([tenant.state, created]).toEqual(['active', true])
      expect(tenant.shard).not.toBe('shard-c')
      expect(await placed(weighed, id)).toMatchObject({ shard: tenant.shard })
      expect(await fences(weighed, id)).toEqual([`${tenant.shard} active 1`])
    },
  )

  it('holds its subdomain meanwhile', async () => {
    const begun = { id: tenantId('begun'), subdomain: 'held' }
    await expect(createTenant(dyingAt(modulo.fleet, 'create.reserved'), begun)).rejects.toThrow('died')
    await expect(
      createTenant(modulo.fleet, { id: tenantId('late'), subdomain: 'held' }),
    ).rejects.toMatchObject({ code: 'TENANT_EXISTS' })
  })
})

describe('nothing is written', () => {
  const rows = ({ directoryUrl }: TestFleet) =>
    withClient(directoryUrl, (db) => db.query('select count(*) from directory.tenant'))
  const refused = async (fleet: Fleet, shard: string): Promise<unknown> => {
    const before = await rows(modulo)
    const error: unknown = await createTenant(fleet, { id: tenantId('never'), shard }).catch(
      (e: unknown) => e,
    )
    expect(await rows(modulo)).toEqual(before)
    expect(await fences(modulo, 'never')).toEqual([])
    return error
  }

  it('for a shard that does not exist', async () => {
    expect(await refused(modulo.fleet, 'shard-x')).toMatchObject({
      code: 'SHARD_UNKNOWN',
      message: 'There is no shard "shard-x" in the directory; it knows shard-a, shard-b, shard-c.',
    })
  })

  it('when the shard is down', async () => {
    const shards = modulo.fleet.shards.map((shard) => ({
      ...shard,
      url: 'postgres://x:secret@127.0.0.1:1/x',
    }))
    const error = await refused({ ...modulo.fleet, shards }, 'shard-a')
    expect(error).toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    expect((error as Error).message).toMatch(/^shard-a cannot be reached at x@127.0.0.1:1\/x: /)
    expect((error as Error).message).not.toContain('secret')
  })

  it('fault 25: when the URL leads to another shard', async () => {
    const [a, b, c] = modulo.fleet.shards
    const shards = [{ ...a!, url: b!.url }, { ...b!, url: a!.url }, c!]
    expect(await refused({ ...modulo.fleet, shards }, 'shard-a')).toMatchObject({ code: 'SHARD_UNSAFE' })
  })

  it('fault 38: over a fence of an earlier life; routers never see the tenant', async () => {
    await withClient(modulo.shards[0]!.superuserUrl, (db) =>
      db.query(`insert into shardgate.tenant_fence values ('ghost', 'moved', 3)`),
    )
    const wanted = { id: tenantId('ghost'), shard: 'shard-a' }
    await expect(createTenant(modulo.fleet, wanted)).rejects.toMatchObject({
      code: 'SHARD_UNSAFE',
      message: 'shard-a has a fence of ghost already: moved, epoch 3.',
    })
    expect(await placed(modulo, 'ghost')).toBeNull()
    expect(await fences(modulo, 'ghost')).toEqual(['shard-a moved 3'])
  })
})
