/**
 * A tenant's schema on the database of its shard, and the role that its transactions take.
 *
 * The role has no log-in and no right but on that schema: a statement that names another tenant's table, or a shared
 * one, is refused by Postgres itself. The app role is a member without inheriting: it may take the role and has none of
 * its rights before. It gets USAGE on the schema, because Postgres looks up the names of a statement when it is
 * parsed, which in a pipelined batch is before the fence has taken the role.
 */

import { fail } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { forgetBook } from '../migrate/book.ts'
import { requireMaker } from './makers.ts'

export interface SchemaNames {
  readonly schema: string
  readonly role: string
}

/**
 * @throws SETUP_FAILED  the owner may not make roles
 * @throws REFUSED       a schema of that name is there that was not made here
 */
export function makeSchema(client: Client, { schema, role }: SchemaNames): Promise<void> {
  const [own, owned] = [sql.identifier(schema), sql.identifier(role)]
  return client.transaction(async () => {
    await requireMaker(client, 'schema')
    await client.query('set local role shardgate_owner')
    if (!(await roleExists(client, role))) {
      await requireFree(client, schema)
      await run(
        client,
        sql`create role ${owned} nologin nosuperuser nocreatedb nocreaterole inherit noreplication nobypassrls`,
      )
    }
    await run(client, sql`grant shardgate_tenant to ${owned}`)
    await run(client, sql`grant ${owned} to shardgate_app`)
    await run(client, sql`create schema if not exists ${own}`)
    await run(client, sql`grant usage on schema ${own} to ${owned}, shardgate_app, shardgate_mover`)
    // No TRUNCATE (it passes over row-level security), no REFERENCES, no TRIGGER.
    await run(
      client,
      sql`alter default privileges in schema ${own} grant select, insert, update, delete on tables to ${owned}`,
    )
    await run(
      client,
      sql`alter default privileges in schema ${own} grant select, insert, update, delete on tables to shardgate_mover`,
    )
    await run(client, sql`alter default privileges in schema ${own} grant usage on sequences to ${owned}`)
  })
}

/**
 * Drop the schema with all that is in it, and the role. What is not there is no fault.
 *
 * @param alone  also a schema without its role, as a backup brings it back; else that is somebody else's and stays
 */
export function dropSchema(client: Client, { schema, role }: SchemaNames, alone: boolean): Promise<void> {
  return client.atomically(async () => {
    if (!alone && !(await roleExists(client, role))) return
    await client.query('set local role shardgate_owner')
    await run(client, sql`drop schema if exists ${sql.identifier(schema)} cascade`)
    // A new schema of the same name must not be taken for one that has its tables.
    await forgetBook(client, schema)
    await run(client, sql`drop role if exists ${sql.identifier(role)}`)
  })
}

// A schema and its role are made and dropped together: one without the role may hold anybody's tables, those that all
// tenants share included, and would be dropped with the home.
async function requireFree(client: Client, schema: string): Promise<void> {
  const [found] = await client.query(
    compile(sql`select from pg_namespace where nspname = ${sql.value(schema)}`),
  )
  if (!found) return
  const sentence = `There is a schema ${schema} already, which is no tenant's.`
  fail(
    'REFUSED',
    sentence,
    {},
    { hint: 'Choose another id, or another isolation. Nothing was changed in it.' },
  )
}

async function roleExists(client: Client, role: string): Promise<boolean> {
  return (
    (await client.query(compile(sql`select from pg_roles where rolname = ${sql.value(role)}`))).length > 0
  )
}

// Statements about roles and schemas take no parameters: only names stand in them.
const run = (client: Client, statement: SQL): Promise<unknown> => client.query(compile(statement).text)
