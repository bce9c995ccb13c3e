/** Whether the queue could not be asked, in distinction to a question that it refused. */

import { isShardDown } from '../../shards/failures.ts'

/** Of a directory that is down, cut off or too slow: the same may succeed later. */
export function isAway(error: unknown): boolean {
  return isShardDown(error) || (error instanceof Error && LATE.test(error.message))
}

/** pg's own words, which have no code. */
const LATE = /^(Query read timeout|timeout exceeded when trying to connect|Cannot use a pool after)/
