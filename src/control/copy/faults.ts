/** What a failure of a copy says to a person. */

import { fail, isGatewayError } from '../../base/errors.ts'
import { sqlState } from '../../db/client.ts'
import { reasonOf } from '../reach.ts'

/** Run `work`; what the disk, the network or Postgres refuses becomes a sentence about `what`. */
export async function explained<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (isGatewayError(error)) throw error
    return tell(what, error)
  }
}

const FULL: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of the disk is used up',
  EFBIG: 'the file may not grow any more',
}

function tell(what: string, cause: unknown): never {
  const code = (cause as NodeJS.ErrnoException | null)?.code ?? ''
  const full = FULL[code]
  if (full !== undefined) {
    const hint = 'Make room there, then go on: "shardgate operation list".'
    return fail('SETUP_FAILED', `${what} was not finished: ${full}.`, {}, { cause, hint })
  }
  if (/^E[A-Z]+$/.test(code) && (cause as NodeJS.ErrnoException).path !== undefined) {
    return fail('SETUP_FAILED', `${what} was not finished: ${reasonOf(cause)}.`, {}, { cause })
  }
  const state = sqlState(cause)
  if (state === '42501') {
    const hint = 'Run "shardgate setup" again: it grants what this release needs.'
    return fail('SETUP_FAILED', `${what} was not finished: ${reasonOf(cause)}.`, {}, { cause, hint })
  }
  // Class 22, data that are wrong, and class 23, constraints that they break: the rows are refused.
  if (state?.startsWith('22') || state?.startsWith('23')) {
    return fail('REFUSED', `${what} was refused by Postgres: ${reasonOf(cause)}.`, {}, { cause })
  }
  if (isLost(cause, state)) {
    const hint = 'Go on once the server is there: "shardgate operation list".'
    return fail('SHARD_UNAVAILABLE', `${what} was cut off: ${reasonOf(cause)}.`, {}, { cause, hint })
  }
  throw cause
}

// Class 57 and 08: somebody has ended the session, or the server goes down.
function isLost(error: unknown, state: string | undefined): boolean {
  if (state?.startsWith('57P') || state?.startsWith('08')) return true
  return /connection (terminated|ended)|ECONNRESET|EPIPE|not queryable/i.test(reasonOf(error))
}
