/** The keys of `metrics`. */

import { z } from 'zod'

/** Series of tenants at once: each is two lines of every scrape of every gateway. */
const TOP_TENANTS_MAX = 100

export const metrics = z.strictObject({
  topTenants: z
    .int()
    .min(0)
    .max(TOP_TENANTS_MAX)
    .default(0)
    .describe(
      'Tenants with metrics of their own, the busiest of the last minutes; all others together are "other". 0: none.',
    ),
})
