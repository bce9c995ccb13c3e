/** A move that is found behind its commit point, while its source can be told nothing. */

import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { accessTo } from '../../../src/control/homes/reach-home.ts'
import { completeMove, runMove } from '../../../src/control/move/run.ts'
import { type Fleet, onDirectory, onShard } from '../../../src/control/reach.ts'
import { fleetOfWorld, hashOf, placementOf, queueMove, remainsOf } from '../../kit/move-world.ts'
import { startWorld, type World } from '../../kit/shard-fixture.ts'

let world: World
let fleet: Fleet
let id: string
let hash: string

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 2, rows: 6, isolations: ['shared'] })
  fleet = fleetOfWorld(world, { stillMs: 10_000, pauseMs: 10_000 })
})
afterAll(() => world?.stop())

const tenant = () => world.tenants[0]!.id
const onTheDirectory = (text: string) => onDirectory(fleet.directoryUrl, (db) => db.query(text))
const fenceOn = async (key: string): Promise<string | undefined> => {
  const [row] = await onShard(accessTo(fleet, key), (client) =>
    client.query(
      `select state || ' ' || epoch as fence from shardgate.tenant_fence where tenant_id = '${tenant()}'`,
    ),
  )
  return row?.fence ?? undefined
}
const setFence = (key: string, state: string, epoch: number) =>
  onShard(accessTo(fleet, key), (client) =>
    client.query(
      `update shardgate.tenant_fence set state = '${state}', epoch = ${epoch} where tenant_id = '${tenant()}'`,
    ),
  )

/** A runner that was lost between the commit point and the first word to the homes. */
beforeEach(async () => {
  hash = await hashOf(fleet, tenant())
  id = (await queueMove(fleet, tenant(), { shard: 'shard-b', isolation: 'shared' })).id
  await onTheDirectory(`create function refuse() returns trigger language plpgsql as $$ begin raise 'lost'; end $$;
    create trigger refuse before insert on directory.receipt for each row execute function refuse()`)
  await expect(runMove(fleet, id)).rejects.toThrow('lost')
  await onTheDirectory('drop trigger refuse on directory.receipt; drop function refuse()')
  const { epoch } = await placementOf(fleet, tenant())
  await setFence('shard-a', 'frozen', epoch - 1)
  await setFence('shard-b', 'frozen', epoch)
})
afterEach(async () => {
  const { epoch } = await placementOf(fleet, tenant())
  expect((await runMove(fleet, id)).state).toBe('settled')
  expect([await fenceOn('shard-a'), await fenceOn('shard-b')]).toEqual([`moved ${epoch}`, `active ${epoch}`])
  await completeMove(fleet, id)
  expect(await hashOf(fleet, tenant())).toBe(hash)
  expect(await remainsOf(world, fleet)).toEqual([])
  const back = await queueMove(fleet, tenant(), { shard: 'shard-a', isolation: 'shared' })
  await runMove(fleet, back.id)
  await completeMove(fleet, back.id)
})

function withSource(change: (url: URL) => void): Fleet {
  const changed = (text: string): string => {
    const url = new URL(text)
    change(url)
    return url.href
  }
  const shards = fleet.shards.map((shard) => {
    if (shard.key !== 'shard-a') return shard
    return { ...shard, url: changed(shard.url), moverUrl: changed(shard.moverUrl!) }
  })
  return { ...fleet, shards }
}

it('lets the tenant write on the target when the source is gone, and tells the source when it is back', async () => {
  const { epoch } = await placementOf(fleet, tenant())
  const away = withSource((url) => {
    url.port = '1'
  })
  await expect(runMove(away, id)).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
  expect([await fenceOn('shard-a'), await fenceOn('shard-b')]).toEqual([
    `frozen ${epoch - 1}`,
    `active ${epoch}`,
  ])
})

it('holds writes while the source answers and cannot be told', async () => {
  const { epoch } = await placementOf(fleet, tenant())
  const refused = withSource((url) => {
    url.password = 'another'
  })
  await expect(runMove(refused, id)).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
  expect([await fenceOn('shard-a'), await fenceOn('shard-b')]).toEqual([
    `frozen ${epoch - 1}`,
    `frozen ${epoch}`,
  ])
})
