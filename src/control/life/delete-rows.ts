/**
 * Deleting a tenant's rows from tables that it shares with others: children first, a batch at a time, and no more than
 * half of the time, so that the neighbours notice little.
 *
 * Where tables hang on each other in a circle, or one on itself, rows on which nothing hangs go first, again and again.
 * What is left then hangs together in circles of rows; one statement takes it, because foreign keys are looked at when
 * a statement ends. Passes go on until one finds nothing: a trigger may have written rows of the tenant meanwhile.
 */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import { sleep } from '../../base/time.ts'
import type { Client } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { aboutTenant } from '../copy/tables.ts'
import { childrenFirst, idOf, isOfTenant, type TenantTable } from './tables.ts'

/** Rows in one statement: enough that its fixed costs vanish, and over in some ten milliseconds. */
const BATCH = 2_000

/** Milliseconds between two batches, at most. */
const PAUSE_MS = 1_000

/** Triggers that write a row for each that is deleted would go on for ever. */
const PASSES = 10

export interface DeleteOptions {
  /** Default is 2,000. */
  readonly batch?: number
  /** Told after each batch how many rows are gone by now. */
  readonly report?: (gone: number) => void
}

/**
 * @param tables  with the foreign keys between them
 * @returns rows that were deleted
 * @throws TABLE_UNSAFE  rows stay whatever is done
 */
export async function deleteRows(
  client: Client,
  tables: readonly TenantTable[],
  tenant: TenantId,
  { batch = BATCH, report = () => {} }: DeleteOptions = {},
): Promise<number> {
  const order = childrenFirst(tables)
  let gone = 0
  const told = (rows: number): void => {
    gone += rows
    report(gone)
  }
  for (let pass = 0; pass < PASSES; pass++) {
    const before = gone
    const emptied = new Set<string>()
    for (const table of order) {
      const full = order.filter(({ oid }) => !emptied.has(oid))
      await emptyTable(client, { table, full, tenant, batch, told })
      if (table.hanging.every(({ child }) => emptied.has(child))) emptied.add(table.oid)
    }
    if (gone > before) continue
    const left = await tablesWithRows(client, order, tenant)
    if (left.length === 0) return gone
    told(await deleteTogether(client, left, tenant))
    if (gone === before) return stuck(left, tenant)
  }
  return stuck(await tablesWithRows(client, order, tenant), tenant)
}

function stuck(left: readonly TenantTable[], tenant: TenantId): never {
  const names = left.map(idOf).join(', ')
  const hint = 'Look at the triggers and policies of these tables, then go on: "shardgate operation list".'
  return fail('TABLE_UNSAFE', `Rows of ${tenant} stay in ${names}, though they were deleted.`, {}, { hint })
}

interface Emptying {
  readonly table: TenantTable
  /** Tables that may have rows yet, this one included. */
  readonly full: readonly TenantTable[]
  readonly tenant: TenantId
  readonly batch: number
  readonly told: (rows: number) => void
}

async function emptyTable(client: Client, emptying: Emptying): Promise<void> {
  const statement = batchStatement(emptying)
  if (!statement) return
  for (;;) {
    const started = performance.now()
    const [row] = await about(client, emptying.tenant, statement)
    const rows = Number(row?.gone)
    if (rows === 0) return
    emptying.told(rows)
    await sleep(Math.min(performance.now() - started, PAUSE_MS))
  }
}

// Rows are named by their place in the file. Two partitions may have the same place, so a batch is of one of them.
function batchStatement({ table, full, tenant, batch }: Emptying): SQL | undefined {
  const own = isOfTenant(table, tenant)
  if (!own) return undefined
  const from = sql.identifier(table.schema, table.name)
  const free = sql.join([own, ...blockers(table, full, tenant)], ' and ')
  return sql`
    with part as materialized (select t.tableoid as id from ${from} t where ${free} limit 1),
    batch as materialized (
      select t.ctid as id from ${from} t where ${free} and t.tableoid = (select id from part)
      limit ${sql.value(batch)}::int),
    gone as (
      delete from ${from} t
      where ${own} and t.tableoid = (select id from part) and t.ctid = any(array(select id from batch))
      returning 1)
    select count(*) as gone from gone`
}

/** That nothing hangs on a row, of the tables that may have rows yet; `t` is the row. */
function blockers(table: TenantTable, full: readonly TenantTable[], tenant: TenantId): SQL[] {
  return table.hanging.flatMap(({ child, columns, keys }) => {
    const other = full.find(({ oid }) => oid === child)
    const theirs = other && isOfTenant(other, tenant, sql`h`)
    if (!theirs) return []
    const pairs = columns.map(
      (column, i) => sql`h.${sql.identifier(column)} = t.${sql.identifier(keys[i] ?? '')}`,
    )
    const same = other === table ? sql` and (h.tableoid, h.ctid) <> (t.tableoid, t.ctid)` : sql.blank
    const from = sql.identifier(other.schema, other.name)
    return [sql`not exists (select from ${from} h where ${theirs} and ${sql.join(pairs, ' and ')}${same})`]
  })
}

async function tablesWithRows(
  client: Client,
  tables: readonly TenantTable[],
  tenant: TenantId,
): Promise<TenantTable[]> {
  const found: TenantTable[] = []
  for (const table of tables) {
    const own = isOfTenant(table, tenant)
    if (!own) continue
    const [row] = await about(
      client,
      tenant,
      sql`select exists (select from ${sql.identifier(table.schema, table.name)} t where ${own}) as some`,
    )
    if (row?.some === 't') found.push(table)
  }
  return found
}

async function deleteTogether(
  client: Client,
  tables: readonly TenantTable[],
  tenant: TenantId,
): Promise<number> {
  const deletes = tables.map((table, i) => {
    const own = isOfTenant(table, tenant) ?? sql`false`
    const from = sql.identifier(table.schema, table.name)
    return sql`${sql.identifier(`gone_${i}`)} as (delete from ${from} t where ${own} returning 1)`
  })
  const counts = tables.map((_, i) => sql`(select count(*) from ${sql.identifier(`gone_${i}`)})`)
  const [row] = await about(
    client,
    tenant,
    sql`with ${sql.join(deletes, ', ')} select ${sql.join(counts, ' + ')} as gone`,
  )
  return Number(row?.gone)
}

/** A transaction of its own that is about the tenant, as policies see it. */
function about(client: Client, tenant: TenantId, statement: SQL) {
  return client.transaction(async () => {
    await aboutTenant(client, tenant)
    return client.query(compile(statement))
  })
}
