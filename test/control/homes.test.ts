/** Homes of the three models: closed to everybody else, checked before anybody is let in, gone when they are removed. */

import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { makeHome, removeHome } from '../../src/control/homes/home.ts'
import { renewHomes } from '../../src/control/homes/renew.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { createTenants } from '../../src/control/register.ts'
import { withClient } from '../../src/db/client.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import { isTemplateOf, tenantDatabase, tenantRole, tenantSchema } from '../../src/directory/namespaces.ts'
import { findPlacement } from '../../src/directory/placements.ts'
import { listTargets } from '../../src/directory/targets.ts'
import { findTenant } from '../../src/directory/tenants.ts'
import type { Isolation } from '../../src/directory/types.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'
import { migrate } from '../kit/migrate.ts'
import { type PrivateServer, privateServer } from '../kit/servers.ts'

let world: TestFleet
let fleet: Fleet
let shardId: string
let folder: string

beforeAll(async () => {
  world = await freshFleet({ weights: { 'shard-a': 1 } })
  folder = mkdtempSync(join(tmpdir(), 'shardgate-homes-'))
  cpSync(join(import.meta.dirname, '../kit/world'), folder, { recursive: true })
  fleet = { ...world.fleet, migrations: folder }
  await migrateShared()
  const [row] = await sql(`select id from shardgate.identity`)
  shardId = row!.id!
})
afterAll(async () => {
  await world?.drop()
  rmSync(folder, { recursive: true, force: true })
})

const migrateShared = () => migrate({ shard: world.fleet.shards[0]!, folder, schema: 'app' })
const shardUrl = (): string => world.shards[0]!.superuserUrl
const sql = (text: string, database?: string) =>
  withClient(database === undefined ? shardUrl() : databaseUrl(shardUrl(), database), (db) => db.query(text))
const onDirectory = <T>(work: Parameters<typeof withClient<T>>[1]) => withClient(world.directoryUrl, work)

const create = async (id: string, isolation: Isolation) =>
  (await createTenant(fleet, { id: tenantId(id), isolation })).tenant

/** Take out of the directory what has no home any more. */
const forget = (id: string) =>
  onDirectory((db) => db.query(`delete from directory.tenant where id = '${id}'`))

/** Every right of the roles that matter on every table and sequence of a schema, as 'role table right, …'. */
async function rightsIn(schema: string): Promise<string[]> {
  const rows = await sql(`
    select format('%s %s %s', r.rolname, c.relname, string_agg(kind, ',' order by kind)) as line
    from pg_class c, pg_roles r, unnest(case when c.relkind = 'S' then array['USAGE', 'SELECT', 'UPDATE']
      else array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'] end) as kind
    where c.relnamespace = '"${schema}"'::regnamespace and c.relkind in ('r', 'p', 'S', 'v')
      and (r.rolname in ('shardgate_app', 'shardgate_tenant') or starts_with(r.rolname, 'shardgate_${shardId.slice(0, 8)}'))
      and case when c.relkind = 'S' then has_sequence_privilege(r.oid, c.oid, kind)
        else has_table_privilege(r.oid, c.oid, kind)
          or kind in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') and has_any_column_privilege(r.oid, c.oid, kind) end
    group by r.rolname, c.relname
    order by 1`)
  return rows.map(({ line }) => line!)
}

describe('rights', () => {
  it('are those of one role in one schema: over all tables and roles, nothing else', async () => {
    for (const id of ['acme', 'acme-2']) await create(id, 'schema')
    const shared = await rightsIn('app')
    expect(shared.length).toBeGreaterThan(3)
    expect(shared.every((line) => line.startsWith('shardgate_app '))).toBe(true)
    for (const id of ['acme', 'acme-2']) {
      const role = tenantRole(shardId, tenantId(id))
      const own = await rightsIn(tenantSchema(tenantId(id)))
      expect(own).toEqual(shared.map((line) => line.replace('shardgate_app', role)))
    }
  })

  it('let each role use its own schema, and nobody make anything', async () => {
    const rows = await sql(`
      select format('%s %s', n.nspname, r.rolname) as line
      from pg_namespace n, pg_roles r
      where (n.nspname = 'app' or n.nspname like 'tenant\\_acme%') and has_schema_privilege(r.oid, n.oid, 'USAGE')
        and starts_with(r.rolname, 'shardgate_${shardId.slice(0, 8)}')
      order by 1`)
    expect(rows.map(({ line }) => line)).toEqual(
      ['acme', 'acme-2'].map((id) => `tenant_${id} ${tenantRole(shardId, tenantId(id))}`),
    )
    const made = await sql(`
      select from pg_namespace n, pg_roles r
      where (n.nspname = 'app' or n.nspname like 'tenant\\_%') and has_schema_privilege(r.oid, n.oid, 'CREATE')
        and (r.rolname = 'shardgate_app' or starts_with(r.rolname, 'shardgate_${shardId.slice(0, 8)}'))`)
    expect(made).toEqual([])
  })

  it('of tables that come later are the same', async () => {
    await sql(`set role shardgate_owner; create table "tenant_acme".later (tenant_id text, id serial)`)
    const role = tenantRole(shardId, tenantId('acme'))
    const later = (await rightsIn('tenant_acme')).filter((line) => line.includes(' later'))
    expect(later).toEqual([`${role} later DELETE,INSERT,SELECT,UPDATE`, `${role} later_id_seq USAGE`])
    await sql(`drop table "tenant_acme".later`)
  })

  it('on a database are those of our three roles', async () => {
    const { namespace } = await create('own-db', 'database')
    const rows = await sql(`
      select coalesce(nullif(grantee, 0)::regrole::text, 'public') as who, string_agg(privilege_type, ',' order by privilege_type) as what
      from pg_database, aclexplode(datacl) where datname = '${namespace}' group by 1 order by 1`)
    expect(rows).toEqual([
      { who: 'shardgate_app', what: 'CONNECT' },
      { who: 'shardgate_mover', what: 'CONNECT' },
      { who: 'shardgate_owner', what: 'CONNECT,CREATE,TEMPORARY' },
    ])
    expect(await sql('select id from shardgate.identity', namespace)).toEqual([{ id: shardId }])
    expect(await sql('select tenant_id, state, epoch, role from shardgate.tenant_fence', namespace)).toEqual([
      { tenant_id: 'own-db', state: 'active', epoch: '1', role: null },
    ])
  })
})

describe('a home', () => {
  it('has the tables of the shared ones and is a target from the start', async () => {
    const targets = await onDirectory(listTargets)
    const [shared] = await sql(`select max(version) as version from shardgate.migration where namespace = ''`)
    const own = targets.filter(({ tenant }) => tenant !== null)
    expect(own.map(({ isolation, version }) => [isolation, version])).toEqual([
      ['schema', shared!.version],
      ['schema', shared!.version],
      ['database', shared!.version],
    ])
    expect(new Set(own.map(({ structure }) => structure)).size).toBe(1)
  })

  it('of one id is not that of an id that begins with it', async () => {
    for (const id of ['a', 'aa', 'a-a', 'aa-1']) await create(id, 'schema')
    await removeHome(fleet, (await homeOf('a'))!)
    const schemas = await sql(`select nspname from pg_namespace where nspname like 'tenant\\_a%' order by 1`)
    expect(schemas.map(({ nspname }) => nspname)).toEqual([
      'tenant_a-a',
      'tenant_aa',
      'tenant_aa-1',
      'tenant_acme',
      'tenant_acme-2',
    ])
    const fences = await sql(
      `select tenant_id from shardgate.tenant_fence where tenant_id like 'a%' order by 1`,
    )
    expect(fences.map(({ tenant_id }) => tenant_id)).not.toContain('a')
    expect(fences).toHaveLength(5)
  })

  it('with the longest id has all its names', async () => {
    const id = 'x'.repeat(40)
    expect((await create(id, 'schema')).namespace).toBe(`tenant_${id}`)
    const twin = `${'x'.repeat(39)}y`
    expect((await create(twin, 'database')).namespace).toBe(tenantDatabase(shardId, tenantId(twin)))
    expect(
      await sql(`select from pg_database where datname = '${tenantDatabase(shardId, tenantId(twin))}'`),
    ).toHaveLength(1)
  })

  it('that is removed is gone with what belongs to it, and the same again is no fault', async () => {
    for (const isolation of ['schema', 'database'] as const) {
      await create(`gone-${isolation}`, isolation)
      const home = (await homeOf(`gone-${isolation}`))!
      await removeHome(fleet, home)
      await removeHome(fleet, home)
      expect(await sql(`select from pg_namespace where nspname = '${home.namespace}'`)).toEqual([])
      expect(await sql(`select from pg_database where datname = '${home.namespace}'`)).toEqual([])
      expect(await sql(`select from pg_roles where rolname = '${tenantRole(shardId, home.tenant)}'`)).toEqual(
        [],
      )
      expect(await sql(`select from shardgate.migration where namespace = '${home.namespace}'`)).toEqual([])
      expect(await sql(`select from shardgate.tenant_fence where tenant_id = '${home.tenant}'`)).toEqual([])
      await makeHome(fleet, home)
      await removeHome(fleet, home)
      await forget(home.tenant)
    }
  })

  it('is dropped also while the gateway is connected to it', async () => {
    const { namespace } = await create('held', 'database')
    const appUrl = databaseUrl(world.shards[0]!.url('app'), namespace)
    const sleeper = withClient(appUrl, async (client) => {
      const ended = client.query('select pg_sleep(60)').catch((error: unknown) => error)
      await removeHome(fleet, (await homeOf('held'))!)
      return ended
    })
    expect(await sleeper).toMatchObject({ code: '57P01' })
    await forget('held')
    expect(await sql(`select from pg_database where datname = '${namespace}'`)).toEqual([])
  })
})

const homeOf = (id: string) =>
  onDirectory(async (db) => {
    const placement = await findPlacement(db, tenantId(id))
    return placement && { ...placement, state: 'active' as const }
  })

describe('a release', () => {
  it('reaches the databases of tenants too', async () => {
    const { namespace } = await create('old', 'database')
    await sql('drop function shardgate.claim_key', namespace)
    expect(await renewHomes(fleet)).toBeGreaterThan(0)
    const known = `select to_regprocedure('shardgate.claim_key(text, text, text)') is not null as there, id from shardgate.identity`
    expect(await sql(known, namespace)).toEqual([{ there: 't', id: shardId }])
  })

  it('is told of one that is gone, after it has reached all others', async () => {
    const [lost, other] = [await create('a-lost', 'database'), await create('b-other', 'database')]
    await sql('drop function shardgate.claim_key', other.namespace)
    await sql(`drop database "${lost.namespace}"`)
    await expect(renewHomes(fleet)).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    const there = `select from pg_proc where proname = 'claim_key'`
    expect(await sql(there, other.namespace)).toHaveLength(1)
    await forget('a-lost')
  })
})

describe('an id that was purged', () => {
  it.each(['shared', 'schema', 'database'] as const)(
    'begins anew after its last epoch, %s',
    async (isolation) => {
      const id = `again-${isolation}`
      const first = await create(id, isolation)
      const home = (await homeOf(id))!
      await removeHome(fleet, { ...home, epoch: 4 }, true)
      await onDirectory((db) =>
        db.query(`
        delete from directory.tenant where id = '${id}';
        insert into directory.tombstone (tenant_id, epoch, shard, isolation, namespace)
        values ('${id}', 4, '${first.shard}', '${isolation}', '${first.namespace}')`),
      )
      expect(
        await sql(`select state, epoch, role from shardgate.tenant_fence where tenant_id = '${id}'`),
      ).toEqual([{ state: 'purged', epoch: '4', role: null }])
      const again = await create(id, isolation)
      expect(again).toMatchObject({ epoch: 5, state: 'active', isolation })
      const own = isolation === 'database' ? again.namespace : undefined
      expect(
        await sql(`select state, epoch from shardgate.tenant_fence where tenant_id = '${id}'`, own),
      ).toEqual([{ state: 'active', epoch: '5' }])
    },
  )

  it('is refused over a fence of a life that the directory does not know', async () => {
    await sql(`insert into shardgate.tenant_fence (tenant_id, state, epoch) values ('undead', 'purged', 3)`)
    await expect(create('undead', 'schema')).rejects.toMatchObject({
      code: 'SHARD_UNSAFE',
      message: 'shard-a has a fence of undead already: purged, epoch 3.',
    })
    expect(await sql(`select from pg_namespace where nspname = 'tenant_undead'`)).toEqual([])
    expect(await onDirectory((db) => findTenant(db, tenantId('undead')))).toBeNull()
  })
})

describe('2,000 tenants', () => {
  it('of shared tables are made in a few statements', async () => {
    const ids = Array.from({ length: 2_000 }, (_, i) => tenantId(`many-${i}`))
    const { rows, faults } = await createTenants(
      fleet,
      ids.map((id) => ({ id })),
    )
    expect([rows.size, faults.size]).toEqual([2_000, 0])
    const [fences] = await sql(
      `select count(*) from shardgate.tenant_fence where tenant_id like 'many-%' and state = 'active'`,
    )
    expect(fences).toEqual({ count: '2000' })
    const again = await createTenants(fleet, [{ id: tenantId('other'), subdomain: 'many-1' }])
    expect([...again.faults]).toEqual([['other', 'the subdomain "many-1" belongs to another tenant']])
  })
})

describe('templates', () => {
  const templates = async (): Promise<string[]> => {
    const rows = await sql('select datname, datallowconn from pg_database')
    return rows.flatMap(({ datname, datallowconn }) =>
      isTemplateOf(shardId, datname!) ? [`${datname} ${datallowconn === 't' ? 'open' : 'closed'}`] : [],
    )
  }

  it('are one, closed to everybody, whoever wants it at once; half made ones are made anew', async () => {
    const [before] = await templates()
    expect(before).toMatch(/ closed$/)
    const name = before!.split(' ')[0]!
    await sql(`drop database "${name}"`)
    await sql(`create database "${name}_new" owner shardgate_owner`)
    await Promise.all(['t1', 't2', 't3'].map((id) => create(id, 'database')))
    expect(await templates()).toEqual([before])
  })

  it('go when the shard has had another migration; homes are born with it, also what only waits in the folder not', async () => {
    const [before] = await templates()
    const more = '-- migrate:up\nalter table projects add column colour text;\n'
    writeFileSync(join(folder, '20260102000000_colour.sql'), more)
    const early = await create('early', 'schema')
    expect(await columns(early.namespace)).not.toContain('colour')
    await migrateShared()
    for (const isolation of ['schema', 'database'] as const) {
      const { namespace } = await create(`late-${isolation}`, isolation)
      const found = isolation === 'schema' ? await columns(namespace) : await columns('app', namespace)
      expect(found).toContain('colour')
    }
    const after = await templates()
    expect(after).toHaveLength(1)
    expect(after).not.toEqual([before])
  })

  const columns = async (schema: string, database?: string) =>
    (
      await sql(
        `select attname from pg_attribute where attrelid = '"${schema}".projects'::regclass and attnum > 0`,
        database,
      )
    ).map(({ attname }) => attname)
})

describe('is refused, and nothing is left of it', () => {
  const refused = async (isolation: Isolation, from: Fleet = fleet): Promise<unknown> => {
    const error: unknown = await createTenant(from, { id: tenantId('never'), isolation }).catch(
      (e: unknown) => e,
    )
    expect(await onDirectory((db) => findTenant(db, tenantId('never')))).toBeNull()
    expect(
      await onDirectory((db) => db.query(`select from directory.operation where state = 'running'`)),
    ).toEqual([])
    expect(await sql(`select from pg_namespace where nspname = 'tenant_never'`)).toEqual([])
    expect(
      await sql(`select from pg_database where datname = '${tenantDatabase(shardId, tenantId('never'))}'`),
    ).toEqual([])
    expect(
      await sql(`select from pg_roles where rolname = '${tenantRole(shardId, tenantId('never'))}'`),
    ).toEqual([])
    return error
  }

  it('without migrations to make tables by', async () => {
    const { migrations: _, ...bare } = fleet
    expect(await refused('schema', bare)).toMatchObject({ code: 'REFUSED' })
  })

  it('when the folder has another file than the shard has had', async () => {
    const other = join(import.meta.dirname, '../kit/small')
    expect(await refused('database', { ...fleet, migrations: other })).toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('20260101000000_notes.sql'),
    })
  })

  it('when the folder lacks a file that the shard has had', async () => {
    const [first] = readdirSync(folder)
    const poorer = mkdtempSync(join(tmpdir(), 'shardgate-homes-'))
    cpSync(join(folder, first!), join(poorer, first!))
    expect(await refused('schema', { ...fleet, migrations: poorer })).toMatchObject({
      code: 'SETUP_FAILED',
      message: expect.stringContaining('20260102000000_colour.sql, which is not in'),
    })
    rmSync(poorer, { recursive: true })
  })

  it('on another shard than the directory means', async () => {
    const other = await freshFleet({ weights: { 'shard-a': 1 } })
    await migrate({ shard: other.fleet.shards[0]!, folder, schema: 'app' })
    const swapped = { ...fleet, shards: other.fleet.shards }
    expect(await refused('schema', swapped)).toMatchObject({ code: 'SHARD_UNSAFE' })
    const home = (await homeOf('acme'))!
    await expect(makeHome(swapped, home)).rejects.toMatchObject({ code: 'SHARD_UNSAFE' })
    await expect(removeHome(swapped, home)).rejects.toMatchObject({ code: 'SHARD_UNSAFE' })
    await other.drop()
  })

  it('with tables that would not be safe, with the reasons', async () => {
    const open =
      '-- migrate:up\ncreate table leaky (tenant_id text not null, id int, primary key (tenant_id, id));\n'
    writeFileSync(join(folder, '20260103000000_leaky.sql'), open)
    await migrateShared()
    for (const isolation of ['schema', 'database'] as const) {
      expect(await refused(isolation)).toMatchObject({
        message: expect.stringMatching(/leaky: row-level security is off/),
      })
    }
  })
})

describe('an owner that may not make homes', () => {
  // Roles belong to the whole server, and other tests need theirs.
  let server: PrivateServer
  let poor: TestFleet
  beforeAll(async () => {
    server = await privateServer()
    poor = await freshFleet({ weights: { 'shard-a': 1 }, servers: { 'shard-a': server.superuserUrl() } })
    const small = join(import.meta.dirname, '../kit/small')
    await migrate({ shard: poor.fleet.shards[0]!, folder: small, schema: 'app' })
    poor = { ...poor, fleet: { ...poor.fleet, migrations: small } }
  })
  afterAll(async () => {
    await poor?.drop()
    await server?.remove()
  })

  it.each([
    ['schema', 'alter role shardgate_owner nocreaterole', 'alter role shardgate_owner createrole;'],
    [
      'schema',
      'revoke shardgate_tenant from shardgate_owner cascade',
      'grant shardgate_tenant to shardgate_owner with admin option;',
    ],
    ['database', 'alter role shardgate_owner nocreatedb', 'alter role shardgate_owner createdb;'],
  ] as const)('is told what a superuser has to run: %s after "%s"', async (isolation, taken, given) => {
    const run = (text: string) => withClient(server.superuserUrl(), (db) => db.query(text))
    const wanted = { id: tenantId('poor'), isolation }
    await run(taken)
    const refused = { code: 'SETUP_FAILED', message: expect.stringContaining(given) }
    await expect(createTenant(poor.fleet, wanted)).rejects.toMatchObject(refused)
    expect(await withClient(poor.directoryUrl, (db) => findTenant(db, wanted.id))).toBeNull()
    await run(given)
    const { tenant } = await createTenant(poor.fleet, { ...wanted, id: tenantId(`rich-${taken.length}`) })
    expect(tenant.state).toBe('active')
  })
})
