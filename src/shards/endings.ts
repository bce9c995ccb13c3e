/** How a transaction ends: in time, kept, or without anybody knowing. */

import { fail, GatewayError } from '../base/errors.ts'
import type { Deadline } from '../base/time.ts'
import type { Connection } from '../db/connection.ts'
import { isAnswerLost } from './failures.ts'
import { COMMIT } from './fence.ts'

/** Work of an extension may wait for ever; its connection may not. COMMIT has not been sent, so nothing was kept. */
export async function inTime<T>(work: Promise<T>, deadline: Deadline): Promise<T> {
  const late = Promise.withResolvers<never>()
  const error = new GatewayError('TIMEOUT', 'The operation did not end in time; nothing was kept.')
  const timer = setTimeout(() => late.reject(error), deadline.remainingMs() + GRACE_MS)
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

const GRACE_MS = 250

/** From the moment COMMIT is sent, only its answer tells whether the changes were kept. */
export async function commit(connection: Connection, deadline: Deadline): Promise<void> {
  const results = await connection.batch([COMMIT], deadline).catch((error: unknown) => {
    if (isAnswerLost(error)) return outcomeUnknown(error)
    throw error
  })
  // COMMIT of a transaction in which a statement has failed succeeds with the tag ROLLBACK.
  if (results[0]?.tag !== 'COMMIT') fail('CONFLICT', 'The database did not keep the changes.')
}

export function outcomeUnknown(cause: unknown): never {
  const message = 'The connection was lost before the database confirmed the change.'
  return fail('OUTCOME_UNKNOWN', message, {}, { cause })
}
