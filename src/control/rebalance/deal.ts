/**
 * Dealing buckets again, with the fewest changes that give each shard its share by weight.
 *
 *     share of a shard = buckets × weight / sum of weights, rounded up or down so that as many buckets as possible stay
 *
 * Not a new deal from scratch, which would move almost everything for one more shard. Which buckets a shard gives away
 * follows from what is in them: as many bytes as buckets, in proportion, so that a new shard takes over load and not
 * the empty ones alone.
 */

import { isAllowed, takesTenants } from './desired.ts'
import type { Room, Size } from './room.ts'
import type { Desired, DesiredShard } from './types.ts'

/** A bucket with what follows it. */
export interface DealtBucket extends Size {
  readonly no: number
  /** Where it is. */
  readonly shard: string
  /** Plans of the tenants that follow it. */
  readonly plans: ReadonlySet<string>
  /** Stays where it is, whatever the weights say. */
  readonly isHeld?: boolean
}

export interface Deal {
  /** Shard by number of the bucket. */
  readonly table: readonly string[]
  /** Why a bucket stays where it should not, a sentence each. */
  readonly problems: readonly string[]
}

/** Deal again. `room` is changed by what is decided. */
export function dealAgain(
  buckets: readonly DealtBucket[],
  { shards, assign, strategy }: Pick<Desired, 'shards' | 'assign' | 'strategy'>,
  room: Room,
): Deal {
  const table = buckets.map(({ shard }) => shard)
  const problems: string[] = []
  const give = (bucket: DealtBucket, to: string): void => {
    table[bucket.no] = to
    room.move(bucket.shard, to, bucket)
  }
  for (const bucket of buckets) {
    const to = assign.get(bucket.no)
    if (to === undefined || to === bucket.shard || bucket.isHeld) continue
    if (room.fits(to, bucket)) give(bucket, to)
    else
      problems.push(`Bucket ${bucket.no} stays on ${bucket.shard}: ${to}, where it is assigned, has no room.`)
  }
  const free = buckets.filter(({ no, isHeld }) => !assign.has(no) && !isHeld)
  const fixed = countsOf(buckets.filter((bucket) => !free.includes(bucket)).map(({ no }) => table[no]!))
  // With the other strategy tenants have places of their own, and weights say where new ones go.
  const takers = strategy === 'modulo' ? shards : leaversOnly(shards, countsOf(table))
  const wanted = sharesOf(table.length, takers, fixed, countsOf(table))
  const leaving = [...Map.groupBy(free, ({ shard }) => shard)].flatMap(([shard, own]) =>
    leaversOf(own, own.length + (fixed.get(shard) ?? 0) - (wanted.get(shard) ?? 0)),
  )
  const counts = countsOf(table)
  for (const bucket of leaving.toSorted((a, b) => weightOf(b) - weightOf(a) || a.no - b.no)) {
    const to = receiverOf(bucket, { shards, wanted, counts, room })
    if (to === undefined) {
      problems.push(`Bucket ${bucket.no} stays on ${bucket.shard}: no shard that may take it has room.`)
      continue
    }
    give(bucket, to)
    counts.set(bucket.shard, counts.get(bucket.shard)! - 1)
    counts.set(to, (counts.get(to) ?? 0) + 1)
  }
  return { table, problems }
}

/** Shards that keep what they have, but for those that are drained. */
function leaversOnly(shards: readonly DesiredShard[], counts: ReadonlyMap<string, number>): DesiredShard[] {
  const kept = shards.map((shard) => ({ ...shard, weight: shard.drain ? 0 : (counts.get(shard.key) ?? 0) }))
  return kept.some(takesTenants) ? kept : [...shards]
}

/**
 * How many buckets each shard is to have, all together `count`.
 *
 * @param fixed    buckets that a shard has whatever its weight is
 * @param current  buckets that it has now
 */
export function sharesOf(
  count: number,
  shards: readonly DesiredShard[],
  fixed: ReadonlyMap<string, number>,
  current: ReadonlyMap<string, number>,
): Map<string, number> {
  const shares = new Map(fixed)
  let takers = shards.filter(takesTenants)
  // Who has more than its share already is out of the reckoning; the others share what is left.
  for (;;) {
    const total = takers.reduce((sum, { weight }) => sum + weight, 0)
    const others = [...fixed].filter(([key]) => !takers.some((taker) => taker.key === key))
    const left = count - others.reduce((sum, [, buckets]) => sum + buckets, 0)
    const exact = ({ weight }: DesiredShard): number => (left * weight) / total
    const over = takers.filter((shard) => (fixed.get(shard.key) ?? 0) > exact(shard) + ROUNDING)
    if (over.length > 0) {
      takers = takers.filter((shard) => !over.includes(shard))
      continue
    }
    const floor = (shard: DesiredShard): number => Math.floor(exact(shard) + ROUNDING)
    for (const shard of takers) shares.set(shard.key, floor(shard))
    const rest = left - takers.reduce((sum, shard) => sum + floor(shard), 0)
    const part = (shard: DesiredShard): number => exact(shard) - floor(shard)
    const keeps = ({ key }: DesiredShard): number => ((current.get(key) ?? 0) > shares.get(key)! ? 1 : 0)
    const first = takers
      .filter((shard) => part(shard) > ROUNDING)
      .toSorted((a, b) => keeps(b) - keeps(a) || part(b) - part(a) || a.key.localeCompare(b.key))
    for (const { key } of first.slice(0, rest)) shares.set(key, shares.get(key)! + 1)
    return shares
  }
}

/** What a sum of fractions may be off by. */
const ROUNDING = 1e-9

/** Bytes that stand for a tenant, so that one without rows counts as well. */
const TENANT_BYTES = 8_192

const weightOf = ({ bytes, tenants }: Size): number => bytes + tenants * TENANT_BYTES

/** The `count` buckets that a shard gives away: together at most so much of its bytes as of its buckets. */
function leaversOf(own: readonly DealtBucket[], count: number): DealtBucket[] {
  if (count <= 0) return []
  if (count >= own.length) return [...own]
  const most = (own.reduce((sum, bucket) => sum + weightOf(bucket), 0) * count) / own.length
  const sorted = own.toSorted((a, b) => weightOf(b) - weightOf(a) || a.no - b.no)
  const taken: DealtBucket[] = []
  let sum = 0
  for (const bucket of sorted) {
    if (taken.length === count || weightOf(bucket) === 0 || sum + weightOf(bucket) > most) continue
    taken.push(bucket)
    sum += weightOf(bucket)
  }
  const left = sorted.filter((bucket) => !taken.includes(bucket)).toReversed()
  return [...taken, ...left.slice(0, count - taken.length)]
}

interface Dealing {
  readonly shards: readonly DesiredShard[]
  readonly wanted: ReadonlyMap<string, number>
  readonly counts: ReadonlyMap<string, number>
  readonly room: Room
}

/** The emptiest shard for its weight that lacks a bucket; first of all one that may have all that follow this one. */
function receiverOf(bucket: DealtBucket, { shards, wanted, counts, room }: Dealing): string | undefined {
  const lacking = shards.filter(
    (shard) =>
      !shard.drain &&
      (counts.get(shard.key) ?? 0) < (wanted.get(shard.key) ?? 0) &&
      room.fits(shard.key, bucket),
  )
  const takesAll = (shard: DesiredShard): boolean =>
    [...bucket.plans].every((plan) => isAllowed(shard, plan, 'shared'))
  const best = lacking.filter(takesAll)
  const load = ({ key, weight }: DesiredShard): number => weightOf(room.holds(key)) / (weight || 1)
  return (best.length > 0 ? best : lacking).toSorted(
    (a, b) => load(a) - load(b) || a.key.localeCompare(b.key),
  )[0]?.key
}

function countsOf(keys: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return counts
}
