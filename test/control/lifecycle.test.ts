/** Creating tenants: finished or invisible, wherever it dies, whoever else is at it. */

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Failpoint } from '../../src/base/failpoints.ts'
import { tenantId } from '../../src/base/ids.ts'
import { CREATE } from '../../src/control/creation.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { migrate } from '../../src/control/migrate/migrate.ts'
import { abortOperation, resumeOperation } from '../../src/control/operations/unfinished.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { withClient } from '../../src/db/client.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import { bucketOf } from '../../src/directory/buckets.ts'
import { findPlacement } from '../../src/directory/placements.ts'
import { findTenant } from '../../src/directory/tenants.ts'
import { ISOLATIONS } from '../../src/directory/types.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'

let modulo: TestFleet
let weighed: TestFleet

beforeAll(async () => {
  modulo = await migrated(await freshFleet())
  weighed = await migrated(
    await freshFleet({ strategy: 'directory', weights: { 'shard-a': 1, 'shard-b': 3, 'shard-c': 0 } }),
  )
})
afterAll(() => Promise.all([modulo?.drop(), weighed?.drop()]))

/** With the smallest tables on each shard. */
async function migrated(made: TestFleet): Promise<TestFleet> {
  const folder = join(import.meta.dirname, '../kit/small')
  for (const shard of made.fleet.shards) await migrate({ shard, folder, schema: 'app' })
  return { ...made, fleet: { ...made.fleet, migrations: folder } }
}

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

const unfinished = ({ directoryUrl }: TestFleet): Promise<string[]> =>
  withClient(directoryUrl, async (db) => {
    const rows = await db.query(`select id from directory.operation where state = 'running'`)
    return rows.map(({ id }) => id!)
  })

/** Whatever there is of a tenant on the shards, as 'shard isolation'; of what is half made, what it lacks. */
async function homesOf({ shards }: TestFleet, id: string): Promise<string[]> {
  const found = await Promise.all(
    shards.map(({ key, superuserUrl }) =>
      withClient(superuserUrl, async (db) => {
        const [row] = await db.query(`
          select identity.id, to_regnamespace('"tenant_${id}"') is not null as schema,
            exists (select from pg_roles where rolname like 'shardgate\\_%\\_${id}'
              and rolname like 'shardgate\\_' || left(replace(identity.id::text, '-', ''), 8) || '%') as role,
            exists (select from shardgate.migration where namespace = 'tenant_${id}') as book,
            (select datname from pg_database where datname like 'shardgate\\_%\\_${id}'
              and datname like 'shardgate\\_' || left(replace(identity.id::text, '-', ''), 8) || '%') as database,
            (select state || ' ' || epoch || case when role is null then '' else ' role' end
             from shardgate.tenant_fence where tenant_id = '${id}') as fence
          from shardgate.identity`)
        if (!row) return []
        const { schema, role, book, database, fence } = row
        if (database) {
          const [own] = await withClient(databaseUrl(superuserUrl, database), (client) =>
            client.query('select tenant_id, state, epoch from shardgate.tenant_fence'),
          )
          return [
            own?.tenant_id === id && own.state === 'active' ? `${key} database` : `${key} half a database`,
          ]
        }
        const parts = [schema, role, book, fence === 'active 1 role' ? 't' : 'f']
        if (parts.every((part) => part === 't')) return [`${key} schema`]
        if (parts.some((part) => part === 't')) return [`${key} half a schema: ${parts.join(' ')} ${fence}`]
        return fence === 'active 1' ? [`${key} shared`] : fence ? [`${key} ${fence}`] : []
      }),
    ),
  )
  return found.flat()
}

/** Weights that would choose another shard. */
const turned = (fleet: Fleet): Fleet => ({
  ...fleet,
  shards: fleet.shards.map((shard) => ({ ...shard, weight: shard.key === 'shard-c' ? 9 : 0 })),
})

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

  it('by ten at once is one tenant with one fence, and the others hear who is at it', async () => {
    const tries = Array.from({ length: 10 }, () => createTenant(weighed.fleet, { id: tenantId('raced') }))
    const results = await Promise.allSettled(tries)
    const [won] = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.tenant] : []))
    for (const result of results) {
      if (result.status === 'fulfilled') expect(result.value.tenant).toEqual(won)
      else expect(result.reason).toMatchObject({ code: 'TENANT_BUSY' })
    }
    expect(await fences(weighed, 'raced')).toEqual([`${won!.shard} active 1`])
  })
})

/** Every place where a run can die, from the steps themselves. */
const DEATHS = CREATE.steps.flatMap(({ name }) => [
  `before ${CREATE.name} ${name}` as const,
  `after ${CREATE.name} ${name}` as const,
])

describe('a creation that dies', () => {
  describe.each(ISOLATIONS)('of a tenant that is kept as %s', (isolation) => {
    it('is invisible wherever it died, and the same command finishes it', async () => {
      for (const [i, at] of DEATHS.entries()) {
        const wanted = { id: tenantId(`dies-${isolation}-${i}`), isolation }
        await expect(createTenant(dyingAt(weighed.fleet, at), wanted), at).rejects.toThrow(`died at ${at}`)
        if (at !== DEATHS.at(-1)) expect(await placed(weighed, wanted.id), at).toBeNull()

        const { tenant } = await createTenant(turned(weighed.fleet), wanted)
        expect(tenant, at).toMatchObject({ state: 'active', isolation })
        const reserved = DEATHS.indexOf(at) > 0
        // Once it is written down, weights that would choose another shard change nothing.
        if (reserved) expect(tenant.shard, at).not.toBe('shard-c')
        expect(await placed(weighed, wanted.id), at).toMatchObject({ shard: tenant.shard, isolation })
        expect(await homesOf(weighed, wanted.id), at).toEqual([`${tenant.shard} ${isolation}`])
        expect(await unfinished(weighed), at).toEqual([])
      }
    })

    it('leaves nothing when it is aborted, wherever it died before it was active', async () => {
      for (const [i, at] of DEATHS.entries()) {
        const wanted = { id: tenantId(`ends-${isolation}-${i}`), isolation }
        await expect(createTenant(dyingAt(weighed.fleet, at), wanted), at).rejects.toThrow(`died at ${at}`)
        const [operation] = await unfinished(weighed)
        if (at === DEATHS.at(-1)) {
          await expect(abortOperation(weighed.fleet, operation!)).rejects.toMatchObject({ code: 'REFUSED' })
          await resumeOperation(weighed.fleet, operation!)
          expect(await homesOf(weighed, wanted.id)).toHaveLength(1)
        } else {
          await abortOperation(weighed.fleet, operation!)
          expect(await homesOf(weighed, wanted.id), at).toEqual([])
          const gone = withClient(weighed.directoryUrl, (db) => findTenant(db, wanted.id))
          expect(await gone, at).toBeNull()
        }
        expect(await unfinished(weighed), at).toEqual([])
      }
    })
  })

  it('holds its subdomain meanwhile, and its id', async () => {
    const begun = { id: tenantId('begun'), subdomain: 'held' }
    const dying = dyingAt(modulo.fleet, 'after tenant.create reserve')
    await expect(createTenant(dying, begun)).rejects.toThrow('died')
    await expect(
      createTenant(modulo.fleet, { id: tenantId('late'), subdomain: 'held' }),
    ).rejects.toMatchObject({ code: 'TENANT_EXISTS' })
    const other = { ...begun, isolation: 'schema' as const }
    await expect(createTenant(modulo.fleet, other)).rejects.toMatchObject({ code: 'TENANT_EXISTS' })
    await expect(createTenant(modulo.fleet, { id: begun.id, plan: 'gold' })).rejects.toMatchObject({
      code: 'TENANT_EXISTS',
    })
    await createTenant(modulo.fleet, begun)
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
