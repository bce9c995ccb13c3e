/**
 * Writing a tenant's rows into the tables of its home, as the mover.
 *
 * Quietly, where the mover may: without triggers, because what they would add is among the rows already, and without a
 * look at each foreign key, which costs 2.7 times all the rest; check.ts looks at them afterwards, all at once. Tables
 * are then loaded several at a time, each in a transaction of its own.
 *
 * Otherwise all in one transaction, parents first, with what can be deferred deferred. So are in any case tables with a
 * key that is looked at when a transaction ends: a trigger of Postgres' does that, and it would be quiet too.
 */

import type { Client } from '../../db/client.ts'
import { copyIn } from '../../db/copy.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { onHome } from '../reach.ts'
import { EXACT } from './hash.ts'
import { type OnClient, withAll } from './lanes.ts'
import { TenantColumn } from './lines.ts'
import type { Sink } from './read.ts'
import type { Whereabouts } from './snapshot.ts'
import { keysOf, parentsFirst } from './table-keys.ts'
import type { CopyTable } from './tables.ts'
import { asMover, mayQuiet } from './target.ts'

/** Tables that are loaded together. */
export interface Phase {
  readonly tables: readonly CopyTable[]
  /** How many may be under way at once: 1 when their order matters. */
  readonly lanes: number
  /** Begin to write a table's rows on a lane; they are kept once `end` has been called. */
  open(table: CopyTable, lane: number): Promise<{ readonly sink: Sink; end(): Promise<void> }>
}

/** Tables loaded at once; a third one made nothing faster on two cores. */
export const LANES = 2

export interface Loading {
  /** Tables that were read; other ones of the home keep what the migrations have given them. */
  readonly covered: readonly CopyTable[]
  /** Those of them that get rows. */
  readonly filled: readonly CopyTable[]
}

/** Load tables, phase by phase; `pour` fills the tables of one. Rows of an earlier run must be gone from shared ones. */
export async function loadTables(
  where: Whereabouts,
  { covered, filled: tables }: Loading,
  pour: (phase: Phase) => Promise<void>,
): Promise<void> {
  if (where.home.isolation !== 'shared') await emptyOwn(where, covered)
  const mover = asMover(where)
  return withAll<void>(
    Array.from({ length: LANES }, (): OnClient => mover),
    async (movers) => {
      const [first] = movers as [Client]
      const keys = await keysOf(first, tables)
      const quiet = (await mayQuiet(first)) ? tables.filter(({ id }) => !keys.get(id)?.deferred) : []
      const rest = parentsFirst(tables, keys).filter((table) => !quiet.includes(table))
      if (quiet.length > 0) await pour(quietly(where, quiet, movers))
      if (rest.length > 0) await withTriggers(where, rest, first, pour)
    },
  )
}

// Nobody else has rows there, so they go at once: those of an earlier run, and those that the migrations have made in
// tables without the tenant column, which are among the rows that come.
function emptyOwn({ shard, home }: Whereabouts, covered: readonly CopyTable[]): Promise<void> {
  const names = covered.map(({ schema, name }) => sql.identifier(schema, name))
  return onHome(shard, home, async (client) => {
    if (names.length > 0) await client.query(compile(sql`truncate ${sql.join(names, ', ')}`))
  })
}

function quietly(where: Whereabouts, tables: readonly CopyTable[], movers: readonly Client[]): Phase {
  return {
    tables,
    lanes: movers.length,
    async open(table, lane) {
      const mover = movers[lane]!
      await mover.query('begin; set local session_replication_role = replica')
      const sink = await sinkOn(mover, table, where)
      return { sink, end: async () => void (await mover.query('commit')) }
    },
  }
}

function withTriggers(
  where: Whereabouts,
  tables: readonly CopyTable[],
  mover: Client,
  pour: (phase: Phase) => Promise<void>,
): Promise<void> {
  return mover.transaction(async () => {
    await mover.query('set constraints all deferred')
    const open = async (table: CopyTable) => ({
      sink: await sinkOn(mover, table, where),
      end: async () => {},
    })
    await pour({ tables, lanes: 1, open })
  })
}

async function sinkOn(mover: Client, table: CopyTable, { tenant }: Whereabouts): Promise<Sink> {
  await mover.query(compile(EXACT))
  const writer = copyIn(mover, writingOf(table))
  return table.tenant ? [new TenantColumn(tenant, table.columns.length === 0), writer] : [writer]
}

// Values of identity columns are taken as they come, also of those that are "generated always".
function writingOf({ schema, name, tenant, columns }: CopyTable): SQL {
  const names = [...(tenant ? [tenant.column] : []), ...columns.map((column) => column.name)]
  const list = sql.join(
    names.map((column) => sql.identifier(column)),
    ', ',
  )
  return sql`copy ${sql.identifier(schema, name)} (${list}) from stdin (format text, encoding 'UTF8')`
}
