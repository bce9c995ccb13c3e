/** The keys of `shards.config.json` that say which shards there are, and which tenants are to be where. */

import { z } from 'zod'
import { share, tenantLimits } from './config-limits.ts'

export const shardKey = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,30}$/, 'wanted a shard name: a-z first, then up to 30 of a-z, 0-9 and "-"')
export const databaseUrl = z
  .string()
  .regex(/^(postgres(ql)?:\/\/.+|embedded)$/, {
    message: 'wanted postgres://user:password@host:port/database, or "embedded"',
    abort: true,
  })
  .refine((value) => value === 'embedded' || URL.canParse(value), {
    message: 'wanted a URL; a "/", "@", ":" or "#" in a password is written as %2F, %40, %3A, %23',
  })
const isolation = z.enum(['shared', 'schema', 'database'])
export const milliseconds = (fallback: number, max = 600_000) => z.int().min(1).max(max).default(fallback)
export const count = (fallback: number, max: number) => z.int().min(1).max(max).default(fallback)

export const shard = z.strictObject({
  url: databaseUrl.describe('Connection string of the app role: the gateway serves tenants with it.'),
  ownerUrl: databaseUrl
    .optional()
    .describe('Connection string of the owner role: migrations and the operator commands.'),
  moverUrl: databaseUrl
    .optional()
    .describe('Connection string of the mover role: imports and moves of tenants; never given to a gateway.'),
  weight: z.number().min(0).max(1000).default(1).describe('Share of tenants and buckets; 0 takes none.'),
  drain: z
    .boolean()
    .default(false)
    .describe('Whether "shardgate plan" moves everybody away from it; it takes nobody new.'),
  plans: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Plans whose tenants "shardgate plan" may leave or put here; left out, all.'),
  isolations: z
    .array(isolation)
    .min(1)
    .optional()
    .describe('Isolation models that "shardgate plan" may leave or put here; left out, all.'),
  capacity: z
    .strictObject({
      tenants: z.int().min(0).optional().describe('Tenants that "shardgate plan" puts here at most.'),
      bytes: z
        .int()
        .min(0)
        .optional()
        .describe('Bytes of tables and indexes that "shardgate plan" fills it up to.'),
    })
    .default({}),
  readConnections: count(3, 64).describe('Pipelined connections that short reads share.'),
  readDepth: count(16, 256).describe('Reads in flight on one pipelined connection, at most.'),
  slowConnections: count(3, 64).describe('Connections for reads that take long, one at a time on each.'),
  writeConnections: count(8, 256).describe('Connections for mutations, one each.'),
  overflowConnections: z
    .int()
    .min(0)
    .max(256)
    .default(4)
    .describe('Connections for mutations on top, one for each tenant that has none; closed when idle.'),
  databaseConnections: count(32, 1_000).describe(
    "Connections to databases that are a tenant's own, all of them together.",
  ),
  databaseIdleMs: milliseconds(60_000).describe(
    "Milliseconds after which the unused connections to a tenant's own database are closed.",
  ),
  connectMs: milliseconds(2_000, 60_000).describe('Milliseconds to wait for a new connection.'),
  maxAgeMinutes: z
    .int()
    .min(0)
    .max(10_080)
    .default(60)
    .describe('Minutes, give or take a tenth, after which a connection is replaced; 0 keeps it.'),
  pingAfterMs: z
    .int()
    .min(1_000)
    .max(3_600_000)
    .default(30_000)
    .describe('Milliseconds without an answer after which a connection is tried before it is used.'),
})

export const plan = z.strictObject({
  isolation: isolation.default('shared').describe('How a new tenant of this plan is kept on its shard.'),
  limits: tenantLimits.default({}).describe('How much each of its tenants may ask for; left out, no limit.'),
  share,
})

export const pin = z
  .strictObject({
    shard: shardKey.optional().describe('Where "shardgate plan" puts and keeps it.'),
    isolation: isolation.optional().describe('How it is to be kept there.'),
  })
  .refine(({ shard, isolation }) => shard !== undefined || isolation !== undefined, {
    message: 'wanted a shard, an isolation or both',
  })

export const moves = z.strictObject({
  pauseMs: milliseconds(500, 60_000).describe(
    'Milliseconds that the writes of a moving tenant may be held; a move that would take longer opens the source again.',
  ),
  stillMs: milliseconds(6, 60_000).describe(
    'Milliseconds of predicted copying up to which the rows are copied while writes are held, without replication.',
  ),
  windowMinutes: z
    .int()
    .min(0)
    .max(10_080)
    .default(60)
    .describe('Minutes in which a move can be rolled back by what was written since.'),
  windows: count(4, 1_000).describe(
    'Moves that can be rolled back at once on one shard, a replication slot each; the oldest is completed for a new one.',
  ),
  atOnce: count(2, 64).describe('Moves at the same time, over all shards.'),
  perShard: count(1, 64).describe('Moves at the same time that read or write one shard.'),
  leaseMs: milliseconds(5_000, 600_000).describe(
    'Milliseconds after which another runner may take over a move whose runner is silent.',
  ),
  holdMs: milliseconds(5_000, 60_000).describe(
    'Milliseconds that a gateway holds a request of a tenant that is just being moved.',
  ),
  holdRequests: count(1_000, 100_000).describe('Requests that a gateway holds at once.'),
})
