/**
 * What a shard's database grants to whom. Three kinds of connection may run this: a superuser, who makes
 * everything and leaves it to shardgate_owner; a role with CREATEROLE that owns the database, as managed
 * servers hand out; and shardgate_owner itself, for whom somebody has made the roles and the database.
 */

import { fail } from '../base/errors.ts'
import type { Client } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'
import { type ExistingTables, openExisting } from './existing-tables.ts'
import { runWritten } from './written.ts'

/**
 * Make the schema `shardgate` (by `makeSystem`, run as owner) and the served schemas, and let the app role
 * read and write the rows of every table that the owner has made or will make in them, and of the tables with
 * the tenant column that others have made. Call in a transaction.
 *
 * @param report  told, a sentence each, what somebody has to do for tables of others
 * @throws SETUP_FAILED  something is missing that only a superuser can give
 */
export async function prepareDatabase(
  client: Client,
  tables: ExistingTables,
  makeSystem: () => Promise<void>,
  report: (sentence: string) => void = () => {},
): Promise<void> {
  await becomeMember(client)
  await openDatabase(client)
  for (const schema of tables.schemas) await openSchema(client, schema)
  await requireOpenDatabase(client)
  const left = await openExisting(client, tables)
  await client.query('set local role shardgate_owner')
  await makeSystem()
  for (const schema of tables.schemas) await grantRows(client, schema)
  for (const sentence of left) report(sentence)
}

/** Whether this connection may act as shardgate_owner; since Postgres 16 a membership may leave that out. */
const MAY_ACT = `
  pg_has_role('shardgate_owner',
    case when current_setting('server_version_num')::int < 160000 then 'member' else 'set' end)`

// A role with CREATEROLE may hand out the roles that it has made, also to itself, and has to before it can act
// as one of them.
async function becomeMember(client: Client): Promise<void> {
  await runWritten(
    client,
    client.query(`
      select format('grant shardgate_owner to %I', current_user) as statement
      from pg_roles me
      where me.rolname = current_user and not ${MAY_ACT}
        and (pg_has_role('shardgate_owner', 'member with admin option')
          or me.rolcreaterole and current_setting('server_version_num')::int < 160000)`),
  )
}

// Whoever may not do this finds it done, or is told by the two functions that require it. What PUBLIC may is
// taken away only where nobody else has tables: another program may log in by that right.
async function openDatabase(client: Client): Promise<void> {
  await runWritten(
    client,
    client.query(`
      select format(command, current_database()) as statement
      from pg_database d, unnest(array[
        'revoke all on database %I from public',
        'grant connect, create, temporary on database %I to shardgate_owner',
        'grant connect on database %I to shardgate_app, shardgate_mover']) with ordinality as c (command, no)
      where d.datname = current_database() and pg_has_role(d.datdba, 'usage')
        and (no > 1 or not exists (
          select from pg_class t join pg_namespace n on n.oid = t.relnamespace
          where t.relkind in ('r', 'p') and t.relowner <> 'shardgate_owner'::regrole
            and n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'))
      order by no`),
  )
}

async function openSchema(client: Client, schema: string): Promise<void> {
  await runWritten(
    client,
    client.query(
      compile(sql`
        select format('create schema if not exists %I authorization shardgate_owner', name) as statement
        from (select ${sql.value(schema)}::text as name) as wanted
        where not exists (select from pg_namespace where nspname = name)
          and has_database_privilege(current_database(), 'create')`),
    ),
  )
  await runWritten(
    client,
    client.query(
      compile(sql`
        select format('grant usage, create on schema %I to shardgate_owner with grant option', nspname) as statement
        from pg_namespace where nspname = ${sql.value(schema)} and pg_has_role(nspowner, 'usage')`),
    ),
  )
}

async function requireOpenDatabase(client: Client): Promise<void> {
  const [may] = await client.query(`
    select current_database() as name,
      ${MAY_ACT} as owner,
      has_database_privilege('shardgate_owner', current_database(), 'create') as make`)
  if (may?.owner === 't' && may.make === 't') return
  fail(
    'SETUP_FAILED',
    may?.owner === 't'
      ? `A superuser has to run this first:\n  grant create on database ${may.name} to shardgate_owner;`
      : 'The ownerUrl must name the role shardgate_owner, a superuser, or a role with CREATEROLE.',
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
          'alter default privileges in schema %I grant select, insert, update, delete on tables to shardgate_mover',
          'alter default privileges in schema %I grant usage on sequences to shardgate_app']) as command`),
    ),
  )
  await grantExisting(client, schema)
}

// Default privileges are for what comes; tables that migrations made earlier get the same. The app role gets it only on
// those whose privileges nobody has ever touched: what a migration revoked on purpose stays revoked. The mover, which
// no request is served with, gets it on all.
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
  await runWritten(
    client,
    client.query(
      compile(sql`
        select format('grant select, insert, update, delete on %I.%I to shardgate_mover', nspname, relname) as statement
        from pg_class
        join pg_namespace on pg_namespace.oid = relnamespace
        where nspname = ${sql.value(schema)} and relkind in ('r', 'p') and relowner = 'shardgate_owner'::regrole
          and not has_table_privilege('shardgate_mover', pg_class.oid, 'update')`),
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
