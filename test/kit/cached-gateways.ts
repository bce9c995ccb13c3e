/**
 * Gateways with a cache, as many as a test wants in one process: each has its own door, its own answers and, where
 * there is a Redis, its own connections to it. Both lanes, called as functions.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { type ExecutionResult, execute, type GraphQLSchema, parse } from 'graphql'
import { type CacheConfig, cache as cacheSchema } from '../../src/base/config-cache.ts'
import type { Event } from '../../src/base/events.ts'
import { type Deadline, deadlineIn } from '../../src/base/time.ts'
import { withClient } from '../../src/db/client.ts'
import { openRedis, type Redis } from '../../src/db/redis.ts'
import { createApis } from '../../src/graphql/apis.ts'
import { AnswerCache } from '../../src/graphql/cache/answers.ts'
import type { LaneRequest } from '../../src/graphql/compiled/types.ts'
import type { Extension } from '../../src/graphql/extension.ts'
import { documentParser } from '../../src/graphql/limits/limits.ts'
import { executeInTransaction } from '../../src/graphql/transaction.ts'
import { introspect } from '../../src/model/introspect.ts'
import type { Model } from '../../src/model/types.ts'
import type { Door } from '../../src/shards/door.ts'
import type { Asker } from './api.ts'
import { DEFAULT_LIMITS } from './api.ts'
import { openWorldDoor, type WorldDoor } from './door.ts'
import type { World } from './shard-fixture.ts'

export interface CachedGateway {
  readonly gate: WorldDoor
  readonly cache: AnswerCache
  readonly redis: Redis | undefined
  readonly schema: GraphQLSchema
  readonly model: Model
  readonly events: readonly Event[]
  /** Batches that the door was given to read. */
  readonly reads: number
  /** Hears of each batch of reads when its answer is there, and may keep it waiting. */
  afterRead: () => Promise<void> | void
  /** The answer of the compiled lane, and what the cache said. */
  ask(asker: Asker, query: string, variables?: object, more?: Partial<LaneRequest>): Promise<Asked>
  /** By the compiled lane where it takes it, else by resolvers. */
  write(asker: Asker, mutation: string, variables?: object): Promise<unknown>
  /** By resolvers. */
  resolve(asker: Asker, source: string, variables?: object, idempotencyKey?: string): Promise<ExecutionResult>
  /** From now on; another object each time, as after a reload. */
  configure(config: object): void
  /** As it was at first: nothing is kept, nothing was told. */
  reset(): void
  end(): void
}

export interface Asked {
  readonly text: string | null
  readonly cache: 'hit' | 'miss' | undefined
}

export interface CachedOptions {
  readonly tables?: Readonly<Record<string, { readonly ttlMs: number }>>
  readonly redisUrl?: string | undefined
  /** Of one fleet of gateways. */
  readonly prefix?: string
  readonly config?: Partial<CacheConfig>
  readonly extensions?: readonly Extension[]
}

export const HOUR = { ttlMs: 3_600_000 }
/** All tables of the world. */
export const ALL_TABLES = {
  'app.projects': HOUR,
  'app.tasks': HOUR,
  'app.invoices': HOUR,
  'app.labels': HOUR,
}

export async function openCachedGateway(world: World, options: CachedOptions = {}): Promise<CachedGateway> {
  const { tables = ALL_TABLES, redisUrl, prefix = 'test', extensions = [] } = options
  const gate = await openWorldDoor(world)
  const model = await withClient(world.shards[0]!.appUrl, (client) =>
    introspect(client, { column: 'tenant_id', schemas: [world.schema] }),
  )
  const emit = (event: Event): void => void gate.events.push(event)
  let config = cacheSchema.parse({ tables, ...options.config })
  const redis = redisUrl === undefined ? undefined : openRedis({ url: redisUrl, prefix, commandMs: 50, emit })
  const cache = new AnswerCache({ config: () => config, emit, redis })
  const limits = () => DEFAULT_LIMITS
  let reads = 0
  const door: Door = {
    async batch(tenant, mode, deadline, statements) {
      const results = await gate.door.batch(tenant, mode, deadline, statements)
      if (mode === 'read') {
        reads++
        await gateway.afterRead()
      }
      return results
    },
    withTenant: gate.door.withTenant,
  }
  const parts = { limits, extensions, parse: documentParser(limits), doorFor: () => door, emit, cache }
  const api = createApis(parts)({ id: 'test', model })
  const scopeOf = async ({ id, roles = ['admin'] }: Asker, deadline: Deadline = deadlineIn(10_000)) => {
    const placement = await gate.placements.find(id)
    if (!placement) throw new Error(`there is no tenant ${id}`)
    const identity = { tenant: id, subject: 'test', roles, issuer: 'test', expiresAt: 0 }
    return { identity, placement, requestId: 'test', deadline }
  }
  const resolve: CachedGateway['resolve'] = async (asker, source, variables = {}, idempotencyKey) => {
    const args = {
      schema: api.permissions.schema,
      document: parse(source),
      contextValue: api.contextFor({ ...(await scopeOf(asker)), idempotencyKey }),
      variableValues: { ...variables },
    }
    return /^\s*mutation/.test(source) ? executeInTransaction(execute, args) : execute(args)
  }
  const ask: CachedGateway['ask'] = async (asker, query, variables = {}, more = {}) => {
    const operation = api.lane?.find(query, undefined)
    if (!operation) throw new Error(`the compiled lane does not take ${query}`)
    const request: LaneRequest = {
      ...(await scopeOf(asker)),
      variables: { ...variables },
      idempotencyKey: undefined,
      ...more,
    }
    const text = await operation.run(request)
    if (text !== null && typeof text !== 'string') throw new Error(JSON.stringify(text))
    return { text, cache: request.cache }
  }
  const gateway: CachedGateway = {
    gate,
    cache,
    redis,
    schema: api.permissions.schema,
    model,
    events: gate.events,
    get reads() {
      return reads
    },
    afterRead: () => {},
    ask,
    resolve,
    async write(asker, mutation, variables = {}) {
      if (api.lane?.find(mutation, undefined)) {
        const { text } = await ask(asker, mutation, variables)
        if (text !== null) return JSON.parse(text).data
      }
      const { data, errors } = await resolve(asker, mutation, variables)
      if (errors?.[0]) throw errors[0]
      return data
    },
    configure: (next) => {
      config = cacheSchema.parse(next)
    },
    reset() {
      gateway.configure({ tables, ...options.config })
      gate.events.length = 0
      reads = 0
      gateway.afterRead = () => {}
    },
    end() {
      cache.end()
      redis?.end()
      gate.end()
    },
  }
  return gateway
}

/** Wait until it is so; the test's own time is the limit. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await pause(2)
}
