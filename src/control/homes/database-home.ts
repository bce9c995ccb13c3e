/**
 * A tenant's database on the server of its shard: a small shard of its own, with the identity of that shard and a fence
 * that knows this tenant alone.
 *
 * It is closed to everybody until only the roles of Shardgate may connect: a new database is open to all who have a
 * log-in on the server, and a copy does not get the rights of its template.
 */

import { fail } from '../../base/errors.ts'
import { type Client, sqlState, withClient } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { prepareDatabase } from '../databases.ts'
import { applyShardFiles } from '../install.ts'
import { DEFAULT_TENANCY, type Fleet, onHome, onShard, type ShardAccess } from '../reach.ts'
import { requireMaker } from './makers.ts'

export interface NewDatabase {
  readonly name: string
  /** Uuid of the shard. */
  readonly shardId: string
  /** A database of the same shard to which nobody may connect, which is copied; left out, it is made from nothing. */
  readonly template?: string
}

/**
 * Make the database, without tables when it is not copied from a template.
 *
 * @throws SETUP_FAILED  the owner may not make databases
 */
export async function makeDatabase(fleet: Fleet, shard: ShardAccess, wanted: NewDatabase): Promise<void> {
  await onShard(shard, async (client) => {
    await requireMaker(client, 'database')
    await asOwner(client, () => createClosed(client, wanted))
  })
  if (wanted.template === undefined) await prepare(fleet, shard, wanted)
}

async function createClosed(client: Client, { name, template }: NewDatabase): Promise<void> {
  const database = sql.identifier(name)
  const from = template === undefined ? sql.blank : sql` template ${sql.identifier(template)}`
  const create = sql`create database ${database} owner shardgate_owner${from} allow_connections false`
  // One that was killed while Postgres worked for it may find its database made while it asks for it again.
  if (!(await databaseExists(client, name))) {
    await run(client, create).catch((error: unknown) => {
      if (sqlState(error) !== DUPLICATE_DATABASE) throw error
    })
  }
  await run(client, sql`revoke all on database ${database} from public`)
  await run(client, sql`grant connect on database ${database} to shardgate_app, shardgate_mover`)
  await run(client, sql`alter database ${database} allow_connections true`)
}

/** What a shard's database has, without tables: the schema `shardgate`, the served schemas, the grants. */
function prepare(
  { tenancy = DEFAULT_TENANCY }: Fleet,
  shard: ShardAccess,
  { name, shardId }: NewDatabase,
): Promise<void> {
  const { column, schemas } = tenancy
  return onHome(shard, { isolation: 'database', namespace: name }, (client) =>
    client.transaction(async () => {
      const system = async (): Promise<void> => {
        await applyShardFiles(client)
        await client.query(
          compile(
            sql`update shardgate.identity set id = ${sql.value(shardId)} where id <> ${sql.value(shardId)}`,
          ),
        )
      }
      await prepareDatabase(client, { column, schemas, global: [], own: false }, system)
    }),
  )
}

/**
 * Drop the database whoever is connected to it. One that is not there is no fault.
 *
 * @throws SETUP_FAILED  sessions of roles whose log-in is not in the configuration hold it
 */
export function dropDatabase(shard: ShardAccess, name: string): Promise<void> {
  return onShard(shard, async (client) => {
    if (!(await databaseExists(client, name))) return
    await asOwner(client, () =>
      run(client, sql`alter database ${sql.identifier(name)} allow_connections false`),
    )
    await endSessions(shard, name)
    await asOwner(client, () =>
      run(client, sql`drop database if exists ${sql.identifier(name)} with (force)`),
    ).catch((error: unknown) => held(client, name, error))
  })
}

const DUPLICATE_DATABASE = '42P04'

export async function databaseExists(client: Client, name: string): Promise<boolean> {
  return (
    (await client.query(compile(sql`select from pg_database where datname = ${sql.value(name)}`))).length > 0
  )
}

/** Milliseconds in which a session that is told to end has to be gone. */
const GONE_MS = 5_000

// Only a role itself, or a superuser, may end its sessions: those that are still there when the database is dropped
// would have the drop refused.
async function endSessions({ appUrl, moverUrl }: ShardAccess, name: string): Promise<void> {
  for (const url of [appUrl, moverUrl]) {
    if (url === undefined) continue
    await withClient(url, (client) =>
      client.query(
        compile(sql`
          select pg_terminate_backend(pid, ${sql.literal(GONE_MS)}) from pg_stat_activity
          where datname = ${sql.value(name)} and usename = current_user`),
      ),
    )
  }
}

async function held(client: Client, name: string, error: unknown): Promise<never> {
  if (!['42501', '55006'].includes(sqlState(error) ?? '')) throw error
  const [row] = await client.query(
    compile(sql`
      select string_agg(distinct usename, ', ' order by usename) as users from pg_stat_activity
      where datname = ${sql.value(name)}`),
  )
  const sentence = `The database ${name} cannot be dropped while ${row?.users ?? 'others'} are connected to it.`
  return fail(
    'SETUP_FAILED',
    sentence,
    {},
    { cause: error, hint: 'End their sessions, then run the command again.' },
  )
}

// A database belongs to whoever makes it, and is never made in a transaction.
export async function asOwner<T>(client: Client, work: () => Promise<T>): Promise<T> {
  await client.query('set role shardgate_owner')
  try {
    return await work()
  } finally {
    await client.query('reset role').catch(() => {})
  }
}

// Statements about databases take no parameters: only names stand in them.
const run = (client: Client, statement: SQL): Promise<unknown> => client.query(compile(statement).text)
