/**
 * Applying files to one target, on a connection to the database that holds it.
 *
 * Each file runs in a transaction of its own together with the entry in the target's book, so a run that dies leaves
 * whole files applied and says exactly which; a file that asks for it runs statement by statement (steps.ts). Before
 * a file is kept, what it has done to the isolation of tenants is judged (lint.ts). Two runs at once take turns
 * target by target.
 *
 * An ALTER that waits for its lock makes every later query of that table wait behind it. So it waits for a moment
 * only, gives up all it has, lets the others through and comes again.
 */

import { fail } from '../../base/errors.ts'
import { type Failpoints, noFailpoints } from '../../base/failpoints.ts'
import { sleep } from '../../base/time.ts'
import { type Client, sqlState } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { reasonOf } from '../reach.ts'
import { enter, missing, readBook } from './book.ts'
import type { Migration } from './files.ts'
import { type Lint, openLint, type Tenancy } from './lint.ts'
import { ownNames } from './names.ts'
import type { Place } from './place.ts'
import { runSteps } from './steps.ts'

export interface Applied {
  /** Files that were applied now, in order. */
  readonly applied: readonly string[]
  /** Files that had been applied before. */
  readonly already: number
  /** What a file without a transaction has left that is unsafe, as sentences. */
  readonly unsafe: readonly string[]
}

export interface ApplyWays {
  /** What is served; without it the isolation of tenants is not judged. */
  readonly tenancy?: Tenancy
  /** Milliseconds that a statement waits for a lock before everybody else goes first. */
  readonly lockMs?: number
  /** Milliseconds after which a file that never gets its locks has failed. */
  readonly patienceMs?: number
  /** Runs a migration of rows for each tenant of the target. Without it there are no rows: it is only entered. */
  readonly rows?: (migration: Migration) => Promise<void>
  /** Told of each file that has been applied. */
  readonly kept?: (file: string) => void
  /** Told that a file waits for locks. */
  readonly waiting?: (file: string, tries: number) => void
  readonly failpoints?: Failpoints
}

/**
 * Less than the second after which Postgres looks for deadlocks: of two transactions that wait for each other it is
 * the migration that gives up, not the request.
 */
export const LOCK_MS = 500
const PATIENCE_MS = 120_000

/**
 * Apply those of `files` that the target lacks.
 *
 * @throws SETUP_FAILED  a file was changed after it was applied, fails, gets no locks or would let tenants see each
 *                       other; earlier ones stay
 */
export async function applyFiles(
  client: Client,
  place: Place,
  files: readonly Migration[],
  ways: ApplyWays = {},
): Promise<Applied> {
  await requireOwner(client, place)
  return inTurn(client, place, async () => {
    const { failpoints = noFailpoints } = ways
    const left = missing(await readBook(client, place.book), files)
    const lint = openLint(client, place, ways.tenancy)
    const unsafe: string[] = []
    for (const migration of left) {
      await failpoints.hit(`before migrate ${migration.file}`)
      unsafe.push(...(await applyOne({ client, place, lint, ways }, migration)))
      ways.kept?.(migration.file)
      await failpoints.hit(`after migrate ${migration.file}`)
    }
    const applied = left.map(({ file }) => file)
    return { applied, already: files.length - applied.length, unsafe }
  })
}

interface Work {
  readonly client: Client
  readonly place: Place
  readonly lint: Lint
  readonly ways: ApplyWays
}

async function applyOne(
  { client, place, lint, ways }: Work,
  migration: Migration,
): Promise<readonly string[]> {
  if (!migration.models.includes(place.isolation)) await enter(client, place.book, migration)
  else if (migration.perTenant) {
    await ways.rows?.(migration)
    await enter(client, place.book, migration)
  } else if (!migration.whole) return applySteps(client, place, lint, migration)
  else await applyPatiently({ client, place, lint, ways }, migration)
  return []
}

/** Milliseconds between two looks whether another run has finished with the target. */
const TURN_MS = 50

// Asked for again and again, never waited for: a waiting statement holds a snapshot, and an index that the other
// run builds concurrently would wait for that snapshot, while we wait for the other run. No id of a tenant holds a
// space, so these locks are none of theirs.
async function inTurn<T>(client: Client, { book }: Place, work: () => Promise<T>): Promise<T> {
  const key = sql`hashtextextended('migrations ' || ${sql.value(book)}, 5349)`
  const taken = compile(sql`select pg_try_advisory_lock(${key}) as mine`)
  while ((await client.query(taken))[0]?.mine !== 't') await sleep(TURN_MS)
  try {
    return await work()
  } finally {
    // A connection that is gone has let go of its locks.
    await client.query(compile(sql`select pg_advisory_unlock(${key})`)).catch(() => {})
  }
}

async function requireOwner(client: Client, { name }: Place): Promise<void> {
  const [role] = await client.query(`
    select from pg_roles where rolname = 'shardgate_owner' and pg_has_role(oid, 'member')`)
  if (role) return
  fail('SETUP_FAILED', `Migrations of ${name} run as shardgate_owner; its ownerUrl names another role.`)
}

const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 5_000
const LOCK_NOT_AVAILABLE = '55P03'
const DEADLOCK = '40P01'

async function applyPatiently(work: Work, migration: Migration): Promise<void> {
  const { patienceMs = PATIENCE_MS, waiting } = work.ways
  const started = performance.now()
  for (let tries = 1, pause = FIRST_PAUSE_MS; ; tries++, pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      return await applyWhole(work, migration)
    } catch (error) {
      if (!isBusy(error)) throw error
      if (performance.now() - started + pause > patienceMs) return outOfPatience(migration, tries, error)
      waiting?.(migration.file, tries)
      // Half of it by chance: many targets of one server must not come back at one moment.
      await sleep(pause / 2 + Math.random() * (pause / 2))
    }
  }
}

function isBusy(error: unknown): boolean {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const state = sqlState(cause)
  return state === LOCK_NOT_AVAILABLE || state === DEADLOCK
}

function outOfPatience({ file }: Migration, tries: number, cause: unknown): never {
  return fail(
    'SETUP_FAILED',
    `${file} did not get its locks in ${tries} tries: ${reasonOf(cause)} Nothing of it was kept.`,
    {},
    { cause, hint: 'Find who holds them (pg_stat_activity, pg_blocking_pids), then run it again.' },
  )
}

/** With what `lint` finds after it; what is new and unsafe rolls the file back. */
async function applyWhole({ client, place, lint, ways }: Work, migration: Migration): Promise<void> {
  const { failpoints = noFailpoints } = ways
  await client.transaction(async () => {
    await client.query('set local role shardgate_owner')
    await client.query('savepoint before_file')
    const run = async (): Promise<void> => {
      await enterSchema(client, place, { local: true, lockMs: ways.lockMs ?? LOCK_MS })
      await runWhole(client, migration, ownNames(migration.up, place))
    }
    await run()
    if (await lint.looksUnsafe()) {
      await client.query('rollback to savepoint before_file')
      await lint.readBefore()
      await run()
      await lint.requireNothingNew(migration)
    }
    await enter(client, place.book, migration)
    await failpoints.hit(`before commit ${migration.file}`)
  })
}

/** What stands before a statement that fails is kept, and is run again. Gives what is unsafe after it. */
async function applySteps(
  client: Client,
  place: Place,
  lint: Lint,
  migration: Migration,
): Promise<readonly string[]> {
  await lint.readBefore()
  await client.query('set role shardgate_owner')
  try {
    await enterSchema(client, place, { local: false, lockMs: LOCK_MS })
    await runSteps(client, migration, ownNames(migration.up, place))
    await enter(client, place.book, migration)
    return await lint.sentences(migration)
  } finally {
    await client.query('rollback; reset all; reset role').catch(() => {})
  }
}

/** Nothing but the schema of a place: a name that is missing there must not be found in `public`. */
export async function enterSchema(
  client: Client,
  { schema }: Place,
  { local, lockMs }: { readonly local: boolean; readonly lockMs: number },
): Promise<void> {
  await client.query(
    compile(sql`
      select set_config('search_path', quote_ident(${sql.value(schema)}), ${sql.value(local)}),
        set_config('lock_timeout', ${sql.value(`${lockMs}ms`)}, ${sql.value(local)})`),
  )
}

/**
 * Run the statements of a file in the transaction that is open.
 *
 * @param text  its statements as they are meant here
 * @throws SETUP_FAILED  one of them failed, or ends the transaction
 */
export async function runWhole(client: Client, { file }: Migration, text: string): Promise<void> {
  const before = await transactionOf(client)
  try {
    await client.query(text)
  } catch (cause) {
    const sentence = `${file} failed: ${reasonOf(cause)} (${sqlState(cause) ?? 'no answer'})${lineOf(cause, text)}.`
    if (!(await wasCommitted(client, before))) fail('SETUP_FAILED', sentence, {}, { cause })
    fail('SETUP_FAILED', `${sentence} What stands before its "commit" was kept.`)
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
