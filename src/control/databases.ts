/**
 * What a shard's database grants to whom. Two kinds of connection may run this: a superuser, who makes
 * everything and leaves it to shardgate_owner, and shardgate_owner itself, for whom a superuser has made
 * the roles and the database.
 */

import { fail } from '../base/errors.ts'
import type { Client } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'

/**
 * Make the schema `shardgate` (by `makeSystem`, run as owner) and the served schemas, and let the app role
 * read and write the rows of every table that the owner has made or will make in them. Call in a transaction.
 *
 * @throws SETUP_FAILED  something is missing that only a superuser can give
 */
export async function prepareDatabase(
  client: Client,
  schemas: readonly string[],
  makeSystem: () => Promise<void>,
): Promise<void> {
  const [me] = await client.query('select rolsuper from pg_roles where rolname = current_user')
  if (me?.rolsuper === 't') await openDatabase(client, schemas)
  else await requireOpenDatabase(client)
  await client.query('set local role shardgate_owner')
  await makeSystem()
  for (const schema of schemas) await grantRows(client, schema)
}

/** Run statements that a query has written: names go through format('%I'), never through a template. */
async function runWritten(client: Client, statements: Promise<Record<string, string | null>[]>) {
  for (const { statement } of await statements) if (statement) await client.query(statement)
}

async function openDatabase(client: Client, schemas: readonly string[]): Promise<void> {
  await runWritten(
    client,
    client.query(`
      select format(command, current_database()) as statement
      from unnest(array[
        'revoke all on database %I from public',
        'grant connect, create, temporary on database %I to shardgate_owner',
        'grant connect on database %I to shardgate_app, shardgate_mover']) as command`),
  )
  for (const schema of schemas) {
    await runWritten(
      client,
      client.query(
        compile(sql`
          select format(command, ${sql.value(schema)}::text) as statement
          from unnest(array[
            'create schema if not exists %I authorization shardgate_owner',
            'grant usage, create on schema %I to shardgate_owner with grant option']) as command`),
      ),
    )
  }
}

async function requireOpenDatabase(client: Client): Promise<void> {
  const [may] = await client.query(`
    select current_database() as name,
      pg_has_role(current_user, 'shardgate_owner', 'member') as owner,
      has_database_privilege('shardgate_owner', current_database(), 'create') as make`)
  if (may?.owner === 't' && may.make === 't') return
  fail(
    'SETUP_FAILED',
    may?.owner === 't'
      ? `A superuser has to run this first:\n  grant create on database ${may.name} to shardgate_owner;`
      : 'The ownerUrl must name the role shardgate_owner, or a superuser.',
  )
}

async function grantRows(client: Client, schema: string): Promise<void> {
  await runWritten(
    client,
    client.query(
      compile(sql`
        select format('create schema if not exists %I', ${sql.value(schema)}::text) as statement
        where to_regnamespace(quote_ident(${sql.value(schema)})) is null`),
    ),
  )
  await requireSchema(client, schema)
  // No TRUNCATE (it passes over row-level security), no REFERENCES, no TRIGGER.
  await runWritten(
    client,
    client.query(
      compile(sql`
        select format(command, ${sql.value(schema)}::text) as statement
        from unnest(array[
          'grant usage on schema %I to shardgate_app, shardgate_mover',
          'alter default privileges in schema %I grant select, insert, update, delete on tables to shardgate_app',
          'alter default privileges in schema %I grant usage on sequences to shardgate_app']) as command`),
    ),
  )
  await grantExisting(client, schema)
}

// Default privileges are for what comes; tables that migrations made earlier get the same. Only those whose
// privileges nobody has ever touched: what a migration revoked on purpose stays revoked.
async function grantExisting(client: Client, schema: string): Promise<void> {
  await runWritten(
    client,
    client.query(
      compile(sql`
        select format(
          case when relkind = 'S' then 'grant usage on sequence %I.%I to shardgate_app'
            else 'grant select, insert, update, delete on %I.%I to shardgate_app' end,
          nspname, relname) as statement
        from pg_class
        join pg_namespace on pg_namespace.oid = relnamespace
        where nspname = ${sql.value(schema)} and relkind in ('r', 'p', 'S')
          and relowner = 'shardgate_owner'::regrole and relacl is null`),
    ),
  )
}

async function requireSchema(client: Client, schema: string): Promise<void> {
  const [may] = await client.query(
    compile(sql`
      select has_schema_privilege(${sql.value(schema)}::text, 'usage with grant option')
        and has_schema_privilege(${sql.value(schema)}::text, 'create') as all,
        quote_ident(${sql.value(schema)}) as name`),
  )
  if (may?.all === 't') return
  fail(
    'SETUP_FAILED',
    `A superuser has to run this first:\n  grant usage, create on schema ${may?.name} to shardgate_owner with grant option;`,
  )
}
