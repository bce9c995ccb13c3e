/**
 * Time, passed in: tests own the clock, and no timer hides in a module.
 *
 * A deadline is one moment for a whole request; every wait below it asks for what is left rather
 * than bringing a timeout of its own.
 */

import type { Witness } from './witness.ts'

export interface Clock {
  /** Wall time in milliseconds since 1970: for tokens and for people, never for measuring. */
  now(): number
  /** Milliseconds that only ever grow: for deadlines, ages and durations. */
  elapsed(): number
}

export const systemClock: Clock = Object.freeze({
  now: () => Date.now(),
  elapsed: () => performance.now(),
})

export interface Deadline {
  /** Milliseconds left; 0 when it has passed, never negative. */
  remainingMs(): number
  /**
   * Calls `tell` when nobody waits for the outcome any more: the client has hung up. Left out where nobody knows.
   *
   * @returns what takes that back
   */
  whenGone?(tell: () => void): () => void
  /** Milliseconds that one statement may take, where that is less. */
  readonly statementMs?: number | undefined
  /** Of the request that has this deadline; left out where there is none. */
  readonly requestId?: string
  /** Hears of the statements that run for that request, if anybody wants to. */
  readonly witness?: Witness | undefined
}

export function deadlineIn(ms: number, clock: Clock = systemClock): Deadline {
  const end = clock.elapsed() + ms
  return { remainingMs: () => Math.max(0, end - clock.elapsed()) }
}

/** Whether nobody waits for the outcome any more. */
export function isGone(deadline: Deadline): boolean {
  let gone = false
  const stay = deadline.whenGone?.(() => {
    gone = true
  })
  stay?.()
  return gone
}

/** Wait until `work` has ended, whichever way, but `ms` milliseconds at most. No timer stays behind to keep a process alive. */
export async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  const over = new AbortController()
  const ended = work.then(
    () => over.abort(),
    () => over.abort(),
  )
  await Promise.race([ended, sleep(ms, over.signal)])
}

/** Wait `ms` milliseconds; an aborted `signal` ends the wait early without an error. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done, { once: true })
  })
}
