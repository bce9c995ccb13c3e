/** Which of several pipelined connections the next batch goes to. */

import type { Connection } from './connection.ts'

/** The one with the least to do of those that suit; undefined when none does. @param depth  batches in flight, at most */
export function leastLoaded(
  connections: readonly Connection[],
  depth: number,
  suits: (connection: Connection) => boolean = () => true,
): Connection | undefined {
  let least: Connection | undefined
  for (const connection of connections) {
    if ((!least || loadOf(connection, depth) < loadOf(least, depth)) && suits(connection)) least = connection
  }
  return least
}

/**
 * Batches that leave together are one write and one read for both sides, so that a few more on one connection are less
 * work than the same on several. Not on one that is full: others may have room.
 */
const TOGETHER = 4

function loadOf({ inFlight, isLoading }: Connection, depth: number): number {
  return inFlight >= depth ? Number.POSITIVE_INFINITY : inFlight - (isLoading ? TOGETHER : 0)
}
