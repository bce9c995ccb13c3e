/**
 * Jobs in one process: the way into the queue, for what asks for them, and the workers, where it has some.
 *
 *     extensions define jobs ─▶ queue opened ─▶ noted jobs are forwarded ─▶ workers and rounds started
 *     stopped: no job is taken ─▶ those that run end, or are given back ─▶ what was noted is forwarded ─▶ queue closed
 */

import type { Config } from '../../base/config.ts'
import type { Emit } from '../../base/events.ts'
import type { JobRule, JobRules } from '../../base/job-rules.ts'
import { type Clock, systemClock } from '../../base/time.ts'
import type { Door } from '../../shards/door.ts'
import { createForwarder, type Forwarder } from './forwarder.ts'
import { openQueue, type TakenJob } from './queue.ts'
import { askForRound, dropRounds, HOURLY, hourlyRound, keepRounds, scheduleRounds } from './rounds.ts'
import { startWorker, type Worker } from './worker.ts'

export interface ServiceOptions {
  readonly config: () => Config
  readonly rules: JobRules
  /** For the tables of all tenants. */
  readonly door: Door
  readonly emit: Emit
}

export type RunTaken = (
  job: TakenJob,
  times: { readonly deadlineMs: number; readonly stop: AbortSignal },
) => Promise<'done' | 'repeated'>

export interface JobService {
  /** For those who ask for jobs. */
  readonly book: {
    readonly rules: JobRules
    readonly forward: Forwarder['forward']
    readonly clock: Clock
  }
  /** Run jobs in this process, as many at once as the configuration says; none where that is 0. */
  start(run: RunTaken): Promise<void>
  /** Run nothing more; jobs can still be asked for. Safe to call twice. @param ms  milliseconds that jobs may take to end */
  drain(ms: number): Promise<void>
  /** `drain`, and close the way into the queue. Safe to call twice. */
  stop(ms: number): Promise<void>
}

/** Milliseconds that noted jobs may take into the queue when the process ends; the next one finds the rest. */
const FORWARD_MS = 2_000

/** @throws SETUP_FAILED  the directory has no queue, or one of another release */
export async function openJobs({ config, rules, door, emit }: ServiceOptions): Promise<JobService> {
  const { directory, jobs } = config()
  let worker: Worker | undefined
  const keeps = jobs.workers > 0
  const queue = await openQueue({ url: directory.url, keeps, keepDays: jobs.keepDays, emit })
  const forwarder = createForwarder({ door, queue, rules, onSent: () => worker?.wake() })

  const drain = async (ms: number): Promise<void> => worker?.stop(ms)

  async function close(ms: number): Promise<void> {
    await drain(ms)
    await forwarder.end(FORWARD_MS)
    await queue.end()
  }

  let closed: Promise<void> | undefined
  return {
    book: { rules, forward: forwarder.forward, clock: systemClock },
    async start(run) {
      if (!keeps) return
      await keepRounds(queue, [hourlyRound(queue, forwarder), ...scheduleRounds(queue, rules)])
      await dropRounds(
        queue,
        [...rules].filter(([, { schedule }]) => !schedule).map(([name]) => name),
      )
      // What the process before this one has left behind, if it was killed.
      await askForRound(queue, HOURLY)
      worker = startWorker({
        queue,
        rules,
        run: (job: TakenJob, { deadlineMs }: JobRule, stop: AbortSignal) => run(job, { deadlineMs, stop }),
        settings: () => config().jobs,
        shares: () => sharesOf(config()),
        emit,
      })
    },
    drain,
    stop(ms) {
      closed ??= close(ms)
      return closed
    },
  }
}

function sharesOf({ plans }: Config): Record<string, number> {
  return Object.fromEntries(Object.entries(plans).map(([name, { share }]) => [name, share]))
}
