/**
 * Runs the jobs of tenants in this process, a few at a time.
 *
 *     due ─▶ taken (turns.ts) ─▶ run in the tenant's transaction ─▶ kept: done
 *                                      ├─▶ failed: later, or dead
 *                                      └─▶ cannot be now (moved, closed, shard away, stopping): given back
 *
 * A worker that is killed anywhere in it leaves a job that is taken; its time runs out, and it is run again. What it had
 * written is kept once, because the transaction that writes also says that the job is done.
 */

import { type ErrorCode, isGatewayError } from '../../base/errors.ts'
import type { Emit, JobEnd } from '../../base/events.ts'
import type { JobRule, JobRules } from '../../base/job-rules.ts'
import { describeError } from '../../base/scrub.ts'
import { atMost, type Clock, sleep, systemClock } from '../../base/time.ts'
import { isAway } from './away.ts'
import type { JobQueue, TakenJob } from './queue.ts'

export interface WorkerOptions {
  readonly queue: Pick<JobQueue, 'take' | 'done' | 'failed' | 'dead' | 'giveBack'>
  readonly rules: JobRules
  /** Throws what the door throws, and what the job throws. */
  readonly run: (job: TakenJob, rule: JobRule, stop: AbortSignal) => Promise<'done' | 'repeated'>
  /** Read at each look. */
  readonly settings: () => { readonly workers: number; readonly pollMs: number }
  /** Shares of tenants by plan. */
  readonly shares: () => Readonly<Record<string, number>>
  readonly emit: Emit
  readonly clock?: Clock
}

export interface Worker {
  /** Look at once: there may be something to do. */
  wake(): void
  /** Take nothing more, wait up to `ms` milliseconds for what runs, then give it back. Safe to call twice. */
  stop(ms: number): Promise<void>
}

/** Of no fault of the job's: it is run again without having counted. */
const PUT_OFF: ReadonlySet<ErrorCode> = new Set([
  'TENANT_MOVING',
  'TENANT_SUSPENDED',
  'TENANT_READ_ONLY',
  'SHARD_UNAVAILABLE',
  'SHARD_UNSAFE',
  'DIRECTORY_UNAVAILABLE',
  'OVERLOADED',
  // Whether it was done is found out by running it again.
  'OUTCOME_UNKNOWN',
])
const PUT_OFF_MS = 5_000
/** Milliseconds between two tries to tell the queue how a job ended. */
const TELL_MS = 1_000
/** Milliseconds that jobs have to end after they were told to. */
const LAST_MS = 1_000

export function startWorker(options: WorkerOptions): Worker {
  const { queue, rules, settings, shares, emit, clock = systemClock } = options
  const running = new Map<string, { readonly job: TakenJob; readonly ended: Promise<void> }>()
  const closing = new AbortController()
  const stop = new AbortController()
  let bell = new AbortController()

  const wake = (): void => bell.abort()

  async function look(): Promise<void> {
    while (!closing.signal.aborted) {
      bell = new AbortController()
      const count = settings().workers - running.size
      // That the queue is away has been told; the next look asks again.
      const taken =
        count > 0 ? await queue.take({ room: roomOf(), count, shares: shares() }).catch(() => []) : []
      for (const job of taken) begin(job)
      if (taken.length === 0) await sleep(settings().pollMs, AbortSignal.any([bell.signal, closing.signal]))
    }
  }

  function roomOf(): Record<string, number> {
    const room = new Map([...rules].map(([name, { concurrency }]) => [name, concurrency]))
    for (const { job } of running.values()) room.set(job.name, (room.get(job.name) ?? 0) - 1)
    return Object.fromEntries([...room].filter(([, left]) => left > 0))
  }

  function begin(job: TakenJob): void {
    const ended = runOne(job).finally(() => {
      running.delete(job.id)
      wake()
    })
    running.set(job.id, { job, ended })
  }

  async function runOne(job: TakenJob): Promise<void> {
    const started = clock.elapsed()
    const { end, reason, tell } = await ending(job)
    await told(tell)
    const { name, id, tenant, attempt } = job
    const why = reason === undefined ? {} : { reason }
    emit({
      kind: 'job.done',
      job: name,
      id,
      tenant,
      attempt,
      end,
      durationMs: clock.elapsed() - started,
      ...why,
    })
  }

  async function ending(job: TakenJob): Promise<Ending> {
    try {
      const rule = rules.get(job.name)
      if (!rule) throw new Error(`This process has no job "${job.name}".`)
      const end = await options.run(job, rule, stop.signal)
      return { end, tell: () => queue.done(job) }
    } catch (error) {
      const reason = describeError(error).message
      if (stop.signal.aborted) return { end: 'put-off', reason, tell: () => queue.giveBack(job, 0) }
      if (isGatewayError(error) && PUT_OFF.has(error.code))
        return { end: 'put-off', reason, tell: () => queue.giveBack(job, PUT_OFF_MS) }
      if (isGatewayError(error, 'TENANT_UNKNOWN'))
        return { end: 'dead', reason, tell: () => queue.dead(job, reason) }
      return { end: job.isLast ? 'dead' : 'failed', reason, tell: () => queue.failed(job, reason) }
    }
  }

  // Given up when the process ends: then the job's time runs out, and its next run finds that it is done.
  async function told(tell: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await tell()
      } catch (error) {
        if (stop.signal.aborted || !isAway(error)) return
        await sleep(TELL_MS, stop.signal)
      }
    }
  }

  const looking = look()
  const end = async (ms: number): Promise<void> => {
    closing.abort()
    await looking
    const all = (): Promise<unknown> => Promise.all([...running.values()].map(({ ended }) => ended))
    await atMost(ms, all())
    stop.abort()
    await atMost(LAST_MS, all())
    // They do not listen; their connections are closed next, and nothing of them is kept.
    const left = [...running.values()].map(({ job }) => queue.giveBack(job, 0).catch(() => {}))
    await Promise.all(left)
  }
  let stopped: Promise<void> | undefined
  return {
    wake,
    stop(ms) {
      stopped ??= end(ms)
      return stopped
    },
  }
}

interface Ending {
  readonly end: JobEnd
  readonly reason?: string
  /** Tell the queue. */
  readonly tell: () => Promise<void>
}
