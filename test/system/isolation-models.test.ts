/**
 * What a tenant of one isolation model can learn of one of another model on the same shard, asked systematically: as in
 * isolation-generated.test.ts, every operation by every id, key, column, relation and cursor, once with the other's
 * values and once with values of nobody. And generated operations of all of them at once.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openConfiguredApi, type WorldApi } from '../kit/api.ts'
import { OPERATIONS_MS } from '../kit/generated-operations.ts'
import { askEverything } from '../kit/isolation-check.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'
import { expectSoundOperations } from '../kit/worlds/served-checks.ts'

const MODELS = ['shared', 'schema', 'database'] as const
const PAIRS = MODELS.flatMap((from) => MODELS.map((of) => [from, of] as const))

let world: World
let api: WorldApi

beforeAll(async () => {
  world = await startWorld({ tenants: 6, shards: 1, rows: 4, isolations: MODELS })
  api = await openConfiguredApi(world)
})
afterAll(async () => {
  api?.end()
  await world?.stop()
})

const asker = (model: string): WorldTenant => world.tenants.find(({ isolation }) => isolation === model)!
const owner = (model: string): WorldTenant => world.tenants.findLast(({ isolation }) => isolation === model)!

describe.each(PAIRS)('a tenant in %s tables, of one in %s tables', (from, of) => {
  it('is told nothing that it would not be told of nobody', async () => {
    const before = await world.contents(owner(of))
    const counts = await askEverything({ api, asker: asker(from), owner: owner(of) })
    expect(counts.differences).toEqual([])
    expect(counts.empty).toEqual([])
    expect(counts.asked).toBeGreaterThan(150)
    expect(counts.compiled).toBeGreaterThan(counts.asked / 3)
    expect(await world.contents(owner(of))).toBe(before)
  })
})

it(
  'generated operations of tenants of all models fail within nowhere and show nobody a foreign value',
  () => expectSoundOperations(world, api, 'a mix of models'),
  OPERATIONS_MS,
)
