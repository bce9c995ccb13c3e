/** Introspection: what the catalogs hold becomes the model, whole, in one order, and nothing else. */

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, connect } from '../../src/db/client.ts'
import { introspect, type Survey, survey } from '../../src/model/introspect.ts'
import type { Column, Table } from '../../src/model/types.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'

const FIXTURE = readFileSync(new URL('../fixtures/odd-tables.sql', import.meta.url), 'utf8')
const TENANCY = { column: 'tenant_id', schemas: ['app'] }

let database: FreshDatabase
let db: Client
let found: Survey

beforeAll(async () => {
  database = await freshDatabase()
  db = await connect(database.url)
  await db.query(FIXTURE)
  found = await survey(db, TENANCY)
})
afterAll(async () => {
  await db?.end()
  await database?.drop()
})

function table(id: string): Table {
  const match = found.model.tables.find((candidate) => candidate.id === id)
  return match ?? expect.fail(`no table ${id}`)
}

const column = (id: string, name: string): Column => {
  const match = table(id).columns.find((candidate) => candidate.name === name)
  return match ?? expect.fail(`no column ${name}`)
}

describe('tables', () => {
  it('with the tenant column are in the model, sorted by id', () => {
    expect(found.model.tables.map(({ id }) => id)).toEqual([
      'app.2 größen',
      'app.accounts',
      'app.comments',
      'app.events',
      'app.kinds',
      'app.news',
      'app.no_key',
      'app.order_items',
      'app.people',
      'app.posts',
      'app.profiles',
      'app.shipments',
      'app.transfers',
    ])
  })

  it('that are left out are listed with the reason', () => {
    expect(Object.fromEntries(found.leftOut.map(({ id, reason }) => [id, reason]))).toEqual({
      'app.countries': 'it has no column tenant_id',
      'app.events_2026': 'it is a partition: its rows are served through the table it is part of',
      'app.listed': 'its column tenant_id is of type text[]; wanted text, varchar, uuid, int or bigint',
      'app.open_posts':
        'it is a view that reads with the rights of its owner, past row-level security; ' +
        'to serve it: alter view app.open_posts set (security_invoker = on)',
      'app.padded': 'its column tenant_id is of type bpchar; wanted text, varchar, uuid, int or bigint',
      'app.post_count': 'materialized views are not served: row-level security does not reach them',
    })
  })

  it('of a schema that does not exist are none, and the schema is named', async () => {
    const { model, leftOut } = await survey(db, {
      column: 'tenant_id',
      schemas: ['nowhere'],
    })

    expect(model.tables).toEqual([])
    expect(leftOut).toEqual([{ id: 'nowhere', reason: 'there is no such schema in this database' }])
  })

  it('have names, comments, and the tenant column apart from the others', () => {
    const people = table('app.people')

    expect(people).toMatchObject({
      schema: 'app',
      name: 'people',
      typeName: 'Person',
      oneField: 'person',
      manyField: 'people',
      comment: 'Whoever writes or answers.',
      tenantColumn: 'tenant_id',
      tenantType: {
        kind: 'text',
        schema: 'pg_catalog',
        name: 'text',
        array: false,
      },
      primaryKey: ['id'],
    })
    expect(people.columns.map(({ field }) => field).join(' ')).toBe(
      'rowId fullName nickName mail workMail initials',
    )
    expect(table('app.news').tenantType).toMatchObject({
      kind: 'int',
      name: 'int4',
    })
  })

  it('list their unique keys, without partial and expression indexes and included columns', () => {
    expect(table('app.people').uniques).toEqual([
      { name: 'people_mail_key', columns: ['tenant_id', 'mail'] },
      { name: 'people_nick_idx', columns: ['tenant_id', 'nickName'] },
    ])
    expect(table('app.no_key').primaryKey).toEqual([])
    expect(table('app.order_items').primaryKey).toEqual(['order_no', 'line_no'])
  })

  it('with names that GraphQL cannot hold get valid ones', () => {
    const odd = table('app.2 größen')

    expect(odd.typeName).toMatch(/^[_A-Za-z][_0-9A-Za-z]*$/)
    expect(odd.columns.map(({ field }) => field)).toEqual(['_3d', 'wert', 'u65e5u672c'])
  })
})

describe('columns', () => {
  it('know how they are written', () => {
    expect(column('app.people', 'id')).toMatchObject({
      nullable: false,
      hasDefault: true,
      readOnly: false,
    })
    expect(column('app.people', 'initials')).toMatchObject({ readOnly: true })
    expect(column('app.posts', 'id')).toMatchObject({
      hasDefault: true,
      readOnly: true,
    })
    expect(column('app.posts', 'no')).toMatchObject({
      hasDefault: true,
      readOnly: false,
    })
    expect(column('app.posts', 'reviewer_id')).toMatchObject({
      nullable: true,
      hasDefault: false,
    })
    expect(column('app.people', 'full_name').comment).toBe('As they write it themselves.')
    expect(column('app.people', 'mail')).not.toHaveProperty('comment')
  })

  it('that were dropped are gone', () => {
    expect(table('app.comments').columns.map(({ name }) => name)).toEqual([
      'id',
      'post_id',
      'parent_id',
      'body',
    ])
  })

  it('of a domain are of its base type, and take its default and its not null', () => {
    const text = {
      compares: 'order',
      kind: 'text',
      schema: 'pg_catalog',
      name: 'text',
      array: false,
    }

    expect(column('app.people', 'mail')).toMatchObject({
      type: text,
      nullable: false,
      hasDefault: false,
    })
    expect(column('app.people', 'work_mail')).toMatchObject({
      type: text,
      nullable: false,
      hasDefault: true,
    })
    expect(column('app.kinds', 'tags').type).toEqual({ ...text, array: true })
    expect(column('app.kinds', 'mails').type).toEqual({ ...text, array: true })
  })

  it('have the kind of their type', () => {
    const kinds = table('app.kinds').columns.map(({ name, type }) => [
      name,
      type.kind + (type.array ? '[]' : ''),
    ])

    expect(Object.fromEntries(kinds)).toEqual({
      id: 'int',
      a_bool: 'boolean',
      a_small: 'int',
      a_big: 'bigint',
      a_number: 'decimal',
      a_money: 'decimal',
      a_real: 'float',
      a_double: 'float',
      a_char: 'text',
      a_name: 'text',
      a_date: 'date',
      a_time: 'time',
      a_timetz: 'time',
      a_timestamp: 'datetime',
      a_timestamptz: 'datetime',
      an_interval: 'interval',
      a_json: 'json',
      a_jsonb: 'json',
      a_bytea: 'bytes',
      an_inet: 'other',
      a_range: 'range',
      a_composite: 'composite',
      a_point: 'other',
      a_vector: 'other',
      texts: 'text[]',
      tags: 'text[]',
      mails: 'text[]',
    })
  })

  it('of an enum point at it, and only enums in use are in the model', () => {
    expect(column('app.posts', 'state').type).toMatchObject({
      kind: 'enum',
      enum: 'app.status',
      array: false,
    })
    expect(column('app.posts', 'sizes').type).toMatchObject({
      kind: 'enum',
      enum: 'app.size',
      array: true,
    })
    expect(found.model.enums).toEqual([
      {
        id: 'app.size',
        typeName: 'Size',
        values: [
          { name: '_2XL', label: '2xl' },
          { name: 'TRUE', label: 'true' },
        ],
      },
      {
        id: 'app.status',
        typeName: 'Status',
        values: [
          { name: 'OPEN', label: 'open' },
          { name: 'IN_PROGRESS', label: 'in-progress' },
          { name: 'DONE', label: 'Done' },
        ],
      },
    ])
  })
})

describe('the model', () => {
  it('is the same on another shard and after a rewrite of the tables, and frozen', async () => {
    const second = await freshDatabase('b')
    const twin = await connect(second.url)
    await twin.query('create table public.shifts_all_oids (x int); create type public.shifted as (x int)')
    await twin.query(FIXTURE)
    await twin.query('cluster app.people using people_pkey')
    await twin.query('vacuum full app.posts')

    const model = await introspect(twin, TENANCY)
    await twin.end()
    await second.drop()
    expect(model).toEqual(found.model)
    expect(model.fingerprint).toMatch(/^[0-9a-f]{64}$/)
    expect(Object.isFrozen(model.tables[0]?.columns[0]?.type)).toBe(true)
  })

  it('has another fingerprint when a column is added, renamed or made nullable', async () => {
    const prints = new Set([found.model.fingerprint])
    for (const change of [
      'alter table app.no_key add column more text',
      'alter table app.no_key rename column note to remark',
      'alter table app.posts alter column author_id drop not null',
      `alter type app.status add value 'late'`,
    ]) {
      await db.query('begin')
      await db.query(change)
      prints.add((await introspect(db, TENANCY)).fingerprint)
      await db.query('rollback')
    }
    expect(prints.size).toBe(5)
  })

  it('knows what a check looks at, and has the same fingerprint: shards differ while a migration adds one', async () => {
    await db.query('begin')
    await db.query(`alter table app.no_key add constraint noted check (note <> 'x' or tenant_id <> 'x')`)
    const model = await introspect(db, TENANCY)
    await db.query('rollback')

    const [noted] = model.tables.find(({ id }) => id === 'app.no_key')?.checks ?? []
    expect({ ...noted, columns: [...(noted?.columns ?? [])].sort() }).toEqual({
      name: 'noted',
      columns: ['note', 'tenant_id'],
    })
    expect(model.fingerprint).toBe(found.model.fingerprint)
  })

  it('F13: knows a table by its schema, so that a namesake elsewhere is never met by accident', async () => {
    await db.query('create table public.people (tenant_id text, id int); set search_path = nowhere, public')
    const careless = await db.query(`select 'people'::regclass::text as met`)
    const model = await introspect(db, TENANCY)
    await db.query('reset search_path')

    expect(careless).toEqual([{ met: 'people' }]) // Fell through to public without a word.
    expect(model).toEqual(found.model)
    expect(model.tables.map((one) => one.schema)).toEqual(model.tables.map(() => 'app'))
  })

  it('can be read by a role that may read no row, for another that may', async () => {
    const [me] = await db.query('select current_user as role')
    await db.query('set role pg_monitor')
    const model = await introspect(db, { ...TENANCY, role: me!.role! })
    await db.query('reset role')

    expect(model).toEqual(found.model)
  })
})
