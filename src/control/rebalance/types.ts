/**
 * What a plan of moves is made from: the desired state, which the configuration says, and the actual one, which the
 * directory says. Plain data; everything that decides works on these alone.
 */

import type { TenantId } from '../../base/ids.ts'
import type { Isolation } from '../../directory/types.ts'

/** What the configuration wants of a shard. */
export interface DesiredShard {
  readonly key: string
  readonly weight: number
  readonly drain: boolean
  /** Plans whose tenants may be on it; null for all. */
  readonly plans: readonly string[] | null
  readonly isolations: readonly Isolation[] | null
  readonly capacity: Capacity
}

/** Left out, there is no end. */
export interface Capacity {
  readonly tenants?: number
  readonly bytes?: number
}

export interface Pin {
  readonly shard?: string
  readonly isolation?: Isolation
}

export interface Desired {
  readonly strategy: 'modulo' | 'directory'
  readonly buckets: number
  /** Shards of buckets that were said by hand. */
  readonly assign: ReadonlyMap<number, string>
  /** In the order of the file. */
  readonly shards: readonly DesiredShard[]
  readonly pins: ReadonlyMap<string, Pin>
  /** Isolation that a plan promises. */
  readonly plans: Readonly<Record<string, { readonly isolation: Isolation }>>
}

/** Where a tenant is, or is to be. */
export interface Spot {
  readonly shard: string
  readonly isolation: Isolation
}

export interface ActualTenant extends Spot {
  readonly id: TenantId
  readonly plan: string
  readonly bucket: number
  readonly namespace: string
  readonly epoch: number
  /** Whether it has a placement row of its own; otherwise it follows its bucket. */
  readonly isOwn: boolean
  /** Why it cannot be moved now, as a clause; null when it can. */
  readonly held: string | null
  readonly rows: number
  /** Of its tables and indexes; its part of those that are shared. */
  readonly bytes: number
}

export interface Actual {
  readonly namespace: string
  /** Shard by number of the bucket. */
  readonly buckets: readonly string[]
  /** Keys of the shards that are set up. */
  readonly shards: readonly string[]
  /** Milliseconds of database time that lists have taken, by shard; of shards without statistics nothing. */
  readonly databaseMs: ReadonlyMap<string, number>
  /** Milliseconds of database time that tenants have taken lately, as they were metered; of the others nothing. */
  readonly loads: ReadonlyMap<string, number>
  readonly tenants: readonly ActualTenant[]
}

/** Why a tenant moves; in the order in which moves are made. */
export const REASONS = ['not allowed', 'drain', 'pin', 'plan', 'bucket', 'balance'] as const
export type Reason = (typeof REASONS)[number]

/** A tenant that is to be elsewhere. */
export interface Wish {
  readonly tenant: ActualTenant
  readonly to: Spot
  readonly reason: Reason
  /** Whether it follows its bucket again once that is on the same shard. */
  readonly follows: boolean
}

/** A bucket that is to be on another shard. */
export interface BucketChange {
  readonly no: number
  readonly from: string
  readonly to: string
}
