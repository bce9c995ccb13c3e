/** Thrown where an operation that writes has ended without an answer: it must not run again. */

import { GatewayError, isGatewayError } from '../../base/errors.ts'
import { sqlState } from '../../db/connection.ts'
import { isRefusedAtOnce } from '../../shards/failures.ts'
import { StepBack } from './step-back.ts'

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

/**
 * Run a write, and make its answer.
 *
 * @throws StepBack  nothing was kept
 * @throws Settled   it must not run again
 */
export async function written<T>(write: () => Promise<T>, answer: (result: T) => string): Promise<string> {
  const result = await write().catch((error: unknown) => {
    throw isUndone(error) && !isRefusedAtOnce(error) ? new StepBack() : new Settled(error as Error)
  })
  try {
    return answer(result)
  } catch (cause) {
    const message = 'The change may have been kept; its answer cannot be given.'
    throw new Settled(new GatewayError('OUTCOME_UNKNOWN', message, {}, { cause }))
  }
}
