/** Connections to homes, each to the very shard that the directory means: a swapped URL must make or drop nothing. */

import { fail } from '../../base/errors.ts'
import type { Client, Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { Placement } from '../../directory/types.ts'
import { identityOf } from '../install.ts'
import { type Fleet, onDirectory, onHome } from '../reach.ts'
import type { FenceState } from './fences.ts'

/** What a home is made from; a placement whose state is that of the fence. */
export type Home = Pick<Placement, 'tenant' | 'shard' | 'isolation' | 'namespace' | 'epoch'> & {
  readonly state: FenceState
}

/** @throws SHARD_UNKNOWN  the configuration has no such shard */
export function accessTo(fleet: Fleet, key: string): Fleet['shards'][number] {
  return (
    fleet.shards.find((shard) => shard.key === key) ??
    fail('SHARD_UNKNOWN', `The configuration has no shard "${key}", where the tenant belongs.`, {
      shard: key,
    })
  )
}

type Place = Pick<Placement, 'shard' | 'isolation' | 'namespace'>

/**
 * Run `work` as owner on the database that holds a tenant's tables.
 *
 * @param work  given the uuid of the shard, which that database carries
 * @throws SHARD_UNKNOWN, SHARD_UNAVAILABLE
 * @throws SHARD_UNSAFE  it is not the one that the directory knows
 */
export async function onItsHome<T>(
  fleet: Fleet,
  place: Place,
  work: (client: Client, shardId: string) => Promise<T>,
): Promise<T> {
  const { shard: key } = place
  const shard = accessTo(fleet, key)
  const known = await onDirectory(fleet.directoryUrl, (directory) => knownId(directory, key))
  return onHome(shard, place, async (client) => work(client, await requireIdentity(client, key, known)))
}

/** The uuid that the directory has of a shard. */
export async function knownId(directory: Queryable, key: string): Promise<string | null | undefined> {
  const [known] = await directory.query(
    compile(sql`select id from directory.shard where key = ${sql.value(key)}`),
  )
  return known?.id
}

/** The uuid that a database carries. @throws SHARD_UNSAFE  it is not the `known` one */
export async function requireIdentity(
  client: Client,
  key: string,
  known: string | null | undefined,
): Promise<string> {
  const id = await identityOf(client)
  if (id !== undefined && id === known) return id
  const carries = `The database behind ${key} carries the identity ${id ?? '(none)'}`
  return fail('SHARD_UNSAFE', `${carries}; the directory knows ${known ?? 'none'}.`, { shard: key })
}

/** The same on the shard's own database, wherever the tenant's tables are. */
export function onItsShard<T>(
  fleet: Fleet,
  { shard }: Pick<Place, 'shard'>,
  work: (client: Client, shardId: string) => Promise<T>,
): Promise<T> {
  return onItsHome(fleet, { shard, isolation: 'shared', namespace: '' }, work)
}
