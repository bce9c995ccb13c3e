/** Names that cannot stand are one error that lists each of them with what to type. */

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isGatewayError } from '../../src/base/errors.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { mutationFields } from '../../src/graphql/mutations.ts'
import { queryFields } from '../../src/graphql/queries.ts'
import { buildSchema } from '../../src/graphql/schema.ts'
import {
  mutationsOfTable,
  QUERIES_OF_THE_API,
  queriesOfTable,
  typesOfComposite,
  typesOfTable,
  typesOfTheApi,
  typesOfValue,
} from '../../src/model/api-names.ts'
import { introspect } from '../../src/model/introspect.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'

let database: FreshDatabase
let db: Client

beforeAll(async () => {
  database = await freshDatabase()
  db = await connect(database.url)
})
afterAll(async () => {
  await db?.end()
  await database?.drop()
})

/** The faults of a schema made of `tables`, a line each; none when it can be served. */
async function faultsOf(tables: string): Promise<string[]> {
  await db.query(`begin; create schema app; set local search_path = app; ${tables}`)
  try {
    await introspect(db, { column: 'tenant_id', schemas: ['app', 'app2'] })
    return []
  } catch (error) {
    if (!isGatewayError(error, 'CONFIG_INVALID')) throw error
    return error.message.split('\n  ').slice(1)
  } finally {
    await db.query('rollback')
  }
}

const columns = (more: string): string => `(tenant_id text, row_no int, ${more})`
const key = 'tenant_id text, id int, primary key (tenant_id, id)'

describe('a clash', () => {
  it('of two columns names both, and the rename', async () => {
    expect(await faultsOf(`create table t ${columns('user_id int, "userId" int')}`)).toEqual([
      'the column app.t.user_id and the column app.t.userId both want the field T.userId. ' +
        `To mend it: comment on column app.t."userId" is '@name …', or ` +
        '"tables":{"app.t":{"columns":{"userId":{"name":"…"}}}} under "tenancy", or ' +
        'alter table app.t rename column "userId" to …',
    ])
  })

  it.each(['rowId', 'and', 'or', 'not'])('of a column with what the API has: %s', async (name) => {
    const faults = await faultsOf(`create table t ${columns(`id int, "${name}" int`)}`)

    expect(faults).toHaveLength(1)
    expect(faults[0]).toContain(`alter table app.t rename column`)
  })

  it('of two tables that differ in number only is told once, not for each type made from them', async () => {
    const faults = await faultsOf(
      'create table ticket (tenant_id text, x int); create table tickets (tenant_id text, x int)',
    )

    expect(faults).toEqual([
      'the table app.ticket and the table app.tickets both want the GraphQL type Ticket. ' +
        `To mend it: comment on table app.tickets is '@name …', or ` +
        '"tables":{"app.tickets":{"name":"…"}} under "tenancy", or alter table app.tickets rename to …',
    ])
  })

  it('of tables of one name in two schemas', async () => {
    const faults = await faultsOf(
      'create table t (tenant_id text, x int); create schema app2; create table app2.t (tenant_id text, x int)',
    )
    expect(faults).toHaveLength(1)
    expect(faults[0]).toContain('alter table app2.t rename to …')
  })

  it.each(['queries', 'nodes', 'page_info', 'dates', 'int_filters', 'mutation', 'null_filters'])(
    'of the table %s with a type of the API',
    async (name) => {
      const faults = await faultsOf(`create table ${name} (tenant_id text, x int)`)

      expect(faults).toHaveLength(1)
      expect(faults[0]).toContain(`the API itself and the table app.${name} both want`)
    },
  )

  it('of a table with a type that is made from another table', async () => {
    const faults = await faultsOf(
      'create table tickets (tenant_id text, x int); create table ticket_connections (tenant_id text, x int)',
    )
    expect(faults).toHaveLength(1)
    expect(faults[0]).toContain('the GraphQL type TicketConnection')
    expect(await faultsOf('create table water_filters (tenant_id text, x int)')).toEqual([])
  })

  it('of an enum with a table, and of two labels', async () => {
    const faults = await faultsOf(
      `create type status as enum ('in progress', 'in-progress', '');
       create table statuses (tenant_id text, status status)`,
    )
    expect(faults).toEqual([
      'the table app.statuses and the enum app.status both want the GraphQL type Status. ' +
        `To mend it: comment on type app.status is '@name …', or alter type app.status rename to …`,
      `the label 'in progress' of app.status and the label 'in-progress' of app.status both want ` +
        `the value Status.IN_PROGRESS. To mend it: alter type app.status rename value 'in-progress' to '…'`,
      `the label '' of app.status would be named "": GraphQL cannot hold it. ` +
        `To mend it: alter type app.status rename value '' to '…'`,
    ])
  })

  it('of a relation with a column, on either side', async () => {
    const faults = await faultsOf(
      `create table posts (${key.replace('primary', 'comments jsonb, primary')});
       create table comments (${key.replace('primary', 'post text, post_id int, primary')},
         constraint c_post foreign key (tenant_id, post_id) references posts)`,
    )
    expect(faults).toHaveLength(2)
    expect(faults[0]).toContain('the field Comment.post.')
    expect(faults[1]).toContain('the field Post.comments.')
  })

  it.each(['constructor', 'to_string', '"hasOwnProperty"', 'value_of'])(
    'of the name of a member that every object has: %s',
    async (column) => {
      const faults = await faultsOf(`create table t (tenant_id text, ${column} text)`)

      expect(faults).toHaveLength(1)
      expect(faults[0]).toContain(
        'every object in JavaScript has a member of that name. To mend it: comment on column app.t.',
      )
    },
  )

  it('of a name that begins with "__"', async () => {
    const faults = await faultsOf('create table t (tenant_id text, __typename text)')

    expect(faults).toEqual([
      'the column app.t.__typename would be named "__typename": "__" is reserved for introspection. ' +
        `To mend it: comment on column app.t.__typename is '@name …', or ` +
        '"tables":{"app.t":{"columns":{"__typename":{"name":"…"}}}} under "tenancy", or ' +
        'alter table app.t rename column __typename to …',
    ])
  })

  it('is not seen where there is none: a table called like what JavaScript objects inherit', async () => {
    const faults = await faultsOf('create table constructor (tenant_id text, name text)')
    expect(faults).toEqual([])
  })
})

describe('two foreign keys on one column', () => {
  it('to two tables are told apart by the table', async () => {
    await db.query(`begin; create schema app; set local search_path = app;
      create table users (${key}); create table members (${key});
      create table notes (${key.replace('primary', 'author_id int, primary')},
        constraint n_member foreign key (tenant_id, author_id) references members,
        constraint n_user foreign key (tenant_id, author_id) references users)`)
    const model = await introspect(db, {
      column: 'tenant_id',
      schemas: ['app'],
    })
    await db.query('rollback')

    const notes = model.tables.find((table) => table.id === 'app.notes')
    expect(notes?.relations.map(({ field }) => field)).toEqual(['memberByAuthor', 'userByAuthor'])
  })
})

describe('the names kept free', () => {
  it('are those of every type that the schema makes', async () => {
    await db.query(`begin; ${readFileSync(new URL('../fixtures/odd-tables.sql', import.meta.url), 'utf8')}`)
    const model = await introspect(db, { column: 'tenant_id', schemas: ['app'] })
    await db.query('rollback')
    const schema = buildSchema(model, () => ({ pageSize: 100, pageSizeDefault: 20, rows: 10_000 }), [])
    const made = Object.keys(schema.getTypeMap()).filter((name) => !name.startsWith('__'))
    const free = new Set([
      ...typesOfTheApi(model.tables, model.enums),
      ...model.tables.flatMap(typesOfTable),
      ...model.enums.flatMap(({ typeName }) => typesOfValue(typeName)),
      ...model.composites.flatMap(typesOfComposite),
    ])
    const fields = [...queryFields(model), ...mutationFields(model)]
    const freeFields = new Set([
      ...QUERIES_OF_THE_API,
      ...model.tables.flatMap(queriesOfTable),
      ...model.tables.flatMap(mutationsOfTable),
    ])

    expect(fields.filter((name) => !freeFields.has(name))).toEqual([])
    expect(made.filter((name) => !free.has(name))).toEqual([])
  })
})
