/** Creating tenants: finished or invisible, wherever it dies, whoever else is at it. */

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Failpoint } from '../../src/base/failpoints.ts'
import { tenantId } from '../../src/base/ids.ts'
import { CREATE } from '../../src/control/creation.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { abortOperation, resumeOperation } from '../../src/control/operations/unfinished.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { withClient } from '../../src/db/client.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import { bucketOf } from '../../src/directory/buckets.ts'
import { findPlacement } from '../../src/directory/placements.ts'
import { findTenant } from '../../src/directory/tenants.ts'
import { ISOLATIONS, type TenantSettings } from '../../src/directory/types.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'
import { migrate } from '../kit/migrate.ts'
import { some } from '../kit/some.ts'

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

describe('its isolation', () => {
  const planned = (): Fleet => ({
    ...modulo.fleet,
    plans: { small: { isolation: 'shared' }, big: { isolation: 'database' }, mid: { isolation: 'schema' } },
  })

  it('is that of its plan, unless it is chosen by hand', async () => {
    const made = async (id: string, more: object) =>
      (await createTenant(planned(), { id: tenantId(id), ...more })).tenant
    expect(await made('planned', { plan: 'mid' })).toMatchObject({ isolation: 'schema', plan: 'mid' })
    expect(await made('by-hand', { plan: 'mid', isolation: 'shared' })).toMatchObject({
      isolation: 'shared',
      placedBy: 'bucket',
    })
    expect(await made('unplanned', {})).toMatchObject({ isolation: 'shared', plan: 'standard' })
  })

  it('lies on the shard of the bucket under modulo, with a placement row of its own', async () => {
    const { tenant } = await createTenant(modulo.fleet, { id: tenantId('bucketed'), isolation: 'schema' })
    const [row] = await withClient(modulo.directoryUrl, (db) =>
      db.query(`select shard from directory.bucket where no = ${tenant.bucket}`),
    )
    expect(tenant).toMatchObject({ shard: row!.shard, placedBy: 'placement', namespace: 'tenant_bucketed' })
  })

  it('of a plan that does not exist is refused', async () => {
    await expect(createTenant(planned(), { id: tenantId('odd'), plan: 'bgi' })).rejects.toMatchObject({
      code: 'USAGE',
      message: 'There is no plan "bgi"; the configuration has small, big, mid.',
    })
  })
})

describe('its settings', () => {
  const settings = { branding: { colour: '#123456' }, features: ['reports', 'beta.search'], limit: 3 }

  it('are kept and are part of what it is', async () => {
    const wanted = { id: tenantId('set'), settings }
    expect((await createTenant(modulo.fleet, wanted)).tenant.settings).toEqual(settings)
    expect(await placed(modulo, 'set')).toMatchObject({ settings })
    const turned = { features: settings.features, limit: 3, branding: settings.branding }
    expect((await createTenant(modulo.fleet, { ...wanted, settings: turned })).created).toBe(false)
    await expect(createTenant(modulo.fleet, { ...wanted, settings: { features: [] } })).rejects.toMatchObject(
      {
        code: 'TENANT_EXISTS',
        message: 'Tenant set exists with other settings.',
      },
    )
  })

  it.each([
    [['reports'], 'wanted a JSON object'],
    [{ branding: 'blue' }, 'wanted an object as "branding"'],
    [{ features: 'reports' }, 'wanted a list of names as "features"'],
    [{ features: ['a', 7] }, 'wanted names of features'],
    [{ features: ['a', 'a'] }, 'wanted each feature once'],
    [{ text: 'x'.repeat(16_384) }, 'wanted at most 16384 bytes'],
  ])('are refused when they are %j', async (wrong, message) => {
    const wanted = { id: tenantId('unset'), settings: wrong as TenantSettings }
    await expect(createTenant(modulo.fleet, wanted)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining(message),
    })
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

/** Dozens of homes are made and removed. */
const SLOW = { timeout: 120_000 }

describe('a creation that dies', () => {
  describe.each(some(1, ISOLATIONS))('of a tenant that is kept as %s', (isolation) => {
    it('is invisible whatever step it died after, and the same command finishes it', SLOW, async () => {
      for (const [i, at] of DEATHS.filter((death) => death.startsWith('after')).entries()) {
        const wanted = { id: tenantId(`dies-${isolation}-${i}`), isolation }
        await expect(createTenant(dyingAt(weighed.fleet, at), wanted), at).rejects.toThrow(`died at ${at}`)
        if (at !== DEATHS.at(-1)) expect(await placed(weighed, wanted.id), at).toBeNull()

        const { tenant } = await createTenant(turned(weighed.fleet), wanted)
        expect(tenant, at).toMatchObject({ state: 'active', isolation })
        // The first choice is written down: weights that would choose another shard now change nothing.
        expect(tenant.shard, at).not.toBe('shard-c')
        expect(await placed(weighed, wanted.id), at).toMatchObject({ shard: tenant.shard, isolation })
        expect(await homesOf(weighed, wanted.id), at).toEqual([`${tenant.shard} ${isolation}`])
        expect(await unfinished(weighed), at).toEqual([])
      }
    })

    it('leaves nothing when it is aborted, wherever it died before it was active', SLOW, async () => {
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

  it('while its shard is down goes on when that is back', async () => {
    for (const isolation of ISOLATIONS) {
      const wanted = { id: tenantId(`down-${isolation}`), isolation }
      const dying = dyingAt(modulo.fleet, 'after tenant.create reserve')
      await expect(createTenant(dying, wanted)).rejects.toThrow('died')
      const shards = modulo.fleet.shards.map((shard) => ({ ...shard, url: 'postgres://x@127.0.0.1:1/x' }))
      await expect(createTenant({ ...modulo.fleet, shards }, wanted)).rejects.toMatchObject({
        code: 'SHARD_UNAVAILABLE',
      })
      expect(await placed(modulo, wanted.id)).toBeNull()
      expect((await createTenant(modulo.fleet, wanted)).created).toBe(true)
    }
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
