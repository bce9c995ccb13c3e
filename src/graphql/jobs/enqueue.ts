/** Asking for a job: it is noted in the tenant's own database, and handed to the queue from there. */

import { fail } from '../../base/errors.ts'
import { jobDataText, ruleNamed } from '../../base/job-rules.ts'
import { newJobId, noteJob } from '../../shards/job-rows.ts'
import type { GatewayContext } from '../context.ts'
import type { JobData } from './definition.ts'

export interface EnqueueOptions {
  /** Milliseconds before which it is not run. Default is 0. */
  readonly delayMs?: number
}

/**
 * Have a job run for the tenant of this request. In a mutation, a hook or a job it is noted in the open transaction: it
 * runs if and only if that is kept. In a query it is noted at once.
 *
 * @param data  JSON, 65,536 bytes at most; rows by their keys
 * @returns     the job's id
 * @throws BAD_USER_INPUT  there is no such job, or the data are no JSON or too large
 * @throws                 what the door throws
 */
export async function enqueue(
  { scope, jobs }: GatewayContext,
  name: string,
  data: JobData = {},
  options: EnqueueOptions = {},
): Promise<string> {
  const { identity } = scope
  if (!jobs) return fail('INTERNAL_SERVER_ERROR', `The job "${name}" was asked for where no jobs can be run.`)
  const { rules, clock, forward } = jobs.book
  ruleNamed(rules, name)
  const notBefore = notBeforeOf(options, clock.now())
  const job = { id: newJobId(), name, data: jobDataText(name, data), notBefore }
  const note = noteJob(identity.tenant, job)
  if (scope.inTransaction) {
    // First, because the database is asked for what it has noted also where the outcome stays unknown.
    jobs.noted = true
    await scope.run([note])
  } else {
    await scope.door.batch(identity.tenant, 'write', scope.deadline, [note])
    forward(identity.tenant)
  }
  return job.id
}

function notBeforeOf({ delayMs = 0 }: EnqueueOptions, now: number): number | null {
  if (!Number.isFinite(delayMs) || delayMs < 0 || delayMs > DELAY_MS_MAX) {
    fail('BAD_USER_INPUT', `A job may be put off by up to ${DELAY_MS_MAX} milliseconds; ${delayMs} came.`)
  }
  return delayMs === 0 ? null : now + delayMs
}

/** A year. */
const DELAY_MS_MAX = 31_536_000_000

/** After the transaction of an operation has ended, however: what it has noted and kept goes to the queue. */
export function forwardJobs({ scope, jobs }: GatewayContext): void {
  if (jobs?.noted) jobs.book.forward(scope.identity.tenant)
}
