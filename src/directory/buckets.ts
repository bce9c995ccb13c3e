/**
 * Buckets: the modulo strategy's fixed number of virtual places between tenants and shards.
 *
 *     tenant ──sha256──▶ bucket 0 … count-1 ──bucket row──▶ shard
 *
 * The hash decides the bucket for ever; which shard a bucket is on is a row in the directory. A shard that
 * joins later therefore takes whole buckets, by moves, and no tenant changes its place because a number in a
 * configuration file changed, as it would with `hash % shards`.
 */

import { createHash } from 'node:crypto'
import { fail } from '../base/errors.ts'
import type { TenantId } from '../base/ids.ts'
import type { Queryable } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'

export interface WeightedShard {
  /** A key of `shards` in the configuration. */
  readonly key: string
  /** Share of what is handed out; 0 takes none. */
  readonly weight: number
}

/**
 * The bucket of a tenant, 0 to `count` - 1.
 *
 * The first 48 bits of the SHA-256 of the id, modulo `count`: 48 is the widest that a JavaScript number takes
 * from a buffer exactly. Never change this; every tenant that follows its bucket would be somewhere else.
 */
export function bucketOf(tenant: TenantId, count: number): number {
  return createHash('sha256').update(tenant).digest().readUIntBE(0, 6) % count
}

/**
 * Deal `count` buckets out to shards by weight: entry `no` of the answer is the shard of bucket `no`.
 *
 * Each bucket goes to the shard that is furthest behind its share, so neighbours differ and each shard ends
 * within one bucket of its exact share. The same arguments always give the same answer.
 *
 * @throws CONFIG_INVALID  no shard has a weight above 0
 */
export function dealBuckets(count: number, shards: readonly WeightedShard[]): string[] {
  const takers = shards.filter((shard) => shard.weight > 0)
  if (takers.length === 0) fail('CONFIG_INVALID', 'shards: wanted at least one with a weight above 0.')
  const total = takers.reduce((sum, shard) => sum + shard.weight, 0)
  const given = takers.map(() => 0)
  return Array.from({ length: count }, (_, no) => {
    const behind = takers.map((shard, i) => ((no + 1) * shard.weight) / total - given[i]!)
    const next = behind.indexOf(Math.max(...behind))
    given[next]! += 1
    return takers[next]!.key
  })
}

/**
 * Give every bucket that has no shard yet one, by weight. Buckets that have a shard keep it: only a move may
 * take a bucket elsewhere. Returns how many were given.
 *
 * @throws CONFIG_INVALID  no shard has a weight above 0
 */
export async function fillBuckets(
  db: Queryable,
  count: number,
  shards: readonly WeightedShard[],
): Promise<number> {
  const dealt = JSON.stringify(dealBuckets(count, shards))
  const given = await db.query(
    compile(sql`
      insert into directory.bucket (no, shard)
      select dealt.no - 1, dealt.shard
      from jsonb_array_elements_text(${sql.value(dealt)}::jsonb) with ordinality as dealt (shard, no)
      on conflict (no) do nothing
      returning no`),
  )
  return given.length
}
