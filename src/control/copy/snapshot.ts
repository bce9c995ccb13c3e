/**
 * One moment of a tenant's rows, seen by several connections at once.
 *
 * The tables are locked against changes of their structure before the moment is chosen: a table that is rewritten
 * afterwards would look empty to whoever looks at it from before. Rows may go on changing; nobody waits.
 *
 * Rows are read as owner, under the policies. They are hashed as the mover, whom no policy stops, where there is one:
 * rows that a policy hides from the owner are so found to be missing.
 */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { tenantRole } from '../../directory/namespaces.ts'
import { readStructure } from '../../model/structure.ts'
import { identityOf } from '../install.ts'
import { readBook } from '../migrate/book.ts'
import { APP_ROLE } from '../migrate/place.ts'
import { onHome, type ShardAccess } from '../reach.ts'
import { EXACT } from './hash.ts'
import { withAll } from './lanes.ts'
import { aboutTenant, type CopyTable, type HomeOf, tablesOf } from './tables.ts'

/** Where a tenant is, and how it is reached. */
export interface Whereabouts extends HomeOf {
  readonly shard: ShardAccess
}

/** What the tables are like. */
export interface Shape {
  /** Version of the last migration; null where there was none. */
  readonly version: string | null
  /** Of the first served schema, which every home has; see model/structure.ts. */
  readonly lines: readonly string[]
}

export interface Snapshot {
  readonly tables: readonly CopyTable[]
  readonly shape: Shape
  /** For reading; each in a transaction that is about the tenant and sees that moment. */
  readonly readers: readonly Client[]
  /** For hashing, the same. */
  readonly hasher: Client
}

/** Connections that read at once. A third one made nothing faster on two cores. */
const READERS = 2

/** Milliseconds to wait for a change of structure that is under way. */
const LOCK_MS = 30_000

/**
 * @throws SHARD_UNAVAILABLE  the home cannot be reached
 * @throws TENANT_BUSY        a migration changes the tables, and did not end in time
 */
export function withSnapshot<T>(where: Whereabouts, work: (snapshot: Snapshot) => Promise<T>): Promise<T> {
  const { shard, home } = where
  const asOwner = <U>(inner: (client: Client) => Promise<U>): Promise<U> => onHome(shard, home, inner)
  const asMover = <U>(inner: (client: Client) => Promise<U>): Promise<U> =>
    onHome(moverOf(shard), home, inner)
  const ways = [
    ...Array.from({ length: READERS }, () => asOwner),
    shard.moverUrl === undefined ? asOwner : asMover,
  ]
  return withAll(ways, async (clients) => {
    const [first, ...others] = clients as [Client, ...Client[]]
    const tables = await chooseMoment(first, where)
    const shape = await shapeOf(first, where)
    const moment = await exportMoment(first)
    for (const client of others) await joinMoment(client, where.tenant, moment)
    return work({ tables, shape, readers: clients.slice(0, READERS), hasher: clients[READERS]! })
  })
}

const moverOf = (shard: ShardAccess): ShardAccess => ({ ...shard, url: shard.moverUrl ?? shard.url })

/**
 * Begin a transaction: lock the tables, then choose the moment, then see whether those are still the tables.
 *
 * @throws TENANT_BUSY  the tables are changed again and again
 */
export async function chooseMoment(
  client: Client,
  where: HomeOf,
  find: typeof tablesOf = tablesOf,
): Promise<CopyTable[]> {
  const { tenant } = where
  for (let again = 0; again < 5; again++) {
    const before = await find(client, where)
    await begin(client)
    await lockTables(client, before)
    await aboutTenant(client, tenant)
    const tables = await find(client, where)
    if (JSON.stringify(tables) === JSON.stringify(before)) return tables
    await client.query('rollback')
  }
  return fail(
    'TENANT_BUSY',
    `The tables of ${tenant} are being changed.`,
    {},
    { hint: 'Wait for the migration.' },
  )
}

async function begin(client: Client): Promise<void> {
  await client.query('begin isolation level repeatable read, read only')
  // A connection waits while others copy, and a copy takes what it takes.
  await client.query(`
    set local idle_in_transaction_session_timeout = 0; set local statement_timeout = 0;
    set local lock_timeout = ${LOCK_MS}`)
}

/** Keep the structure of tables as it is until the transaction ends. */
export async function lockTables(client: Client, tables: readonly CopyTable[]): Promise<void> {
  if (tables.length === 0) return
  const names = tables.map(({ schema, name }) => sql.identifier(schema, name))
  await client.query(compile(sql`lock table ${sql.join(names, ', ')} in access share mode`))
}

/** The name under which others join the moment of a transaction, as long as it is open. */
export async function exportMoment(client: Client): Promise<string> {
  const [moment] = await client.query('select pg_export_snapshot() as id')
  return moment?.id ?? ''
}

/** Begin a transaction that is about the tenant and sees the moment of another one. */
export async function joinMoment(client: Client, tenant: TenantId, moment: string): Promise<void> {
  await begin(client)
  // The name of a moment is Postgres' own, of digits and dashes; the statement takes no parameters.
  await client.query(compile(sql`set transaction snapshot ${sql.literal(moment)}`))
  await aboutTenant(client, tenant)
  await client.query(compile(EXACT))
}

/** What the tables of a home are like now. */
export async function shapeOf(client: Client, { home, tenancy, tenant }: HomeOf): Promise<Shape> {
  const own = home.isolation === 'schema'
  const id = (await identityOf(client)) ?? ''
  const lines = await readStructure(client, {
    schemas: own ? [home.namespace] : tenancy.schemas.slice(0, 1),
    appRole: own ? tenantRole(id, tenant) : APP_ROLE,
  })
  const book = await readBook(client, own ? home.namespace : '')
  await client.query(compile(EXACT))
  return { version: book.at(-1)?.version ?? null, lines }
}
