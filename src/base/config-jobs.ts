/** The keys of `shards.config.json` that say how jobs of extensions are run. */

import { z } from 'zod'
import { count, milliseconds } from './config-fleet.ts'

export const jobs = z.strictObject({
  workers: z
    .int()
    .min(0)
    .max(64)
    .default(2)
    .describe('Jobs that a gateway runs at once; with 0 only "shardgate jobs work" runs them.'),
  pollMs: milliseconds(1_000, 60_000).describe('Milliseconds between two looks for jobs that are due.'),
  keepDays: count(7, 365).describe(
    'Days for which jobs that have ended are kept, for "shardgate jobs list".',
  ),
})
