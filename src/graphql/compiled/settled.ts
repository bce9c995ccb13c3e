/** Thrown where an operation that writes has ended without an answer: it must not run again. */

import { GatewayError, isGatewayError } from '../../base/errors.ts'
import { sqlState } from '../../db/connection.ts'

export class Settled extends Error {
  override readonly name = 'Settled'
  /** What the client is told. */
  readonly error: Error

  constructor(error: Error) {
    super(error.message, { cause: error })
    this.error = error
  }
}

/**
 * After these it is not known that nothing was kept. An answer of too many bytes is one that came: QUERY_TOO_COMPLEX.
 */
const DOUBTS: readonly string[] = ['INTERNAL_SERVER_ERROR', 'OUTCOME_UNKNOWN', 'QUERY_TOO_COMPLEX']

/** Whether a batch that failed with `error` has certainly had no effect: Postgres refused it, or never got it. */
export function isUndone(error: unknown): boolean {
  return isGatewayError(error) ? !DOUBTS.includes(error.code) : sqlState(error) !== undefined
}

/** For a write that was kept and whose row cannot be written out. */
export function unanswerable(cause: unknown): GatewayError {
  const message = 'The change was kept, and its answer cannot be given.'
  return new GatewayError('OUTCOME_UNKNOWN', message, {}, { cause })
}
