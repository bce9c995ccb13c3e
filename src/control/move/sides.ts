/** Both homes of a move, seen by the mover, and what is compared there: looked up before anything is held. */

import { fail } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { exactly } from '../copy/hash.ts'
import { withAll } from '../copy/lanes.ts'
import type { CopyTable, HomeOf } from '../copy/tables.ts'
import { asMover } from '../copy/target.ts'
import { treesOf } from './hash-tree.ts'
import { movedTablesOf, type Pair, pairsOf } from './moved-tables.ts'
import type { TableTree } from './proof.ts'
import { type KeyColumn, type RowKeys, rowKeysOf } from './row-keys.ts'
import type { Moving } from './types.ts'

/** A table at both ends, and by what its rows are known there. */
export interface Twin extends Pair {
  /** Columns of the key at either end, the same in the same order; null: rows are known by all that they hold. */
  readonly keys: readonly [from: readonly KeyColumn[], to: readonly KeyColumn[]] | null
}

export interface Sides {
  readonly source: Client
  readonly target: Client
  /** Tables that both homes have, by id. */
  readonly twins: readonly Twin[]
  /** Tables of the source's alone. They are compared as if the target had them without rows. */
  readonly missing: readonly CopyTable[]
}

/**
 * Open a session of the mover's on either home, and look up what is compared. Policies that would hide rows throw.
 *
 * @throws SHARD_UNAVAILABLE  a home cannot be reached
 * @throws SETUP_FAILED       the configuration does not say how the mover logs in
 * @throws REFUSED            a table has another key on the target
 */
export function withSides<T>(moving: Moving, work: (sides: Sides) => Promise<T>): Promise<T> {
  return withAll([asMover(moving.source), asMover(moving.target)], async ([source, target]) => {
    await Promise.all([setUp(source!, moving), setUp(target!, moving)])
    return work(await sidesOf(moving, source!, target!))
  })
}

// For the session, which is about this tenant alone: while writes are held, each statement is one that compares.
async function setUp(client: Client, { tenant }: Moving): Promise<void> {
  await client.query('set row_security = off')
  await client.query(compile(sql`select set_config('app.current_tenant_id', ${sql.value(tenant)}, false)`))
  await client.query(compile(exactly('session')))
}

async function sidesOf(moving: Moving, source: Client, target: Client): Promise<Sides> {
  const [from, to] = await Promise.all([
    movedTablesOf(source, moving.source),
    movedTablesOf(target, moving.target),
  ])
  const [fromKeys, toKeys] = await Promise.all([rowKeysOf(source, from), rowKeysOf(target, to)])
  const { pairs, missing } = pairsOf(moving, from, to)
  return { source, target, twins: pairs.map((pair) => twinOf(pair, fromKeys, toKeys)), missing }
}

function twinOf(pair: Pair, from: RowKeys, to: RowKeys): Twin {
  const here = from.get(pair.id) ?? null
  const there = to.get(pair.id) ?? null
  if (!here) return { ...pair, keys: null }
  const same = here.flatMap(({ name }) => there?.find((column) => column.name === name) ?? [])
  if (same.length === here.length) return { ...pair, keys: [here, same] }
  const names = here.map(({ name }) => name).join(', ')
  return fail('REFUSED', `${pair.id} has not the key (${names}) on the target that it has on the source.`, {
    table: pair.id,
  })
}

/** A twin as one side has it. */
export interface OneSide {
  readonly table: CopyTable
  readonly key: readonly KeyColumn[] | null
}

export const fromSide = ({ from, keys }: Twin): OneSide => ({ table: from, key: keys?.[0] ?? null })
export const toSide = ({ to, keys }: Twin): OneSide => ({ table: to, key: keys?.[1] ?? null })

/** Hash one side, in a transaction of the moment that is meant. */
export function treesOfSide(
  client: Client,
  where: HomeOf,
  tables: readonly OneSide[],
  signal?: AbortSignal,
): Promise<TableTree[]> {
  const keys = new Map(tables.map(({ table, key }) => [table.id, key]))
  return treesOf(client, where, { tables: tables.map(({ table }) => table), keys, ...(signal && { signal }) })
}

/** Both results. A failure of one waits for the other, whose session is so free for whoever comes next. */
export async function both<A, B>(one: Promise<A>, other: Promise<B>): Promise<[A, B]> {
  const [a, b] = await Promise.allSettled([one, other])
  if (a.status === 'rejected') throw a.reason
  if (b.status === 'rejected') throw b.reason
  return [a.value, b.value]
}
