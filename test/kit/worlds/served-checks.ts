/** What every served database has to stand, whatever its tables: random operations, and questions about others. */

import { expect } from 'vitest'
import type { WorldApi } from '../api.ts'
import { type GeneratedSetup, OPERATIONS, runGenerated } from '../generated-operations.ts'
import { askEverything } from '../isolation-check.ts'
import { trySql } from '../isolation-sql.ts'
import { runRandom } from '../random.ts'
import type { ForeignTenant, ForeignWorld } from './foreign-world.ts'

/** No operation that the schema allows ends in a fault of our own or shows a foreign value. */
export async function expectSoundOperations(
  world: Pick<GeneratedSetup, 'tenants' | 'scanner'>,
  api: WorldApi,
  name: string,
): Promise<void> {
  const random = runRandom().fork(name)
  const { inner, leaks, ...numbers } = await runGenerated(
    { api, tenants: world.tenants, scanner: world.scanner, random },
    OPERATIONS,
  )
  console.log(JSON.stringify({ fixture: name, seed: random.seed, ...numbers }))
  expect(inner).toEqual([])
  expect(leaks).toEqual([])
  expect(numbers.codes.INTERNAL_SERVER_ERROR).toBeUndefined()
  expect(numbers.sent).toBeGreaterThanOrEqual(OPERATIONS)
  expect(numbers.clean).toBeGreaterThan(OPERATIONS / 4)
  expect(numbers.compiled).toBeGreaterThan(OPERATIONS / 20)
}

/** Their rows are the same for every tenant. */
const ALIKE = ['types.every_value', 'types.every_array']

/** Tables that are asked about in a short run: every so many-th. */
const EVERY = 20

/** Neither the API nor SQL as the app role tells anything of another tenant on the same shard. */
export async function expectNothingTold(world: ForeignWorld, api: WorldApi, name: string): Promise<void> {
  const [asker, , owner] = world.tenants as [ForeignTenant, ForeignTenant, ForeignTenant]
  const owned = api.model.tables.filter(
    ({ id, tenantColumn }) => tenantColumn !== null && !ALIKE.includes(id),
  )
  const some = process.env.COUNT ? owned : owned.filter((_, i) => i % EVERY === 0)
  const asked = await askEverything({ api, asker, owner }, some)
  const { appUrl, superuserUrl } = world.shards.find(({ key }) => key === asker.shard)!
  const tables = owned.filter(({ kind }) => kind === 'table')
  const tried = await trySql({ appUrl, superuserUrl, asker, owner }, tables)
  console.log(
    JSON.stringify({
      fixture: name,
      asked: asked.asked,
      compiled: asked.compiled,
      idle: asked.idle,
      statements: tried.asked,
    }),
  )
  expect(asked.differences).toEqual([])
  expect(asked.empty).toEqual([])
  expect(asked.compiled).toBeGreaterThan(asked.asked / 5)
  expect(tried.differences).toEqual([])
}
