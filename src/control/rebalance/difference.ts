/**
 * The difference between what the configuration says and what the directory says: buckets that are to be on another
 * shard, and tenants that are to be elsewhere. What cannot be done is a sentence, and stays as it is.
 *
 *     pin ─▶ else: its bucket's shard, if it follows its bucket ─▶ else: where it is
 *     and away from there, to the emptiest shard that may take it, where rules or a drain forbid that
 */

import { fail } from '../../base/errors.ts'
import { bucketOf } from '../../directory/buckets.ts'
import { ISOLATIONS } from '../../directory/types.ts'
import { type DealtBucket, dealAgain } from './deal.ts'
import { isAllowed, takesTenants } from './desired.ts'
import { Room } from './room.ts'
import type {
  Actual,
  ActualTenant,
  BucketChange,
  Desired,
  DesiredShard,
  Reason,
  Spot,
  Wish,
} from './types.ts'

export interface Difference {
  /** Shard by number of the bucket, as it is to be. */
  readonly buckets: readonly string[]
  /** Where the number of buckets stays. */
  readonly changes: readonly BucketChange[]
  readonly wishes: readonly Wish[]
  readonly problems: readonly string[]
  /** What the shards hold when all is done. */
  readonly room: Room
}

export interface Asked {
  /** Whether tenants are to have the isolation that their plan promises, too. */
  readonly isolation?: boolean
}

/**
 * @throws CONFIG_INVALID  a shard that holds something is not in the file
 */
export function difference(desired: Desired, actual: Actual, asked: Asked = {}): Difference {
  requireAllShards(desired, actual)
  const room = new Room(desired.shards, actual.tenants)
  const count = desired.buckets
  const later = (tenant: ActualTenant): number =>
    count === actual.buckets.length ? tenant.bucket : bucketOf(tenant.id, count)
  const isFollower = (tenant: ActualTenant): boolean =>
    !tenant.isOwn && isolationOf(tenant, desired, asked) === 'shared' && !desired.pins.get(tenant.id)?.shard
  const followers = Map.groupBy(actual.tenants.filter(isFollower), later)
  const { table, problems } = dealAgain(
    Array.from({ length: count }, (_, no) => bucketWith(no, followers.get(no) ?? [], actual, desired)),
    desired,
    room,
  )
  const wanted = (tenant: ActualTenant): string =>
    desired.pins.get(tenant.id)?.shard ?? (isFollower(tenant) ? table[later(tenant)]! : tenant.shard)
  const candidates = actual.tenants
    .toSorted((a, b) => b.bytes - a.bytes || compare(a.id, b.id))
    .map((tenant) => ({ tenant, shard: wanted(tenant), isCounted: isFollower(tenant) }))
  const { wishes, refused } = judged(candidates, { desired, asked, room })
  const sentences = [...problems, ...refused]
  return { buckets: table, changes: changesOf(table, actual), wishes, problems: sentences, room }
}

/** Who finds no room is looked at again as long as others leave. */
function judged(
  candidates: readonly Candidate[],
  judging: Judging,
): { wishes: Wish[]; refused: readonly string[] } {
  const wishes: Wish[] = []
  let waiting = candidates
  for (;;) {
    const found = waiting.map((candidate) => ({ candidate, wish: wishOf(candidate, judging) }))
    const made = found.flatMap(({ wish }) => (typeof wish === 'object' ? [wish] : []))
    const refused = found.flatMap(({ wish }) => (typeof wish === 'string' ? [wish] : []))
    wishes.push(...made)
    if (made.length === 0 || refused.length === 0) return { wishes, refused }
    waiting = found
      .filter(({ wish }) => typeof wish === 'string')
      // Its bucket's room was given back when it was refused.
      .map(({ candidate }) => ({ ...candidate, isCounted: false }))
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

// Without its URLs nothing can be taken off a shard.
function requireAllShards({ shards }: Desired, { tenants, buckets }: Actual): void {
  const keys = new Set([...tenants.map(({ shard }) => shard), ...buckets])
  const lost = [...keys].filter((key) => !shards.some((shard) => shard.key === key)).sort()
  if (lost.length === 0) return
  const lines = lost.map((key) => {
    const [held, dealt] = [
      tenants.filter(({ shard }) => shard === key),
      buckets.filter((shard) => shard === key),
    ]
    return (
      `shards.${key}: it holds ${held.length} tenants and ${dealt.length} buckets, and the file lacks it. ` +
      `Put it back as it was, with "drain": true, apply that, and take it out then.`
    )
  })
  fail('CONFIG_INVALID', lines.join('\n'))
}

function bucketWith(
  no: number,
  followers: readonly ActualTenant[],
  actual: Actual,
  { buckets, shards }: Desired,
): DealtBucket {
  const shard = actual.buckets.length === buckets ? actual.buckets[no]! : homeOf(no, followers, actual)
  // A bucket waits for tenants that cannot be moved now; from a shard that is drained it goes without them.
  const isDrained = shards.some(({ key, drain }) => key === shard && drain)
  const isHeld = !isDrained && followers.some(({ held }) => held !== null)
  return {
    no,
    shard,
    tenants: followers.length,
    bytes: followers.reduce((sum, { bytes }) => sum + bytes, 0),
    plans: new Set(followers.map(({ plan }) => plan)),
    ...(isHeld && { isHeld }),
  }
}

/** Of a new number of buckets: the shard that has most of what is in it; of an empty one, that of its elder. */
function homeOf(no: number, followers: readonly ActualTenant[], { buckets }: Actual): string {
  const sums = [...Map.groupBy(followers, ({ shard }) => shard)].map(([shard, own]) => ({
    shard,
    size: own.reduce((sum, { bytes }) => sum + bytes + 1, 0),
  }))
  const [most] = sums.toSorted((a, b) => b.size - a.size || compare(a.shard, b.shard))
  return most?.shard ?? buckets[no % buckets.length]!
}

function changesOf(table: readonly string[], { buckets }: Actual): BucketChange[] {
  if (table.length !== buckets.length) return []
  return table.flatMap((to, no) => (to === buckets[no] ? [] : [{ no, from: buckets[no]!, to }]))
}

function isolationOf(tenant: ActualTenant, { pins, plans }: Desired, asked: Asked): Spot['isolation'] {
  const promised = asked.isolation ? promisedTo(tenant, plans) : undefined
  return pins.get(tenant.id)?.isolation ?? promised ?? tenant.isolation
}

/** What a plan promises a tenant beyond what it has: to have more is no fault. */
export function promisedTo(
  { plan, isolation }: Pick<ActualTenant, 'plan' | 'isolation'>,
  plans: Desired['plans'],
): Spot['isolation'] | undefined {
  const promised = plans[plan]?.isolation
  const isMore = promised !== undefined && ISOLATIONS.indexOf(promised) > ISOLATIONS.indexOf(isolation)
  return isMore ? promised : undefined
}

interface Judging {
  readonly desired: Desired
  readonly asked: Asked
  readonly room: Room
}

interface Candidate {
  readonly tenant: ActualTenant
  /** Where it should be, whatever the rules say. */
  readonly shard: string
  /** Whether the room was changed for it already, with its bucket. */
  readonly isCounted: boolean
}

/** Where a tenant is to go; undefined where it is right, a sentence where it cannot go. */
function wishOf({ tenant, shard: first, isCounted }: Candidate, judging: Judging): Wish | string | undefined {
  const { desired, asked, room } = judging
  const isolation = isolationOf(tenant, desired, asked)
  const pin = desired.pins.get(tenant.id)
  const fits = (key: string): boolean => mayHave(desired, key, tenant, isolation)
  const size = { tenants: 1, bytes: tenant.bytes }
  // Who follows a bucket to a shard that must not have it rather stays, and gets a place of its own there.
  const stays = first !== tenant.shard && !fits(first) && fits(tenant.shard) && pin?.shard === undefined
  const shard = stays ? tenant.shard : first
  if (pin?.shard !== undefined && !fits(shard)) {
    return `${tenant.id} stays on ${tenant.shard}: it is pinned to ${shard}, whose rules do not let a tenant of the plan "${tenant.plan}" be there as ${isolation}.`
  }
  const to = fits(shard) ? shard : emptiest(judging, tenant, isolation)
  if (isCounted && to !== first) room.move(first, tenant.shard, size)
  const counted = isCounted && to === first
  if (to === undefined) {
    return `${tenant.id} stays on ${tenant.shard}, where it must not be: no other shard may take it and has room.`
  }
  if (to === tenant.shard && isolation === tenant.isolation) return undefined
  if (tenant.held !== null) return cannotMove([tenant.id, tenant.held])
  if (!counted && to !== tenant.shard) {
    if (!room.fits(to, size)) return `${tenant.id} stays on ${tenant.shard}: ${to} has no room for it.`
    room.move(tenant.shard, to, size)
  }
  const reason = reasonOf(tenant, judging, isolation)
  return { tenant, to: { shard: to, isolation }, reason, follows: counted && isolation === 'shared' }
}

export const cannotMove = ([tenant, held]: readonly [string, string]): string =>
  `${tenant} cannot be moved now: ${held}.`

function mayHave(
  { shards }: Desired,
  key: string,
  { plan }: ActualTenant,
  isolation: Spot['isolation'],
): boolean {
  const shard = shards.find((one) => one.key === key)
  return shard !== undefined && !shard.drain && isAllowed(shard, plan, isolation)
}

function emptiest(
  { desired, room }: Judging,
  tenant: ActualTenant,
  isolation: Spot['isolation'],
): string | undefined {
  const size = { tenants: 1, bytes: tenant.bytes }
  const load = ({ key, weight }: DesiredShard): number => (room.holds(key).bytes + tenant.bytes + 1) / weight
  return desired.shards
    .filter((shard) => takesTenants(shard) && shard.key !== tenant.shard)
    .filter((shard) => isAllowed(shard, tenant.plan, isolation) && room.fits(shard.key, size))
    .toSorted((a, b) => load(a) - load(b) || compare(a.key, b.key))[0]?.key
}

function reasonOf(tenant: ActualTenant, { desired, asked }: Judging, isolation: Spot['isolation']): Reason {
  const shard = desired.shards.find(({ key }) => key === tenant.shard)
  if (shard?.drain) return 'drain'
  if (desired.pins.has(tenant.id)) return 'pin'
  if (shard && !isAllowed(shard, tenant.plan, tenant.isolation)) return 'not allowed'
  return asked.isolation && isolation !== tenant.isolation ? 'plan' : 'bucket'
}
