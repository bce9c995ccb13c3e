/**
 * What a move takes along: the tables that hold rows of the tenant, and its answers by idempotency key, without which
 * an operation that a client sends again after the cutover would be done twice.
 *
 * Those answers lie in one table for all tenants of a database that have no database of their own. Where both ends of
 * a move are in one database (shared ↔ schema on one shard), they are there already: copying them would meet them,
 * following them would apply them to themselves, and emptying the target would take them from the source.
 */

import type { Queryable } from '../../db/client.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import { type CopyTable, type HomeOf, tablesOf } from '../copy/tables.ts'
import type { Moving } from './types.ts'

export const IDEMPOTENCY = 'shardgate.idempotency'

/** The tables of a home that may hold rows of its tenant, and the one of its idempotency keys, by id. */
export async function movedTablesOf(db: Queryable, where: HomeOf): Promise<CopyTable[]> {
  const own = await tablesOf(db, where)
  const kept = await tablesOf(db, {
    tenant: where.tenant,
    home: { isolation: 'shared', namespace: 'shardgate' },
    tenancy: { column: 'tenant_id', schemas: ['shardgate'] },
  })
  return [...own, ...kept.filter(({ id }) => id === IDEMPOTENCY)]
}

/** Whether both ends are in one database, where they share the tenant's fence and its idempotency keys. */
export function isOneDatabase({ source, target }: Pick<Moving, 'source' | 'target'>): boolean {
  const inShard = (where: Whereabouts): boolean => where.home.isolation !== 'database'
  return source.shard.key === target.shard.key && inShard(source) && inShard(target)
}

/** One table at both ends of a move. */
export interface Pair {
  readonly id: string
  readonly from: CopyTable
  readonly to: CopyTable
}

export interface MovedPairs {
  readonly pairs: readonly Pair[]
  /** Tables of the source that the target has not, by id: they must have no rows (preflight). */
  readonly missing: readonly CopyTable[]
}

/** The tables whose rows go from one end to the other; without the idempotency keys where they stay where they are. */
export function pairsOf(
  moving: Pick<Moving, 'source' | 'target'>,
  from: readonly CopyTable[],
  to: readonly CopyTable[],
): MovedPairs {
  const going = isOneDatabase(moving) ? from.filter(({ id }) => id !== IDEMPOTENCY) : from
  const there = new Map(to.map((table) => [table.id, table]))
  return {
    pairs: going.flatMap((table) => {
      const other = there.get(table.id)
      return other ? [{ id: table.id, from: table, to: other }] : []
    }),
    missing: going.filter(({ id }) => !there.has(id)),
  }
}
