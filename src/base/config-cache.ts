/** The key `cache` of `shards.config.json`: answers of which tables are kept, for how long, and how many. */

import { z } from 'zod'

const table = z.strictObject({
  ttlMs: z
    .int()
    .min(1)
    .max(86_400_000)
    .describe('Milliseconds for which an answer may be given again, counted from when it began to be read.'),
})

export const cache = z.strictObject({
  tables: z
    .record(z.string().regex(/^[^.]+\../, 'wanted schema and table, for example "app.countries"'), table)
    .default({})
    .describe(
      'Tables whose answers may be kept, by "schema.table". A query is kept when all tables that it reads are among them.',
    ),
  entries: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(20_000)
    .describe('Answers kept in the memory of a gateway, at most.'),
  bytes: z
    .int()
    .min(1)
    .max(68_719_476_736)
    .default(67_108_864)
    .describe('Bytes of the answers kept in the memory of a gateway, at most.'),
  answerBytes: z
    .int()
    .min(1)
    .max(268_435_456)
    .default(262_144)
    .describe('Bytes of the largest answer that is kept.'),
  secret: z
    .string()
    .min(32, 'wanted 32 characters or more')
    .optional()
    .describe(
      'Signs what lies in Redis, so that whoever can write there cannot make up answers. Write "${CACHE_SECRET}", never the secret.',
    ),
})

export type CacheConfig = z.output<typeof cache>
