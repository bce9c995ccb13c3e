/**
 * Bringing one shard's tables to the state of a folder of migrations.
 *
 * Each file runs in a transaction of its own together with the row that records it, so a run that dies
 * leaves whole files applied and says exactly which; a file that asks for it runs statement by statement
 * (migrate-steps.ts). Two runs at once take turns file by file.
 */

import { fail } from '../base/errors.ts'
import { sleep } from '../base/time.ts'
import { type Client, sqlState } from '../db/client.ts'
import { compile, type SQL, type Statement, sql } from '../db/sql.ts'
import { runSteps } from './migrate-steps.ts'
import { type Migration, readMigrations } from './migration-files.ts'
import { onShard, reasonOf, type ShardAccess } from './reach.ts'

/** Key of the advisory locks of the control plane; the second number says what is locked. */
export const CONTROL_LOCK = 5349
const MIGRATE = 2

export interface MigrateResult {
  /** Files that were applied now, in order. */
  readonly applied: readonly string[]
  /** Files that had been applied before. */
  readonly already: number
}

export interface MigrateOptions {
  /** The shard, with the URL of its owner role. */
  readonly shard: ShardAccess
  readonly folder: string
  /** Schema in which unqualified names are made; the first of `tenancy.schemas`. */
  readonly schema: string
}

/**
 * Apply what is missing.
 *
 * @throws SETUP_FAILED       a file is wrong, was changed after it was applied, or fails; earlier ones stay
 * @throws SHARD_UNAVAILABLE  the shard cannot be reached
 */
export function migrate({ shard, folder, schema }: MigrateOptions): Promise<MigrateResult> {
  const migrations = readMigrations(folder)
  return onShard(shard, async (client) => {
    await requireOwner(client, shard.key)
    const applied: string[] = []
    for (const migration of migrations) {
      const apply = migration.whole ? applyWhole : applySteps
      if (await inTurn(client, () => apply(client, migration, schema))) applied.push(migration.file)
    }
    return { applied, already: migrations.length - applied.length }
  })
}

/** Milliseconds between two looks whether another run has finished its file. */
const TURN_MS = 50

// Asked for again and again, never waited for: a waiting statement holds a snapshot, and an index that the other
// run builds concurrently would wait for that snapshot, while we wait for the other run.
async function inTurn<T>(client: Client, work: () => Promise<T>): Promise<T> {
  const taken = `select pg_try_advisory_lock(${CONTROL_LOCK}, ${MIGRATE}) as mine`
  while ((await client.query(taken))[0]?.mine !== 't') await sleep(TURN_MS)
  try {
    return await work()
  } finally {
    // A connection that is gone has let go of its locks.
    await client.query(`select pg_advisory_unlock(${CONTROL_LOCK}, ${MIGRATE})`).catch(() => {})
  }
}

function applyWhole(client: Client, migration: Migration, schema: string): Promise<boolean> {
  return client.transaction(async () => {
    await client.query('set local role shardgate_owner')
    return applyOnce(client, BOOK, migration, () => enterSchema(client, schema, true))
  })
}

/** True when it was applied now. What stands before a statement that fails is kept, and is run again. */
async function applySteps(client: Client, migration: Migration, schema: string): Promise<boolean> {
  await client.query('set role shardgate_owner')
  try {
    if (await isApplied(client, BOOK, migration)) return false
    await enterSchema(client, schema, false)
    await runSteps(client, migration)
    await client.query(recordOf(BOOK, migration))
    return true
  } finally {
    await client.query('rollback; reset all; reset role').catch(() => {})
  }
}

const BOOK = sql`shardgate.migration`

async function requireOwner(client: Client, key: string): Promise<void> {
  const [role] = await client.query(`
    select from pg_roles where rolname = 'shardgate_owner' and pg_has_role(oid, 'member')`)
  if (role) return
  fail('SETUP_FAILED', `Migrations of ${key} run as shardgate_owner; its ownerUrl names another role.`)
}

// Nothing but this schema: a name that is missing here must not be found in `public`. The lock timeout is
// there because a waiting ALTER TABLE makes every later query of that table wait behind it.
async function enterSchema(client: Client, schema: string, local: boolean): Promise<void> {
  await client.query(
    compile(sql`
      select set_config('search_path', quote_ident(${sql.value(schema)}), ${sql.value(local)}),
        set_config('lock_timeout', '10s', ${sql.value(local)})`),
  )
}

/**
 * Run one migration and record it in the table `book`, unless it is recorded already. Call in a transaction.
 * False when there was nothing to do.
 *
 * @throws SETUP_FAILED  as `migrate`
 */
export async function applyOnce(
  client: Client,
  book: SQL,
  migration: Migration,
  prepare: () => Promise<void> = async () => {},
): Promise<boolean> {
  if (await isApplied(client, book, migration)) return false
  await prepare()
  await runWhole(client, migration)
  await client.query(recordOf(book, migration))
  return true
}

async function isApplied(
  client: Client,
  book: SQL,
  { version, file, checksum }: Migration,
): Promise<boolean> {
  const [found] = await client.query(
    compile(sql`select checksum from ${book} where version = ${sql.value(version)}`),
  )
  if (found && found.checksum !== checksum) {
    fail('SETUP_FAILED', `${file} was changed after it had been applied. Put it back and add a new file.`)
  }
  return found !== undefined
}

function recordOf(book: SQL, { version, name, checksum }: Migration): Statement {
  return compile(sql`
    insert into ${book} (version, name, checksum)
    values (${sql.value(version)}, ${sql.value(name)}, ${sql.value(checksum)})`)
}

async function runWhole(client: Client, { file, up }: Migration): Promise<void> {
  const before = await transactionOf(client)
  try {
    await client.query(up)
  } catch (cause) {
    const sentence = `${file} failed: ${reasonOf(cause)} (${sqlState(cause) ?? 'no answer'})${lineOf(cause, up)}.`
    const kept = (await wasCommitted(client, before)) ? ' What stands before its "commit" was kept.' : ''
    fail('SETUP_FAILED', sentence + kept, {}, { cause })
  }
  // A COMMIT inside a file keeps its first half whatever happens to the second.
  if ((await transactionOf(client)) !== before) {
    fail('SETUP_FAILED', `${file} ends its transaction itself, and was kept. Remove its "commit".`)
  }
}

async function wasCommitted(client: Client, transaction: string): Promise<boolean> {
  try {
    await client.query('rollback')
    const [row] = await client.query(
      compile(sql`select pg_xact_status(${sql.value(transaction)}::xid8) as status`),
    )
    return row?.status === 'committed'
  } catch {
    return false // The connection is gone, and Postgres has rolled back what was open on it.
  }
}

async function transactionOf(client: Client): Promise<string> {
  const [row] = await client.query('select pg_current_xact_id()::text as id')
  return row?.id ?? ''
}

function lineOf(error: unknown, text: string): string {
  const position = Number((error as { position?: string }).position)
  return position > 0 ? `, line ${text.slice(0, position).split('\n').length} of its statements` : ''
}
