/**
 * The pace of a copy, so that nobody else on the two servers feels much of it.
 *
 * A tiny statement on each server, on a session of its own, is what the requests of other tenants are like. How long it
 * takes before the copy begins is what is usual there. While it takes clearly longer, the copy is slowed down, by half
 * at a time, and when that is over made faster by small steps, as TCP does it. It never comes to a halt: a server that
 * is slow for a reason of its own would keep a copy from ending, and a slot keeps all that is written meanwhile.
 */

import { type Clock, sleep, systemClock } from '../../base/time.ts'
import type { Client } from '../../db/client.ts'
import { hold } from '../copy/lanes.ts'
import { asMover } from '../copy/target.ts'
import type { Moving } from './types.ts'

export interface Throttle {
  /** Told what has gone over; the copy goes on once what it gives has come true. */
  pass(bytes: number): Promise<void> | undefined
  end(): Promise<void>
}

const PROBE_MS = 100
/** Probes that say what is usual. */
const QUIET_PROBES = 15
/** Of the last so many probes the middle one counts: a single slow one is chance. */
const LATEST = 3

/** How slow is too slow: this many times what is usual, and so many milliseconds above it. */
const TIMES = 2
const ABOVE_MS = 2

/** Slowest pace, as a part of the fastest that was seen. */
const SLOWEST = 1 / 8
const STEP = 1 / 16

/** Milliseconds: shorter waits are saved up, and none is longer. */
const WAIT_MIN_MS = 2
const WAIT_MAX_MS = 250

/** Learn what is usual on both ends of a move, in some 0.1 s, and watch them until `end`. Throws as `asMover`. */
export async function openThrottle({ source, target }: Pick<Moving, 'source' | 'target'>): Promise<Throttle> {
  const { clients, end } = await hold([asMover(source), asMover(target)])
  const over = new AbortController()
  const pace = new Pace()
  const watching = await Promise.all(clients.map((client) => watch(client, pace, over.signal)))
  return {
    pass: (bytes) => pace.pass(bytes),
    async end() {
      over.abort()
      await Promise.all(watching.map(({ ended }) => ended))
      await end()
    },
  }
}

async function watch(client: Client, pace: Pace, signal: AbortSignal): Promise<{ ended: Promise<void> }> {
  const quiet: number[] = []
  for (let n = 0; n < QUIET_PROBES; n++) {
    quiet.push(await probe(client))
    await sleep(WAIT_MIN_MS)
  }
  const usual = middle(quiet)
  const run = async (): Promise<void> => {
    const latest: number[] = []
    while (!signal.aborted) {
      await sleep(PROBE_MS, signal)
      latest.push(await probe(client))
      if (latest.length > LATEST) latest.shift()
      pace.tell(middle(latest) > Math.max(usual * TIMES, usual + ABOVE_MS))
    }
  }
  // A session that was lost tells nothing any more; that the server is gone is for the copy to find out.
  return { ended: run().catch(() => {}) }
}

async function probe(client: Client): Promise<number> {
  const started = performance.now()
  await client.query('select 1')
  return performance.now() - started
}

const middle = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

/** Bytes per second that may pass, by what is told of latency. */
export class Pace {
  readonly #clock: Clock
  readonly #wait: (ms: number) => Promise<void>
  /** Undefined: as fast as it goes. */
  #limit: number | undefined
  /** Bytes per millisecond. */
  #fastest = 0
  #since: number
  #bytes = 0
  /** When the bytes that have passed would all have passed at this pace. */
  #due = 0

  constructor(clock: Clock = systemClock, wait: (ms: number) => Promise<void> = sleep) {
    this.#clock = clock
    this.#wait = wait
    this.#since = clock.elapsed()
  }

  /** Bytes per millisecond that may pass; undefined: as many as come. */
  get limit(): number | undefined {
    return this.#limit
  }

  pass(bytes: number): Promise<void> | undefined {
    this.#bytes += bytes
    if (this.#limit === undefined) return undefined
    const now = this.#clock.elapsed()
    this.#due = Math.min(Math.max(this.#due, now) + bytes / this.#limit, now + WAIT_MAX_MS)
    return this.#due - now < WAIT_MIN_MS ? undefined : this.#wait(this.#due - now)
  }

  /** @param isSlow  whether others wait clearly longer than usual */
  tell(isSlow: boolean): void {
    const now = this.#clock.elapsed()
    const speed = this.#bytes / Math.max(now - this.#since, 1)
    this.#since = now
    this.#bytes = 0
    this.#fastest = Math.max(this.#fastest, speed)
    if (this.#fastest === 0) return
    if (isSlow) {
      const half = Math.min(this.#limit ?? this.#fastest, this.#fastest) / 2
      this.#limit = Math.max(half, this.#fastest * SLOWEST)
    } else if (this.#limit !== undefined) {
      this.#limit += this.#fastest * STEP
      if (this.#limit > this.#fastest) this.#limit = undefined
    }
  }
}
