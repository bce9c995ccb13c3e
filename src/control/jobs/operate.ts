/** What operators do with jobs: look at them, have one run again, call one off. */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { JobQueue } from './queue.ts'
import { BOSS, TENANT_JOBS } from './turns.ts'

/** 'waiting' for its time or its turn, 'again' after a run that failed, 'dead' after its last. */
export type JobState = 'waiting' | 'again' | 'running' | 'done' | 'cancelled' | 'dead'

export const JOB_STATES: Readonly<Record<JobState, string>> = {
  waiting: 'created',
  again: 'retry',
  running: 'active',
  done: 'completed',
  cancelled: 'cancelled',
  dead: 'failed',
}

export interface JobRecord {
  readonly id: string
  readonly job: string
  readonly tenant: string
  readonly state: JobState
  /** Runs so far that have counted, the one under way included. */
  readonly attempts: number
  readonly attemptsMax: number
  readonly data: unknown
  readonly askedAt: string
  /** Not before then. */
  readonly dueAt: string
  readonly startedAt: string | null
  readonly endedAt: string | null
  /** Why its last run was not kept. */
  readonly reason: string | null
}

export interface JobQuestion {
  readonly tenant?: TenantId
  readonly job?: string
  readonly state?: JobState
  readonly limit: number
}

const COLUMNS = `
  j.id::text as id, j.data ->> 'job' as job, j.group_id as tenant,
  (select key from json_each_text($1::json) where value = j.state::text) as state,
  j.retry_count + (j.started_on is not null)::int as attempts, j.retry_limit + 1 as "attemptsMax",
  j.data -> 'data' as data, j.created_on::text as "askedAt", j.start_after::text as "dueAt",
  j.started_on::text as "startedAt", j.completed_on::text as "endedAt", coalesce(j.output ->> 'message', j.output -> 'value' ->> 'message') as reason
  from ${BOSS}.job j where j.name = $2`

/** The latest first. */
export async function listJobs({ db }: Pick<JobQueue, 'db'>, question: JobQuestion): Promise<JobRecord[]> {
  const { tenant = null, job = null, state, limit } = question
  const { rows } = await db.executeSql<JobRecord>(
    `select ${COLUMNS}
      and ($3::text is null or j.group_id = $3) and ($4::text is null or j.data ->> 'job' = $4)
      and ($5::text is null or j.state::text = $5)
    order by j.created_on desc, j.id desc limit $6`,
    [JSON.stringify(JOB_STATES), TENANT_JOBS, tenant, job, state ? JOB_STATES[state] : null, limit],
  )
  return rows
}

/** @throws NOT_FOUND */
export async function findJob({ db }: Pick<JobQueue, 'db'>, id: string): Promise<JobRecord> {
  const values = [JSON.stringify(JOB_STATES), TENANT_JOBS, id]
  const found = UUID.test(id)
    ? (await db.executeSql<JobRecord>(`select ${COLUMNS} and j.id = $3::uuid`, values)).rows[0]
    : undefined
  return found ?? fail('NOT_FOUND', `There is no job ${JSON.stringify(id)}.`, {}, { hint: SEE })
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const SEE = 'See "shardgate jobs list".'

/** Have a dead job run once more. @throws NOT_FOUND, REFUSED  it is not dead */
export async function retryJob(queue: JobQueue, id: string): Promise<JobRecord> {
  const { state, data } = await findJob(queue, id)
  if (state !== 'dead') return refuse(id, state, 'Only a dead job is retried')
  if (data === null) return refuse(id, state, 'Its tenant was purged, and what it was given with it')
  await queue.boss.retry(TENANT_JOBS, id)
  return findJob(queue, id)
}

/** Call a job off; a run that is under way still ends. @throws NOT_FOUND, REFUSED  it has ended */
export async function cancelJob(queue: JobQueue, id: string): Promise<JobRecord> {
  const { state } = await findJob(queue, id)
  if (!['waiting', 'again', 'running'].includes(state))
    return refuse(id, state, 'There is nothing to call off')
  await queue.boss.cancel(TENANT_JOBS, id)
  return findJob(queue, id)
}

function refuse(id: string, state: JobState, why: string): never {
  return fail('REFUSED', `${why}; ${id} is ${state}.`, {}, { hint: SEE })
}
