/** Setting up over tables that others have made: the gateway may use them, and nobody else notices. */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unopenedTables } from '../../src/control/existing-tables.ts'
import { install } from '../../src/control/install.ts'
import { connect, withClient } from '../../src/db/client.ts'
import { bareFleet, type TestFleet } from '../kit/fleet.ts'
import { freshDatabaseOn, type PrivateServer, privateServer } from '../kit/servers.ts'

const mark = randomUUID().slice(0, 8)
const legacy = `legacy_${mark}`
const reader = `reader_${mark}`

const TABLES = `
  create schema shop;
  create table shop.orders (id serial primary key, org uuid not null, note text);
  create table shop.events (org uuid, at date) partition by range (at);
  create table shop.events_all partition of shop.events for values from (minvalue) to (maxvalue);
  create table shop.passwords (id int);
  create table shop.countries (code text);
  create table shop.decided (org uuid);
  create view shop.open_orders with (security_invoker) as select * from shop.orders;
  create view shop.all_orders as select * from shop.orders;`

const QUESTION = { schemas: ['shop'], column: 'org', global: ['shop.countries'] }

/** Rights of the app role: 'orders: select insert update delete'. */
const rights = (url: string) =>
  withClient(url, async (db) => {
    const rows = await db.query(`
      select c.relname || ': ' || string_agg(kind, ' ' order by no) as line
      from pg_class c, unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger'])
        with ordinality as k (kind, no)
      where c.relnamespace = 'shop'::regnamespace and c.relkind in ('r', 'p', 'v')
        and has_table_privilege('shardgate_app', c.oid, kind)
      group by c.relname order by 1`)
    return rows.map(({ line }) => line)
  })

const OPENED = [
  'countries: select',
  'decided: select',
  'events: select insert update delete',
  'open_orders: select',
  'orders: select insert update delete',
]

describe('tables of another role', () => {
  let fleet: TestFleet
  const told: string[] = []
  const setUp = (more: object = {}) =>
    install({ ...fleet.installation, ...QUESTION, report: (sentence) => told.push(sentence), ...more })
  const superuser = (): string => fleet.shards[0]!.superuserUrl
  const as = async (name: string, text: string) => {
    const url = Object.assign(new URL(superuser()), { username: name, password: 'test' })
    const client = await connect(url.href)
    return client.query(text).finally(() => client.end())
  }
  beforeAll(async () => {
    fleet = await bareFleet({ weights: { 'shard-a': 1 } })
    await withClient(superuser(), async (db) => {
      await db.query(
        `create role ${legacy} login password 'test'; create role ${reader} login password 'test'`,
      )
      await db.query(`begin; ${TABLES}`)
      await db.query(`alter schema shop owner to ${legacy}`)
      for (const table of ['orders', 'events', 'events_all', 'passwords', 'countries', 'decided']) {
        await db.query(`alter table shop.${table} owner to ${legacy}`)
      }
      await db.query('commit')
    })
    // The roles belong to the server, and this test may be the first to run on it.
    await install({ ...fleet.installation, schemas: ['public'] })
    await withClient(superuser(), (db) => db.query('grant select on shop.decided to shardgate_app'))
    await withClient(fleet.directoryUrl, (db) => db.query(`delete from directory.setting`))
    await setUp()
  })
  afterAll(async () => {
    await fleet?.drop()
  })

  it('F3: the app role gets rows and nothing else, only where there is a tenant column', async () => {
    expect(await rights(superuser())).toEqual(OPENED)
  })

  it('the mover gets rows for exports and imports, also of tables that somebody has decided about', async () => {
    const may = await withClient(superuser(), (db) =>
      db.query(`
        select relname || ' ' || has_table_privilege('shardgate_mover', oid, 'select') || ' '
          || has_table_privilege('shardgate_mover', oid, 'insert') as line
        from pg_class where relnamespace = 'shop'::regnamespace and relkind in ('r', 'p') order by relname`),
    )
    expect(may.map(({ line }) => line)).toEqual([
      'countries true false',
      'decided true true',
      'events true true',
      'events_all false false',
      'orders true true',
      'passwords false false',
    ])
  })

  it('their sequences serve its inserts, and whoever gave one right on a table has decided', async () => {
    const insert = `insert into shop.orders (org) values ('${randomUUID()}') returning id`
    const url = fleet.shards[0]!.url('app')
    expect(await withClient(url, (db) => db.query(insert))).toEqual([{ id: '1' }])
    const denied = withClient(url, (db) => db.query('delete from shop.decided'))
    await expect(denied).rejects.toMatchObject({ code: '42501' })
  })

  it('the owner may change them and they still belong to who made them', async () => {
    await withClient(fleet.shards[0]!.url('owner'), (db) =>
      db.query('alter table shop.orders enable row level security'),
    )
    await as(legacy, 'alter table shop.orders disable row level security; truncate shop.orders')
    const rows = await withClient(superuser(), (db) =>
      db.query(`select relowner::regrole::text as owner from pg_class where oid = 'shop.orders'::regclass`),
    )
    expect(rows).toEqual([{ owner: legacy }])
  })

  it('programs that log in by what PUBLIC may go on working', async () => {
    expect(await as(reader, 'select 1 as one')).toEqual([{ one: '1' }])
  })

  it('again, by the owner alone, opens what has come since and changes nothing else', async () => {
    const unopened = () => withClient(fleet.shards[0]!.url('owner'), (db) => unopenedTables(db, QUESTION))
    expect(await unopened()).toEqual([])
    await as(legacy, 'create table shop.late (org uuid)')
    expect(await unopened()).toEqual(['shop.late'])
    const shards = fleet.shards.map((shard) => ({ ...shard, url: shard.url('owner') }))
    await setUp({ shards })
    expect(await rights(superuser())).toEqual([...OPENED, 'late: select insert update delete'].toSorted())
    expect(await unopened()).toEqual([])
    expect(told.filter((sentence) => sentence.includes('belong'))).toEqual([])
  })

  it('of a superuser are opened, told, and change hands when that is asked for', async () => {
    await withClient(superuser(), (db) => db.query('create table shop.mighty (org uuid)'))
    told.length = 0
    await setUp()
    expect(await rights(superuser())).toContain('mighty: select insert update delete')
    expect(told.find((sentence) => sentence.includes('belong'))).toMatch(
      /^shard-a: 1 tables belong to postgres \(shop\.mighty\), .* run setup with --own-tables as postgres/,
    )
    const owner = () =>
      withClient(superuser(), (db) =>
        db.query(`select relowner::regrole::text as owner from pg_class where oid = 'shop.mighty'::regclass`),
      )
    expect(await owner()).toEqual([{ owner: 'postgres' }])
    await setUp({ ownTables: true })
    expect(await owner()).toEqual([{ owner: 'shardgate_owner' }])
    expect(await rights(superuser())).toContain('mighty: select insert update delete')
  })
})

describe('without a superuser', () => {
  let server: PrivateServer
  beforeAll(async () => {
    server = await privateServer()
  })
  afterAll(() => server?.remove())

  it('a role with CREATEROLE that owns the database makes everything but two attributes of the mover', async () => {
    const database = await freshDatabaseOn(server.superuserUrl())
    const directory = await freshDatabaseOn(server.superuserUrl())
    const master = Object.assign(new URL(database.url), { username: 'master', password: 'test' }).href
    await withClient(database.url, async (db) => {
      await db.query(`create role master login createrole createdb password 'test'`)
      await db.query(`alter database ${database.name} owner to master`)
    })
    await withClient(master, (db) => db.query(TABLES))
    const told: string[] = []
    const passwords = { owner: 'test-owner', app: 'test-app', mover: 'test-mover' }
    const installation = {
      ...QUESTION,
      directoryUrl: directory.url,
      buckets: 4,
      report: (sentence: string) => told.push(sentence),
      shards: [{ key: 'shard-a', weight: 1, url: master, passwords }],
    }
    await install(installation)
    expect(await rights(database.url)).toEqual(
      OPENED.map((line) => (line.startsWith('decided') ? 'decided: select insert update delete' : line)),
    )
    expect(told).toContain(
      'shard-a: Moves of tenants will want a superuser to run: alter role shardgate_mover replication bypassrls;',
    )
    expect(told.join('\n')).toContain('run setup with --own-tables as master or a superuser')

    await install({ ...installation, ownTables: true })
    const owner = Object.assign(new URL(database.url), {
      username: 'shardgate_owner',
      password: 'test-owner',
    })
    await withClient(owner.href, (db) => db.query('alter table shop.orders enable row level security'))
    const shards = [{ key: 'shard-a', weight: 1, url: owner.href, passwords }]
    await install({ ...installation, shards }) // and again as the owner, which may give the mover nothing
  })
})
