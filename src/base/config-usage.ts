/** The keys of `shards.config.json` that say how usage is metered. */

import { z } from 'zod'
import { count, milliseconds } from './config-fleet.ts'

export const usage = z.strictObject({
  meter: z.boolean().default(true).describe('Whether a gateway counts what tenants use.'),
  flushMs: milliseconds(5_000, 60_000).describe(
    'Milliseconds between two writes to the ledger: what a gateway that is killed has counted since then is lost.',
  ),
  hoursDays: count(62, 3_650).describe(
    'Days for which usage is kept by hour; months are kept for as long as the tenant.',
  ),
})
