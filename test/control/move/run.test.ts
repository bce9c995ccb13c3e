/**
 * Moves from beginning to end: every direction, the way back with what was written since, the end of the window, and
 * giving up. Each direction takes one of the two paths, and some are tried; CASES=all tries both of each.
 */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { accessTo } from '../../../src/control/homes/reach-home.ts'
import { setWanted } from '../../../src/control/move/claim.ts'
import { abortMove, completeMove, rollbackMove, runMove } from '../../../src/control/move/run.ts'
import { known } from '../../../src/control/move/store.ts'
import type { Path } from '../../../src/control/move/types.ts'
import { type Fleet, onDirectory, onHome } from '../../../src/control/reach.ts'
import type { Client } from '../../../src/db/client.ts'
import { ISOLATIONS, type Isolation } from '../../../src/directory/types.ts'
import { fleetOfWorld, hashOf, moveTo, placementOf, queueMove, remainsOf } from '../../kit/move-world.ts'
import { startWorld, type World, type WorldTenant } from '../../kit/shard-fixture.ts'
import { some } from '../../kit/some.ts'

let world: World
// A slow machine may hold writes for longer than the default allows.
const fleetFor = (path: Path): Fleet =>
  fleetOfWorld(world, { stillMs: path === 'still' ? 10_000 : 1, pauseMs: 10_000 })

beforeAll(async () => {
  world = await startWorld({ tenants: 6, shards: 2, rows: 12, isolations: ISOLATIONS })
})
afterAll(() => world?.stop())
afterEach(async () => {
  expect(await remainsOf(world, fleetFor('live'))).toEqual([])
})

const of = (isolation: Isolation): WorldTenant =>
  world.tenants.find((tenant) => tenant.shard === 'shard-a' && tenant.isolation === isolation)!

/** Work as the owner where a tenant's tables are now, in a transaction that is about it. */
async function atHome<T>(
  fleet: Fleet,
  tenant: WorldTenant,
  work: (client: Client, schema: string) => Promise<T>,
): Promise<T> {
  const { shard, isolation, namespace } = await placementOf(fleet, tenant.id)
  const schema = isolation === 'schema' ? namespace : world.schema
  return onHome(accessTo(fleet, shard), { isolation, namespace }, (client) =>
    client.transaction(async () => {
      await client.query(`set local app.current_tenant_id = '${tenant.id}'`)
      return work(client, `"${schema}"`)
    }),
  )
}

const DIRECTIONS = ISOLATIONS.flatMap((from) => ISOLATIONS.map((to) => [from, to] as const))
const PATHS: readonly Path[] = ['still', 'live']
const CASES = DIRECTIONS.flatMap(([from, to], i) =>
  PATHS.filter((_, n) => process.env.CASES === 'all' || n === i % 2).map((path) => [from, to, path] as const),
)

describe('to another shard and back', () => {
  it.each(some(5, CASES))('from %s to %s, on the %s path', async (from, to, path) => {
    const fleet = fleetFor(path)
    const { id } = of(from)
    const before = { ...(await placementOf(fleet, id)), hash: await hashOf(fleet, id) }
    const moved = await moveTo(fleet, id, { shard: 'shard-b', isolation: to })
    expect(moved).toMatchObject({ state: 'settled', path, error: null })
    const there = await placementOf(fleet, id)
    expect(there).toMatchObject({ shard: 'shard-b', isolation: to, epoch: before.epoch + 1, state: 'active' })
    expect(await hashOf(fleet, id)).toBe(before.hash)
    const back = await rollbackMove(fleet, moved.id)
    expect(back.state).toBe(path === 'live' ? 'rolled-back' : 'settled')
    const here = await placementOf(fleet, id)
    expect(here).toMatchObject({ shard: 'shard-a', isolation: from, namespace: before.namespace })
    expect(here.epoch).toBeGreaterThan(there.epoch)
    expect(await hashOf(fleet, id)).toBe(before.hash)
    if (back.state === 'settled') await completeMove(fleet, back.id)
  })
})

describe('to another model on the same shard', () => {
  const SAME = DIRECTIONS.filter(([from, to]) => from !== to)
  it.each(
    some(
      3,
      SAME.map(([from, to], i) => [from, to, PATHS[i % 2]!] as const),
    ),
  )('from %s to %s, on the %s path, and the other way after the window', async (from, to, path) => {
    const fleet = fleetFor(path)
    const { id } = of(from)
    const hash = await hashOf(fleet, id)
    for (const isolation of [to, from]) {
      const { id: move } = await moveTo(fleet, id, { shard: 'shard-a', isolation })
      expect(await placementOf(fleet, id)).toMatchObject({ shard: 'shard-a', isolation })
      expect((await completeMove(fleet, move)).state).toBe('done')
      expect(await hashOf(fleet, id)).toBe(hash)
    }
  })
})

describe('the way back', () => {
  it('brings 10,000 writes along that were made since the cutover', async () => {
    const fleet = fleetFor('live')
    const tenant = of('shared')
    const moved = await moveTo(fleet, tenant.id, { shard: 'shard-b', isolation: 'schema' })
    await atHome(fleet, tenant, async (client, schema) => {
      await client.query(`
        insert into ${schema}.tasks (tenant_id, id, project_id, title)
        select '${tenant.id}', 500000 + i, (select min(id) from ${schema}.projects), 'since ' || i
        from generate_series(1, 8000) i`)
      await client.query(`update ${schema}.tasks set title = title || '!' where id between 500001 and 501500`)
      await client.query(`delete from ${schema}.tasks where id between 507501 and 508000`)
    })
    const hash = await hashOf(fleet, tenant.id)
    expect((await rollbackMove(fleet, moved.id)).state).toBe('rolled-back')
    expect(await placementOf(fleet, tenant.id)).toMatchObject({ shard: 'shard-a', isolation: 'shared' })
    expect(await hashOf(fleet, tenant.id)).toBe(hash)
    await atHome(fleet, tenant, async (client, schema) => {
      const found = await client.query(`
        select count(*) as rows, count(*) filter (where title like '%!') as changed
        from ${schema}.tasks where tenant_id = '${tenant.id}' and id > 500000`)
      expect(found).toEqual([{ rows: '7500', changed: '1500' }])
    })
  })

  it('is closed when the window is over', async () => {
    const fleet = fleetFor('live')
    const { id } = await moveTo(fleet, of('schema').id, { shard: 'shard-b', isolation: 'shared' })
    await completeMove(fleet, id)
    await expect(rollbackMove(fleet, id)).rejects.toMatchObject({ code: 'REFUSED' })
    const { id: again } = await moveTo(fleet, of('schema').id, { shard: 'shard-a', isolation: 'schema' })
    await completeMove(fleet, again)
  })
})

describe('a move that is given up', () => {
  it('leaves the tenant where it is, and writing', async () => {
    const fleet = fleetFor('live')
    const tenant = of('database')
    const before = await placementOf(fleet, tenant.id)
    const { id } = await queueMove(fleet, tenant.id, { shard: 'shard-b', isolation: 'shared' })
    const stateOf = () => onDirectory(fleet.directoryUrl, async (db) => (await known(db, id)).state)
    // A write that goes on: neither a comparison nor a freeze gets by it.
    await atHome(fleet, tenant, async (client) => {
      await client.query(`select pg_advisory_xact_lock_shared(shardgate.tenant_lock('${tenant.id}'))`)
      const running = runMove(fleet, id)
      await expect.poll(stateOf, { timeout: 60_000 }).toBe('copied')
      await onDirectory(fleet.directoryUrl, (db) => setWanted(db, id, 'cancel', 'ann'))
      expect(await running).toMatchObject({ state: 'aborted' })
    })
    expect(await placementOf(fleet, tenant.id)).toEqual(before)
    for (const verb of [abortMove, completeMove, rollbackMove])
      await expect(verb(fleet, id)).rejects.toMatchObject({ code: 'REFUSED' })
  })

  it('is neither begun by completing it nor by taking it back', async () => {
    const fleet = fleetFor('live')
    const { id } = await queueMove(fleet, of('shared').id, { shard: 'shard-b', isolation: 'shared' })
    for (const verb of [completeMove, rollbackMove])
      await expect(verb(fleet, id)).rejects.toMatchObject({ code: 'REFUSED' })
    expect(await abortMove(fleet, id)).toMatchObject({ state: 'aborted', operation: null })
  })
})
