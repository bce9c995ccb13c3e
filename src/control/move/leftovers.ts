/**
 * What a move makes outside of the directory, written down in it before it is made: whoever finds a move that was
 * killed knows what there may be. Removing what was never made is no fault.
 */

import type { Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { Isolation } from '../../directory/types.ts'
import type { FoundFence } from './fences.ts'

/** 'rows' are those of shared tables and of idempotency keys; 'home' is a schema or a database. */
export type LeftoverKind = 'publication' | 'slot' | 'home' | 'rows' | 'fence'

export interface Leftover {
  /** Id of the move. */
  readonly move: string
  readonly kind: LeftoverKind
  readonly shard: string
  readonly isolation: Isolation
  readonly namespace: string
  /** Of a publication, a slot; of a fence what was there before: 'moved 3', or 'none'. */
  readonly name: string
}

/** Write one down; one that is there is no fault. Call before the thing is made. */
export async function recordLeftover(directory: Queryable, leftover: Leftover): Promise<void> {
  const { move, kind, shard, isolation, namespace, name } = leftover
  await directory.query(
    compile(sql`
      insert into directory.leftover (move, kind, shard, isolation, namespace, name)
      values (${sql.value(move)}::bigint, ${sql.value(kind)}, ${sql.value(shard)}, ${sql.value(isolation)},
        ${sql.value(namespace)}, ${sql.value(name)})
      on conflict do nothing`),
  )
}

/** Those of one move, or of all, oldest first. */
export async function listLeftovers(directory: Queryable, move?: string): Promise<Leftover[]> {
  const which = move === undefined ? sql.blank : sql`where move = ${sql.value(move)}::bigint`
  const rows = await directory.query(
    compile(sql`
      select move, kind, shard, isolation, namespace, name from directory.leftover ${which}
      order by move, made_at, kind`),
  )
  return rows.map((row) => ({
    move: row.move ?? '',
    kind: row.kind as LeftoverKind,
    shard: row.shard ?? '',
    isolation: row.isolation as Isolation,
    namespace: row.namespace ?? '',
    name: row.name ?? '',
  }))
}

/** Strike some of a move's out, once they are removed. Left out, `kinds` are all, `name` is any. */
export async function forgetLeftovers(
  directory: Queryable,
  move: string,
  { kinds, name }: { readonly kinds?: readonly LeftoverKind[]; readonly name?: string } = {},
): Promise<void> {
  await directory.query(
    compile(sql`
      delete from directory.leftover
      where move = ${sql.value(move)}::bigint
        ${kinds ? sql`and kind = any(${sql.value(kinds)}::text[])` : sql.blank}
        ${name === undefined ? sql.blank : sql`and name = ${sql.value(name)}`}`),
  )
}

const NONE = 'none'

/** What stands in `name` of a fence. The role of a fence that lets nobody in is of no use to anybody. */
export const fenceName = (before: FoundFence | null): string =>
  before === null ? NONE : `${before.state} ${before.epoch}`

/** The fence that was there before one was laid; null for none. */
export function fenceBefore(name: string): FoundFence | null {
  const [, state, epoch] = /^(moved|purged) (\d+)$/.exec(name) ?? []
  if (state === undefined) return null
  return { state: state as FoundFence['state'], epoch: Number(epoch), role: null }
}
