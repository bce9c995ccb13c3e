/** Where a new tenant goes: its shard by hand, by its bucket or by room, its isolation by hand or by its plan. */

import { fail } from '../base/errors.ts'
import type { TenantId } from '../base/ids.ts'
import type { Client, Queryable } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'
import { bucketOf, type WeightedShard } from '../directory/buckets.ts'
import { type KnownShard, listShards, readSettings } from '../directory/shards.ts'
import type { Isolation } from '../directory/types.ts'
import { namespaceOf } from './homes/home.ts'
import { onItsShard } from './homes/reach-home.ts'
import type { Fleet } from './reach.ts'

export interface Place {
  readonly shard: string
  readonly isolation: Isolation
  readonly namespace: string
  readonly bucket: number
  /** Whether it follows from the bucket, so that no placement row is needed. */
  readonly byBucket: boolean
}

/**
 * Choose, and meet the shard: one that is down or wrong is told before anything is written.
 *
 * @param shard  chosen by hand
 * @throws SHARD_UNKNOWN      there is no such shard, or none takes tenants
 * @throws SHARD_UNAVAILABLE  it cannot be reached
 * @throws SHARD_UNSAFE       it is not the database that the directory knows
 * @throws SETUP_FAILED       the directory has not been set up
 */
export async function choosePlace(
  directory: Client,
  fleet: Fleet,
  { tenant, isolation, shard }: { tenant: TenantId; isolation: Isolation; shard?: string | undefined },
): Promise<Place> {
  const settings = (await readSettings(directory)) ?? notSetUp()
  const known = await listShards(directory)
  const bucket = bucketOf(tenant, settings.buckets)
  const byBucket = shard === undefined && fleet.strategy === 'modulo'
  const key = shard ?? (byBucket ? await shardOfBucket(directory, bucket) : roomiest(fleet, known))
  const { id: shardId } = knownShard(known, key)
  await onItsShard(fleet, { shard: key }, async () => {})
  const namespace = namespaceOf(isolation, { tenant, shardId, shared: settings.namespace })
  return { shard: key, isolation, namespace, bucket, byBucket: byBucket && isolation === 'shared' }
}

/** The shard that has the fewest tenants for its weight once it has taken one more. */
function roomiest(fleet: Fleet, known: readonly KnownShard[]): string {
  const load = ({ key, weight }: WeightedShard): number => (knownShard(known, key).tenants + 1) / weight
  const takers = fleet.shards.filter((shard) => shard.weight > 0)
  const [first] = takers.toSorted((a, b) => load(a) - load(b) || a.key.localeCompare(b.key))
  return first?.key ?? fail('SHARD_UNKNOWN', 'No shard takes new tenants: each has the weight 0.')
}

async function shardOfBucket(directory: Queryable, bucket: number): Promise<string> {
  const [row] = await directory.query(
    compile(sql`select shard from directory.bucket where no = ${sql.value(bucket)}::int`),
  )
  return row?.shard ?? notSetUp()
}

export const notSetUp = (): never =>
  fail('SETUP_FAILED', 'The directory has not been set up. Run "shardgate setup" first.')

/** @throws SHARD_UNKNOWN */
export function knownShard(known: readonly KnownShard[], key: string): KnownShard {
  const keys = known.map((shard) => shard.key).join(', ')
  return (
    known.find((shard) => shard.key === key) ??
    fail('SHARD_UNKNOWN', `There is no shard "${key}" in the directory; it knows ${keys || 'none'}.`, {
      shard: key,
    })
  )
}
