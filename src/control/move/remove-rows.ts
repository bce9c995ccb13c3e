/**
 * Deleting a tenant's rows from tables that it shares with others, where it lives no more.
 *
 * Each batch is one statement that asks the fence and deletes: its rows are those of the moment in which the fence said
 * that the tenant is gone, so what comes in later, should it come back, is never among them. As the mover, quietly: no
 * policy hides a row, and no trigger of the tenant's tables does anything, because nothing was deleted, it has only
 * gone elsewhere. Foreign keys are not looked at either, so the order of tables does not matter.
 */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import { sleep } from '../../base/time.ts'
import type { Client } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import { aboutTenant, type CopyTable } from '../copy/tables.ts'
import { asMover, mayQuiet } from '../copy/target.ts'
import { sampleAnew } from '../life/statistics.ts'
import { onHome } from '../reach.ts'
import { IDEMPOTENCY } from './moved-tables.ts'

/** Rows in one statement: over in some ten milliseconds. */
const BATCH = 2_000

/** Milliseconds between two batches, at most; in between as long as the batch took: half of the time is the others'. */
const PAUSE_MS = 1_000

export interface Removing {
  readonly where: Whereabouts
  readonly tables: readonly CopyTable[]
  /**
   * That the fence `f`, which is of the tenant, or is not there, says that the tenant does not live in these tables. Of
   * the idempotency keys, which shared tables and schemas of a database have together, `keys` says it.
   */
  readonly gone: SQL
  readonly keys: SQL
  readonly batch?: number
  /** Told after each batch how many rows are gone by now. */
  readonly report: (gone: number) => void
  readonly signal?: AbortSignal
}

/**
 * Delete the tenant's rows and see that none is left.
 *
 * @returns rows that were deleted
 * @throws REFUSED       the fence says that the tenant lives there
 * @throws TENANT_BUSY   the signal
 * @throws SETUP_FAILED  the mover may not
 * @throws TABLE_UNSAFE  rows are left: somebody writes them
 */
export async function removeRows(removing: Removing): Promise<number> {
  const { where, tables, report } = removing
  let gone = 0
  await asMover(where)(async (client) => {
    await requireQuiet(client)
    for (const table of tables) {
      await emptyTable(client, table, removing, (rows) => {
        gone += rows
        report(gone)
      })
    }
    for (const table of tables) await requireEmpty(client, table, where.tenant)
  })
  if (gone > 0) await onHome(where.shard, where.home, (client) => sampleAnew(client, tables))
  return gone
}

async function requireQuiet(client: Client): Promise<void> {
  if (await mayQuiet(client)) return
  const statement = 'grant set on parameter session_replication_role to shardgate_mover;'
  fail('SETUP_FAILED', `A superuser has to run this first:\n  ${statement}`)
}

async function emptyTable(
  client: Client,
  table: CopyTable,
  removing: Removing,
  told: (rows: number) => void,
): Promise<void> {
  const { tenant, shard } = removing.where
  const statement = compile(batchOf(table, removing))
  for (;;) {
    if (removing.signal?.aborted) fail('TENANT_BUSY', `Removing rows of ${tenant} is to pause.`)
    const started = performance.now()
    const [row] = await quietly(client, tenant, () => client.query(statement))
    if (row?.may !== 't') {
      const hint = 'Nothing was deleted since. See "shardgate move doctor".'
      fail(
        'REFUSED',
        `${tenant} lives in the tables of ${shard.key}, as its fence says.`,
        { tenant },
        { hint },
      )
    }
    const rows = Number(row.gone)
    if (rows === 0) return
    told(rows)
    await sleep(Math.min(performance.now() - started, PAUSE_MS))
  }
}

function quietly<T>(client: Client, tenant: TenantId, work: () => Promise<T>): Promise<T> {
  return client.transaction(async () => {
    await client.query('set local session_replication_role = replica')
    await aboutTenant(client, tenant)
    return work()
  })
}

// Rows are named by their place in the file. Two partitions may have the same place, so a batch is of one of them.
function batchOf(table: CopyTable, { where: { tenant }, gone, keys, batch = BATCH }: Removing): SQL {
  const own = ownRows(table, tenant)
  const from = fromOf(table)
  const lives = table.id === IDEMPOTENCY ? keys : gone
  return sql`
    with fence as materialized (
      select coalesce(bool_and(${lives}), true) as may from shardgate.tenant_fence f
      where f.tenant_id = ${sql.value(tenant)}),
    part as materialized (
      select t.tableoid as id ${from} where ${own} and (select may from fence) limit 1),
    batch as materialized (
      select t.ctid as id ${from} where ${own} and t.tableoid = (select id from part) limit ${sql.value(batch)}::int),
    gone as (
      delete ${from} where ${own} and t.tableoid = (select id from part) and t.ctid = any(array(select id from batch))
      returning 1)
    select (select may from fence) as may, (select count(*) from gone) as gone`
}

async function requireEmpty(client: Client, table: CopyTable, tenant: TenantId): Promise<void> {
  if (!(await hasRows(client, table, tenant))) return
  const sentence = `Rows of ${tenant} are in ${table.schema}.${table.name} again, though they were deleted.`
  fail('TABLE_UNSAFE', sentence, { tenant }, { hint: 'Look who writes them, then go on.' })
}

/** Whether a table with the tenant column has rows of a tenant. */
export async function hasRows(client: Client, table: CopyTable, tenant: TenantId): Promise<boolean> {
  const [row] = await client.transaction(async () => {
    await aboutTenant(client, tenant)
    return client.query(
      compile(sql`select exists (select ${fromOf(table)} where ${ownRows(table, tenant)}) as some`),
    )
  })
  return row?.some === 't'
}

// Without "only", what inherits from a table would come twice, as in a copy (copy/tables.ts).
function fromOf({ schema, name, partitioned }: CopyTable): SQL {
  return sql`from ${partitioned ? sql.blank : sql`only `}${sql.identifier(schema, name)} as t`
}

function ownRows({ tenant: of }: CopyTable, tenant: TenantId): SQL {
  if (!of) throw new Error('Rows are deleted from tables with the tenant column alone.')
  return sql`t.${sql.identifier(of.column)} = ${sql.value(tenant)}::text::${sql.identifier(...of.type)}`
}
