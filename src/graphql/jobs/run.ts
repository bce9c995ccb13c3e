/**
 * One run of a job: the tenant's transaction, in which it is claimed, done and kept.
 *
 *     claim ─▶ done before: nothing is run ─▶ ROLLBACK
 *           ─▶ run ─▶ COMMIT, and with it the claim
 */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import { type Deadline, deadlineIn } from '../../base/time.ts'
import type { Placement } from '../../directory/types.ts'
import { claimJob, forgetDone } from '../../shards/job-rows.ts'
import type { Identity } from '../../tenant/types.ts'
import type { Asking } from '../apis.ts'
import type { GatewayContext, RequestScope } from '../context.ts'
import type { JobData, JobDefinition, JobTools } from './definition.ts'
import { forwardJobs } from './enqueue.ts'

/** A job whose turn has come. */
export interface DueJob {
  readonly id: string
  readonly name: string
  readonly tenant: TenantId
  readonly data: JobData
  /** 1 for the first run. */
  readonly attempt: number
}

/** What a job is run with: of the API of its tenant's tables. */
export interface JobPlace {
  readonly placement: Placement
  readonly contextFor: (asking: Asking) => GatewayContext
  readonly tools: JobTools
}

/** 'repeated': it had been done before, and nothing was run. */
export type JobOutcome = 'done' | 'repeated'

/**
 * @param stop  aborted when the process has to stop
 * @throws what the door throws, and what the job throws; nothing was kept then, unless OUTCOME_UNKNOWN
 */
export async function runJob(
  job: DueJob,
  definition: JobDefinition,
  { placement, contextFor, tools }: JobPlace,
  { deadlineMs, stop }: { readonly deadlineMs: number; readonly stop: AbortSignal },
): Promise<JobOutcome> {
  const { id, tenant } = job
  const deadline = deadlineIn(deadlineMs)
  const signal = AbortSignal.any([stop, AbortSignal.timeout(deadlineMs)])
  const context = contextFor({ identity: identityOf(job), placement, requestId: id, deadline })
  const { scope } = context
  const work = async (): Promise<JobOutcome> => {
    const [claimed = []] = await scope.run([claimJob(tenant, id)])
    if (claimed.length === 0) return 'repeated'
    await scope.run([forgetDone(tenant)])
    await definition.run({ ...job, ...tools, signal, context })
    if (scope.failed) fail('ROLLED_BACK', 'A statement of the job has failed; nothing was kept.')
    return 'done'
  }
  try {
    return await inTransaction(scope, deadline, work)
  } finally {
    forwardJobs(context)
  }
}

// What is thrown inside the transaction would cost its connection, and a job that fails does so again and again.
async function inTransaction(
  scope: RequestScope,
  deadline: Deadline,
  work: () => Promise<JobOutcome>,
): Promise<JobOutcome> {
  const end = await scope.door.withTenant(scope.identity.tenant, 'write', deadline, (session) =>
    scope.within(session, async () => {
      try {
        const outcome = await work()
        return { keep: outcome === 'done', value: () => outcome }
      } catch (error) {
        const thrown = (): never => {
          throw error
        }
        return { keep: false, value: thrown }
      }
    }),
  )
  return end()
}

function identityOf({ name, tenant }: DueJob): Identity {
  return { tenant, subject: `job:${name}`, roles: ['admin'], issuer: 'shardgate', expiresAt: 0 }
}
