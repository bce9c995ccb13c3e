/**
 * Raising the sequences of a target above the numbers that came in, also while writes are held.
 *
 * What they draw from is looked up before, and so is how far they have come. Then one statement of the mover's asks for
 * numbers above that, which an index answers: mostly there are none. Only where there are, the owner raises.
 */

import type { Client } from '../../db/client.ts'
import { hold, type OnClient } from '../copy/lanes.ts'
import { drawnOf, numbersAbove, positionsOf, raiseTo } from '../copy/sequences.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import { tablesOf } from '../copy/tables.ts'
import { asMover } from '../copy/target.ts'
import { onHome } from '../reach.ts'

export interface TargetSequences {
  /**
   * As often as wanted: before writes are held for all rows that came by then, and again for the last ones.
   *
   * @throws REFUSED  a number would use up nearly all that a sequence has
   */
  raise(): Promise<void>
  end(): Promise<void>
}

/**
 * Get ready to raise the sequences of the target, on connections that stay open until `end`, and raise them for the
 * rows that are there.
 */
export async function prepareSequences(target: Whereabouts): Promise<TargetSequences> {
  const asOwner: OnClient = (work) => onHome(target.shard, target.home, work)
  const { clients, end } = await hold([asOwner, asMover(target)])
  const [owner, mover] = clients as [Client, Client]
  try {
    await mover.query('set row_security = off')
    const drawn = await drawnOf(owner, await tablesOf(owner, target))
    const positions = await positionsOf(owner, drawn)
    const raise = async (): Promise<void> => {
      const numbers = await numbersAbove(mover, target.tenant, drawn, positions)
      await raiseTo(owner, numbers)
      for (const [one, last] of numbers) positions[drawn.indexOf(one)] = last
    }
    await raise()
    return { raise, end }
  } catch (error) {
    await end()
    throw error
  }
}

/** Get ready to raise the sequences of a home while `work` runs. */
export async function withSequences<T>(
  where: Whereabouts,
  work: (sequences: TargetSequences) => Promise<T>,
): Promise<T> {
  const sequences = await prepareSequences(where)
  try {
    return await work(sequences)
  } finally {
    await sequences.end()
  }
}
