/**
 * The help desk on a real Postgres: its migrations hold the rules that keep tenants apart, its policies hold
 * against the app role, and the seeder writes what it says.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TABLES } from '../../examples/helpdesk/seed/tables.ts'
import { planTenants, type SeedTenant, seedTenant, tenantRows } from '../../examples/helpdesk/seed.ts'
import { type Client, connect, sqlState, type TextRow, withClient } from '../../src/db/client.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'

const FOLDER = new URL('../../examples/helpdesk/migrations/', import.meta.url)
const SYSTEM = new URL('../../src/shards/sql/', import.meta.url)
const tables = Object.values(TABLES).map(({ name }) => name)
const [acme, globex, initech] = planTenants() as [SeedTenant, SeedTenant, SeedTenant]

let database: FreshDatabase
let owner: Client
let app: Client

beforeAll(async () => {
  database = await freshDatabase()
  await withClient(database.url, prepare)
  owner = await as('shardgate_owner')
  app = await as('shardgate_app')
  await owner.query('set search_path = helpdesk')
  await run('up')
  await Promise.all([acme, globex].map((tenant) => withOwner((client) => seedTenant(client, tenant))))
}, 60_000)

afterAll(async () => {
  await Promise.all([owner?.end(), app?.end()])
  await database?.drop()
})

// Roles belong to the server and test files share it, so another file may be making them right now.
async function prepare(client: Client): Promise<void> {
  for (const role of ['shardgate_owner', 'shardgate_app', 'shardgate_mover']) {
    await client.query(`do $$ begin create role ${role} nosuperuser nobypassrls noinherit;
      exception when duplicate_object or unique_violation then null; end $$`)
  }
  await client.query(`grant create on database ${database.name} to shardgate_owner`)
  await client.query('set role shardgate_owner')
  for (const file of filesOf(SYSTEM)) await client.query(readFileSync(new URL(file, SYSTEM), 'utf8'))
  await client.query(`create schema helpdesk; grant usage on schema helpdesk to shardgate_app;
    alter default privileges in schema helpdesk grant select, insert, update, delete on tables to shardgate_app`)
}

const filesOf = (folder: URL): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .sort()

async function as(role: string): Promise<Client> {
  const client = await connect(database.url)
  await client.query(`set role ${role}`)
  return client
}

async function withOwner<T>(work: (client: Client) => Promise<T>): Promise<T> {
  const client = await as('shardgate_owner')
  return work(client).finally(() => client.end())
}

async function run(way: 'up' | 'down'): Promise<void> {
  const files = filesOf(FOLDER)
  for (const file of way === 'up' ? files : files.reverse()) {
    const [, up, down] = readFileSync(new URL(file, FOLDER), 'utf8').split(/^-- migrate:(?:up|down)$/m)
    await owner.transaction((client) => client.query((way === 'up' ? up : down)!))
  }
}

/** What the app role sees and does for `tenant`, in a transaction that is rolled back. */
async function asTenant<R extends TextRow>(tenant: string, statement: string): Promise<R[]> {
  await app.query('begin')
  try {
    await app.query({ text: `select set_config('app.current_tenant_id', $1, true)`, values: [tenant] })
    return await app.query<R>(statement)
  } finally {
    await app.query('rollback')
  }
}

const stateOf = (work: Promise<unknown>): Promise<string | undefined> => work.then(() => 'no error', sqlState)

/** Lines that a rule of the catalog finds at fault. */
async function faults(query: string): Promise<string[]> {
  const rows = await owner.query<{ fault: string }>(query)
  return rows.map(({ fault }) => fault)
}

describe('the migrations', () => {
  it('make the tables that are seeded, and no others', async () => {
    const found = await faults(`select relname as fault from pg_class
      where relnamespace = 'helpdesk'::regnamespace and relkind in ('r', 'p', 'v', 'm')`)
    expect(found.sort()).toEqual([...tables].sort())
  })

  it('F5: start every primary key, unique key, foreign key and index with the tenant', async () => {
    const keys = `select conname as fault from pg_constraint c
      join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
      where connamespace = 'helpdesk'::regnamespace and contype in ('p', 'u', 'f') and attname <> 'tenant_id'`
    const targets = `select conname as fault from pg_constraint c
      join pg_attribute a on a.attrelid = c.confrelid and a.attnum = c.confkey[1]
      where connamespace = 'helpdesk'::regnamespace and contype = 'f' and attname <> 'tenant_id'`
    const indexes = `select indexrelid::regclass::text as fault from pg_index i join pg_class t on t.oid = indrelid
      join pg_attribute a on a.attrelid = indrelid and a.attnum = i.indkey[0]
      where relnamespace = 'helpdesk'::regnamespace and attname <> 'tenant_id'`
    for (const rule of [keys, targets, indexes]) expect(await faults(rule)).toEqual([])
  })

  it('never null the tenant when a row that is pointed to goes', async () => {
    expect(
      await faults(`select conname as fault from pg_constraint c
        join pg_attribute a on a.attrelid = c.conrelid and a.attname = 'tenant_id'
        where connamespace = 'helpdesk'::regnamespace and confdeltype in ('n', 'd')
          and (confdelsetcols is null or a.attnum = any (confdelsetcols))`),
    ).toEqual([])
  })

  it('give every foreign key an index to look up its rows by', async () => {
    expect(
      await faults(`select conname as fault from pg_constraint c where connamespace = 'helpdesk'::regnamespace
        and contype = 'f' and not exists (select from pg_index i where i.indrelid = c.conrelid
          and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] = c.conkey)`),
    ).toEqual([])
  })

  it('F8: force row-level security on every table', async () => {
    expect(
      await faults(`select relname as fault from pg_class where relnamespace = 'helpdesk'::regnamespace
        and relkind in ('r', 'p') and not (relrowsecurity and relforcerowsecurity)`),
    ).toEqual([])
  })

  it('F9, F11: keep tenants apart by one restrictive policy that asks for the tenant once a statement', async () => {
    const own = `(tenant_id = ( SELECT shardgate.current_tenant() AS current_tenant))`
    const policies = await owner.query(`select tablename, permissive, cmd, roles::text, qual, with_check
      from pg_policies where schemaname = 'helpdesk' and permissive = 'RESTRICTIVE' order by tablename`)
    const wanted = { permissive: 'RESTRICTIVE', cmd: 'ALL', roles: '{public}', qual: own, with_check: own }
    expect(policies).toEqual([...tables].sort().map((tablename) => ({ tablename, ...wanted })))
  })

  it('F10: index nothing whose comparison may leak, as Postgres would not look it up under a policy', async () => {
    expect(
      await faults(`select distinct i.indexrelid::regclass || ' ' || a.attname as fault
        from pg_index i join pg_class t on t.oid = i.indrelid
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
        join pg_type ty on ty.oid = a.atttypid
        join pg_opclass oc on oc.opcdefault and oc.opcmethod = (select oid from pg_am where amname = 'btree')
          and oc.opcintype = case when ty.typtype = 'e' then 'anyenum'::regtype else ty.oid end
        join pg_amop op on op.amopfamily = oc.opcfamily and op.amopstrategy = 3
          and op.amoplefttype = oc.opcintype and op.amoprighttype = oc.opcintype
        join pg_operator o on o.oid = op.amopopr join pg_proc p on p.oid = o.oprcode
        where relnamespace = 'helpdesk'::regnamespace and not p.proleakproof`),
    ).toEqual([])
  })

  it('say what every table and column is for', async () => {
    expect(
      await faults(`select relname || '.' || coalesce(attname, '') as fault
        from pg_class t left join pg_attribute a on a.attrelid = t.oid and a.attnum > 0
          and attname not in ('tenant_id', 'id') and not exists (select from pg_index
            where indrelid = t.oid and indisprimary and attnum = any (indkey))
        where relnamespace = 'helpdesk'::regnamespace and relkind = 'r'
          and col_description(t.oid, coalesce(a.attnum, 0)) is null
        union all select relname from pg_class t where relnamespace = 'helpdesk'::regnamespace
          and relkind = 'r' and obj_description(t.oid, 'pg_class') is null`),
    ).toEqual([])
  })
})

describe('the tenants of the app role', () => {
  it.each(tables)('see their own %s, all of them and no others', async (table) => {
    const counted = `select count(*) as rows, min(tenant_id) as low, max(tenant_id) as high from helpdesk.${table}`
    for (const tenant of [acme, globex]) {
      const rows = [...tenantRows(tenant)].filter((chunk) => chunk.table === table)
      const wanted = rows.reduce((sum, chunk) => sum + chunk.rows.length, 0)
      const [seen] = await asTenant(tenant.id, counted)
      expect(seen).toEqual({ rows: String(wanted), low: tenant.id, high: tenant.id })
    }
    expect(await asTenant(initech.id, counted)).toMatchObject([{ rows: '0' }])
  })

  it('F1: are none after a transaction, when the setting is left empty', async () => {
    await asTenant('acme', 'select 1')
    const [left] = await app.query(`select current_setting('app.current_tenant_id', true) as setting`)
    expect(left).toEqual({ setting: '' })
    for (const table of tables) expect(await app.query(`select from helpdesk.${table} limit 1`)).toEqual([])
    const nobody = `insert into helpdesk.tags (tenant_id, name) values ('', 'x')`
    expect(await stateOf(app.query(nobody))).toBe('42501')
    const superuser = withClient(database.url, (client) => client.query(nobody))
    expect(await stateOf(superuser)).toBe('23514')
  })

  it('F8: are all that the owner sees, too', async () => {
    expect(await owner.query('select from tickets limit 1')).toEqual([])
  })

  it('cannot write for another tenant, nor change or remove its rows', async () => {
    const insert = `insert into helpdesk.tags (tenant_id, name) values ('globex', 'stolen')`
    expect(await stateOf(asTenant('acme', insert))).toBe('42501')
    const hand = `update helpdesk.tags set tenant_id = 'globex' where id = 1`
    expect(await stateOf(asTenant('acme', hand))).toBe('42501')
    const change = `update helpdesk.tickets set subject = 'x' where tenant_id = 'globex' returning id`
    expect(await asTenant('acme', change)).toEqual([])
    const remove = `delete from helpdesk.comments where tenant_id = 'globex' returning id`
    expect(await asTenant('acme', remove)).toEqual([])
  })

  it('F3: cannot truncate', async () => {
    for (const table of tables) {
      expect(await stateOf(asTenant('acme', `truncate helpdesk.${table} cascade`))).toBe('42501')
    }
  })

  it('F5: cannot point at a row of another tenant', async () => {
    const [row] = await asTenant('acme', 'select max(id) as id from helpdesk.users')
    const point = `insert into helpdesk.tickets (tenant_id, subject, author_id) values ('globex', 'x', ${row!.id})`
    expect(await stateOf(asTenant('globex', point))).toBe('23503')
  })

  it('F10: find rows through an index under the policies', async () => {
    await app.query('set enable_seqscan = off')
    const condition = async (query: string): Promise<string> => {
      const plan = await asTenant<{ 'QUERY PLAN': string }>('acme', `explain (costs off) ${query}`)
      return plan.map((line) => line['QUERY PLAN']).find((line) => line.includes('Index Cond')) ?? 'none'
    }
    const from = (rest: string): string =>
      `select id from helpdesk.tickets where tenant_id = 'acme' and ${rest}`
    expect(await condition(from('assignee_id = 3 order by id limit 5'))).toContain('assignee_id = ')
    expect(
      await condition(from(`(created_at, id) > ('2025-06-01', 7) order by created_at, id limit 5`)),
    ).toContain('created_at')
    await app.query('reset enable_seqscan')
  })
})

describe('a row of the tables', () => {
  it('loses its assignee, and keeps its tenant, when the assignee goes', async () => {
    const goes = `insert into helpdesk.users (tenant_id, id, email, name) values ('globex', 900001, 'n@x', 'N');
      update helpdesk.tickets set assignee_id = 900001 where id = 1;
      delete from helpdesk.users where id = 900001;
      select tenant_id, assignee_id from helpdesk.tickets where id = 1`
    const [after] = await asTenant('globex', goes)
    expect(after).toEqual({ tenant_id: 'globex', assignee_id: null })
  })

  it('is refused for what its checks forbid', async () => {
    const item = (quantity: number): string => `insert into helpdesk.order_items
      (tenant_id, order_id, position, sku, title, quantity, unit_price_cents)
      select 'acme', id, 99, 'S', 'T', ${quantity}, 250 from helpdesk.orders limit 1 returning total_cents`
    expect(await stateOf(asTenant('acme', item(0)))).toBe('23514')
    expect(await asTenant('acme', item(3))).toEqual([{ total_cents: '750' }])
    const twice = `insert into helpdesk.users (tenant_id, email, name) values ('acme', 'sam.rivera@partner.example', 'S')`
    expect(await stateOf(asTenant('acme', twice))).toBe('23505')
    expect(await stateOf(asTenant('initech', twice.replace('acme', 'initech')))).toBe('no error')
  })
})

describe('seeding', () => {
  it('leaves a tenant alone that has rows', async () => {
    expect(await withOwner((client) => seedTenant(client, globex))).toBe(0)
  })

  it('leaves nothing behind when it fails half-way', async () => {
    await withOwner((client) =>
      client.transaction(async (db) => {
        await db.query(`select set_config('app.current_tenant_id', 'initech', true)`)
        await db.query(`insert into helpdesk.tags (tenant_id, id, name) values ('initech', 1, 'in the way')`)
      }),
    )
    expect(await stateOf(withOwner((client) => seedTenant(client, initech)))).toBe('23505')
    expect(await asTenant('initech', 'select count(*) as rows from helpdesk.users')).toEqual([{ rows: '0' }])
  })

  it('never sets a sequence back below the ids of a bigger tenant', async () => {
    const small: SeedTenant = { ...initech, id: 'late-and-small' }
    await withOwner((client) => seedTenant(client, small, { scale: 0.1 }))
    const [top] = await asTenant('acme', 'select max(id) as id from helpdesk.tickets')
    const insert = `insert into helpdesk.tickets (tenant_id, subject, author_id) values ('acme', 'x', 1) returning id`
    const [next] = await asTenant('acme', insert)
    expect(Number(next!.id)).toBeGreaterThan(Number(top!.id))
  })
})

describe('the way down', () => {
  it('leaves nothing in the schema', async () => {
    await run('down')
    const left = `select relname::text as fault from pg_class where relnamespace = 'helpdesk'::regnamespace
      union all select typname from pg_type where typnamespace = 'helpdesk'::regnamespace`
    expect(await faults(left)).toEqual([])
  })
})
