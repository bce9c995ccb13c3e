/**
 * The queue of jobs: pg-boss on the directory database, through connections of our own.
 *
 * pg-boss keeps the jobs, puts off what has failed, notices runs whose worker is gone, has the schedules and clears up.
 * Whose turn it is (turns.ts) and what becomes of a job that cannot be run now are ours.
 */

import { type JobAttempt, PgBoss } from 'pg-boss'
import { fail } from '../../base/errors.ts'
import type { Emit } from '../../base/events.ts'
import { type TenantId, tenantId } from '../../base/ids.ts'
import type { JobRule } from '../../base/job-rules.ts'
import { type JobDatabase, type JobExecutor, jobDatabase } from '../../db/job-database.ts'
import { isAway } from './away.ts'
import { BOSS, TENANT_JOBS, takeTurns, type Wanted } from './turns.ts'

/** A job on its way into the queue. */
export interface SentJob {
  readonly id: string
  readonly name: string
  readonly tenant: TenantId
  readonly data: object
  /** Milliseconds since 1970; null for at once. */
  readonly notBefore: number | null
  readonly rule: Pick<JobRule, 'retries' | 'backoff' | 'deadlineMs'>
}

/** A job that this process has to run now. */
export interface TakenJob {
  readonly id: string
  readonly name: string
  readonly tenant: TenantId
  readonly data: Readonly<Record<string, unknown>>
  /** 1 for the first run. */
  readonly attempt: number
  /** Runs that have failed before; whoever settles another run of the job settles nothing. */
  readonly retryCount: number
  /** Whether it is dead when this run fails. */
  readonly isLast: boolean
}

export interface JobQueue {
  /** Put jobs into the queue; one that it has already stays as it is. */
  send(jobs: readonly SentJob[]): Promise<void>
  take(wanted: Wanted): Promise<TakenJob[]>
  done(run: JobAttempt): Promise<void>
  /** It is run again later, or dead after its last attempt. */
  failed(run: JobAttempt, reason: string): Promise<void>
  /** It is not run again. */
  dead(run: JobAttempt, reason: string): Promise<void>
  /** As if it had not been taken; not before `ms` milliseconds. */
  giveBack(run: JobAttempt, ms: number): Promise<void>
  readonly boss: PgBoss
  readonly db: JobDatabase
  end(): Promise<void>
}

export interface QueueOptions {
  readonly url: string
  /** Whether this process keeps the queue in order: runs that were lost, schedules, what is old. */
  readonly keeps: boolean
  readonly keepDays: number
  readonly emit: Emit
}

/** Seconds that a run has after its deadline before its worker counts as gone: it may still be committing. */
export const GRACE_S = 15
/** Seconds between two looks for such runs; all processes together look that often. */
const WATCH_S = 15

/** @throws SETUP_FAILED  the directory has no queue, or one of another release */
export async function openQueue({ url, keeps, keepDays, emit }: QueueOptions): Promise<JobQueue> {
  const db = heard(jobDatabase(url), emit)
  const boss = new PgBoss({
    db,
    schema: BOSS,
    migrate: false,
    supervise: keeps,
    schedule: keeps,
    superviseIntervalSeconds: WATCH_S,
    monitorIntervalSeconds: WATCH_S,
    // Its statements would outlast the time that ours have.
    reindex: false,
    registerInstance: false,
  })
  // What its own rounds meet; `heard` has told already where it was the database.
  boss.on('error', () => {})
  await boss.start().catch(async (cause: unknown) => {
    await db.end()
    const sentence = 'The directory has no queue of jobs, or one of another release; run "shardgate setup".'
    fail('SETUP_FAILED', sentence, {}, { cause })
  })
  const change = (text: string, { id, retryCount }: JobAttempt, ...values: unknown[]): Promise<unknown> =>
    db.executeSql(text, [TENANT_JOBS, id, retryCount, ...values])
  return {
    boss,
    db,
    async send(jobs) {
      if (jobs.length > 0)
        await boss.insert(
          TENANT_JOBS,
          jobs.map((job) => rowOf(job, keepDays)),
        )
    },
    async take(wanted) {
      const rows = await db.transaction((on) => takeTurns(on, wanted))
      return rows.map(({ id, tenant, job: name, data, failed, limit }) => {
        const attempts = { attempt: failed + 1, retryCount: failed, isLast: failed >= limit }
        return { id, name, tenant: tenantId(tenant), data, ...attempts }
      })
    },
    async done(run) {
      await boss.complete(TENANT_JOBS, attemptOf(run))
    },
    async failed(run, message) {
      await boss.fail(TENANT_JOBS, attemptOf(run), { message })
    },
    async dead(run, message) {
      await change(NO_MORE, run)
      await boss.fail(TENANT_JOBS, attemptOf(run), { message })
    },
    async giveBack(run, ms) {
      await change(GIVE_BACK, run, ms)
    },
    async end() {
      await boss.stop({ graceful: false, close: false })
      await db.end()
    },
  }
}

// pg-boss has no calls for these two; the columns are those of its manual.
const NO_MORE = `
  update ${BOSS}.job set retry_limit = retry_count
  where name = $1 and id = $2 and state = 'active' and retry_count = $3`
const GIVE_BACK = `
  update ${BOSS}.job
  set state = (case when retry_count > 0 then 'retry' else 'created' end)::${BOSS}.job_state,
    started_on = null, heartbeat_on = null, start_after = now() + $4::float8 * interval '1 millisecond'
  where name = $1 and id = $2 and state = 'active' and retry_count = $3`

const attemptOf = ({ id, retryCount }: JobAttempt): JobAttempt => ({ id, retryCount })

function rowOf({ id, name, tenant, data, notBefore, rule }: SentJob, keepDays: number) {
  const { retries, backoff, deadlineMs } = rule
  return {
    id,
    data: { job: name, data },
    group: { id: tenant },
    retryLimit: retries,
    retryDelay: backoff.firstS,
    retryBackoff: true,
    retryDelayMax: backoff.maxS,
    expireInSeconds: Math.ceil(deadlineMs / 1_000) + GRACE_S,
    deleteAfterSeconds: keepDays * 24 * 3_600,
    ...(notBefore !== null && { startAfter: new Date(notBefore) }),
  }
}

/** Tells once that the database cannot be asked, and once that it can again. */
function heard(db: JobDatabase, emit: Emit): JobDatabase {
  let isUp = true
  async function hear<T>(ask: () => Promise<T>): Promise<T> {
    try {
      const answer = await ask()
      if (!isUp) emit({ kind: 'queue.up' })
      isUp = true
      return answer
    } catch (error) {
      if (isAway(error)) {
        if (isUp) emit({ kind: 'queue.down', reason: error instanceof Error ? error.message : String(error) })
        isUp = false
      }
      throw error
    }
  }
  const executeSql: JobExecutor['executeSql'] = (text, values) => hear(() => db.executeSql(text, values))
  return { executeSql, transaction: (work) => hear(() => db.transaction(work)), end: () => db.end() }
}
