/**
 * Hands jobs from the databases of tenants, where mutations have noted them, to the queue (shards/job-rows.ts).
 *
 *     read what is noted ─▶ put it into the queue, where each has its id ─▶ forget what the queue has
 *
 * Safe to do again after any of it, and by several at once. It is begun after each mutation that has asked for a job, goes
 * on until it succeeds, and what a gateway leaves behind that was killed is found by the hourly round (rounds.ts).
 */

import { type ErrorCode, isGatewayError } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import { JOB_DEFAULTS, type JobRules } from '../../base/job-rules.ts'
import { atMost, deadlineIn, sleep } from '../../base/time.ts'
import type { Door } from '../../shards/door.ts'
import { forgetNoted, notedFrom, readNoted } from '../../shards/job-rows.ts'
import type { JobQueue } from './queue.ts'

export interface ForwarderOptions {
  /** For the tables of all tenants. */
  readonly door: Door
  readonly queue: Pick<JobQueue, 'send'>
  readonly rules: JobRules
  /** Called when the queue has got something. */
  readonly onSent?: () => void
}

export interface Forwarder {
  /** Do it soon, and again until it is done; never throws. */
  forward(tenant: TenantId): void
  /** Do it now, once. Throws what the door throws, and DIRECTORY_UNAVAILABLE. */
  forwardNow(tenant: TenantId): Promise<void>
  /** Wait up to `ms` milliseconds for what is under way; nothing is tried again then. */
  end(ms: number): Promise<void>
}

const TOGETHER_MAX = 500
const STEP_MS = 10_000
const AGAIN_MS = { first: 500, most: 30_000 }

/** Whose jobs have to wait for an operator, or have nobody any more: the hourly round sees to them. */
const CLOSED: readonly ErrorCode[] = ['TENANT_UNKNOWN', 'TENANT_SUSPENDED', 'TENANT_READ_ONLY']

export function createForwarder({ door, queue, rules, onSent = () => {} }: ForwarderOptions): Forwarder {
  const underWay = new Map<TenantId, Promise<void>>()
  const again = new Set<TenantId>()
  const ending = new AbortController()

  async function forwardSome(tenant: TenantId): Promise<number> {
    const deadline = deadlineIn(STEP_MS)
    const [rows = []] = await door.batch(tenant, 'read', deadline, [readNoted(tenant, TOGETHER_MAX)])
    if (rows.length === 0) return 0
    const noted = rows.map(notedFrom)
    await queue.send(
      noted.map(({ data, ...job }) => {
        return { ...job, tenant, data: JSON.parse(data), rule: rules.get(job.name) ?? JOB_DEFAULTS }
      }),
    )
    onSent()
    const forget = forgetNoted(
      tenant,
      noted.map(({ id }) => id),
    )
    await door.batch(tenant, 'write', deadlineIn(STEP_MS), [forget])
    return rows.length
  }

  async function forwardNow(tenant: TenantId): Promise<void> {
    while ((await forwardSome(tenant)) === TOGETHER_MAX);
  }

  async function untilDone(tenant: TenantId): Promise<void> {
    let waitMs = AGAIN_MS.first
    try {
      while (!ending.signal.aborted) {
        again.delete(tenant)
        try {
          await forwardNow(tenant)
          if (!again.has(tenant)) return
        } catch (error) {
          if (isGatewayError(error) && CLOSED.includes(error.code)) return
          await sleep(waitMs, ending.signal)
          waitMs = Math.min(waitMs * 2, AGAIN_MS.most)
        }
      }
    } finally {
      // With no step between the last look and this one, in which somebody's wish would be lost.
      underWay.delete(tenant)
    }
  }

  return {
    forward(tenant) {
      again.add(tenant)
      if (!underWay.has(tenant)) underWay.set(tenant, untilDone(tenant))
    },
    forwardNow,
    async end(ms) {
      await atMost(ms, Promise.all(underWay.values()))
      ending.abort()
    },
  }
}
