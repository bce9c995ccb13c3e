/** Whether the rows that were written are those that were read, and hang together. */

import { fail } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { type TableHash, tableHash } from './hash.ts'
import { inLanes, withAll } from './lanes.ts'
import { LANES } from './load.ts'
import type { Whereabouts } from './snapshot.ts'
import { type ForeignKey, keysOf } from './table-keys.ts'
import { aboutTenant, type CopyTable, rowsOf, tablesOf } from './tables.ts'
import { asMover } from './target.ts'

/**
 * Compare the contents of a home with what was read elsewhere, table by table, and follow the foreign keys, which a
 * quiet load did not look at. As the mover, whom no policy hides rows from.
 *
 * @throws REFUSED  a table has other contents, or a row refers to one that is not there
 */
export function verifyRows(where: Whereabouts, wanted: readonly TableHash[]): Promise<void> {
  const mover = asMover(where)
  const expected = new Map(wanted.map((hash) => [hash.table, hash]))
  return withAll<void>(
    Array.from({ length: LANES }, () => mover),
    async (movers) => {
      const tables = await tablesOf(movers[0]!, where)
      const keys = await keysOf(movers[0]!, tables)
      const bySize = tables.toSorted(
        (a, b) => (expected.get(b.id)?.rows ?? 0) - (expected.get(a.id)?.rows ?? 0),
      )
      await inLanes(movers, bySize, (client, table) =>
        client.transaction(async () => {
          // What the migrations have put into a table of its own that was not read is no row of this tenant's.
          if (!table.tenant && !expected.has(table.id)) return
          await aboutTenant(client, where.tenant)
          requireEqual(await tableHash(client, table), expected.get(table.id))
          for (const key of keys.get(table.id)?.foreign ?? []) await requireParents(client, table, key)
        }),
      )
    },
  )
}

const ZERO = '0'.repeat(32)

function requireEqual({ table, rows, hash }: TableHash, wanted: TableHash | undefined): void {
  if (rows !== (wanted?.rows ?? 0)) {
    fail('REFUSED', `${table} has ${rows} rows now; ${wanted?.rows ?? 0} were read.`, { table })
  }
  if (hash === (wanted?.hash ?? ZERO)) return
  fail(
    'REFUSED',
    `${table} has other contents than what was read, in the same number of rows.`,
    { table },
    {
      hint: 'A trigger may have changed them: grant set on parameter session_replication_role to shardgate_mover.',
    },
  )
}

/**
 * In a transaction that is about the tenant.
 *
 * @throws REFUSED  a row refers to one that is not there
 */
export async function requireParents(client: Client, table: CopyTable, key: ForeignKey): Promise<void> {
  // Nothing has analysed the new rows, so Postgres takes them for few and would look each parent up by itself, which
  // takes four times as long. With the tenant in the key, the parents that it reads instead are the tenant's alone.
  const isOwn = table.tenant !== null && key.columns.includes(table.tenant.column)
  await client.query(`set local enable_nestloop = ${isOwn ? 'off' : 'on'}`)
  const [orphan] = await client.query(compile(sql`select ${rowsOf(table)} and ${isOrphan(key)} limit 1`))
  if (!orphan) return
  const parent = `${key.parent.schema}.${key.parent.name}`
  fail('REFUSED', `A row of ${table.id} refers by ${key.name} to a row of ${parent} that is not there.`, {
    table: table.id,
  })
}

function isOrphan({ columns, parent, parentColumns, full }: ForeignKey): SQL {
  const own = columns.map((column) => sql`t.${sql.identifier(column)}`)
  const pairs = own.map((column, i) => sql`p.${sql.identifier(parentColumns[i] ?? '')} = ${column}`)
  const set = sql.join(
    own.map((column) => sql`${column} is not null`),
    ' and ',
  )
  const none = sql.join(
    own.map((column) => sql`${column} is null`),
    ' and ',
  )
  const lost = sql`not exists (
    select from ${sql.identifier(parent.schema, parent.name)} p where ${sql.join(pairs, ' and ')})`
  return full ? sql`not (${none}) and (not (${set}) or ${lost})` : sql`(${set}) and ${lost}`
}
