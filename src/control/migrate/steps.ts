/**
 * Running a migration statement by statement, each a transaction of its own.
 *
 * A statement that does not get its lock in time is tried again: between two tries, everything that has queued
 * up behind it goes on. One that fails otherwise ends the run and names itself; what stands before it is kept,
 * so such a file is written to be run again.
 */

import { fail } from '../../base/errors.ts'
import { sleep } from '../../base/time.ts'
import { type Client, sqlState } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { reasonOf } from '../reach.ts'
import type { Migration } from './files.ts'
import { type SqlStatement, statementsOf } from './statements.ts'

/** Tries of a statement that does not get its lock. With the pauses below, about a minute. */
const TRIES = 60
/** Milliseconds between two tries. */
const PAUSE_MS = 1_000

const LOCK_NOT_AVAILABLE = '55P03'
const DEADLOCK = '40P01'

/**
 * @param text  the statements of the file as they are meant here
 * @throws SETUP_FAILED  a statement failed, or the file leaves a transaction open
 */
export async function runSteps(client: Client, { file }: Migration, text: string): Promise<void> {
  for (const statement of statementsOf(text)) {
    await runStep(client, statement).catch((cause: unknown) => {
      const why = `${reasonOf(cause)} (${sqlState(cause) ?? 'no answer'})`
      const sentence = `${file} failed at line ${statement.line} of its statements: ${why}, in "${headOf(statement)}".`
      return fail(
        'SETUP_FAILED',
        `${sentence} What stands before it was kept; it will be run again.`,
        {},
        { cause },
      )
    })
  }
  if (await isInTransaction(client))
    fail('SETUP_FAILED', `${file} leaves a transaction open. Add its "commit".`)
}

async function runStep(client: Client, { text }: SqlStatement): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await runOnce(client, text)
      return
    } catch (error) {
      if (tries === TRIES || !(await mayBeTriedAgain(client, text, error))) throw error
      await sleep(PAUSE_MS)
    }
  }
}

// Whoever builds an index concurrently waits for all transactions that are open, and nobody waits behind it.
const CONCURRENTLY_MS = 10_000

async function runOnce(client: Client, text: string): Promise<void> {
  if (!CONCURRENTLY.test(text)) return void (await client.query(text))
  const [kept] = await client.query(`select current_setting('lock_timeout') as lock`)
  await client.query(`set lock_timeout = ${CONCURRENTLY_MS}`)
  await client.query(text)
  await client.query(compile(sql`select set_config('lock_timeout', ${sql.value(kept?.lock ?? '0')}, false)`))
}

const CONCURRENTLY = /\bconcurrently\b/i

// An index that was being built concurrently is left half built, and a transaction that the file has opened
// itself has lost what came before: both need a person.
async function mayBeTriedAgain(client: Client, text: string, error: unknown): Promise<boolean> {
  const state = sqlState(error)
  if (state !== LOCK_NOT_AVAILABLE && state !== DEADLOCK) return false
  return !CONCURRENTLY.test(text) && !(await isInTransaction(client))
}

/** Whether the file itself has begun a transaction that is open still, or has failed. */
async function isInTransaction(client: Client): Promise<boolean> {
  try {
    // Two statements of their own have the same time only within one transaction.
    const first = await client.query('select pg_current_xact_id()::text as id')
    const second = await client.query('select pg_current_xact_id()::text as id')
    return first[0]?.id === second[0]?.id
  } catch {
    return true
  }
}

/** The first words of a statement, for a person to find it by. */
function headOf({ text }: SqlStatement): string {
  const line = text.replace(/\s+/g, ' ')
  return line.length <= HEAD_MAX ? line : `${line.slice(0, HEAD_MAX)}…`
}

const HEAD_MAX = 100
