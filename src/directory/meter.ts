/**
 * The meter: what tenants use, from the events of this process into the ledger of the directory.
 *
 *     events ──▶ tally ──(every flushMs)──▶ flush 1, 2, 3 … ──▶ usage_hour
 *
 * A flush is sent until it is answered, always the same, and the ledger adds it once: neither a lost answer nor a
 * directory that is away changes a figure. Meanwhile the tally goes on, in memory. What is lost is what a process has not
 * written when it is killed: that of `flushMs` and of the write that was under way.
 */

import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Config } from '../base/config.ts'
import type { Emit, Event } from '../base/events.ts'
import { type Clock, systemClock } from '../base/time.ts'
import { withClient } from '../db/client.ts'
import { Tally } from './tally.ts'
import { addUsage, rollUpUsage, type UsageFlush } from './usage.ts'

export interface UsageMeter {
  /** Subscribe this to the events. */
  listener(event: Event): void
  /** Write what was counted since the last time, and what could not be written then. Never throws. */
  flush(): Promise<void>
  /** Stop writing by itself. Flush before, when nothing happens any more: what is not written by now is lost. */
  end(): void
}

export interface MeterOptions {
  readonly settings: Config['usage']
  readonly ledger: Ledger
  readonly emit: Emit
  readonly clock?: Clock
  /** Tenants and hours counted at once; default is that of the tally. */
  readonly countsMax?: number
}

/** Where a meter writes. */
export interface Ledger {
  /** @throws it is not known to be written */
  add(flush: UsageFlush): Promise<void>
  /** Move what is older than `days`. */
  rollUp(days: number): Promise<void>
}

/** Milliseconds for one write; a gateway that stops waits for two. */
const WRITE_MS = 3_000
/** Tenants and hours of one statement. */
const FLUSH_MAX = 5_000
const ROLL_UP_MS = 3_600_000

/** The ledger in the directory. */
export function directoryLedger(url: string): Ledger {
  const settings = { connectMs: WRITE_MS, applicationName: 'shardgate usage' }
  const within = (ms: number, work: Parameters<typeof withClient<void>>[1]): Promise<void> =>
    inTime(
      2 * ms,
      withClient(
        url,
        async (client) => {
          await client.query(`set statement_timeout = ${ms}`)
          await work(client)
        },
        settings,
      ),
    )
  return {
    add: (flush) => within(WRITE_MS, (client) => addUsage(client, flush)),
    rollUp: (days) => within(60_000, async (client) => void (await rollUpUsage(client, days))),
  }
}

/** A server that accepts and is silent must not hold up a gateway that stops. */
async function inTime<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = new AbortController()
  const lateness = wait(ms, undefined, { ref: false, signal: late.signal }).then(() => {
    throw new Error('it does not answer')
  })
  lateness.catch(() => {})
  try {
    return await Promise.race([work, lateness])
  } finally {
    late.abort()
    work.catch(() => {})
  }
}

export function usageMeter({
  settings,
  ledger,
  emit,
  clock = systemClock,
  countsMax,
}: MeterOptions): UsageMeter {
  const gateway = randomUUID()
  const tally = new Tally(clock, countsMax)
  let flushes = 0
  /** Sent and not known to be written: the same until it is. */
  let open: UsageFlush | undefined
  let isLate = false
  let rolledUpAt = Number.NEGATIVE_INFINITY
  let running = Promise.resolve()

  const write = async (): Promise<void> => {
    // What is counted while this writes waits for the next time: a busy gateway would never come to an end.
    let left = tally.size + (open?.counts.length ?? 0)
    while (left > 0) {
      open ??= { gateway, flush: ++flushes, counts: tally.take(Math.min(left, FLUSH_MAX)) }
      await ledger.add(open)
      left -= open.counts.length
      open = undefined
    }
  }

  const rollUp = async (): Promise<void> => {
    if (clock.elapsed() - rolledUpAt < ROLL_UP_MS) return
    rolledUpAt = clock.elapsed()
    await ledger.rollUp(settings.hoursDays)
  }

  const tellLost = (requests: number): void => {
    if (requests > 0) emit({ kind: 'usage.lost', requests })
  }

  const tell = (error?: unknown): void => {
    tellLost(tally.takeLost())
    if (isLate === (error !== undefined)) return
    isLate = error !== undefined
    const reason = error instanceof Error ? error.message : String(error)
    emit(isLate ? { kind: 'usage.late', reason } : { kind: 'usage.written' })
  }

  const flush = (): Promise<void> => {
    running = running.then(write).then(() => tell(), tell)
    return running
  }

  let timer: NodeJS.Timeout | undefined
  const again = (): void => {
    timer = setTimeout(async () => {
      await flush()
      await rollUp().catch(() => {}) // Whatever was in its way, in an hour it is tried again.
      if (timer !== undefined) again()
    }, settings.flushMs).unref()
  }
  again()
  return {
    listener: (event) => tally.count(event),
    flush,
    end: () => {
      clearTimeout(timer)
      timer = undefined
      const left = [...(open?.counts ?? []), ...tally.take(Number.POSITIVE_INFINITY)]
      tellLost(left.reduce((sum, { requests }) => sum + requests, 0))
    },
  }
}
