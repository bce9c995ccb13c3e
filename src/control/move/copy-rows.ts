/**
 * Copying a tenant's rows from one end of a move to the other: straight from connection to connection, as the mover,
 * several tables at a time (live path), or all in one transaction that was prepared before writes were held (still
 * path, prepare-copy.ts).
 *
 * The source is read with row_security off: a mover that policies hold for gets an error, and never a short copy. What
 * is read is counted by the source and what is written by the target, and both must agree.
 */

import { fail } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import { type Piped, type PipeOptions, pipeCopies } from '../../db/copy-pipe.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { explained } from '../copy/faults.ts'
import { EXACT } from '../copy/hash.ts'
import { inLanes, withAll } from '../copy/lanes.ts'
import { LANES } from '../copy/load.ts'
import { chooseMoment, exportMoment, joinMoment, lockTables } from '../copy/snapshot.ts'
import { aboutTenant, type CopyTable, type HomeOf, rowsOf } from '../copy/tables.ts'
import { asMover } from '../copy/target.ts'
import { requireParents } from '../copy/verify.ts'
import { type CopyPlan, type Load, planCopy, readingOf, writingOf } from './copy-plan.ts'
import { emptyTarget } from './empty-target.ts'
import { movedTablesOf } from './moved-tables.ts'
import type { Filled } from './planner.ts'
import type { Throttle } from './throttle.ts'
import type { Moving } from './types.ts'

export interface CopyOptions {
  /** Name of an exported snapshot of the source; without one, the rows as they are now. */
  readonly snapshot?: string
  readonly throttle?: Throttle
}

export interface CopiedRows {
  readonly rows: number
  readonly bytes: number
}

export interface CopiedTables extends CopiedRows {
  /** By table of the target. */
  readonly filled: readonly Filled[]
}

/**
 * Copy all rows of one moment. What an earlier run has left on the target goes first.
 *
 * @throws REFUSED            rows do not fit: a table is missing, a constraint refuses them, a trigger left some out
 * @throws SETUP_FAILED       the mover may not read or write a table
 * @throws TENANT_BUSY        the tables are being changed
 * @throws SHARD_UNAVAILABLE  a connection was lost
 */
export async function copyRows(moving: Moving, options: CopyOptions = {}): Promise<CopiedTables> {
  await emptyTarget(moving)
  const [reader, writer] = [asMover(moving.source), asMover(moving.target)]
  const ways = [...Array(LANES).fill(reader), ...Array(LANES).fill(writer)] as (typeof reader)[]
  return explained(`Copying the rows of ${moving.tenant}`, () =>
    withAll(ways, async (clients) => {
      const [readers, writers] = [clients.slice(0, LANES), clients.slice(LANES)]
      await openMoment(readers, moving.source, options.snapshot)
      const plan = await planCopy(moving, readers[0]!, writers[0]!)
      await requireNone(readers[0]!, plan.missing, moving)
      const count = new Count(moving, options.throttle)
      const lanes = readers.map((from, i) => ({ from, to: writers[i]! }))
      await inLanes(lanes, plan.quiet, (lane, load, signal) => count.pour(lane, [load], QUIETLY, signal))
      if (plan.rest.length > 0) await count.pour(lanes[0]!, plan.rest, WITH_TRIGGERS, moving.signal)
      await requireOutside(writers[0]!, moving, plan)
      return count.copied
    }),
  )
}

async function openMoment(readers: readonly Client[], where: HomeOf, snapshot?: string): Promise<void> {
  const [first, ...others] = readers as [Client, ...Client[]]
  if (snapshot === undefined) await chooseMoment(first, where, movedTablesOf)
  else await joinEarlier(first, where, snapshot)
  const moment = snapshot ?? (await exportMoment(first))
  for (const client of others) await joinMoment(client, where.tenant, moment)
  for (const client of readers) {
    await client.query(compile(EXACT))
    await client.query('set local row_security = off')
  }
}

/** A table that was rewritten or emptied between the moment and the lock looks empty from the moment. */
async function joinEarlier(client: Client, where: HomeOf, snapshot: string): Promise<void> {
  await joinMoment(client, where.tenant, snapshot)
  const tables = await movedTablesOf(client, where)
  await lockTables(client, tables)
  const names = tables.map(({ schema, name }) => `${schema}.${name}`)
  // The catalogue is read as of the moment; the function looks at what is so now.
  const [changed] = await client.query(
    compile(sql`
      select n.nspname || '.' || c.relname as name
      from pg_class root join pg_namespace n on n.oid = root.relnamespace
      cross join lateral (
        select root.oid as relid union select i.relid from pg_partition_tree(root.oid) i) parts
      join pg_class c on c.oid = parts.relid
      where n.nspname || '.' || root.relname = any(${sql.value(names)}::text[])
        and c.relfilenode <> pg_relation_filenode(c.oid)
      limit 1`),
  )
  if (!changed) return
  const hint = 'Do not migrate or rewrite tables during a move; go on with it now.'
  fail('TENANT_BUSY', `${changed.name} was rewritten while ${where.tenant} was being copied.`, {}, { hint })
}

/** What comes before the COPYs of a transaction on the target. */
export const QUIETLY = [sql`set local session_replication_role = replica`]
export const WITH_TRIGGERS = [sql`set constraints all deferred`]

interface Lane {
  readonly from: Client
  readonly to: Client
}

/** What has gone over. */
class Count {
  readonly #moving: Moving
  readonly #throttle: Throttle | undefined
  readonly #filled: Filled[] = []
  #bytes = 0
  /** For the report: rows on their way included. */
  #seen = 0

  constructor(moving: Moving, throttle: Throttle | undefined) {
    this.#moving = moving
    this.#throttle = throttle
  }

  get copied(): CopiedTables {
    const rows = this.#filled.reduce((sum, { rows }) => sum + rows, 0)
    return { rows, bytes: this.#bytes, filled: this.#filled }
  }

  async pour({ from, to }: Lane, loads: readonly Load[], manner: readonly SQL[], signal: AbortSignal) {
    const { signal: ended, report, record } = this.#moving
    const options: PipeOptions = {
      signal: AbortSignal.any([signal, ended]),
      pace: (bytes, rows) => {
        this.#seen += rows
        report(loads[0]?.id ?? '', this.#seen, record.memory.rows)
        return this.#throttle?.pass(bytes)
      },
    }
    const write = [sql`begin`, ...manner, EXACT, ...loads.map(writingOf), sql`commit`]
    const piped = await pipeCopies(from, to, { read: loads.map((load) => readingOf(load)), write }, options)
    requireSame(loads, piped)
    for (const [i, { to: table }] of loads.entries()) this.#filled.push({ table, rows: piped.read[i] ?? 0 })
    this.#bytes += piped.bytes
  }
}

/**
 * @returns how many rows went over
 * @throws REFUSED  the target has kept fewer or more than the source has given
 */
export function requireSame(loads: readonly Load[], { read, written }: Piped): number {
  for (const [i, { id }] of loads.entries()) {
    if (read[i] !== undefined && read[i] === written[i]) continue
    const sentence = `Of ${id} there are ${read[i] ?? 0} rows on the source, and ${written[i] ?? 0} came in.`
    const hint = 'Look at the triggers and rules of the table on the target.'
    fail('REFUSED', sentence, { table: id }, { hint })
  }
  return read.reduce((sum, rows) => sum + rows, 0)
}

/** @throws REFUSED  a table that the target has not holds rows; `client` is in a transaction that is about the tenant */
export async function requireNone(
  client: Client,
  missing: readonly CopyTable[],
  { tenant, target }: Pick<Moving, 'tenant' | 'target'>,
): Promise<void> {
  for (const table of missing) {
    const [row] = await client.query(compile(sql`select exists (select ${rowsOf(table)}) as some`))
    if (row?.some !== 't') continue
    const sentence = `There are rows of ${tenant} in ${table.id}, and no such table for a tenant on ${target.shard.key}.`
    fail('REFUSED', sentence, { table: table.id })
  }
}

/** Look at the foreign keys that lead to rows which have not come along. */
export async function requireOutside(client: Client, moving: Moving, plan: CopyPlan): Promise<void> {
  const open = plan.quiet.filter((load) => load.open.length > 0)
  if (open.length === 0) return
  await client.transaction(async () => {
    await aboutTenant(client, moving.tenant)
    for (const { to, open: keys } of open) for (const key of keys) await requireParents(client, to, key)
  })
}
