/** A bare COPY of a tenant's rows from one shard's tables to another's, as anybody would write it. */

import { pipeline } from 'node:stream/promises'
import { type TenantId, tenantId } from '../src/base/ids.ts'
import { withClient } from '../src/db/client.ts'
import { copyIn, copyOut } from '../src/db/copy.ts'
import { compile, sql } from '../src/db/sql.ts'
import { type BenchDatabase, SCHEMA } from './database.ts'

/** The tables that are copied, with the columns that a row is made of beside the tenant's. */
export const TABLES: Readonly<Record<string, readonly string[]>> = {
  users: ['id', 'name', 'email', 'role', 'created_at'],
  tickets: [
    'id',
    'subject',
    'body',
    'status',
    'priority',
    'author_id',
    'assignee_id',
    'created_at',
    'updated_at',
  ],
  comments: ['id', 'ticket_id', 'author_id', 'body', 'created_at'],
}

/** Two large ones, so that each shard has one; the other tenants fill the indexes. */
export const SIZES = [
  { size: 'X', tenants: 2, users: 500, tickets: 25_000 },
  { size: 'M', tenants: 40, users: 80, tickets: 1_000 },
] as const

/** The large tenant of the first shard. */
export const tenantOf = ({ shards }: BenchDatabase): TenantId =>
  tenantId(shards[0]!.tenants.find(({ size }) => size === 'X')!.id)

/** Copy it to the second shard, table by table, as superuser. @param role  'replica': without triggers */
export function pipe(
  db: BenchDatabase,
  format: 'text' | 'binary',
  role: 'origin' | 'replica',
): Promise<void> {
  const tenant = sql.literal(tenantOf(db))
  const form = format === 'text' ? sql`format text` : sql`format binary`
  return withClient(db.shards[0]!.superuserUrl, (from) =>
    withClient(db.shards[1]!.superuserUrl, async (to) => {
      await to.query(`set session_replication_role = ${role}; begin`)
      for (const [table, names] of Object.entries(TABLES)) {
        const columns = sql.join(
          names.map((name) => sql.identifier(name)),
          ', ',
        )
        const own = sql.identifier(SCHEMA, table)
        const read = sql`copy (select tenant_id, ${columns} from ${own} where tenant_id = ${tenant}) to stdout (${form})`
        await pipeline(
          copyOut(from, read),
          copyIn(to, sql`copy ${own} (tenant_id, ${columns}) from stdin (${form})`),
        )
      }
      await to.query('commit')
    }),
  )
}

/** Remove the copy, so that the next way finds what the last one found. */
export async function clear(db: BenchDatabase): Promise<void> {
  await withClient(db.shards[1]!.superuserUrl, async (client) => {
    await client.query('set session_replication_role = replica')
    for (const table of Object.keys(TABLES)) {
      const own = sql.identifier(SCHEMA, table)
      await client.query(compile(sql`delete from ${own} where tenant_id = ${sql.value(tenantOf(db))}`))
      await client.query(compile(sql`vacuum ${own}`).text)
    }
    await client.query('checkpoint')
  })
}
