/**
 * What is done from time to time, once for all processes: jobs with a schedule are sent to every tenant, and the hourly
 * round finds what was left behind. Each is a job of pg-boss's own, in a queue of its own, by its own clock.
 */

import { createHash } from 'node:crypto'
import { fail } from '../../base/errors.ts'
import { type TenantId, tenantId } from '../../base/ids.ts'
import type { JobRule, JobRules, JobSchedule } from '../../base/job-rules.ts'
import { inTurns } from '../../shards/in-turns.ts'
import { ERASE_LEFT_JOBS } from './erase.ts'
import type { Forwarder } from './forwarder.ts'
import type { JobQueue } from './queue.ts'

/** Work of the control plane that is due by a schedule. */
export interface Round {
  /** Letters, digits and '-'. */
  readonly name: string
  readonly schedule: JobSchedule
  /** @param occurrence  the same where one occurrence is done again, because the process that did it was killed */
  readonly run: (occurrence: string) => Promise<void>
}

/** Seconds between two looks for a round that is due. */
const POLL_S = 2
/** Seconds that one may take before another process does it again. */
const ROUND_S = 900
/** Seconds after which an occurrence that nobody has done is left out. */
const LATE_S = 3_600

/** Have rounds done by this process, or by another one that does the same. Throws CONFIG_INVALID, and what the queue throws. */
export async function keepRounds({ boss }: JobQueue, rounds: readonly Round[]): Promise<void> {
  for (const { name, schedule, run } of rounds) {
    const queue = queueOf(name)
    await boss.createQueue(queue, {
      expireInSeconds: ROUND_S,
      retentionSeconds: LATE_S,
      retryLimit: 3,
      retryDelay: 30,
    })
    await boss
      .schedule(queue, schedule.cron, {}, { tz: schedule.timeZone ?? 'UTC' })
      .catch((cause: Error) => {
        const came = JSON.stringify(schedule)
        return fail(
          'CONFIG_INVALID',
          `${name}: the schedule ${came} is none: ${cause.message}`,
          {},
          { cause },
        )
      })
    await boss.work(queue, { pollingIntervalSeconds: POLL_S }, async (due) => {
      for (const { id } of due) await run(id)
    })
  }
}

/** Take back the schedules of rounds that there are no more. */
export async function dropRounds({ boss }: JobQueue, names: readonly string[]): Promise<void> {
  for (const name of names) await boss.unschedule(queueOf(name))
}

/** Do a round once more than its schedule says: now, or within seconds where others have just asked for it. */
export async function askForRound({ boss }: JobQueue, name: string): Promise<void> {
  await boss.send(queueOf(name), {}, { singletonSeconds: ASKED_S, singletonNextSlot: true })
}

/** Seconds in which all that is asked for is done once: a fleet that starts anew asks many times. */
const ASKED_S = 10

const queueOf = (name: string): string => `round-${name}`

export const HOURLY = 'hourly'

/** Sends noted jobs that no gateway has sent, and clears away those of tenants that were purged. */
export function hourlyRound(queue: JobQueue, { forwardNow }: Forwarder): Round {
  return {
    name: HOURLY,
    schedule: { cron: '23 * * * *' },
    async run() {
      await queue.db.executeSql(ERASE_LEFT_JOBS.text, ERASE_LEFT_JOBS.values)
      const turn = inTurns(AT_ONCE)
      for await (const tenants of activeTenants(queue)) {
        // Whose shard is away is asked again in the next round.
        await Promise.all(tenants.map((tenant) => turn(() => forwardNow(tenant).catch(() => {}))))
      }
    },
  }
}

/** Tenants that are looked at side by side. */
const AT_ONCE = 8

/** One round for each job that has a schedule. */
export function scheduleRounds(queue: JobQueue, rules: JobRules): Round[] {
  return [...rules].flatMap(([name, rule]) =>
    rule.schedule ? [{ name, schedule: rule.schedule, run: (id) => sendToAll(queue, name, rule, id) }] : [],
  )
}

async function sendToAll(queue: JobQueue, name: string, rule: JobRule, occurrence: string): Promise<void> {
  for await (const tenants of activeTenants(queue)) {
    await queue.send(
      tenants.map((tenant) => {
        return { id: idOf(occurrence, tenant), name, tenant, data: {}, notBefore: null, rule }
      }),
    )
  }
}

/** The same for the same occurrence: who does a round again sends nothing twice. */
function idOf(occurrence: string, tenant: TenantId): string {
  const hex = createHash('sha256').update(`${occurrence} ${tenant}`).digest('hex')
  // As a UUID of version 8, which says that its digits are the maker's own.
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-')
}

const PAGE = 500

async function* activeTenants({ db }: Pick<JobQueue, 'db'>): AsyncGenerator<TenantId[]> {
  let last = ''
  for (;;) {
    const { rows } = await db.executeSql<{ id: string }>(
      `select id from directory.tenant where state = 'active' and id > $1 order by id limit ${PAGE}`,
      [last],
    )
    if (rows.length > 0) yield rows.map(({ id }) => tenantId(id))
    if (rows.length < PAGE) return
    last = rows.at(-1)?.id ?? ''
  }
}
