/** Tenants found in tables that were there before: all of them, on the right shard, and nobody by guess. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { discover, registerFound } from '../../src/control/discover.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { withClient } from '../../src/db/client.ts'
import { findTenant, listTenants } from '../../src/directory/tenants.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'

const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`

let fleet: TestFleet
beforeAll(async () => {
  fleet = await freshFleet({ weights: { 'shard-a': 1, 'shard-b': 1 }, schemas: ['app'] })
})
afterAll(() => fleet?.drop())

const on = (shard: number, text: string) =>
  withClient(fleet.shards[shard]!.superuserUrl, (db) => db.query(text))
const seeing = () => fleet.shards.map(({ key, superuserUrl }) => ({ key, url: superuserUrl }))
const look = (column: string, shards = seeing()) =>
  discover({ directoryUrl: fleet.directoryUrl, tenancy: { column, schemas: ['app'] }, shards })
const records = () => withClient(fleet.directoryUrl, (db) => listTenants(db, 1_000))
const fences = (shard: number) =>
  on(shard, 'select tenant_id, state, epoch from shardgate.tenant_fence order by 1')

describe('tenants by uuid', () => {
  beforeAll(async () => {
    const tables = `
      create table app.tickets (id uuid primary key default gen_random_uuid(), org uuid);
      create table app.logs (org uuid not null, at timestamptz not null default now()) partition by range (at);
      create table app.logs_all partition of app.logs for values from (minvalue) to (maxvalue);
      create index on app.logs (org, at);
      create table app.empty (org uuid);
      create table app.countries (code text primary key);`
    await on(0, tables)
    await on(1, tables)
    await on(
      0,
      `insert into app.tickets (org) select '${uuid(1)}'::uuid from generate_series(1, 50);
       insert into app.tickets (org) values ('${uuid(2)}'), ('${uuid(9)}'), (null), (null);
       insert into app.logs (org) select ('00000000-0000-4000-8000-' || lpad((i % 4)::text, 12, '0'))::uuid
         from generate_series(1, 400) i`,
    )
    await on(1, `insert into app.tickets (org) values ('${uuid(5)}'), ('${uuid(9)}')`)
    await createTenant(fleet.fleet, { id: tenantId(uuid(2)), name: 'Known', shard: 'shard-a' })
    await createTenant(fleet.fleet, { id: tenantId(uuid(5)), name: 'Elsewhere', shard: 'shard-a' })
  })

  it('are found in tables with and without an index, through partitions, and nothing is changed', async () => {
    const before = await records()
    const found = await look('org')
    expect(found.tenants).toEqual([
      { id: uuid(0), shards: ['shard-a'], outcome: 'new' },
      { id: uuid(1), shards: ['shard-a'], outcome: 'new' },
      { id: uuid(2), shards: ['shard-a'], outcome: 'known' },
      { id: uuid(3), shards: ['shard-a'], outcome: 'new' },
      {
        id: uuid(5),
        shards: ['shard-b'],
        outcome: 'conflict',
        reason: 'the directory has it on shard-a',
      },
      {
        id: uuid(9),
        shards: ['shard-a', 'shard-b'],
        outcome: 'conflict',
        reason: 'it has rows on shard-a and shard-b',
      },
    ])
    expect(found.nulls).toEqual([{ shard: 'shard-a', table: 'app.tickets', rows: 2 }])
    expect(found.tables).toBe(6)
    expect(await records()).toEqual(before)
  })

  it('F8: rows that row-level security would hide are an error, never a tenant that is missed', async () => {
    await on(
      0,
      'alter table app.logs enable row level security; alter table app.logs force row level security',
    )
    await on(0, 'alter table app.logs owner to shardgate_owner')
    const owners = fleet.fleet.shards.map(({ key, url }) => ({ key, url }))
    await expect(look('org', owners)).rejects.toMatchObject({
      code: 'SETUP_FAILED',
      message: expect.stringMatching(/--admin-user postgres[\s\S]*app\.logs: row-level security hides/),
    })
    expect((await look('org')).tenants).toHaveLength(6)
    // A policy that lets every row through is no reason to ask for a superuser; a restrictive one beside it is.
    const grant = 'grant select on app.tickets, app.empty to shardgate_owner'
    await on(0, `create policy everybody on app.logs using (true); ${grant}`)
    await on(1, `grant select on app.logs to shardgate_owner; ${grant}`)
    expect((await look('org', owners)).tenants).toHaveLength(6)
    await on(0, 'create policy hides on app.logs as restrictive using (at is null)')
    await expect(look('org', owners)).rejects.toMatchObject({ code: 'SETUP_FAILED' })
    await on(0, 'drop policy hides on app.logs')
  })

  it('are registered where they are, by the same steps as any tenant; the others stay as they were', async () => {
    const result = await registerFound(fleet.fleet, await look('org'))
    expect(result.tenants.map(({ outcome }) => outcome)).toEqual([
      'registered',
      'registered',
      'known',
      'registered',
      'conflict',
      'conflict',
    ])
    const made = (await records()).filter(({ id }) => [0, 1, 3].map(uuid).includes(id))
    expect(made).toHaveLength(3)
    for (const tenant of made) {
      expect(tenant).toMatchObject({ state: 'active', shard: 'shard-a', placedBy: 'placement', epoch: 1 })
    }
    expect(await fences(0)).toEqual(
      [0, 1, 2, 3, 5].map((i) => ({ tenant_id: uuid(i), state: 'active', epoch: '1' })),
    )
    expect(await fences(1)).toEqual([])
    const known = await withClient(fleet.directoryUrl, (db) => findTenant(db, tenantId(uuid(2))))
    expect(known?.name).toBe('Known')
  })

  it('again are all known', async () => {
    const before = await records()
    const again = await registerFound(fleet.fleet, await look('org'))
    expect(again.tenants.filter(({ outcome }) => outcome === 'registered')).toEqual([])
    expect(await records()).toEqual(before)
  })
})

describe('a registration that dies', () => {
  it.each(['create.reserved', 'create.fenced'] as const)('at %s is finished by the next one', async (at) => {
    const table = at.replace('.', '_')
    const ids = at === 'create.reserved' ? ['7', '8'] : ['70', '80']
    await on(
      1,
      `create table app.${table} (${table} int); insert into app.${table} values (${ids.join('), (')})`,
    )
    const broken: Fleet = {
      ...fleet.fleet,
      failpoints: {
        hit: async (name) => {
          if (name === at) throw new Error('the power went')
        },
      },
    }
    await expect(registerFound(broken, await look(table))).rejects.toThrow('the power went')
    const begun = (await records()).filter(({ id }) => ids.includes(id))
    expect(begun.map(({ state }) => state)).toEqual(['creating', 'creating'])
    const result = await registerFound(fleet.fleet, await look(table))
    expect(result.tenants.map(({ id, outcome }) => [id, outcome])).toEqual(
      ids.map((id) => [id, 'registered']),
    )
    const made = (await records()).filter(({ id }) => ids.includes(id))
    expect(made.map(({ state }) => state)).toEqual(['active', 'active'])
  })
})

describe('values that are no tenant ids', () => {
  it.each([true, false])('are told with the reason and their rows (index: %s)', async (indexed) => {
    const table = indexed ? 'names_indexed' : 'names_plain'
    await on(0, `create table app.${table} (${table} text)`)
    if (indexed) await on(0, `create index on app.${table} (${table})`)
    await on(
      0,
      `insert into app.${table} values ('Acme'), ('Acme'), (''), ('a_b'), ('007'), ('-x'), (null),
        ('${'x'.repeat(41)}'), ('${uuid(1).replaceAll('-', '')}')`,
    )
    const found = await look(table)
    expect(found.tenants.map(({ id, outcome, reason, rows }) => [id, outcome, reason, rows])).toEqual([
      ['', 'refused', 'it is empty', 1],
      ['-x', 'refused', 'it begins or ends with "-"', 1],
      [uuid(1).replaceAll('-', ''), 'refused', 'as a UUID its dashes are missing or elsewhere', 1],
      ['007', 'refused', 'as an integer it has another text', 1],
      ['Acme', 'refused', 'it has capital letters', 2],
      ['a_b', 'refused', 'it has characters other than a-z, 0-9 and "-"', 1],
      ['x'.repeat(41), 'refused', 'it has 41 characters; 40 are allowed', 1],
    ])
    expect(found.nulls).toEqual([{ shard: 'shard-a', table: `app.${table}`, rows: 1 }])
  })

  it('and integers below zero too', async () => {
    await on(
      0,
      'create table app.numbers (number bigint primary key); insert into app.numbers values (-3), (0)',
    )
    expect((await look('number')).tenants).toMatchObject([
      { id: '-3', outcome: 'refused', rows: 1 },
      { id: '0', outcome: 'new' },
    ])
  })
})

describe('a tenant that cannot be registered', () => {
  it('because of a subdomain or a fence of an earlier life is told, and the others are registered', async () => {
    await createTenant(fleet.fleet, { id: tenantId('first'), subdomain: 'taken' })
    await on(0, `insert into shardgate.tenant_fence values ('ghost', 'moved', 3)`)
    await on(
      0,
      `create table app.late (late text); insert into app.late values ('taken'), ('ghost'), ('fine')`,
    )
    const result = await registerFound(fleet.fleet, await look('late'))
    expect(result.tenants).toEqual([
      { id: 'fine', shards: ['shard-a'], outcome: 'registered' },
      {
        id: 'ghost',
        shards: ['shard-a'],
        outcome: 'conflict',
        reason: 'shard-a has a fence of ghost already: moved, epoch 3',
      },
      {
        id: 'taken',
        shards: ['shard-a'],
        outcome: 'conflict',
        reason: 'the subdomain "taken" belongs to another tenant',
      },
    ])
  })
})

describe('a shard that is away', () => {
  it('ends it before anything is decided: it may hold the other half of a tenant', async () => {
    const [a] = seeing()
    const shards = [a!, { key: 'shard-b', url: 'postgres://x@127.0.0.1:1/x' }]
    await expect(look('org', shards)).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
  })
})
