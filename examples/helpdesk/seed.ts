/**
 * Fills the help desk with tenants and rows: the same seed gives the same bytes on every machine.
 *
 *     planTenants ──▶ tenantRows ──▶ seedTenant (one transaction for each tenant, as the owner role)
 *
 * Ids are given rather than drawn from sequences and start at 1 in each tenant: ticket 7 exists in all of
 * them, so that a statement which forgets its tenant shows in the answer.
 */

import { createHash } from 'node:crypto'
import type { Client, Queryable } from '../../src/db/client.ts'
import { itemRows, orderRow } from './seed/orders.ts'
import { memberRows, type Scene, sceneOf, tagRow, teamRow, upTo, userRow } from './seed/people.ts'
import { arrayText, type Cell, type SeedTable, TABLES } from './seed/tables.ts'
import { checkedOptions, planTenants, type SeedOptions, type SeedTenant, sizesOf } from './seed/tenants.ts'
import { commentRows, ticketRow, ticketTagRows } from './seed/tickets.ts'

export { type Cohort, planTenants, type SeedOptions, type SeedTenant } from './seed/tenants.ts'

/** Up to 1000 rows of one table; cells are Postgres text, in the order of `columns`. */
export interface SeedChunk {
  readonly table: string
  readonly columns: readonly string[]
  readonly rows: readonly Cell[][]
}

export interface SeedTarget extends SeedOptions {
  /** Schema that holds the tables. Default is 'helpdesk'. */
  readonly schema?: string
}

// Measured on Postgres 18 with 66,000 rows: 100 a statement take a sixth longer, 10,000 save nothing.
const CHUNK_ROWS = 1_000

/**
 * All rows of one tenant, in an order that foreign keys allow. Rows are made as they are asked for, so
 * memory does not grow with the scale.
 *
 * @throws RangeError  an option is out of its range
 */
export function* tenantRows(tenant: SeedTenant, options: SeedOptions = {}): Generator<SeedChunk> {
  for (const [table, rows] of tableRows(tenant, options)) yield* chunks(table, rows)
}

function tableRows(tenant: SeedTenant, options: SeedOptions): [SeedTable, Iterable<Cell[]>][] {
  const sizes = sizesOf(tenant, options)
  const scene = sceneOf(checkedOptions(options).seed, tenant, sizes)
  return [
    [TABLES.users, each(sizes.users, (n) => [userRow(scene, n)])],
    [TABLES.teams, each(sizes.teams, (n) => [teamRow(scene, n)])],
    [TABLES.teamMembers, each(sizes.teams, (n) => memberRows(scene, n))],
    [TABLES.tags, each(sizes.tags, (n) => [tagRow(scene, n)])],
    [TABLES.orders, each(sizes.orders, (n) => [orderRow(scene, n)])],
    [TABLES.orderItems, numbered(scene, sizes.orders, itemRows)],
    [TABLES.tickets, each(sizes.tickets, (n) => [ticketRow(scene, n)])],
    [TABLES.comments, numbered(scene, sizes.tickets, commentRows)],
    [TABLES.ticketTags, each(sizes.tickets, (n) => ticketTagRows(scene, n))],
  ]
}

function* each(count: number, rowsOf: (n: number) => Iterable<Cell[]>): Generator<Cell[]> {
  for (const n of upTo(count)) yield* rowsOf(n)
}

/** Rows of a child table: each parent has some, and their ids run on from one parent to the next. */
function* numbered(
  scene: Scene,
  parents: number,
  rowsOf: (scene: Scene, n: number, firstId: number) => Iterable<Cell[]>,
): Generator<Cell[]> {
  let id = 1
  for (const n of upTo(parents)) {
    for (const row of rowsOf(scene, n, id)) {
      yield row
      id++
    }
  }
}

function* chunks(table: SeedTable, rows: Iterable<Cell[]>): Generator<SeedChunk> {
  const columns = Object.keys(table.columns)
  let chunk: Cell[][] = []
  for (const row of rows) {
    chunk.push(row)
    if (chunk.length < CHUNK_ROWS) continue
    yield { table: table.name, columns, rows: chunk }
    chunk = []
  }
  if (chunk.length > 0) yield { table: table.name, columns, rows: chunk }
}

/** SHA-256 in hex over every table name and cell, the same however the rows are cut into chunks. */
export function hashRows(rows: Iterable<SeedChunk>): string {
  const hash = createHash('sha256')
  for (const { table, rows: cells } of rows) {
    for (const row of cells) hash.update(`${JSON.stringify([table, ...row])}\n`)
  }
  return hash.digest('hex')
}

/** SHA-256 in hex of the whole seed: all tenants and all their rows, wherever they are kept. */
export function hashSeed(options: SeedOptions = {}): string {
  const hash = createHash('sha256')
  for (const tenant of planTenants(options)) {
    const { isolation: _, settings: __, ...who } = tenant
    hash.update(`${JSON.stringify(who)} ${hashRows(tenantRows(tenant, options))}\n`)
  }
  return hash.digest('hex')
}

/**
 * Write all rows of one tenant in one transaction. A tenant that has users already is left as it is.
 *
 * @param client  connected as the role that owns the tables
 * @returns       how many rows were written; 0 when the tenant had rows before
 * @throws RangeError  an option is out of its range; otherwise what Postgres says
 */
export function seedTenant(client: Client, tenant: SeedTenant, target: SeedTarget = {}): Promise<number> {
  return client.transaction(async (db) => {
    await enter(db, tenant, target.schema ?? 'helpdesk')
    if (await hasRows(db)) return 0
    let written = 0
    for (const chunk of tenantRows(tenant, target)) {
      await insert(db, chunk)
      written += chunk.rows.length
    }
    await raiseSequences(db)
    return written
  })
}

// Row-level security is forced, so the owner too sees and writes only the tenant that is set here.
// Checks of foreign keys keep the plan of their first use, when the tables are empty: a table that vacuum
// has seen empty gets a sequential scan for each row, and 64,000 rows took 4 to 9 s instead of 1.5.
async function enter(db: Queryable, tenant: SeedTenant, schema: string): Promise<void> {
  await db.query({
    text: `select set_config('app.current_tenant_id', $1, true),
      set_config('search_path', quote_ident($2), true), set_config('enable_seqscan', 'off', true)`,
    values: [tenant.id, schema],
  })
}

async function hasRows(db: Queryable): Promise<boolean> {
  const [row] = await db.query<{ found: string }>('select exists (select from users) as found')
  return row?.found === 't'
}

// One array for each column: the text of the statement stays the same for any number of rows. Only names
// and types of seed/tables.ts go into the text.
async function insert(db: Queryable, { table, columns, rows }: SeedChunk): Promise<void> {
  const types = typesOf(table)
  const text = `insert into ${table} (${columns.join(', ')})
    select ${columns.map((column) => `seed.${column}::${types[column]}`).join(', ')}
    from unnest(${columns.map((_, i) => `$${i + 1}::text[]`).join(', ')}) as seed (${columns.join(', ')})`
  await db.query({ text, values: columns.map((_, i) => arrayText(rows.map((row) => row[i] ?? null))) })
}

function typesOf(table: string): Readonly<Record<string, string>> {
  return Object.values<SeedTable>(TABLES).find(({ name }) => name === table)!.columns
}

// Tenants are seeded side by side and share each sequence: it only ever goes up, and reading and setting it
// happens under a lock, or a small tenant could set it back below the ids of a big one.
async function raiseSequences(db: Queryable): Promise<void> {
  await db.query(`select pg_advisory_xact_lock(hashtext('helpdesk seed sequences'))`)
  for (const table of Object.values<SeedTable>(TABLES).filter(({ identity }) => identity)) {
    await db.query(`
      select setval(id_sequence, greatest(top.id, coalesce(pg_sequence_last_value(id_sequence), 0)))
      from cast(pg_get_serial_sequence('${table.name}', 'id') as regclass) as id_sequence,
        (select max(id) as id from ${table.name}) as top
      where top.id is not null`)
  }
}
