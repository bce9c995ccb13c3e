/** Random fleets as plain data: what the configuration wants, and what the directory has. */

import { tenantId } from '../../../src/base/ids.ts'
import type { Actual, ActualTenant, Desired, DesiredShard } from '../../../src/control/rebalance/types.ts'
import { bucketOf, dealBuckets } from '../../../src/directory/buckets.ts'
import { ISOLATIONS } from '../../../src/directory/types.ts'
import type { Random } from '../../kit/random.ts'

const PLANS = ['standard', 'business']

export function shard(key: string, more: Partial<DesiredShard> = {}): DesiredShard {
  return { key, weight: 1, drain: false, plans: null, isolations: null, capacity: {}, ...more }
}

export function tenant(id: string, more: Partial<ActualTenant> = {}): ActualTenant {
  return {
    id: tenantId(id),
    plan: 'standard',
    bucket: 0,
    shard: 'shard-a',
    isolation: 'shared',
    namespace: 'app',
    epoch: 1,
    isOwn: false,
    held: null,
    rows: 10,
    bytes: 1_000,
    ...more,
  }
}

export function desired(shards: readonly DesiredShard[], more: Partial<Desired> = {}): Desired {
  return { strategy: 'modulo', buckets: 64, assign: new Map(), shards, pins: new Map(), plans: {}, ...more }
}

/** Tenants where their buckets are. */
export function actual(buckets: readonly string[], tenants: readonly ActualTenant[] = []): Actual {
  return {
    namespace: 'app',
    buckets,
    shards: [...new Set(buckets)].sort(),
    databaseMs: new Map(),
    loads: new Map(),
    tenants,
  }
}

export interface RandomFleet {
  readonly desired: Desired
  readonly actual: Actual
}

/** A fleet whose file was edited in several ways at once. */
export function randomFleet(random: Random): RandomFleet {
  const keys = Array.from({ length: 2 + random.int(5) }, (_, i) => `shard-${i}`)
  const count = random.pick([1, 7, 16, 64, 100])
  const dealt = dealBuckets(
    count,
    keys.map((key) => ({ key, weight: random.int(4) + 0.5 })),
  )
  const tenants = Array.from({ length: random.int(80) }, (_, i) => randomTenant(random, i, dealt, keys))
  const shards = [...keys, ...(random.chance(0.5) ? ['shard-new'] : [])].map((key) =>
    randomShard(random, key),
  )
  if (!shards.some(({ drain, weight }) => !drain && weight > 0)) shards.push(shard('shard-last'))
  const places = shards.filter(({ drain }) => !drain).map(({ key }) => key)
  const pins = tenants
    .filter(() => random.chance(0.05))
    .map(({ id }) => [
      id,
      random.chance(0.7) ? { shard: random.pick(places) } : { isolation: random.pick(ISOLATIONS) },
    ])
  const buckets = random.chance(0.2) ? random.pick([1, 16, 128, 33]) : count
  const assigned = Array.from({ length: buckets }, (_, no) => no).filter(() => random.chance(0.05))
  return {
    actual: { ...actual(dealt, tenants), shards: keys },
    desired: desired(shards, {
      buckets,
      pins: new Map(pins as [string, object][]),
      assign: new Map(assigned.map((no) => [no, random.pick(places)])),
      strategy: random.chance(0.8) ? 'modulo' : 'directory',
      plans: random.chance(0.3) ? { business: { isolation: 'schema' } } : {},
    }),
  }
}

function randomTenant(
  random: Random,
  i: number,
  dealt: readonly string[],
  keys: readonly string[],
): ActualTenant {
  const id = tenantId(`t-${i}`)
  const bucket = bucketOf(id, dealt.length)
  const isOwn = random.chance(0.3)
  return tenant(id, {
    bucket,
    plan: random.pick(PLANS),
    isOwn,
    shard: isOwn ? random.pick(keys) : dealt[bucket]!,
    isolation: isOwn ? random.pick(ISOLATIONS) : 'shared',
    held: random.chance(0.05) ? 'its move 7 is copied' : null,
    rows: random.int(1_000),
    bytes: random.chance(0.1) ? 0 : Math.floor(random.unit() ** 4 * 1e9),
  })
}

function randomShard(random: Random, key: string): DesiredShard {
  return shard(key, {
    weight: random.pick([0, 0.5, 1, 1, 1, 2, 5]),
    drain: random.chance(0.15),
    plans: random.chance(0.15) ? ['standard'] : null,
    isolations: random.chance(0.15) ? ['shared'] : null,
    capacity: random.chance(0.2) ? { tenants: random.int(40) } : random.chance(0.2) ? { bytes: 3e8 } : {},
  })
}
