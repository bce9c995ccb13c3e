/**
 * Generated queries that are kept, and generated mutations between them: after each of these, every kept answer is what
 * a gateway without a cache reads. So nothing that an answer may hang on is overlooked.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CachedGateway, openCachedGateway } from '../kit/cached-gateways.ts'
import { type Operation, randomOperation } from '../kit/operations.ts'
import { runRandom } from '../kit/random.ts'
import { readPool, schemaSource, type ValuePool } from '../kit/schema-source.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'
import { addWriteTables } from '../kit/write-tables.ts'

const QUERIES = 40
const MUTATIONS = 60
const KEPT = { ttlMs: 3_600_000 }

let world: World
let tenant: WorldTenant
let cached: CachedGateway
let plain: CachedGateway

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1, isolations: ['shared'] })
  await addWriteTables(world)
  tenant = world.tenants[0]!
  plain = await openCachedGateway(world, { tables: {} })
  const { tables } = plain.model
  cached = await openCachedGateway(world, { tables: Object.fromEntries(tables.map(({ id }) => [id, KEPT])) })
})
afterAll(async () => {
  cached?.end()
  plain?.end()
  await world?.stop()
})

const poolOf = (): Promise<ValuePool> =>
  readPool(
    plain.schema,
    tenant.canary,
    async (query) => (await plain.resolve(tenant, query)).data as Record<string, unknown>,
  )

describe('kept answers of generated queries', () => {
  it('are what is there, after whatever mutation', async () => {
    const random = runRandom().fork('kept')
    const values = schemaSource(await poolOf(), [], () => false)
    const make = (kind: 'query' | 'mutation'): Operation =>
      randomOperation(plain.schema, kind, random, values, {
        rootFields: 1,
        depth: 4,
        width: 3,
        sparse: true,
        written: 0.3,
      })
    const queries: Operation[] = []
    while (queries.length < QUERIES) {
      const query = make('query')
      const { cache } = await cached
        .ask(tenant, query.query, query.variables)
        .catch(() => ({ cache: undefined }))
      if (cache === 'miss') queries.push(query)
    }
    let [hits, changes] = [0, 0]
    for (let i = 0; i < MUTATIONS; i++) {
      const { query, variables } = make('mutation')
      const done = await cached.write(tenant, query, variables).catch(() => null)
      if (done) changes++
      // By both tenants: one document, one cache.
      for (const [n, one] of queries.entries()) {
        const asker = world.tenants[(n + i) % 2]!
        const { text, cache } = await cached.ask(asker, one.query, one.variables)
        if (cache === 'hit') hits++
        const { text: now } = await plain.ask(asker, one.query, one.variables)
        expect(text, `${one.query} after ${query}`).toBe(now)
      }
    }
    expect(changes).toBeGreaterThan(MUTATIONS / 20)
    expect(hits).toBeGreaterThan(QUERIES)
  }, 240_000)
})
