/** Smart comments and `tenancy.tables`: how things are named, left out and deprecated, and faults with what was meant. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TableSettings } from '../../src/base/config.ts'
import { isGatewayError } from '../../src/base/errors.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { type Survey, survey, type Tenancy } from '../../src/model/introspect.ts'
import type { Column, Table } from '../../src/model/types.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'

const TABLES = `
  create type mood as enum ('sad'); create type place as (street text, zip text);
  create table people (tenant_id text, id int, name text not null, age int default 0, secret text, mood mood, home place,
    primary key (tenant_id, id), constraint people_secret_key unique (tenant_id, secret));
  create table notes (tenant_id text, id int, person_id int, body text, primary key (tenant_id, id),
    constraint notes_person foreign key (tenant_id, person_id) references people);
  create view adults with (security_invoker) as select tenant_id, id, name from people;`

let database: FreshDatabase
let db: Client

beforeAll(async () => {
  database = await freshDatabase()
  db = await connect(database.url)
  await db.query(`create schema app; set search_path = app; ${TABLES}`)
})
afterAll(async () => {
  await db?.end()
  await database?.drop()
})

/** The survey with these comments and settings; everything is as before afterwards. */
async function surveyWith(
  comments: string,
  tables: object = {},
  more: Partial<Tenancy> = {},
): Promise<Survey> {
  await db.query(`begin; ${comments}`)
  try {
    const settings = tables as Record<string, TableSettings>
    return await survey(db, { column: 'tenant_id', schemas: ['app'], tables: settings, ...more })
  } finally {
    await db.query('rollback')
  }
}

async function faultsWith(
  comments: string,
  tables: object = {},
  more: Partial<Tenancy> = {},
): Promise<string[]> {
  const error = await surveyWith(comments, tables, more).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!isGatewayError(error, 'CONFIG_INVALID')) expect.fail(`no fault, but ${error}`)
  return error.message.split('\n  ').slice(1)
}

const entry = (parts: object): object => ({ columns: {}, relations: {}, ...parts })

const tableIn = ({ model }: Survey, id: string): Table =>
  model.tables.find((table) => table.id === id) ?? expect.fail(`no table ${id}`)
const columnIn = (found: Survey, id: string, name: string): Column | undefined =>
  tableIn(found, id).columns.find((column) => column.name === name)

describe.each([
  {
    by: 'smart comments',
    given: {
      comments: `comment on table people is E'@name Member\\n@deprecated use accounts\\nWhoever writes.';
       comment on column people.name is E'@name fullName\\n@deprecated two columns now\\nAs they write it.';
       comment on column people.age is '@omit create, filter';
       comment on column people.secret is '@omit';
       comment on constraint notes_person on notes is E'@name writer\\n@inverseName writings'`,
      tables: {},
    },
  },
  {
    by: 'the configuration, which wins over them',
    given: {
      comments: `comment on table people is E'@name Wrong\\n@deprecated wrong\\nWhoever writes.';
       comment on column people.name is E'@name wrong\\nAs they write it.';
       comment on column people.age is '@omit order';
       comment on constraint notes_person on notes is E'@name wrong\\n@inverseName writings'`,
      tables: {
        'app.people': entry({
          name: 'Member',
          deprecated: 'use accounts',
          columns: {
            name: { name: 'fullName', deprecated: 'two columns now' },
            age: { omit: ['create', 'filter'] },
            secret: { omit: true },
          },
        }),
        'app.notes': entry({ relations: { notes_person: { name: 'writer' } } }),
      },
    },
  },
])('$by', ({ given }) => {
  let found: Survey
  beforeAll(async () => {
    found = await surveyWith(given.comments, given.tables)
  })

  it('name and deprecate a table, and are no part of its documentation', () => {
    expect(tableIn(found, 'app.people')).toMatchObject({
      typeName: 'Member',
      oneField: 'member',
      manyField: 'members',
      comment: 'Whoever writes.',
      deprecated: 'use accounts',
    })
  })

  it('name, deprecate and omit columns', () => {
    expect(columnIn(found, 'app.people', 'name')).toMatchObject({
      field: 'fullName',
      comment: 'As they write it.',
      deprecated: 'two columns now',
    })
    expect(columnIn(found, 'app.people', 'age')?.can).toEqual({
      read: true,
      filter: false,
      order: true,
      create: false,
      update: true,
    })
    expect(columnIn(found, 'app.people', 'secret')).toBeUndefined()
    expect(tableIn(found, 'app.people').uniques).toEqual([])
  })

  it('name both sides of a relation, which goes with the table that it leads to', () => {
    expect(tableIn(found, 'app.notes').relations).toMatchObject([
      { field: 'writer', deprecated: 'use accounts' },
    ])
    expect(tableIn(found, 'app.people').relations).toMatchObject([{ field: 'writings' }])
    expect(tableIn(found, 'app.people').relations[0]).not.toHaveProperty('deprecated')
  })
})

describe('@omit', () => {
  it('leaves a table out, and what leads to it', async () => {
    const found = await surveyWith(`comment on table people is '@omit'`)

    expect(found.model.tables.map(({ id }) => id)).toEqual(['app.adults', 'app.notes'])
    expect(found.leftOut).toEqual([
      { id: 'app.people', reason: 'it is omitted, by its comment or by the configuration' },
    ])
    expect(tableIn(found, 'app.notes').relations).toEqual([])
    expect(found.model.enums).toEqual([])
  })

  it('of parts of a table takes these writes and uses away', async () => {
    const found = await surveyWith(`comment on table people is '@omit create delete order'`)

    expect(tableIn(found, 'app.people').can).toEqual({ create: false, update: true, delete: false })
    expect(tableIn(found, 'app.people').columns.some(({ can }) => can.order)).toBe(false)
    expect(tableIn(found, 'app.people').columns.every(({ can }) => can.filter)).toBe(true)
  })

  it('of a column that keys are made of hides it and keeps the keys', async () => {
    const found = await surveyWith(
      `comment on column people.id is '@omit'; comment on column notes.person_id is '@omit'`,
    )

    expect(columnIn(found, 'app.notes', 'person_id')?.can).toEqual({
      read: false,
      filter: false,
      order: false,
      create: false,
      update: false,
    })
    expect(tableIn(found, 'app.people').primaryKey).toEqual(['id'])
    expect(tableIn(found, 'app.notes').relations).toHaveLength(1)
  })

  it('of a foreign key leaves out both of its relations', async () => {
    const found = await surveyWith(`comment on constraint notes_person on notes is '@omit'`)
    expect(found.model.tables.flatMap(({ relations }) => relations)).toEqual([])
  })
})

describe('other tags', () => {
  it('give a view its key', async () => {
    const found = await surveyWith(`comment on view adults is '@primaryKey id'`)
    expect(tableIn(found, 'app.adults').primaryKey).toEqual(['id'])
  })

  it('name enums, row types and their attributes', async () => {
    const found = await surveyWith(`comment on type mood is E'@name Feeling\\nHow it is.';
      comment on type place is '@name Address'; comment on column place.zip is E'@name postcode\\n@deprecated old\\nDigits.'`)

    expect(found.model.enums).toMatchObject([{ typeName: 'Feeling', comment: 'How it is.' }])
    expect(found.model.composites).toMatchObject([
      {
        typeName: 'Address',
        fields: [{ field: 'street' }, { field: 'postcode', deprecated: 'old', comment: 'Digits.' }],
      },
    ])
  })
})

describe('a fault', () => {
  it('of a tag says what was probably meant; all of them are told at once', async () => {
    const faults =
      await faultsWith(`comment on table people is '@nmae Member'; comment on column people.age is '@omit crate';
      comment on column people.name is '@deprecated'; comment on constraint notes_person on notes is '@omit filter'`)

    expect(faults).toEqual([
      'the comment on the foreign key notes_person of app.notes: @omit has no "filter" here; it takes nothing',
      'the comment on the table app.people: "@nmae" is no tag here, did you mean "@name"?; there are @name, @omit, @deprecated',
      'the comment on the column app.people.name: @deprecated wants the reason behind it',
      'the comment on the column app.people.age: @omit has no "crate" here, did you mean "create"?; it takes create, update, filter, order',
    ])
  })

  it('of the configuration too', async () => {
    const faults = await faultsWith(
      '',
      {
        'app.peple': entry({}),
        'app.people': entry({ columns: { nmae: {}, age: { omit: ['delete'] } } }),
        'app.notes': entry({ relations: { notes_persn: {} } }),
      },
      { global: ['app.note', 'app.people'] },
    )
    expect(faults).toEqual([
      'tenancy.tables["app.notes"].relations: there is no foreign key "notes_persn", did you mean "notes_person"?',
      'tenancy.tables["app.people"].columns: there is no column "nmae", did you mean "name"?',
      'tenancy.tables["app.people"].columns.age.omit: a column is not deleted; leave out "delete"',
      'tenancy.tables: there is no table "app.peple", did you mean "app.people"?',
      'tenancy.global: there is no table "app.note" in the schemas that are served, did you mean "app.notes"?',
      'tenancy.global: app.people has the column tenant_id, so its rows belong to tenants; leave it out',
    ])
  })

  it('is none in the comment of what is not served anyway, nor below the first line for people', async () => {
    const found = await surveyWith(`create table logs (id int); comment on table logs is '@whatever';
      comment on table notes is E'Ask\\n@ann about it.'`)
    expect(tableIn(found, 'app.notes').comment).toBe('Ask\n@ann about it.')
  })

  it('of a name that is given twice is a clash like any other', async () => {
    const faults = await faultsWith(`comment on table notes is '@name Person'`)

    expect(faults).toHaveLength(1)
    expect(faults[0]).toContain(
      'the table app.notes and the table app.people both want the GraphQL type Person',
    )
  })
})
