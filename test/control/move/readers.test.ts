/** Reads that began before a tenant left a home: whatever is removed there waits for them. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { deadlineIn } from '../../../src/base/time.ts'
import { completeMove, rollbackMove } from '../../../src/control/move/run.ts'
import { prepared } from '../../../src/db/sql.ts'
import { ISOLATIONS, type Isolation } from '../../../src/directory/types.ts'
import { openWorldDoor, type WorldDoor } from '../../kit/door.ts'
import { fleetOfWorld, moveTo, remainsOf } from '../../kit/move-world.ts'
import { startWorld, type World, type WorldTenant } from '../../kit/shard-fixture.ts'

let world: World
let gate: WorldDoor

beforeAll(async () => {
  world = await startWorld({ tenants: 6, shards: 2, rows: 5, isolations: ISOLATIONS })
  gate = await openWorldDoor(world)
}, 120_000)
afterAll(async () => {
  gate?.end()
  await world?.stop()
})

const tenantOf = (isolation: Isolation): WorldTenant =>
  world.tenants.find((tenant) => tenant.shard === 'shard-a' && tenant.isolation === isolation)!

/** A read of two statements: the second waits for `removing` to be under way. @returns rows that each has seen */
async function readAcross({ id }: WorldTenant, removing: () => Promise<unknown>): Promise<(string | null)[]> {
  const count = prepared('select count(*) from "app".labels where tenant_id = $1')
  const begun = Promise.withResolvers<void>()
  const second = Promise.withResolvers<void>()
  const read = gate.door.withTenant(id, 'read', deadlineIn(30_000), async ({ run }) => {
    const seen = [await run({ ...count, values: [id] })]
    begun.resolve()
    await second.promise
    seen.push(await run({ ...count, values: [id] }))
    return { keep: true, value: seen.map(([row]) => row?.[0] ?? null) }
  })
  await begun.promise
  const removed = removing()
  // The tenant is served at its new home at once, and what is removed at the old one waits for the read.
  const other = Promise.withResolvers<void>()
  void removed.then(() => other.reject(new Error('It was removed below a read.')), other.reject)
  await Promise.race([readsAreWaitedFor(), other.promise])
  second.resolve()
  const seen = await read
  await removed
  return seen
}

/** Until a runner looks at who reads, which it does again and again while somebody does. */
async function readsAreWaitedFor(): Promise<void> {
  // In two words, or it would find itself.
  const looks = `select 1 from pg_stat_activity where query like '%virtual' || 'xid%'`
  const on = (shard: string) => world.sql(shard, looks)
  while ((await Promise.all(['shard-a', 'shard-b'].map(on))).flat().length === 0)
    await new Promise((resolve) => setImmediate(resolve))
}

it.each(ISOLATIONS)(
  'rows of a %s home stay until a read that had begun there has ended',
  async (isolation) => {
    const fleet = fleetOfWorld(world, { stillMs: 1 })
    const tenant = tenantOf(isolation)
    const seen = await readAcross(tenant, async () => {
      const { id } = await moveTo(fleet, tenant.id, { shard: 'shard-b', isolation: 'shared' })
      await completeMove(fleet, id)
    })
    expect(seen).toEqual(['10', '10'])
    expect(await remainsOf(world, fleet)).toEqual([])
  },
)

it('rows of a target stay until a read that had begun there has ended, when a move is rolled back', async () => {
  const fleet = fleetOfWorld(world, { stillMs: 1 })
  const tenant = world.tenants.find(({ shard }) => shard === 'shard-b')!
  const { id } = await moveTo(fleet, tenant.id, { shard: 'shard-a', isolation: 'schema' })
  const seen = await readAcross(tenant, () => rollbackMove(fleet, id))
  expect(seen).toEqual(['10', '10'])
  expect(await remainsOf(world, fleet)).toEqual([])
})
