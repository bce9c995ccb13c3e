/**
 * The shape of `shards.config.json`: the only place that knows which keys there are, what they
 * default to and in which unit, together with config-fleet.ts. The JSON Schema for editors is printed from it.
 */

import { z } from 'zod'
import { cache } from './config-cache.ts'
import { count, databaseUrl, milliseconds, moves, pin, plan, shard, shardKey } from './config-fleet.ts'
import { jobs } from './config-jobs.ts'
import { metrics } from './config-metrics.ts'
import { redis } from './config-redis.ts'
import { usage } from './config-usage.ts'

const issuer = z
  .strictObject({
    issuer: z.string().min(1).describe('The "iss" that a token must carry.'),
    audience: z.string().min(1).describe('The "aud" that a token must carry.'),
    algorithms: z
      .array(
        z.enum(['HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'ES256', 'ES384', 'EdDSA']),
      )
      .min(1),
    secrets: z
      .array(z.string().min(1))
      .default([])
      .describe(
        'Shared secrets of 32 bytes or more, newest first; several for rotation. Write "${JWT_SECRET}", never the secret.',
      ),
    jwksUrl: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('Where the public keys are served.'),
    jwksFile: z.string().min(1).optional().describe('A local file of public keys, relative to this file.'),
    tenantClaim: z
      .string()
      .min(1)
      .default('tenant_id')
      .describe('Path of the claim that names the tenant: "tenant_id", "org.id".'),
    rolesClaim: z.string().min(1).default('roles').describe('Path of the claim that lists the roles.'),
    defaultRole: z
      .enum(['viewer', 'member', 'admin'])
      .optional()
      .describe('Role of a token that names none; without it such a token may do nothing.'),
    type: z
      .string()
      .min(1)
      .optional()
      .describe('The "typ" header that a token must carry, for example "at+jwt".'),
    maxAgeS: z.int().min(1).optional().describe('Seconds since "iat" after which a token is refused.'),
    clockToleranceS: z
      .int()
      .min(0)
      .max(300)
      .default(5)
      .describe('Seconds of clock difference that are forgiven.'),
  })
  .refine((value) => value.secrets.length > 0 || value.jwksUrl || value.jwksFile, {
    message: 'wanted one of secrets, jwksUrl and jwksFile',
  })

const limits = z.strictObject({
  bodyBytes: count(262_144, 67_108_864).describe('Bytes of a request body.'),
  bodyValues: count(20_000, 10_000_000).describe(
    'Members of objects and items of lists in the JSON of a request, together.',
  ),
  documentTokens: count(1_000, 100_000).describe('Lexical tokens of a document.'),
  depth: count(12, 100).describe('Nesting of fields, fragments followed.'),
  aliases: count(30, 1_000).describe('Aliases in one operation, fragments followed.'),
  rootFields: count(20, 1_000).describe('Fields at the top of one operation, fragments followed.'),
  pageSize: count(100, 10_000).describe('Largest "first" or "last".'),
  pageSizeDefault: count(20, 10_000).describe('Rows of a list that asks for no number.'),
  rows: count(10_000, 1_000_000).describe(
    'Rows in one answer, of lists and of relations together; the same row in two places counts twice.',
  ),
  answerBytes: count(10_485_760, 268_435_456).describe(
    'Bytes of the values in one answer, each counted wherever it stands.',
  ),
  requestMs: milliseconds(10_000).describe(
    'Milliseconds for one request, from its first byte to its answer.',
  ),
})

const documents = z
  .strictObject({
    apq: z
      .boolean()
      .default(true)
      .describe('Whether a client may send a hash in place of a text that it has sent before (APQ).'),
    trusted: z
      .array(
        z.strictObject({
          file: z
            .string()
            .min(1)
            .describe('A manifest of documents: JSON of id and text, relative to this file.'),
          ids: z
            .enum(['sha256', 'opaque'])
            .default('sha256')
            .describe('Whether each id must be the SHA-256 of its text, or is any name.'),
        }),
      )
      .default([]),
    trustedOnly: z
      .boolean()
      .default(false)
      .describe('Whether documents that no manifest holds are refused, in development too.'),
  })
  .refine(({ trusted, trustedOnly }) => !trustedOnly || trusted.length > 0, {
    message: 'wanted a manifest, as nothing else is to be answered',
    path: ['trusted'],
  })

const tableId = z.string().regex(/^[^.]+\../, 'wanted schema and table, for example "app.countries"')
const graphqlName = z
  .string()
  .regex(/^(?!__)[_A-Za-z][_0-9A-Za-z]*$/, 'wanted a GraphQL name: letters, digits and _')
const deprecated = z.string().min(1).describe('Why it should no longer be used.').optional()
const omit = z
  .union([z.literal(true), z.array(z.enum(['create', 'update', 'delete', 'filter', 'order']))])
  .describe('Leave it out of the API: altogether, or of these parts.')
  .optional()
const tableSettings = z.strictObject({
  name: graphqlName.describe('Singular name in the API, for example "Ticket".').optional(),
  omit,
  deprecated,
  columns: z
    .record(z.string(), z.strictObject({ name: graphqlName.optional(), omit, deprecated }))
    .default({})
    .describe('By the name of the column.'),
  relations: z
    .record(
      z.string(),
      z.strictObject({
        name: graphqlName.describe('Field on this table.').optional(),
        inverseName: graphqlName.describe('Field on the table that the foreign key points to.').optional(),
        omit: z.literal(true).optional(),
        deprecated,
      }),
    )
    .default({})
    .describe('By the name of the foreign key.'),
})

export const configFile = z.strictObject({
  $schema: z.string().optional(),
  tenancy: z
    .strictObject({
      column: z
        .string()
        .min(1)
        .max(63)
        .default('tenant_id')
        .describe('Column that holds the tenant id in each table.'),
      schemas: z
        .array(z.string().min(1).max(63))
        .min(1)
        .default(['public'])
        .describe('Postgres schemas whose tables are served; migrations run in the first.'),
      global: z
        .array(tableId)
        .default([])
        .describe('Tables without the tenant column that every tenant may read: "app.countries".'),
      tables: z
        .record(tableId, tableSettings)
        .default({})
        .describe('Names, omissions and deprecations of single tables; they win over smart comments.'),
    })
    .prefault({}),
  directory: z.strictObject({
    url: databaseUrl.describe('Connection string of the directory database.'),
    cacheTenants: count(10_000, 1_000_000).describe('Placements kept in memory.'),
    cacheMs: milliseconds(30_000).describe(
      'Milliseconds after which a placement is read again in the background.',
    ),
  }),
  router: z
    .strictObject({
      strategy: z
        .enum(['modulo', 'directory'])
        .default('modulo')
        .describe(
          'How a new tenant finds its shard: by hash into buckets, or to the shard with the most room.',
        ),
      buckets: z
        .int()
        .min(1)
        .max(65_536)
        .default(256)
        .describe(
          'Virtual buckets of the modulo strategy; once tenants exist, changed by "shardgate apply".',
        ),
      assign: z
        .record(
          z.string().regex(/^\d{1,5}(-\d{1,5})?$/, 'wanted a bucket or a range of them: "7" or "0-63"'),
          shardKey,
        )
        .default({})
        .describe(
          'Shards that buckets are to be on, by the number of a bucket or a range: {"0-63": "shard-a"}.',
        ),
    })
    .prefault({}),
  shards: z
    .record(shardKey, shard)
    .refine((value) => Object.keys(value).length > 0, { message: 'wanted at least one shard' }),
  tokens: z.array(issuer).min(1).describe('Who may issue tokens.'),
  limits: limits.prefault({}),
  http: z
    .strictObject({
      corsOrigins: z
        .array(z.string().min(1))
        .default([])
        .describe('Origins that browsers may call from, exactly as they send them.'),
      baseDomain: z
        .string()
        .regex(/^[a-z0-9.-]+$/, 'wanted a domain in small letters, for example "api.example.com"')
        .optional()
        .describe('Domain under which each tenant has its subdomain, for example "api.example.com".'),
      compiledLane: z
        .boolean()
        .default(true)
        .describe(
          'Whether operations made of table fields run as compiled plans; without it resolvers run them all.',
        ),
      drainMs: milliseconds(2_000).describe(
        'Milliseconds of serving on after the first SIGTERM, so that balancers notice.',
      ),
      stopMs: milliseconds(15_000).describe(
        'Milliseconds after which a stopping gateway gives up on open requests.',
      ),
    })
    .prefault({}),
  documents: documents.prefault({}),
  plans: z.record(z.string().min(1), plan).default({}).describe('What tenants are given, by their plan.'),
  pins: z
    .record(z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/, 'wanted the id of a tenant'), pin)
    .default({})
    .describe('Tenants that are to be in a place of their own, by their id.'),
  migrations: z
    .string()
    .min(1)
    .default('./migrations')
    .describe('Folder of the migrations of the served tables, relative to this file.'),
  exports: z
    .string()
    .min(1)
    .default('./exports')
    .describe('Folder for exports of tenants, relative to this file.'),
  quarantineDays: z
    .int()
    .min(0)
    .max(3_650)
    .default(30)
    .describe('Days between the offboarding of a tenant and the moment from which it may be purged.'),
  moves: moves.prefault({}),
  jobs: jobs.prefault({}),
  usage: usage.prefault({}),
  redis: redis.prefault({}),
  cache: cache.prefault({}),
  metrics: metrics.prefault({}),
  extensions: z
    .array(z.string().min(1))
    .default([])
    .describe('TypeScript or JavaScript modules that add fields, relative to this file.'),
})

/** What holds of moves where the file says nothing. */
export const MOVE_DEFAULTS: Readonly<z.output<typeof moves>> = moves.parse({})

export type ConfigFile = z.output<typeof configFile>

/** The JSON Schema that `$schema` in the configuration points to. */
export function configJsonSchema(): object {
  return z.toJSONSchema(configFile, { io: 'input' })
}
