/**
 * The still path: few rows, copied and compared while writes are held. Nothing is followed, and there is no way back but
 * another move.
 */

import { movesOf } from '../reach.ts'
import { cutOver, patiently } from './cutover.ts'
import { sourceOf, targetOf } from './moving.ts'
import { prepareCopy } from './prepare-copy.ts'
import { finish } from './settle.ts'
import { type Sides, withSides } from './sides.ts'
import { type TargetSequences, withSequences } from './target-sequences.ts'
import type { MoveRecord, Moving } from './types.ts'
import { verifyFrozen } from './verify.ts'

/** S4 ▶ S7 */
export function cutOverStill(moving: Moving): Promise<MoveRecord> {
  return patiently(moving, async (attempt) => {
    const copy = await prepareCopy(moving)
    try {
      return await withSides(moving, (sides) =>
        withSequences(moving.target, (sequences) => change(moving, { copy, sides, sequences, attempt })),
      )
    } finally {
      await copy.end()
    }
  })
}

interface Prepared {
  readonly copy: Awaited<ReturnType<typeof prepareCopy>>
  readonly sides: Sides
  readonly sequences: TargetSequences
  readonly attempt: number
}

function change(moving: Moving, { copy, sides, sequences, attempt }: Prepared): Promise<MoveRecord> {
  let trees: Awaited<ReturnType<typeof verifyFrozen>> = []
  return cutOver(moving, {
    from: sourceOf(moving),
    to: targetOf(moving),
    mark: `frozen ${moving.record.token} ${attempt}`,
    budgetMs: movesOf(moving.fleet).pauseMs,
    whileFrozen: async () => {
      await copy.run()
      trees = await verifyFrozen(moving, sides)
      await sequences.raise()
    },
    opened: (relocated, pauseMs) => finish(relocated, { moment: 'cutover', mark: null, trees }, pauseMs),
  })
}
