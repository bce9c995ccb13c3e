/**
 * Tenants with a schema or a database of their own behind the one door: each in its own role and its own tables, and
 * nothing of one left on a connection that the next one gets.
 */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/base/config.ts'
import { deadlineIn } from '../../src/base/time.ts'
import { withClient } from '../../src/db/client.ts'
import { prepared } from '../../src/db/sql.ts'
import { ISOLATIONS } from '../../src/directory/types.ts'
import type { TenantSession } from '../../src/shards/door.ts'
import type { Shard } from '../../src/shards/shard.ts'
import { openWorldDoor, type WorldDoor } from '../kit/door.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let gate: WorldDoor
let shard: Shard
let [shared, schema, database, otherShared, otherSchema, otherDatabase]: WorldTenant[] = []

beforeAll(async () => {
  world = await startWorld({ tenants: 6, shards: 1, isolations: ISOLATIONS })
  ;[shared, schema, database, otherShared, otherSchema, otherDatabase] = world.tenants
})
afterAll(() => world?.stop())
beforeEach(async () => {
  gate = await openWorldDoor(world)
  shard = gate.fleet.get('shard-a')!
  // One connection of each kind, so that everybody gets the one that somebody else had.
  const config = loadConfig(world.configFile, {}).shards['shard-a']!
  shard.reconfigure({ ...config, readConnections: 1, writeConnections: 1 })
})
afterEach(() => gate.end())

const WHO = prepared('select current_user, session_user, pg_backend_pid()')
const ROWS = 'select tenant_id, count(*) from app.projects group by 1'
const OWN = (tenant: WorldTenant) => [[tenant.id, '8']]
const destroyed = () => gate.events.filter(({ kind }) => kind === 'connection.destroyed').length

const roleOf = async ({ id }: WorldTenant): Promise<string> => {
  const [row] = await world.sql(
    'shard-a',
    `select role from shardgate.tenant_fence where tenant_id = '${id}'`,
  )
  return String(row?.role ?? 'shardgate_app')
}

const fence = (tenant: WorldTenant, state: string) =>
  withClient(world.homeOf(tenant).superuserUrl, (client) =>
    client.query(`update shardgate.tenant_fence set state = '${state}' where tenant_id = '${tenant.id}'`),
  )

describe('everybody', () => {
  it('reads and writes his own tables by the same statements', async () => {
    for (const tenant of world.tenants) {
      expect(await gate.ask(tenant.id, ROWS), tenant.isolation).toEqual(OWN(tenant))
      const insert =
        'insert into app.labels (tenant_id, task_id, word) values ($1, 1, $2) returning tenant_id'
      const word = tenant.canary.text('written')
      expect(await gate.ask(tenant.id, insert, [tenant.id, word], 'write')).toEqual([[tenant.id]])
      expect(await world.contents(tenant)).toContain(word)
    }
  })

  it('is answered with his own rows when all ask at once', async () => {
    const asked = Array.from({ length: 240 }, (_, i) => world.tenants[i % 6]!)
    expect(await Promise.all(asked.map(({ id }) => gate.ask(id, ROWS)))).toEqual(asked.map(OWN))
  })

  it('has the tables of a moment when he asks for several', async () => {
    for (const { id } of world.tenants) {
      const both = [prepared('select count(*) from app.projects'), prepared('select count(*) from app.tasks')]
      expect(await gate.door.batch(id, 'read', deadlineIn(5_000), both)).toEqual([[['8']], [['8']]])
    }
  })

  it('cannot write a row of somebody else into his own tables', async () => {
    const insert = `insert into app.projects (tenant_id, id, name) values ($1, 1, 'x')`
    for (const { id } of world.tenants) {
      const written = gate.ask(id, insert, [id === shared!.id ? schema!.id : shared!.id], 'write')
      await expect(written).rejects.toMatchObject({ code: '42501' })
    }
  })

  it('is refused a table that has become unsafe, wherever his own is', async () => {
    shard.refuseTables(['app.labels'])
    for (const { id } of world.tenants) {
      const refused = { code: 'TABLE_UNSAFE' }
      await expect(gate.ask(id, 'select count(*) from "app"."labels"')).rejects.toMatchObject(refused)
      expect(await gate.ask(id, 'select count(*) from "app"."tasks"')).toEqual([['8']])
    }
  })

  it('is read-only when his fence says so', async () => {
    for (const tenant of [shared!, schema!, database!]) {
      await fence(tenant, 'read-only')
      try {
        expect(await gate.ask(tenant.id, ROWS)).toEqual(OWN(tenant))
        const refused = { code: 'TENANT_READ_ONLY' }
        await expect(gate.ask(tenant.id, 'select 1', [], 'write')).rejects.toMatchObject(refused)
        const work = gate.door.withTenant(tenant.id, 'write', deadlineIn(5_000), async () => {
          return { keep: true, value: null }
        })
        await expect(work).rejects.toMatchObject(refused)
      } finally {
        await fence(tenant, 'active')
      }
      expect(await gate.ask(tenant.id, 'select 1', [], 'write')).toEqual([['1']])
    }
    expect(destroyed()).toBe(0)
  })
})

describe('the role of a tenant with a schema of its own', () => {
  const before = async () => (await shard.use((pool) => pool.batch([WHO], deadlineIn(1_000))))[0]!.rows[0]
  /** The connection that others get next is the app role's again. */
  const expectGivenBack = async (): Promise<void> => {
    expect((await before())?.slice(0, 2)).toEqual(['shardgate_app', 'shardgate_app'])
    for (const tenant of [shared!, otherSchema!, schema!, otherShared!]) {
      expect(await gate.ask(tenant.id, ROWS)).toEqual(OWN(tenant))
    }
  }

  it('is his on a connection where the one before had another', async () => {
    const seen: string[][] = []
    for (const tenant of [schema!, shared!, otherSchema!, schema!, otherShared!]) {
      const [[user = '', login = '', pid = ''] = []] = (await gate.ask(tenant.id, WHO.text)) as string[][]
      expect(user).toBe(await roleOf(tenant))
      seen.push([login, pid])
    }
    expect(new Set(seen.map(String)).size).toBe(1)
    expect(await roleOf(schema!)).not.toBe(await roleOf(otherSchema!))
  })

  it.each<[string, string, string]>([
    ['ended well', 'select 1', 'ok'],
    ['failed', 'select 1 / 0', '22012'],
    ['named what is not there', 'select * from app.nothing', '42P01'],
    ['took too long', 'select pg_sleep(20)', 'TIMEOUT'],
    ['named what is not its own', 'select * from u&"app".projects', '42501'],
  ])('is given back after a batch that %s', async (_, text, code) => {
    await before()
    const asked = gate.door.batch(schema!.id, 'write', deadlineIn(300), [prepared(text)])
    expect(
      await asked.then(
        () => 'ok',
        (error) => error.code,
      ),
    ).toBe(code)
    await expectGivenBack()
  })

  it('is given back after the fence has refused him', async () => {
    await fence(schema!, 'suspended')
    await expect(gate.ask(schema!.id, ROWS)).rejects.toMatchObject({ code: 'TENANT_SUSPENDED' })
    await fence(schema!, 'active')
    await expectGivenBack()
  })

  it.each<[string, boolean, (session: TenantSession) => Promise<unknown>, number]>([
    ['was kept', true, ({ run }) => run(WHO), 300],
    ['was not', false, ({ run }) => run(WHO), 300],
    ['its work left by an error', true, () => Promise.reject(new Error('left')), 300],
    ['a statement failed in', false, ({ run }) => run(prepared('select 1 / 0')).catch(() => {}), 300],
    ['its work took too long for', true, () => new Promise(() => {}), 50],
    ['reset the role itself', true, ({ run }) => run(prepared('reset role')), 300],
  ])('is given back after a transaction that %s', async (_, keep, work, ms) => {
    await gate.door
      .withTenant(schema!.id, 'write', deadlineIn(ms), async (session) => ({
        keep,
        value: await work(session),
      }))
      .catch(() => {})
    for (const tenant of [otherSchema!, shared!, schema!]) {
      const rows = gate.door.withTenant(tenant.id, 'write', deadlineIn(5_000), async ({ run }) => {
        const [[user] = []] = await run(WHO)
        expect(user).toBe(await roleOf(tenant))
        return { keep: false, value: await run(prepared(ROWS)) }
      })
      expect(await rows).toEqual(OWN(tenant))
    }
  })

  it('that SQL of an extension has left on the session shows nobody’s rows, and costs the connection alone', async () => {
    const role = await roleOf(otherSchema!)
    for (const next of [shared!, schema!, otherSchema!]) {
      await gate.ask(schema!.id, `set role "${role}"`)
      const insert = `insert into app.labels (tenant_id, task_id, word) values ($1, 3, 'after ${next.id}')`
      expect(await gate.ask(next.id, insert, [next.id], 'write')).toEqual([])
      for (const tenant of [next, shared!, schema!, otherSchema!]) {
        expect(await gate.ask(tenant.id, ROWS)).toEqual(OWN(tenant))
      }
    }
    expect(destroyed()).toBe(3)
  })

  it('is no reason to give up a connection when a statement names what is forbidden', async () => {
    for (const { id } of [schema!, shared!]) {
      await expect(gate.ask(id, 'select * from pg_authid')).rejects.toMatchObject({ code: '42501' })
      const unnamed = gate.ask(id, `select * from "${world.homeOf(otherSchema!).schema}".f(1)`)
      await expect(unnamed).rejects.toBeDefined()
    }
    await expect(gate.ask(database!.id, 'select * from nowhere.t')).rejects.toMatchObject({ code: '42P01' })
    await gate.ask(shared!.id, ROWS)
    expect(destroyed()).toBe(0)
  })
})

describe('a tenant with a database of its own', () => {
  it('has connections of its own, which the shard counts', async () => {
    const pid = async ({ id }: WorldTenant) => (await gate.ask(id, WHO.text))[0]?.[2]
    const pids = [await pid(shared!), await pid(database!), await pid(otherDatabase!), await pid(database!)]
    expect(new Set(pids).size).toBe(3)
    expect(shard.stats.shared).toBe(3)
  })

  it('does a transaction there', async () => {
    const insert = `insert into app.labels (tenant_id, task_id, word) values ($1, 2, 'in a transaction')`
    await gate.door.withTenant(database!.id, 'write', deadlineIn(5_000), async ({ run }) => {
      await run(prepared(insert, [database!.id]))
      return { keep: true, value: null }
    })
    expect(await world.contents(database!)).toContain('in a transaction')
  })

  it('is found again in its new home when the database is gone, and nobody notices', async () => {
    const tenant = otherDatabase!
    await gate.ask(tenant.id, ROWS)
    const { namespace } = world.homeOf(tenant)
    const directory = (text: string) => world.sql('directory', text)
    await world.sql('shard-a', `drop database "${namespace}" with (force)`)
    await expect(gate.ask(tenant.id, ROWS)).rejects.toMatchObject({
      code: 'SHARD_UNAVAILABLE',
      message: 'The database of the tenant cannot be reached.',
    })
    await directory(`delete from directory.placement where tenant_id = '${tenant.id}'`)
    await world.sql(
      'shard-a',
      `insert into shardgate.tenant_fence values ($1, 'active', 1) on conflict do nothing`,
      [tenant.id],
    )
    expect(await gate.ask(tenant.id, ROWS)).toEqual([])
    expect(await gate.ask(shared!.id, ROWS)).toEqual(OWN(shared!))
    expect(gate.events.filter(({ kind }) => kind === 'shard.down')).toEqual([])
  })
})
