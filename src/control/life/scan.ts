/**
 * Looking for what a purge has left: in every table with the tenant column of a database, served or not, those in the
 * schemas of other tenants included.
 *
 * Policies may hide rows from the owner. Where the configuration has the log-in of the mover, which policies do not
 * hold back, and it may read the tables, it looks; the receipt names who did.
 */

import type { TenantId } from '../../base/ids.ts'
import { type Client, connect } from '../../db/client.ts'
import { databaseUrl } from '../../db/database-url.ts'
import { compile, sql } from '../../db/sql.ts'
import { isTenantSchema } from '../../directory/namespaces.ts'
import { aboutTenant } from '../copy/tables.ts'
import { accessTo } from '../homes/reach-home.ts'
import { DEFAULT_TENANCY, type Fleet, onHome } from '../reach.ts'
import type { Place } from './subject.ts'
import { idOf, isOfTenant, type TenantTable, tenantTables } from './tables.ts'

export interface TableRows {
  readonly table: string
  readonly rows: number
}

export interface Scan {
  /** Role that looked. */
  readonly role: string
  /** Tables that were looked at. */
  readonly tables: number
  /** Rows where Shardgate keeps rows of tenants. */
  readonly left: readonly TableRows[]
  /** Rows in schemas that are not served, and so not Shardgate's to delete. */
  readonly elsewhere: readonly TableRows[]
  /** Tables that nobody of us may read. */
  readonly unread: readonly string[]
}

/**
 * Count a tenant's rows in all tables of the database that a place is in.
 *
 * @throws SHARD_UNAVAILABLE  it cannot be reached
 */
export function scanPlace(fleet: Fleet, place: Place, tenant: TenantId): Promise<Scan> {
  return withSight(fleet, place, async (client) => {
    const tables = await tenantTables(client, fleet.tenancy ?? DEFAULT_TENANCY)
    const found = await countRows(
      client,
      tables.filter(({ readable }) => readable),
      tenant,
    )
    const [me] = await client.query('select current_user as name')
    const isOurs = ({ schema, served }: TenantTable): boolean => served || isTenantSchema(schema)
    return {
      role: me?.name ?? '',
      tables: tables.filter(({ readable }) => readable).length,
      left: found.filter(({ table }) => isOurs(table)).map(named),
      elsewhere: found.filter(({ table }) => !isOurs(table)).map(named),
      unread: tables.filter(({ readable }) => !readable).map(idOf),
    }
  })
}

const named = ({ table, rows }: { table: TenantTable; rows: number }): TableRows => ({
  table: idOf(table),
  rows,
})

async function countRows(client: Client, tables: readonly TenantTable[], tenant: TenantId) {
  const found: { table: TenantTable; rows: number }[] = []
  await client.transaction(async () => {
    await client.query('set transaction isolation level repeatable read, read only')
    await aboutTenant(client, tenant)
    for (const table of tables) {
      const own = isOfTenant(table, tenant)
      if (!own) continue
      const from = sql.identifier(table.schema, table.name)
      const [row] = await client.query(compile(sql`select count(*) as rows from ${from} t where ${own}`))
      if (Number(row?.rows) > 0) found.push({ table, rows: Number(row?.rows) })
    }
  })
  return found
}

async function withSight<T>(fleet: Fleet, place: Place, work: (client: Client) => Promise<T>): Promise<T> {
  const shard = accessTo(fleet, place.shard)
  const mover = shard.moverUrl === undefined ? undefined : await sightOf(fleet, shard.moverUrl, place)
  if (!mover) return onHome(shard, place, work)
  try {
    return await work(mover)
  } finally {
    await mover.end()
  }
}

/** A connection of the mover, where it sees every row; undefined where it does not. */
async function sightOf(fleet: Fleet, moverUrl: string, place: Place): Promise<Client | undefined> {
  const url = place.isolation === 'database' ? databaseUrl(moverUrl, place.namespace) : moverUrl
  const client = await connect(url).catch(() => undefined)
  if (!client) return undefined
  const [me] = await client.query('select rolbypassrls as all from pg_roles where rolname = current_user')
  const tables = await tenantTables(client, fleet.tenancy ?? DEFAULT_TENANCY)
  if (me?.all === 't' && tables.every(({ readable }) => readable)) return client
  await client.end()
  return undefined
}
