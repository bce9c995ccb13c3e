/** The key `redis` of `shards.config.json`: what gateways share, where there is a Redis. */

import { z } from 'zod'
import { milliseconds } from './config-fleet.ts'

export const redis = z.strictObject({
  url: z
    .string()
    .regex(/^rediss?:\/\/.+/, {
      message: 'wanted redis://user:password@host:port (rediss:// for TLS), here or in REDIS_URL',
      abort: true,
    })
    .refine((value) => URL.canParse(value), {
      message: 'wanted a URL; a "/", "@", ":" or "#" in a password is written as %2F, %40, %3A, %23',
    })
    .optional()
    .describe(
      'Redis or Valkey that the gateways share; the environment variable REDIS_URL where it is left out. Without one, limits and cache are of each process.',
    ),
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9][\w-]{0,63}$/, 'wanted up to 64 of letters, digits, "-" and "_"')
    .default('shardgate')
    .describe('What each key and channel begins with; fleets that share a Redis have different ones.'),
  commandMs: milliseconds(50, 1_000).describe(
    'Milliseconds after which an answer of Redis is not waited for any longer.',
  ),
})
