/** What somebody is told who wants to take units: granted, or why not and until when, and what is left. */

import type { LimitReason } from '../../base/events.ts'
import type { Meter } from './counts.ts'

export interface Granted {
  readonly ok: true
}

export interface Refused {
  readonly ok: false
  readonly reason: LimitReason
  readonly asked: number
  readonly limit: number
  readonly left: number
  /** Whole seconds until it may be granted; undefined where it never will: it is more than the whole limit. */
  readonly retryS?: number
}

export type Verdict = Granted | Refused

/** What is left as far as a gateway knows; infinite where there is no such limit. */
export interface Left {
  readonly minute: number
  readonly month: number
  /** Seconds until some of the minute comes back; 0 where nothing of it is used. */
  readonly resetS: number
  /** Seconds until the month is over. */
  readonly monthS: number
}

export const GRANTED: Granted = Object.freeze({ ok: true })

const METER_NAMES = ['requests', 'cost'] as const

interface Refusal {
  /** Of the minute, or of the month. */
  readonly reason: Meter | 'month'
  readonly asked: number
  readonly limit: number
  readonly left: number
  /** Milliseconds until it may be granted. */
  readonly inMs: number
}

export function refused({ reason, asked, limit, left, inMs }: Refusal): Refused {
  return {
    ok: false,
    reason: reason === 'month' ? reason : METER_NAMES[reason],
    asked,
    limit,
    left: Math.max(0, Math.min(left, limit)),
    ...(asked <= limit && { retryS: secondsOf(inMs) }),
  }
}

/** Whole seconds, at least one: who comes again must not come too early. */
export function secondsOf(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000))
}
