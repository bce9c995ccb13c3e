/**
 * How much a tenant holds, for the choice of the path and for what is predicted: counted where that is quick, and
 * estimated where a table has more rows of it than that.
 */

import type { Client } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { aboutTenant, type CopyTable, type HomeOf } from '../copy/tables.ts'
import { movedTablesOf } from './moved-tables.ts'

export interface MovedSize {
  /** Id of the table. */
  readonly table: string
  readonly rows: number
  /** As Postgres stores them: without indexes, and compressed where it compresses. */
  readonly bytes: number
}

/** Rows that are counted, and whose bytes are added up; beyond it the planner's estimate has to do. */
const COUNTED = 10_000

/**
 * Measure the tenant's tables at its home.
 *
 * @param client  of a role that policies do not hold back: they would halve the estimates
 */
export function measureMoved(client: Client, where: HomeOf): Promise<MovedSize[]> {
  return client.transaction(async () => {
    await client.query('set transaction read only')
    await aboutTenant(client, where.tenant)
    const sizes: MovedSize[] = []
    for (const table of await movedTablesOf(client, where)) sizes.push(await measure(client, table, where))
    return sizes
  })
}

async function measure(client: Client, table: CopyTable, where: HomeOf): Promise<MovedSize> {
  const [row] = await client.query(
    compile(sql`
      select count(*) as rows, coalesce(sum(bytes), 0) as bytes
      from (select ${bytesOf(table)} as bytes ${ownRows(table, where)} limit ${sql.literal(COUNTED + 1)}) as counted`),
  )
  const [counted, bytes] = [Number(row?.rows), Number(row?.bytes)]
  if (counted <= COUNTED) return { table: table.id, rows: counted, bytes }
  const rows = Math.max(counted, await estimate(client, table, where))
  return { table: table.id, rows, bytes: Math.round((bytes / counted) * rows) }
}

// A value that lies apart is not fetched for it. 24 are the head of a row.
function bytesOf({ columns }: CopyTable): SQL {
  const parts = columns.map(({ name }) => sql`coalesce(pg_column_size(t.${sql.identifier(name)}), 0)`)
  return sql.join([sql`24`, ...parts], ' + ')
}

async function estimate(client: Client, table: CopyTable, where: HomeOf): Promise<number> {
  const [row] = await client.query(compile(sql`explain (format json) select ${ownRows(table, where)}`))
  const [plan] = JSON.parse(row?.['QUERY PLAN'] ?? '[]') as { Plan?: { 'Plan Rows'?: number } }[]
  return plan?.Plan?.['Plan Rows'] ?? 0
}

// With the value itself, which the planner looks up among the common ones; of a function's result it knows nothing.
function ownRows({ schema, name, partitioned, tenant: of }: CopyTable, { tenant }: HomeOf): SQL {
  const from = sql`from ${partitioned ? sql.blank : sql`only `}${sql.identifier(schema, name)} as t`
  if (!of) return from
  const value = sql`${sql.value(tenant)}::text::${sql.identifier(...of.type)}`
  return sql`${from} where t.${sql.identifier(of.column)} = ${value}`
}
