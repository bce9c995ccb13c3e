/**
 * Jobs of extensions: code that runs later, for one tenant each, in a transaction of its own behind the one door.
 *
 *     jobs: {
 *       sendDigest: {
 *         retries: 3,
 *         schedule: { cron: '0 6 * * *' },
 *         async run({ data, context, table }) { … },
 *       },
 *     }
 */

import type { JobWishes } from '../../base/job-rules.ts'
import type { SQL, Statement, sql } from '../../db/sql.ts'
import type { GatewayContext } from '../context.ts'
import type { TableHandle } from '../mutations/handles.ts'

export interface JobDefinition extends JobWishes {
  /**
   * What it writes is kept when it ends, together with the fact that it is done, and exactly once; what it throws rolls
   * back and is tried again. What it does elsewhere (an e-mail) may be done again: `id` stays the same.
   */
  run(job: JobRun): Promise<void> | void
}

export type JobDefinitions = Readonly<Record<string, JobDefinition>>

/** What a job is given with it. */
export type JobData = Readonly<Record<string, unknown>>

/** Tools for the tables that the tenant has, as extensions have them. */
export interface JobTools {
  /** @throws CONFIG_INVALID  the tenant's tables give no such type */
  table(typeName: string): TableHandle
  readonly sql: typeof sql
  statement(fragment: SQL): Statement
}

export interface JobRun extends JobTools {
  /** The same in each attempt: other systems can tell by it what they have done already. */
  readonly id: string
  readonly name: string
  /** Whose rows `context.scope` reaches; names, plan and settings are in `context.scope.tenant`. */
  readonly tenant: string
  readonly data: JobData
  /** 1 for the first run. */
  readonly attempt: number
  /** Aborted at the deadline, and when the process has to stop: what is not done by then is done again later. */
  readonly signal: AbortSignal
  /** For table handles and `context.scope.run`: as in a mutation by an admin of the tenant. */
  readonly context: GatewayContext
}
