/** Finds the tables of a job's tenant, where it is now, and runs the job with them. */

import { fail } from '../../base/errors.ts'
import { type Deadline, deadlineIn } from '../../base/time.ts'
import type { FindPlacement, Placement } from '../../directory/types.ts'
import { isOfOldTables } from '../../shards/failures.ts'
import type { Shape, Shapes } from '../../shards/shapes.ts'
import type { Api } from '../apis.ts'
import type { JobDefinition } from './definition.ts'
import { type DueJob, type JobOutcome, runJob } from './run.ts'

export interface RunnerParts {
  readonly definitions: ReadonlyMap<string, JobDefinition>
  readonly find: FindPlacement
  readonly shapes: Shapes
  readonly apiOf: (shape: Shape) => Api
}

export interface RunTimes {
  readonly deadlineMs: number
  /** Aborted when the process has to stop. */
  readonly stop: AbortSignal
}

/** @throws TENANT_UNKNOWN, and what `runJob` throws */
export type RunDueJob = (job: DueJob, times: RunTimes) => Promise<JobOutcome>

export function jobRunner({ definitions, find, shapes, apiOf }: RunnerParts): RunDueJob {
  async function looked(placement: Placement, used: Shape, deadline: Deadline): Promise<void> {
    await shapes.renewed(placement, used, deadline).catch(() => {})
  }

  return async (job, times) => {
    const definition = definitions.get(job.name)
    if (!definition) return fail('INTERNAL_SERVER_ERROR', `No extension defines the job "${job.name}".`)
    const deadline = deadlineIn(times.deadlineMs)
    const placement = await find(job.tenant)
    if (!placement) return fail('TENANT_UNKNOWN', 'The tenant of the job is not known.')
    const shape = await shapes.of(placement, deadline)
    const { contextFor, jobTools: tools } = apiOf(shape)
    try {
      return await runJob(job, definition, { placement, contextFor, tools }, times)
    } catch (error) {
      // The next attempt is made for the tables as they are.
      if (isOfOldTables(error)) await looked(placement, shape, deadline)
      throw error
    }
  }
}
