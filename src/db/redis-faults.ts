/** What a failure of Redis means, and what may be said of it. */

import { scrub } from '../base/scrub.ts'
import { Late } from './within.ts'

/** Whatever answers is no Redis. */
export class Stranger extends Error {
  override readonly name = 'Stranger'
}

/** What came of something that was asked, as it is counted. `away`: it was not even tried. */
export type RedisResult = 'answered' | 'away' | 'late' | 'lost' | 'unfit' | 'refused'

/**
 * Full, read-only, loading, stuck in a script, unable to write to its disk, cut off from its primary, locked: of no use
 * to anybody now. What a script runs into has its code inside of the text, up to Redis 6.
 */
const UNFIT =
  /(?:^|-)(OOM|READONLY|LOADING|BUSY|MISCONF|MASTERDOWN|NOREPLICAS|CLUSTERDOWN|NOAUTH|WRONGPASS)(?= )/

/**
 * `refused` is of this one thing: a key that holds something else, a script with a fault, a right that is missing, code
 * of the caller that throws. After everything else the connection is in doubt.
 */
export function resultOf(error: unknown): Exclude<RedisResult, 'answered' | 'away'> {
  if (error instanceof Late) return 'late'
  if (isReply(error)) return UNFIT.test(error.message) ? 'unfit' : 'refused'
  return isLost(error) ? 'lost' : 'refused'
}

/** Why, in Redis' words or the system's: without keys, values or a password. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'something that is not an Error was thrown'
  // "unknown command, with args beginning with: …" quotes the arguments.
  if (isReply(error)) return scrub(error.message.replace(/,? with args beginning with.*/s, ''))
  if (error instanceof Late || error instanceof Stranger || isLost(error))
    return scrub(error.message || codeOf(error) || error.name)
  // Of code that reads what was stored: "Unexpected token … in …" quotes it.
  return error.name
}

/** An answer that is an error. */
interface ReplyError extends Error {
  readonly name: 'ReplyError'
}

const isReply = (error: unknown): error is ReplyError => error instanceof Error && error.name === 'ReplyError'

/** The command was not sent, or its connection ended before the answer came. */
const isLost = (error: unknown): boolean =>
  error instanceof Error &&
  (codeOf(error) !== undefined || /^(Connection is closed|Stream isn't writeable)/.test(error.message))

/** Of the system, as ECONNREFUSED; an AggregateError of several addresses has no other text. */
function codeOf(error: Error): string | undefined {
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** The script is not among those that Redis has: it was started anew, or told to forget them. */
export const isForgotten = (error: unknown): boolean => isReply(error) && error.message.startsWith('NOSCRIPT')
