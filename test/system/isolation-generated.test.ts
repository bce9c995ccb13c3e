/**
 * What one tenant can learn of another, asked systematically: every operation of the schema by every id, key,
 * column, relation, cursor and foreign key, once with another tenant's values and once with values of nobody.
 * The answers are equal byte for byte. The same in SQL, as the app role.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openConfiguredApi, type WorldApi } from '../kit/api.ts'
import { OPERATIONS_MS } from '../kit/generated-operations.ts'
import { askEverything } from '../kit/isolation-check.ts'
import { trySql } from '../kit/isolation-sql.ts'
import { helpdeskWorld } from '../kit/worlds/fixture-worlds.ts'
import type { ForeignTenant, ForeignWorld } from '../kit/worlds/foreign-world.ts'
import { expectSoundOperations } from '../kit/worlds/served-checks.ts'

describe('of another tenant of the help desk', () => {
  let world: ForeignWorld
  let api: WorldApi
  let asker: ForeignTenant
  let owner: ForeignTenant

  beforeAll(async () => {
    world = await helpdeskWorld()
    await world.setUp()
    api = await openConfiguredApi(world)
    ;[asker, , owner] = world.tenants as [ForeignTenant, ForeignTenant, ForeignTenant]
    expect(asker.shard).toBe(owner.shard)
  })
  afterAll(async () => {
    api?.end()
    await world?.stop()
  })

  it('both lanes of the API tell nothing that they would not tell of nobody', async () => {
    const counts = await askEverything({ api, asker, owner })
    console.log(JSON.stringify({ asked: counts.asked, compiled: counts.compiled, idle: counts.idle }))
    expect(counts.differences).toEqual([])
    expect(counts.empty).toEqual([])
    expect(counts.asked).toBeGreaterThan(500)
    expect(counts.compiled).toBeGreaterThan(counts.asked / 3)
  })

  it('SQL as the app role tells nothing that it would not tell of nobody', async () => {
    const { appUrl, superuserUrl } = world.shards.find(({ key }) => key === asker.shard)!
    const counts = await trySql({ appUrl, superuserUrl, asker, owner }, api.model.tables)
    expect(counts.differences).toEqual([])
    expect(counts.asked).toBeGreaterThan(60)
  })

  it('a single key that does not know the tenant is enough for both of these tests to notice', async () => {
    const users = api.model.tables.filter(({ name }) => name === 'users')
    const { appUrl, superuserUrl } = world.shards.find(({ key }) => key === asker.shard)!
    await world.sql(asker.shard, 'create unique index told_by on helpdesk.users (email)')
    try {
      const { differences } = await askEverything({ api, asker, owner }, users)
      expect(differences.map(({ name }) => name)).toContain("User create the other's email")
      const counts = await trySql({ appUrl, superuserUrl, asker, owner }, users)
      expect(counts.differences).toHaveLength(1)
    } finally {
      await world.sql(asker.shard, 'drop index helpdesk.told_by')
    }
  })

  it(
    'no operation that the schema allows fails within or shows a foreign value',
    () => expectSoundOperations(world, api, 'help desk'),
    OPERATIONS_MS,
  )

  it('a row that others hold on to is refused as data, though Postgres 18 calls that by a code of its own', async () => {
    const { users } = await api.data(
      asker,
      '{ users(filter: { orders: { some: {} } }, first: 1) { nodes { id } } }',
    )
    const remove = 'mutation ($id: ID!) { deleteUser(id: $id) { ... on ConstraintError { kind } } }'
    expect(await api.data(asker, remove, { id: users.nodes[0].id })).toEqual({
      deleteUser: { kind: 'FOREIGN_KEY' },
    })
  })
})
