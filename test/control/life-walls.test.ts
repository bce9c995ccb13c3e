/** What a tenant's life must not reach: things that Shardgate has not made, copies of others, and rows of a former life. */

import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/base/config.ts'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { doorOf } from '../../src/commands/rows-door.ts'
import { cloneTenant } from '../../src/control/copy/import.ts'
import { discover, registerFound } from '../../src/control/discover.ts'
import { purgeTenant } from '../../src/control/life/purge.ts'
import { changeState } from '../../src/control/life/state.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { migrateFleet } from '../../src/control/migrate/up.ts'
import { abortOperation } from '../../src/control/operations/unfinished.ts'
import { withClient } from '../../src/db/client.ts'
import { findPlacement } from '../../src/directory/placements.ts'
import { findTenant } from '../../src/directory/tenants.ts'
import { canary } from '../kit/canary.ts'
import { WORLD_FOLDER } from '../kit/homes.ts'
import { dyingAt, type LifeWorld, lifeWorld, refusal, TENANCY } from '../kit/life.ts'

let world: LifeWorld
beforeAll(async () => {
  world = await lifeWorld()
}, 120_000)
afterAll(() => world?.drop())

const onShard = (text: string, no = 0) =>
  withClient(world.test.shards[no]!.superuserUrl, (client) => client.query(text))
const nameOf = (tenant: TenantId): string => canary(tenant).text('name')

async function erase(tenant: TenantId): Promise<void> {
  await changeState(world.fleet, 'offboard', tenant, { days: 0 })
  await purgeTenant(world.fleet, tenant, { name: nameOf(tenant) })
}

/** What `tenant register --discover` finds. */
function lookedAt() {
  const shards = world.test.shards.map(({ key, superuserUrl }) => ({ key, url: superuserUrl }))
  return discover({ directoryUrl: world.fleet.directoryUrl, tenancy: TENANCY, shards })
}

const projectOf = (id: string) =>
  `insert into app.projects (tenant_id, id, name) values ('${id}', 1, '${canary(id).text('project')}')`

describe('a schema that Shardgate has not made', () => {
  it('is no home of a tenant, and stays as it is', async () => {
    await onShard(`set role shardgate_owner; create schema tenant_data; create table tenant_data.kept (a int);
      insert into tenant_data.kept values (1)`)
    const wanted = { id: tenantId('data'), isolation: 'schema', shard: 'shard-a' } as const
    const told = await refusal(createTenant(world.fleet, wanted))
    expect(await onShard('select a from tenant_data.kept')).toEqual([{ a: '1' }])
    expect(told).toMatchObject({ code: 'REFUSED', message: expect.stringContaining('tenant_data') })
    expect(await findTenant(world.directory, wanted.id)).toBe(null)
  })
})

describe('exports', () => {
  it('of another tenant in a folder that was that of one which is purged stay', async () => {
    const tenant = await world.add('moved-export')
    const folder = await world.addExport(tenant)
    const manifest = join(folder, 'manifest.json')
    writeFileSync(manifest, JSON.stringify({ tenant: 'somebody-else' }))
    await erase(tenant)
    expect(existsSync(manifest)).toBe(true)
    const [row] = await world.directory.query(
      `select body from directory.receipt where tenant_id = '${tenant}'`,
    )
    expect(JSON.parse(row?.body ?? '').exports).toEqual({
      removed: [],
      elsewhere: [`${hostname()}:${folder}`],
    })
  })

  it('that cannot be looked at are not told as removed', async () => {
    const tenant = await world.add('hidden-export')
    // Root may look everywhere, but not along a circle.
    const circle = join(world.fleet.exports!, 'circle')
    symlinkSync('circle', circle)
    const folder = join(circle, 'export')
    await world.directory.query(
      `insert into directory.export (tenant_id, host, folder) values ('${tenant}', '${hostname()}', '${folder}')`,
    )
    await erase(tenant)
    unlinkSync(circle)
    const [row] = await world.directory.query(
      `select body from directory.receipt where tenant_id = '${tenant}'`,
    )
    expect(JSON.parse(row?.body ?? '').exports).toEqual({
      removed: [],
      elsewhere: [`${hostname()}:${folder}`],
    })
  })
})

describe('an operation that was undone', () => {
  it('keeps no name and no settings, which nobody could erase any more', async () => {
    const source = await world.add('cloned')
    const as = tenantId('sandbox-1')
    await refusal(cloneTenant(dyingAt(world.fleet, 'after tenant.clone fence'), source, { as }))
    const [row] = await world.directory.query(`select id from directory.operation where tenant_id = '${as}'`)
    await abortOperation(world.fleet, row?.id ?? '')
    await erase(source)
    expect(await world.traces(source)).toEqual([])
  })

  it('and was a restoring leaves the end of the quarantine where it was', async () => {
    const tenant = await world.add('ninety')
    await changeState(world.fleet, 'offboard', tenant, { days: 90 })
    const ends = `select offboarded_at, purge_after, state_before from directory.tenant where id = '${tenant}'`
    const before = await world.directory.query(ends)
    await refusal(
      changeState(dyingAt(world.fleet, 'before tenant.restore tell the shard'), 'restore', tenant),
    )
    const [row] = await world.directory.query(
      `select id from directory.operation where tenant_id = '${tenant}' and state = 'running'`,
    )
    await abortOperation(world.fleet, row?.id ?? '')
    expect(await world.directory.query(ends)).toEqual(before)
  })
})

describe('a tenant whose database is lost', () => {
  it('can be offboarded and erased all the same, and not opened', async () => {
    const tenant = await world.add('lost', 'database')
    const { namespace = '' } = (await findPlacement(world.directory, tenant)) ?? {}
    await onShard(`drop database "${namespace}" with (force)`)
    await changeState(world.fleet, 'suspend', tenant)
    expect(await refusal(changeState(world.fleet, 'resume', tenant))).toMatchObject({
      code: 'SHARD_UNAVAILABLE',
    })
    await erase(tenant)
    expect(await world.traces(tenant)).toEqual([])
    expect(await world.fence(tenant)).toBe('purged 2')
  })
})

describe('a tenant whose rows are being copied', () => {
  it('is not registered meanwhile, with half of them', async () => {
    const source = await world.add('copied')
    const as = tenantId('half-way')
    await refusal(cloneTenant(dyingAt(world.fleet, 'after tenant.clone load rows'), source, { as }))
    const registered = await registerFound(world.fleet, await lookedAt())
    expect(registered.tenants.find(({ id }) => id === as)).toMatchObject({
      outcome: 'conflict',
      reason: expect.stringContaining('not finished'),
    })
    expect(await findPlacement(world.directory, as)).toBe(null)
    const [row] = await world.directory.query(`select id from directory.operation where tenant_id = '${as}'`)
    await abortOperation(world.fleet, row?.id ?? '')
    expect(await findTenant(world.directory, as)).toBe(null)
  })
})

describe('rows that a backup has brought back alone', () => {
  it('are not registered as those of a tenant', async () => {
    const tenant = await world.add('lazarus')
    await erase(tenant)
    await onShard(projectOf(tenant))
    const registered = await registerFound(world.fleet, await lookedAt())
    expect(registered.tenants.find(({ id }) => id === tenant)).toMatchObject({ outcome: 'conflict' })
    expect(await findPlacement(world.directory, tenant)).toBe(null)
  })

  it('are not those of a new tenant of that id', async () => {
    const told = await refusal(createTenant(world.fleet, { id: tenantId('lazarus'), shard: 'shard-a' }))
    expect(told).toMatchObject({ code: 'REFUSED', hint: expect.stringContaining('--revived') })
    expect(await findPlacement(world.directory, tenantId('lazarus'))).toBe(null)
  })
})

describe('a purge', () => {
  it('leaves nothing where rows are migrated meanwhile', async () => {
    await world.add('awake')
    const tenant = await world.add('drowsy')
    await changeState(world.fleet, 'offboard', tenant, { days: 0 })
    const folder = mkdtempSync(join(tmpdir(), 'shardgate-walls-'))
    cpSync(WORLD_FOLDER, folder, { recursive: true })
    const [file, row] = ['20990101000000_rows.ts', 'insert into projects (tenant_id, id, name) values']
    writeFileSync(
      join(folder, file),
      `export default async ({ tenant, run }, { cursor }) => {
        const id = (cursor ?? 900_000) + 1
        await run({ text: '${row} ($1, $2, $2::bigint::text)', values: [tenant, id] })
        return id < 900_003 ? { cursor: id } : null
      }`,
    )
    let purged = false
    const failpoints = {
      hit: async (place: string) => {
        const [rows] = await onShard(
          `select count(*) as n from app.projects where tenant_id = '${tenant}' and id between 900001 and 900003`,
        )
        if (place !== `after rows ${file}` || rows?.n !== '1' || purged) return
        purged = true
        await purgeTenant(world.fleet, tenant, { name: nameOf(tenant) })
      },
    }
    const door = doorOf(loadConfig(world.configFile, {}))
    const { results } = await migrateFleet({ ...world.fleet, migrations: folder, failpoints }, { door })
    rmSync(folder, { recursive: true })
    expect(results.map(({ error }) => error)).toEqual(results.map(() => null))
    expect(purged).toBe(true)
    expect(await onShard(`select count(*) as n from app.projects where tenant_id = '${tenant}'`)).toEqual([
      { n: '0' },
    ])
    expect(
      await onShard(
        `select count(*) as n from app.projects where tenant_id = 'awake' and id between 900001 and 900003`,
      ),
    ).toEqual([{ n: '3' }])
  })

  it('takes rows on other shards too', async () => {
    const tenant = await world.add('two-shards')
    await onShard(projectOf(tenant), 1)
    await erase(tenant)
    expect(await world.traces(tenant)).toEqual([])
  })

  it('leaves no values in the statistics of the planner', async () => {
    await world.add('neighbour')
    const tenant = await world.add('sampled', 'shared', 30)
    await onShard('analyze')
    await world.directory.query('analyze')
    await erase(tenant)
    const inStatistics = `select tablename, attname from pg_stats where schemaname in ('app', 'directory', 'shardgate')
      and concat_ws(' ', most_common_vals::text, histogram_bounds::text) ~ '${canary(tenant).tag}'`
    expect(await onShard(inStatistics)).toEqual([])
    expect(await world.directory.query(inStatistics)).toEqual([])
  })
})
