/**
 * The fence inside the shard: `shardgate.begin_tenant`, as every transaction of the gateway meets it.
 */

import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let tenant: WorldTenant
let app: pg.Client
let mover: pg.Client

const begin = (mode: 'read' | 'write', epoch = 1, client = app, id: string = tenant.id) =>
  client.query('select shardgate.begin_tenant($1, $2, $3, 5000) as tenant', [id, epoch, mode])
const fence = (state: string, epoch = 1) =>
  mover.query('update shardgate.tenant_fence set state = $2, epoch = $3 where tenant_id = $1', [
    tenant.id,
    state,
    epoch,
  ])

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1, isolations: ['shared'] })
  tenant = world.tenants[0]!
  const { appUrl, superuserUrl } = world.shards[0]!
  app = new pg.Client({ connectionString: appUrl })
  mover = new pg.Client({ connectionString: superuserUrl })
  await Promise.all([app.connect(), mover.connect()])
})
afterAll(async () => {
  await Promise.all([app.end(), mover.end()])
  await world.stop()
})
beforeEach(async () => {
  await app.query('rollback')
  await mover.query('rollback')
  await fence('active')
  await app.query('begin')
})

describe('begin_tenant', () => {
  it('sets the tenant for this transaction alone', async () => {
    expect((await begin('read')).rows).toEqual([{ tenant: tenant.id }])
    expect((await app.query('select distinct tenant_id from app.projects')).rows).toEqual([
      { tenant_id: tenant.id },
    ])
    await app.query('commit')
    expect((await app.query('select count(*) from app.projects')).rows).toEqual([{ count: '0' }])
  })

  it("F1: leaves '' behind, which shows no row, not even one whose tenant would be ''", async () => {
    await begin('read')
    await app.query('commit')
    const { rows } = await app.query(`
      select current_setting('app.current_tenant_id', true) as raw, shardgate.current_tenant() as tenant`)
    expect(rows).toEqual([{ raw: '', tenant: null }])
  })

  it.each([
    ['an epoch that is too old', () => fence('active', 2), 1, 'SG001'],
    ['an epoch from the future', () => fence('active', 1), 2, 'SG001'],
    ['a tenant that has moved away', () => fence('moved', 1), 1, 'SG001'],
    ['a suspended tenant', () => fence('suspended'), 1, 'SG003'],
    ['a tenant that was purged', () => fence('purged'), 1, 'SG004'],
  ])('refuses %s', async (_, prepare, epoch, code) => {
    await prepare()
    await expect(begin('read', epoch)).rejects.toMatchObject({ code })
  })

  it('refuses a tenant that is not here', async () => {
    await expect(begin('read', 1, app, 'nobody')).rejects.toMatchObject({ code: 'SG004' })
  })

  it.each([
    ['frozen', 'SG002'],
    ['read-only', 'SG005'],
  ])('lets a tenant that is %s read, and not write', async (state, code) => {
    await fence(state)
    await begin('read')
    await app.query('rollback; begin')
    await expect(begin('write')).rejects.toMatchObject({ code })
  })

  it('makes a read transaction read-only', async () => {
    await begin('read')
    await expect(app.query('delete from app.projects')).rejects.toMatchObject({ code: '25006' })
  })

  it('gives the statements of the transaction what is left of the deadline', async () => {
    await app.query("select shardgate.begin_tenant($1, 1, 'read', 50)", [tenant.id])
    await expect(app.query('select pg_sleep(10)')).rejects.toMatchObject({ code: '57014' })
  })
})

it('costs a caller that sets no time for locks no second call', async () => {
  const { rows } = await app.query(
    `explain (verbose, costs off) select shardgate.begin_tenant('a', 1, 'read', 5000)`,
  )
  expect(rows[1]['QUERY PLAN']).toContain(
    "begin_tenant('a'::text, '1'::bigint, 'read'::text, 5000, NULL::integer)",
  )
})

describe('F15: a writer that waits behind a cutover', () => {
  const LOCK = 'select pg_advisory_xact_lock(shardgate.tenant_lock($1))'
  // The backend of `app` says itself that it waits, so that nothing here has to sleep.
  const waiting = async (): Promise<void> => {
    for (;;) {
      const { rows } = await mover.query(
        "select from pg_stat_activity where pid = $1 and wait_event = 'advisory'",
        [(app as unknown as { processID: number }).processID],
      )
      if (rows.length > 0) return
    }
  }

  it('reads the epoch of after the wait, and is refused', async () => {
    await mover.query('begin')
    await mover.query(LOCK, [tenant.id])
    const refused = expect(begin('write')).rejects.toMatchObject({ code: 'SG001' })
    await waiting()
    await fence('moved', 2)
    await mover.query('commit')
    await refused
  })

  it('(b) the same in one statement, or in a STABLE function, would see the old epoch', async () => {
    await mover.query(`create function pg_temp.stale(tenant text) returns bigint language plpgsql stable as $$
      begin
        perform pg_advisory_xact_lock_shared(shardgate.tenant_lock(tenant));
        return (select epoch from shardgate.tenant_fence where tenant_id = tenant);
      end $$`)
    const { rows } = await mover.query("select pg_my_temp_schema()::regnamespace::text || '.stale' as name")
    const careless = [
      `with l as materialized (select pg_advisory_xact_lock_shared(shardgate.tenant_lock($1)))
       select f.epoch from l, shardgate.tenant_fence f where f.tenant_id = $1`,
      `select ${rows[0].name}($1) as epoch`,
    ]
    const reader = new pg.Client({ connectionString: world.shards[0]!.superuserUrl })
    await reader.connect()
    for (const text of careless) {
      await fence('active', 1)
      await mover.query('begin')
      await mover.query(LOCK, [tenant.id])
      const answer = reader.query(text, [tenant.id])
      for (let blocked = false; !blocked; ) {
        const waits = await mover.query(
          "select from pg_stat_activity where pid = $1 and wait_event = 'advisory'",
          [(reader as unknown as { processID: number }).processID],
        )
        blocked = waits.rows.length > 0
      }
      await fence('active', 7)
      await mover.query('commit')
      expect((await answer).rows, text).toEqual([{ epoch: '1' }])
    }
    await reader.end()
  })

  it('two writers share the lock; a cutover waits for both', async () => {
    await begin('write')
    const other = new pg.Client({ connectionString: world.shards[0]!.appUrl })
    await other.connect()
    await other.query('begin')
    await begin('write', 1, other)
    const take = 'select pg_try_advisory_xact_lock(shardgate.tenant_lock($1)) as taken'
    expect((await mover.query(take, [tenant.id])).rows).toEqual([{ taken: false }])
    await other.end()
    await app.query('commit')
    expect((await mover.query(take, [tenant.id])).rows).toEqual([{ taken: true }])
  })
})

describe('the app role', () => {
  it.each([
    ['change the fence', 'update shardgate.tenant_fence set epoch = 9'],
    ['invent a shard', 'update shardgate.identity set id = gen_random_uuid()'],
    ['F3: truncate a table', 'truncate app.projects cascade'],
    ['make a table', 'create table app.mine (id int)'],
    ['make a table in shardgate', 'create table shardgate.mine (id int)'],
    ['drop a policy', 'drop policy tenant_isolation on app.projects'],
    ['F8: switch row-level security off', 'alter table app.projects disable row level security'],
    ['become the owner', 'set role shardgate_owner'],
    ['become the mover', 'set role shardgate_mover'],
  ])('may not %s', async (_, statement) => {
    await begin('write')
    await expect(app.query(statement)).rejects.toMatchObject({ code: expect.stringMatching(/^42/) })
  })
})
