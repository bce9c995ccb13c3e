/** What shards hold while a plan is thought through, and whether more fits. */

import type { Capacity } from './types.ts'

export interface Size {
  readonly tenants: number
  readonly bytes: number
}

interface Limited {
  readonly key: string
  readonly capacity: Capacity
}

/**
 * Rows that a source keeps for the way back of a move are not counted there any more: they go when the window ends, and
 * no capacity is meant so exactly.
 */
export class Room {
  readonly #limits: ReadonlyMap<string, Capacity>
  readonly #held = new Map<string, { tenants: number; bytes: number }>()

  constructor(
    shards: readonly Limited[],
    tenants: readonly { readonly shard: string; readonly bytes: number }[],
  ) {
    this.#limits = new Map(shards.map(({ key, capacity }) => [key, capacity]))
    for (const { shard, bytes } of tenants) this.#add(shard, { tenants: 1, bytes }, 1)
  }

  holds(shard: string): Size {
    return this.#held.get(shard) ?? { tenants: 0, bytes: 0 }
  }

  /** Whether a shard stays within its capacity with so much more. */
  fits(shard: string, more: Size): boolean {
    const { tenants, bytes } = this.holds(shard)
    const limit = this.#limits.get(shard) ?? {}
    return (
      tenants + more.tenants <= (limit.tenants ?? Infinity) && bytes + more.bytes <= (limit.bytes ?? Infinity)
    )
  }

  move(from: string, to: string, size: Size): void {
    this.#add(from, size, -1)
    this.#add(to, size, 1)
  }

  #add(shard: string, { tenants, bytes }: Size, sign: 1 | -1): void {
    const held = this.#held.get(shard) ?? { tenants: 0, bytes: 0 }
    this.#held.set(shard, { tenants: held.tenants + sign * tenants, bytes: held.bytes + sign * bytes })
  }
}
