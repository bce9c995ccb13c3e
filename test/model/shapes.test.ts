/**
 * Shapes of tables beside the ordinary one: global, views, keys on the id alone, several schemas, and what
 * the serving role may not do.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, connect } from '../../src/db/client.ts'
import { introspect, type Survey, survey } from '../../src/model/introspect.ts'
import type { Table } from '../../src/model/types.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'

const TENANCY = { column: 'tenant_id', schemas: ['app', 'ref'], global: ['ref.countries', 'ref.codes'] }

const TABLES = `
  create schema app; create schema ref;
  create table ref.countries (code text primary key, name text not null);
  create table ref.secrets (id int primary key);
  create table app.people (
    tenant_id text not null, id int not null, country text not null, home text, secret text, pin int default 0,
    primary key (tenant_id, id), unique (tenant_id, secret),
    constraint people_country_fkey foreign key (country) references ref.countries,
    constraint people_crossed_fkey foreign key (tenant_id) references ref.countries);
  create table ref.codes (id int primary key, person_id int not null, of_tenant text not null,
    constraint codes_person_fkey foreign key (of_tenant, person_id) references app.people);
  create table app.notes (tenant_id text not null, id int primary key, parent_id int not null references app.notes);
  create view app.adults with (security_invoker) as select tenant_id, id, secret from app.people;
  create view app.elders with (security_invoker = on) as select id, secret from app.people;
  create view app.children with (security_invoker = off) as select * from app.people;
  create materialized view app.counts as select tenant_id, count(*) from app.people group by 1;
  create table app.parts (tenant_id text not null, id int not null, primary key (tenant_id, id)) partition by hash (id);
  create table app.parts_0 partition of app.parts for values with (modulus 1, remainder 0);`

let database: FreshDatabase
let db: Client
let found: Survey
const role = `reader_${process.pid}_${Date.now()}`

beforeAll(async () => {
  database = await freshDatabase()
  db = await connect(database.url)
  await db.query(`${TABLES} create role ${role}`)
  found = await survey(db, TENANCY)
})
afterAll(async () => {
  await db?.query(`drop owned by ${role}; drop role ${role}`)
  await db?.end()
  await database?.drop()
})

function table(id: string, of = found.model): Table {
  return of.tables.find((one) => one.id === id) ?? expect.fail(`no table ${id}`)
}

const reasonFor = (id: string, of = found): string | undefined =>
  of.leftOut.find((one) => one.id === id)?.reason

const relations = (id: string): string[] =>
  table(id).relations.map(({ field, kind, target, nullable }) => `${field} ${kind} ${target} ${nullable}`)

describe('a global table', () => {
  it('is served when it is listed, and only read', () => {
    const countries = table('ref.countries')

    expect(countries).toMatchObject({ tenantColumn: null, tenantType: null, primaryKey: ['code'] })
    expect(countries.can).toEqual({ create: false, update: false, delete: false })
    expect(countries.columns.every(({ can }) => can.filter && !can.create && !can.update)).toBe(true)
    expect(reasonFor('ref.secrets')).toBe('it has no column tenant_id')
  })

  it('is reached from the tables of tenants and back, never by a key that takes the tenant along', () => {
    expect(relations('app.people')).toEqual(['countryByCountry one ref.countries false'])
    expect(relations('ref.countries')).toEqual(['people many app.people false'])
    expect(relations('ref.codes')).toEqual([])
  })
})

describe('a key on the id alone', () => {
  it('leads to a row that may be hidden from the tenant, so its relation may be null', () => {
    expect(relations('app.notes')).toEqual([
      'parent one app.notes true',
      'notesByParent many app.notes false',
    ])
  })
})

describe('a view', () => {
  it('that reads with the rights of the caller is served, and only read', () => {
    const adults = table('app.adults')

    expect(adults).toMatchObject({
      kind: 'view',
      primaryKey: [],
      tenantColumn: 'tenant_id',
      typeName: 'Adult',
    })
    expect(adults.can).toEqual({ create: false, update: false, delete: false })
    expect(adults.columns.map(({ nullable, can }) => [nullable, can.create, can.update])).toEqual([
      [true, false, false],
      [true, false, false],
    ])
  })

  it('is left out otherwise, with what to type', () => {
    expect(reasonFor('app.children')).toContain('alter view app.children set (security_invoker = on)')
    expect(reasonFor('app.elders')).toBe('it has no column tenant_id')
    expect(reasonFor('app.counts')).toContain('materialized')
  })
})

describe('a partition', () => {
  it('is served through the table it is part of', () => {
    expect(table('app.parts').kind).toBe('table')
    expect(reasonFor('app.parts_0')).toContain('it is a partition')
  })
})

describe('the rights of the serving role', () => {
  const seen = (): Promise<Survey> => survey(db, { ...TENANCY, role })

  it('are those of a role by name; one that does not exist is an error', async () => {
    const nobody = introspect(db, { ...TENANCY, role: 'nobody at all' })

    await expect(nobody).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'There is no role nobody at all on this server.',
    })
  })

  it('decide what is served at all', async () => {
    expect(reasonFor('app.people', await seen())).toBe(`the role ${role} may not use the schema app`)

    await db.query(`grant usage on schema app, ref to ${role}`)
    expect(reasonFor('app.people', await seen())).toBe(`the role ${role} may not read it`)

    await db.query(`grant select (id, country) on app.people to ${role}`)
    expect(reasonFor('app.people', await seen())).toBe(`the role ${role} may not read its column tenant_id`)
  })

  it('leave out the columns, keys and relations that it may not read', async () => {
    await db.query(`grant select (tenant_id, home) on app.people to ${role}`)
    const people = table('app.people', (await seen()).model)

    expect(people.columns.map(({ name }) => name)).toEqual(['id', 'country', 'home'])
    expect(people).toMatchObject({ primaryKey: ['id'], uniques: [], relations: [] })
    expect(people.can).toEqual({ create: false, update: false, delete: false })

    await db.query(`revoke select (id) on app.people from ${role}`)
    expect(table('app.people', (await seen()).model).primaryKey).toEqual([])
  })

  it('decide what is written, column by column', async () => {
    await db.query(`grant select on app.people to ${role}; grant insert (tenant_id, id, country) on app.people to ${role};
      grant update (home), delete on app.people to ${role}`)
    const people = table('app.people', (await seen()).model)

    expect(people.can).toEqual({ create: true, update: true, delete: true })
    expect(people.columns.filter(({ can }) => can.create).map(({ name }) => name)).toEqual(['id', 'country'])
    expect(people.columns.filter(({ can }) => can.update).map(({ name }) => name)).toEqual(['home'])

    await db.query(`revoke insert (tenant_id) on app.people from ${role}`)
    expect(table('app.people', (await seen()).model).can.create).toBe(false)
  })

  it('of a table whose tenant column is computed from another one create nothing', async () => {
    await db.query(`create table app.tenants (
        id text not null, tenant_id text not null generated always as (id) stored, name text, primary key (tenant_id, id));
      grant select, insert, update, delete on app.tenants to ${role}`)
    expect(table('app.tenants', (await seen()).model).can).toEqual({
      create: false,
      update: true,
      delete: true,
    })
  })
})
