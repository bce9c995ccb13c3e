/**
 * The content hash of a tenant's rows: the same wherever they are, in whatever order, under whatever id the tenant
 * has; another one when a single bit of a value differs, or a row is missing, or there twice.
 *
 *     row    SHA-256 of its text as Postgres writes a row: (1,"a b",,"")    null is nothing, '' is ""
 *     table  number of rows, and the sums of two 64-bit parts of the hashes of its rows
 *     tenant SHA-256 of the lines 'table rows hash', by table
 *
 * A sum, because it needs no order, and two equal rows do not cancel as they would with XOR. SHA-256, because MD5 is
 * refused by servers in FIPS mode and Postgres' own hashes of values take -0 for 0 and are not told to stay the same
 * from release to release. The tenant column is left out, so that a copy under another id compares equal, and so are
 * generated columns, which follow from the others.
 */

import { createHash } from 'node:crypto'
import type { Client, TextRow } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { aboutTenant, type CopyTable, columnsOf, type HomeOf, rowsOf, tablesOf } from './tables.ts'

export interface TableHash {
  /** Id of the table. */
  readonly table: string
  readonly rows: number
  /** 32 hexadecimal digits; zeros of a table without rows. */
  readonly hash: string
}

export interface ContentHash {
  readonly tables: readonly TableHash[]
  readonly rows: number
  /** Of all tables that hold rows: 64 hexadecimal digits. */
  readonly hash: string
}

/**
 * Hash a tenant's rows at its home, all of one moment. Reads only; call outside of a transaction.
 *
 * @param client  connected to the database of the home, as a role that sees the tenant's rows: the owner, the mover
 */
export function contentHash(client: Client, where: HomeOf): Promise<ContentHash> {
  return client.transaction(async () => {
    await client.query('set transaction isolation level repeatable read, read only')
    await aboutTenant(client, where.tenant)
    const hashes: TableHash[] = []
    for (const table of await tablesOf(client, where)) hashes.push(await tableHash(client, table))
    return foldHashes(hashes)
  })
}

/** Hash one table, in a transaction that is about the tenant (`aboutTenant`). */
export async function tableHash(client: Client, table: CopyTable): Promise<TableHash> {
  await client.query(compile(EXACT))
  const [row] = await client.query(
    compile(sql`
      select ${SUMS} from (select ${rowHash(table)} as h ${rowsOf(table)} offset 0) as hashed`),
  )
  return { table: table.id, rows: Number(row?.rows), hash: hashOfSums(row) }
}

/** The hash of a row's text, of the table that `rowsOf` calls `t`. */
export const rowHash = (table: CopyTable): SQL => sha256Of(rowText(table))

/** What is hashed of a row, as a value that is cast to text. */
export const rowText = (table: CopyTable): SQL => sql`row(${columnsOf(table)})`

/** SHA-256 of a value's text: 64 hexadecimal digits. */
export const sha256Of = (value: SQL): SQL => sql`encode(${digestOf(value)}, 'hex')`

/** The same as bytes. */
export const digestOf = (value: SQL): SQL => sql`sha256(convert_to((${value})::text, 'UTF8'))`

/**
 * `rows`, `high` and `low` of hashes of rows that a subquery calls `h`. It ends with "offset 0": if it were pulled up,
 * each hash would be computed once for each sum.
 */
export const SUMS = sql`
  count(*) as rows, coalesce(sum(('x' || left(h, 16))::bit(64)::bigint), 0) as high,
  coalesce(sum(('x' || substr(h, 17, 16))::bit(64)::bigint), 0) as low`

/** 32 hexadecimal digits from a row of `SUMS`. */
export const hashOfSums = (row: TextRow | undefined): string => part(row?.high) + part(row?.low)

/**
 * What values look like as text, for this transaction: exact, and the same in every database. The first three are what
 * db/settings.ts opens connections with; they stand here too, because a hash is compared with one of another day.
 */
export const EXACT = exactly('transaction')

/** The same for a transaction or for a session. */
export function exactly(span: 'transaction' | 'session'): SQL {
  const local = span === 'transaction' ? sql`true` : sql`false`
  return sql`
    select set_config('TimeZone', 'UTC', ${local}), set_config('extra_float_digits', '1', ${local}),
      set_config('bytea_output', 'hex', ${local}), set_config('DateStyle', 'ISO', ${local}),
      set_config('IntervalStyle', 'iso_8601', ${local}), set_config('lc_monetary', 'C', ${local}),
      set_config('xmloption', 'content', ${local})`
}

const part = (sum: string | null | undefined): string =>
  BigInt.asUintN(64, BigInt(sum ?? '0'))
    .toString(16)
    .padStart(16, '0')

/** The hash of all tables together. Tables without rows do not count: not every home has every table. */
export function foldHashes(tables: readonly TableHash[]): ContentHash {
  const lines = tables
    .filter(({ rows }) => rows > 0)
    .map(({ table, rows, hash }) => `${table} ${rows} ${hash}\n`)
  const rows = tables.reduce((sum, table) => sum + table.rows, 0)
  return { tables, rows, hash: createHash('sha256').update(lines.toSorted().join('')).digest('hex') }
}
