/**
 * The keys of `shards.config.json` that say how much the tenants of a plan may ask for. A tenant may have limits of its
 * own over those of its plan: the same keys, in the directory (`shardgate tenant set acme --limit depth=8`).
 */

import { z } from 'zod'

const most = (max: number) => z.int().min(1).max(max).optional()

export const tenantLimits = z.strictObject({
  requestsPerMinute: most(1_000_000_000).describe('Requests in any 60 seconds, over all gateways.'),
  costPerMinute: most(1_000_000_000_000).describe('Cost of operations in any 60 seconds, over all gateways.'),
  requestsPerMonth: most(1_000_000_000_000).describe('Requests in a month of the calendar, in UTC.'),
  costPerMonth: most(1_000_000_000_000_000).describe(
    'Cost of operations in a month of the calendar, in UTC.',
  ),
  concurrency: most(100_000).describe('Requests that each gateway works on at once.'),
  depth: most(100).describe('Nesting of fields, fragments followed.'),
  aliases: most(1_000).describe('Aliases in one operation, fragments followed.'),
  rootFields: most(1_000).describe('Fields at the top of one operation, fragments followed.'),
  documentTokens: most(100_000).describe('Lexical tokens of a document.'),
  pageSize: most(10_000).describe('Largest "first" or "last".'),
  rows: most(1_000_000).describe('Rows in one answer, as limits.rows counts them.'),
  answerBytes: most(268_435_456).describe('Bytes of the values in one answer, as limits.answerBytes counts.'),
  statementMs: most(600_000).describe('Milliseconds for one statement of Postgres.'),
})

/** What is left out is not limited here; a document is within `limits` of the configuration in any case. */
export type Limits = Readonly<z.output<typeof tenantLimits>>

export type LimitName = keyof Limits

export const LIMIT_NAMES = Object.keys(tenantLimits.shape) as readonly LimitName[]

/** Of a plan in the configuration. */
export const share = z
  .number()
  .min(0.01)
  .max(1_000)
  .default(1)
  .describe("Weight of each tenant in a shard's line while there is more to do than the shard can.")
