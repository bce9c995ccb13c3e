/** The content hash of a tenant's rows: blind to where they are and in which order, and to nothing else. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { type ContentHash, contentHash } from '../../src/control/copy/hash.ts'
import type { Home } from '../../src/control/copy/tables.ts'
import { withClient } from '../../src/db/client.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'
import { EDGE_VALUES } from '../kit/worlds/edge-values.ts'

const TENANCY = { column: 'tenant_id', schemas: ['app', 'more'], global: ['app.countries'] } as const
const SHARED: Home = { isolation: 'shared', namespace: 'app' }
const DATABASE: Home = { isolation: 'database', namespace: 'any' }

const COLUMNS = `
  id int, t text, other text, c char(5), f float8, f4 float4, n numeric, b bytea, at timestamptz, tz timetz,
  d interval, j json, a text[], m money, day mood, "Odd ""name""" text,
  twice int generated always as (id * 2) stored, owner text generated always as (tenant_id || 'x') stored`

/** One row, and whatever differs from it in one thing. */
const BASE: Readonly<Record<string, string>> = {
  id: '1',
  t: `'some text'`,
  other: 'null',
  c: `'ab'`,
  f: '0.1',
  f4: '0.1',
  n: '1.0',
  b: `'\\x00ff'`,
  at: `'2026-01-01 12:00:00.000001+00'`,
  tz: `'12:00:00+00'`,
  d: `'1 month'`,
  j: `'{"a": 1}'`,
  a: `'{a,b}'`,
  m: `'1.50'`,
  day: `'glad'`,
  '"Odd ""name"""': `'o'`,
}

const PLANTED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'a bit of a text': { t: `'some texu'` },
  'a trailing space': { t: `'some text '` },
  'another form of the same letter': { t: `'some t\u0435xt'` },
  'an empty text for null': { other: `''` },
  'the text NULL for null': { other: `'NULL'` },
  'two columns changed about': { t: 'null', other: `'some text'` },
  'a quote for two': { t: `'some "text'` },
  'minus zero for a tenth': { f: `'-0'` },
  'the next float': { f: '0.1 + 1.4e-17' },
  'the next float of four bytes': { f4: `'0.10000001'` },
  'NaN for a number': { n: `'NaN'` },
  'one more digit of scale': { n: '1.00' },
  'a bit of bytes': { b: `'\\x00fe'` },
  'no bytes': { b: `''` },
  'a microsecond': { at: `'2026-01-01 12:00:00.000002+00'` },
  'another hour under the same clock': { at: `'2026-01-01 12:00:00.000001+01'` },
  'the same instant of another zone': { tz: `'13:00:00+01'` },
  'thirty days for a month': { d: `'30 days'` },
  'a space in json': { j: `'{"a":1}'` },
  'one item for two': { a: `'{"a,b"}'` },
  'a null in a list': { a: `'{a,NULL}'` },
  'another bound of a list': { a: `'[0:1]={a,b}'` },
  'a cent': { m: `'1.51'` },
  'another label': { day: `'sad'` },
  'an odd name': { '"Odd ""name"""': `'p'` },
}

let fleet: TestFleet
const hashes = new Map<string, ContentHash>()

const hashOf = (home: Home, tenant: string, role: 'owner' | 'mover' = 'owner'): Promise<ContentHash> =>
  withClient(fleet.shards[0]!.url(role), (client) =>
    contentHash(client, { home, tenancy: TENANCY, tenant: tenantId(tenant) }),
  )

const idOf = (name: string): string => name.toLowerCase().replaceAll(' ', '-')

const insert = (tenant: string, change: Readonly<Record<string, string>> = {}): string => {
  const row = { ...BASE, ...change }
  return `insert into app.v (tenant_id, ${Object.keys(row)}) values ('${tenant}', ${Object.values(row)});`
}

beforeAll(async () => {
  fleet = await freshFleet({ weights: { 'shard-a': 1 }, schemas: ['app', 'more'] })
  const typed = Object.keys(EDGE_VALUES).map((type, i) => `c${i} ${type}`)
  await withClient(fleet.shards[0]!.superuserUrl, async (db) => {
    await db.query(`
      set role shardgate_owner;
      create type app.mood as enum ('glad', 'sad');
      set search_path = app;
      create table app.v (tenant_id text not null, ${COLUMNS});
      create table app.parts (tenant_id text not null, id int) partition by list (id);
      create table app.part_1 partition of app.parts for values in (1);
      create table app.heir (extra int) inherits (app.v);
      create table app.countries (code text);
      create table app.notes (body text);
      create table more.v (tenant_id text not null, t text);
      create table app.numbered (tenant_id int, n int);
      create schema tenant_own;
      create type tenant_own.mood as enum ('glad', 'sad');
      set search_path = tenant_own;
      -- Columns in another order, one of them dropped.
      create table tenant_own.v (gone int, "Odd ""name""" text, day mood, ${COLUMNS.split(', day mood')[0]}, tenant_id text);
      alter table tenant_own.v drop column gone;
      create table app.typed (tenant_id text, ${typed});
      do $$ declare name regclass; begin
        foreach name in array array['app.v', 'app.parts', 'app.heir', 'more.v', 'tenant_own.v', 'app.typed']::regclass[] loop
          execute format('alter table %s enable row level security; alter table %s force row level security', name, name);
          execute format('create policy p on %s using (tenant_id = (select shardgate.current_tenant()))', name);
        end loop;
      end $$;
      grant usage on schema app, more to shardgate_mover;
      grant select on all tables in schema app, more to shardgate_mover;
      reset role; reset search_path;
      ${insert('base')} ${insert('twin')} ${insert('prefix')} ${insert('prefix-longer', { id: '7' })}
      ${insert('order')} ${insert('order', { id: '2' })} ${insert('order-too', { id: '2' })} ${insert('order-too')}
      ${insert('doubled')} ${insert('doubled')}
      ${Object.entries(PLANTED)
        .map(([name, change]) => insert(idOf(name), change))
        .join('\n')}
      insert into app.parts values ('base', 1), ('twin', 1);
      insert into app.countries values ('de');
      insert into app.numbered values (7, 1);
      insert into tenant_own.v (tenant_id, ${Object.keys(BASE)})
        select 'other', ${Object.keys(BASE).map((name) => (name === 'day' ? 'day::text::tenant_own.mood' : name))} from app.v where tenant_id = 'order';
    `)
  })
  for (const tenant of ['base', 'twin', 'prefix', ...Object.keys(PLANTED).map(idOf)]) {
    hashes.set(tenant, await hashOf(SHARED, tenant))
  }
})
afterAll(() => fleet?.drop())

const vOf = ({ tables }: ContentHash) => tables.find(({ table }) => table === 'app.v')

describe('the content hash', () => {
  it('is equal for equal rows under another id, and looks at partitioned tables once', () => {
    expect(hashes.get('base')).toEqual(hashes.get('twin'))
    expect(hashes.get('base')!.tables.map(({ table, rows }) => `${table} ${rows}`)).toEqual([
      'app.heir 0',
      'app.parts 1',
      'app.typed 0',
      'app.v 1',
      'more.v 0',
    ])
  })

  it.each(Object.keys(PLANTED))('G22: notices %s', (name) => {
    const planted = vOf(hashes.get(idOf(name))!)
    expect(planted?.rows).toBe(1)
    expect(planted?.hash).not.toBe(vOf(hashes.get('base')!)?.hash)
    expect(hashes.get(idOf(name))!.hash).not.toBe(hashes.get('base')!.hash)
  })

  it('does not see rows of a tenant whose id only begins with the same letters', () => {
    expect(vOf(hashes.get('prefix')!)).toEqual(vOf(hashes.get('base')!))
  })

  it('is blind to the order of rows, and not to how often they are there', async () => {
    expect((await hashOf(SHARED, 'order')).hash).toBe((await hashOf(SHARED, 'order-too')).hash)
    expect(vOf(await hashOf(SHARED, 'doubled'))).toMatchObject({ rows: 2 })
    const once = BigInt(`0x${vOf(hashes.get('base')!)!.hash}`)
    expect(BigInt(`0x${vOf(await hashOf(SHARED, 'doubled'))!.hash}`)).not.toBe(once)
    expect(BigInt(`0x${vOf(await hashOf(SHARED, 'doubled'))!.hash}`)).not.toBe(0n)
  })

  it("is the same in a schema of the tenant's own, with columns in another order", async () => {
    const own = await hashOf({ isolation: 'schema', namespace: 'tenant_own' }, 'other')
    expect(own.tables).toHaveLength(1)
    expect(own.hash).toBe((await hashOf(SHARED, 'order')).hash)
  })

  it('is the same for the mover, whom no policy stops', async () => {
    expect(await hashOf(SHARED, 'base', 'mover')).toEqual(hashes.get('base'))
  })

  it("has tables without the tenant column where all is the tenant's own, except global ones", async () => {
    const tables = (await hashOf(DATABASE, 'base')).tables.map(({ table }) => table)
    expect(tables).toContain('app.notes')
    expect(tables).not.toContain('app.countries')
  })

  it('has tables whose tenant column is of another type for the tenants alone whose ids it can hold', async () => {
    const rows = async (tenant: string) =>
      (await hashOf(SHARED, tenant)).tables.find(({ table }) => table === 'app.numbered')?.rows
    expect([await rows('7'), await rows('8'), await rows('7x'), await rows('99999999999')]).toEqual([
      1,
      0,
      undefined,
      undefined,
    ])
  })

  it('tells the values of each type apart', async () => {
    const wanted = Object.values(EDGE_VALUES).flatMap((values, i) =>
      values.map((value, k) => ({ tenant: `e-${i}-${k}`, column: `c${i}`, value })),
    )
    await withClient(fleet.shards[0]!.superuserUrl, async (db) => {
      for (const { tenant, column, value } of wanted)
        await db.query({
          text: `insert into app.typed (tenant_id, ${column}) values ($1, $2)`,
          values: [tenant, value],
        })
    })
    const seen = new Map<string, string>()
    for (const { tenant, column, value } of wanted) {
      const { hash } = await hashOf(SHARED, tenant)
      // Of what Postgres itself takes for one value ('1e3' and '1000' in jsonb, say) one is enough.
      const text = (await textOf(tenant, column)) ?? ''
      expect(seen.get(`${column} ${hash}`) ?? text, `${column}: ${value.slice(0, 40)}`).toBe(text)
      seen.set(`${column} ${hash}`, text)
    }
  })
})

const textOf = (tenant: string, column: string): Promise<string | null | undefined> =>
  withClient(fleet.shards[0]!.superuserUrl, async (db) => {
    const [row] = await db.query(
      `select ${column}::text as text from app.typed where tenant_id = '${tenant}'`,
    )
    return row?.text
  })
