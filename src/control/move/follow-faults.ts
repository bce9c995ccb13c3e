/** Why changes can no longer be followed, in sentences. */

import { fail, isGatewayError } from '../../base/errors.ts'
import { sqlState } from '../../db/client.ts'
import { reasonOf } from '../reach.ts'

/** @throws what has ended a stream of a shard, in a sentence */
export function noLonger(cause: unknown, key: string): never {
  if (isGatewayError(cause)) throw cause
  const state = sqlState(cause)
  // The slot is not there, or was given up by the server because it kept too much (max_slot_wal_keep_size).
  if (state === '42704' || state === '55000') return lostSlot(key, cause)
  const sentence = `The changes of ${key} can no longer be followed: ${reasonOf(cause)}.`
  return fail('SHARD_UNAVAILABLE', sentence, { shard: key }, { cause })
}

/** @throws REFUSED */
export function lostSlot(key: string, cause?: unknown): never {
  const sentence = `${key} has not kept the changes that were to follow${cause === undefined ? '' : ` (${reasonOf(cause)})`}.`
  const hint = 'The move has to be made anew; if the server gave the slot up, raise max_slot_wal_keep_size.'
  return fail('REFUSED', sentence, { shard: key }, { cause, hint })
}

/** What `work` throws. */
export function caught(work: () => never): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}
