/** Moves that are claimed and run step by step, by tests of what single steps do. */

import { claimMove } from '../../src/control/move/claim.ts'
import { withMoving } from '../../src/control/move/moving.ts'
import type { MoveRecord, Moving, Path } from '../../src/control/move/types.ts'
import { type Fleet, onDirectory } from '../../src/control/reach.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { type LifeWorld, lifeWorld } from './life.ts'

/** A fleet of two shards whose tenants are moved by hand, and a superuser on each. */
export interface TwoShards {
  readonly world: LifeWorld
  readonly fleet: Fleet
  readonly a: Client
  readonly b: Client
  drop(): Promise<void>
}

export async function twoShards(): Promise<TwoShards> {
  const world = await lifeWorld()
  const clients = await Promise.all(world.test.shards.map(({ superuserUrl }) => connect(superuserUrl)))
  const [a, b] = clients as [Client, Client]
  const drop = async (): Promise<void> => {
    for (const client of clients) await client.end()
    await world.drop()
  }
  return { world, fleet: world.fleet, a, b, drop }
}

const MINUTE_MS = 60_000

/** Take a move that was queued, or one that nobody runs by now. */
export function claimed(fleet: Fleet, id: string): Promise<MoveRecord> {
  return onDirectory(fleet.directoryUrl, async (directory) => {
    await directory.query(`update directory.move set lease_until = null where id = ${id}`)
    return claimMove(directory, id, 'a test', MINUTE_MS)
  })
}

/** Claim a move and work on it. @param path  as the preflight would have chosen */
export async function onClaimed<T>(
  fleet: Fleet,
  id: string,
  path: Path,
  work: (moving: Moving) => Promise<T>,
): Promise<T> {
  const record = { ...(await claimed(fleet, id)), path }
  const { signal } = new AbortController()
  return withMoving(fleet, { record, report: () => {}, signal }, work)
}

/** As if a move had come past its commit point: the tenant lives at the target, and the fences say so or not. */
export function relocated({ directory, tenant, record: { target } }: Moving): Promise<unknown> {
  return directory.query(`
    insert into directory.placement (tenant_id, shard, isolation, namespace)
    values ('${tenant}', '${target.shard}', '${target.isolation}', '${target.namespace}')
    on conflict (tenant_id) do update
      set shard = excluded.shard, isolation = excluded.isolation, namespace = excluded.namespace;
    update directory.tenant set epoch = ${target.epoch} where id = '${tenant}'`)
}
