/**
 * Making a directory and shards out of Postgres databases, once or again.
 *
 *     directory schema ──▶ each shard: roles, schema shardgate, served schemas, identity ──▶ registration ──▶ buckets
 *
 * Every step finds what is there and adds what is missing, so it may be run again after any failure, and by
 * two at once: the changes to one database are one transaction under one advisory lock. A shard is made
 * before it is registered: a registration of a shard whose making was then rolled back would name an
 * identity that never was, and refuse the next run for ever.
 */

import { join } from 'node:path'
import { fail } from '../base/errors.ts'
import { type Failpoints, noFailpoints } from '../base/failpoints.ts'
import type { Client } from '../db/client.ts'
import { compile, type Statement, sql } from '../db/sql.ts'
import { fillBuckets, type WeightedShard } from '../directory/buckets.ts'
import {
  type DirectorySettings,
  listShards,
  registerShard,
  requireSameShard,
  writeSettings,
} from '../directory/shards.ts'
import { prepareDatabase } from './databases.ts'
import { runWhole } from './migrate/apply.ts'
import { missing } from './migrate/book.ts'
import { type Migration, readSystemFiles } from './migrate/files.ts'
import { onDirectory, onShard, type ShardAccess } from './reach.ts'
import { ensureRoles, type RolePasswords } from './roles.ts'
import { requireMeantSchemas, tenancyHints } from './tenancy-hints.ts'

/** Key of the advisory lock of installations, in one database. */
const INSTALL = '5349, 1'
const DIRECTORY_SQL = join(import.meta.dirname, '../directory/sql')
const SHARD_SQL = join(import.meta.dirname, '../shards/sql')

/** The oldest Postgres whose views can run with the caller's rights (security_invoker). */
const POSTGRES_MIN = 15

export interface ShardInstall extends ShardAccess, WeightedShard {
  readonly passwords?: RolePasswords
}

export interface Installation {
  readonly directoryUrl: string
  readonly buckets: number
  /** `tenancy.schemas`: made where they are missing. */
  readonly schemas: readonly string[]
  /** `tenancy.column`: tables of others that have it are opened for the gateway. Default is 'tenant_id'. */
  readonly column?: string
  /** `tenancy.global`: tables of others, 'schema.name', that the gateway may read. */
  readonly global?: readonly string[]
  /** Make shardgate_owner the owner of the tables of others that have the tenant column. */
  readonly ownTables?: boolean
  readonly shards: readonly ShardInstall[]
  /** Told what has been done, a sentence each. */
  readonly report?: (sentence: string) => void
  readonly failpoints?: Failpoints
}

/**
 * Install everything. Throws what the functions below throw; what was done before stays and is found again.
 */
export async function install(installation: Installation): Promise<void> {
  const { directoryUrl, shards, schemas, buckets, report = () => {} } = installation
  await installDirectory(directoryUrl, { buckets, namespace: schemas[0] ?? 'public' })
  report('The directory is ready.')
  await requireAllShards(
    directoryUrl,
    shards.map(({ key }) => key),
  )
  const made = shards.map(async (shard) => {
    await installShard(shard, installation)
    report(`${shard.key} is ready.`)
  })
  const failed = (await Promise.allSettled(made)).find((result) => result.status === 'rejected')
  if (failed) throw failed.reason
  await onDirectory(directoryUrl, (directory) => fillBuckets(directory, buckets, shards))
}

/**
 * Make or renew the directory's schema and write down what tenants are placed by.
 *
 * @throws DIRECTORY_UNAVAILABLE  it cannot be reached
 * @throws CONFIG_INVALID         tenants exist that were placed by other settings
 * @throws SETUP_FAILED           Postgres is too old, or its SQL was changed after it had been applied
 */
export function installDirectory(url: string, settings: DirectorySettings): Promise<void> {
  return onDirectory(url, (client) =>
    exclusively(client, 'The directory', async () => {
      await client.query('create schema if not exists directory')
      await client.query(`
        create table if not exists directory.migration (
          version text primary key, name text not null, checksum text not null,
          applied_at timestamptz not null default now())`)
      await applyDirectoryFiles(client)
      await writeSettings(client, settings)
      await closeToStrangers(client)
    }),
  )
}

/**
 * Make or renew one shard and register it.
 *
 * @throws SHARD_UNAVAILABLE  it cannot be reached
 * @throws SHARD_UNSAFE       the database is not the one that the directory knows by this key, or holds
 *                            tenants of another directory
 * @throws SETUP_FAILED       Postgres is too old, or something is missing that only a superuser can make
 */
export async function installShard(shard: ShardInstall, installation: Installation): Promise<void> {
  const { directoryUrl, failpoints = noFailpoints, report = () => {} } = installation
  const { schemas, column = 'tenant_id', global = [], ownTables = false } = installation
  const tell = (sentence: string): void => report(`${shard.key}: ${sentence}`)
  const id = await onShard(shard, (client) =>
    exclusively(client, shard.key, async () => {
      const found = await identityOf(client)
      await onDirectory(directoryUrl, (directory) => requireOurs(client, directory, shard.key, found))
      await requireMeantSchemas(client, shard.key, { column, schemas })
      await ensureRoles(client, shard.passwords ?? {}, tell)
      const tables = { schemas, column, global, own: ownTables }
      await prepareDatabase(client, tables, () => applyShardFiles(client), tell)
      for (const hint of await tenancyHints(client, { column, schemas })) tell(hint)
      return (await identityOf(client)) ?? fail('SETUP_FAILED', `${shard.key} has no identity.`)
    }),
  )
  await failpoints.hit('install.shard-made')
  await onDirectory(directoryUrl, (directory) => registerShard(directory, shard.key, id))
}

/** The uuid that a database carries as a shard; undefined when it is none. */
export async function identityOf(client: Client): Promise<string | undefined> {
  const [schema] = await client.query(`select to_regclass('shardgate.identity') is not null as there`)
  if (schema?.there !== 't') return undefined
  const [row] = await client.query('select id from shardgate.identity')
  return row?.id ?? undefined
}

async function applyDirectoryFiles(client: Client): Promise<void> {
  const book = await client.query<BookRow>('select version, checksum, name from directory.migration')
  for (const file of missing(book, readSystemFiles(DIRECTORY_SQL))) {
    await runWhole(client, file, file.up)
    await client.query(enteredInDirectory(file))
  }
}

type BookRow = { version: string; checksum: string; name: string }

function enteredInDirectory({ version, name, checksum }: Migration): Statement {
  return compile(sql`
    insert into directory.migration (version, name, checksum)
    values (${sql.value(version)}, ${sql.value(name)}, ${sql.value(checksum)})`)
}

/**
 * Make or renew the schema `shardgate` of a shard or of a tenant's database. Call as owner. These files may be run
 * again by their own promise, so they are: functions and grants follow the release.
 */
export async function applyShardFiles(client: Client): Promise<void> {
  for (const file of shardFiles()) await client.query(file.up)
}

/** The files of the schema `shardgate`. */
export const shardFiles = (): Migration[] => readSystemFiles(SHARD_SQL)

function exclusively<T>(client: Client, what: string, work: () => Promise<T>): Promise<T> {
  return client.transaction(async () => {
    await client.query(`select pg_advisory_xact_lock(${INSTALL})`)
    const [server] = await client.query(`select current_setting('server_version') as version`)
    const version = server?.version ?? ''
    if (Number.parseInt(version, 10) < POSTGRES_MIN) {
      fail('SETUP_FAILED', `${what} wants Postgres ${POSTGRES_MIN} or later; its server is ${version}.`)
    }
    return work()
  })
}

// A shard without tenants and without registration was made by a run that did not finish. One with tenants
// belongs to a directory, and not to this one.
async function requireOurs(
  client: Client,
  directory: Client,
  key: string,
  id: string | undefined,
): Promise<void> {
  await requireSameShard(directory, key, id)
  if (!id || (await listShards(directory)).some((known) => known.id === id)) return
  const [fence] = await client.query('select tenant_id from shardgate.tenant_fence limit 1')
  if (!fence) return
  fail('SHARD_UNSAFE', `${key} holds tenants of another directory; nothing of it was changed.`, {
    shard: key,
  })
}

async function requireAllShards(directoryUrl: string, keys: readonly string[]): Promise<void> {
  const known = await onDirectory(directoryUrl, listShards)
  const lost = known.filter((shard) => !keys.includes(shard.key) && shard.buckets + shard.tenants > 0)
  if (lost.length === 0) return
  const sentences = lost.map(
    ({ key, tenants, buckets }) => `shards.${key}: it holds ${tenants} tenants and ${buckets} buckets`,
  )
  fail(
    'CONFIG_INVALID',
    `${sentences.join('; ')}. Put it back; an edit alone takes nobody off a shard. With "drain": true "shardgate apply" does.`,
  )
}

// On a server that is also a shard, the app role must not even connect to the directory.
async function closeToStrangers(client: Client): Promise<void> {
  const [mine] = await client.query(`
    select format('revoke all on database %I from public', datname) as statement
    from pg_database
    where datname = current_database() and pg_has_role(datdba, 'usage')`)
  if (mine?.statement) await client.query(mine.statement)
}
