/**
 * Hash trees: what a tenant's tables hold, in a form that says where two sides differ.
 *
 *     row     SHA-256 of its text (control/copy/hash.ts)
 *     leaf    number and sum of its rows; which leaf a row is in, the SHA-256 of its key says
 *     table   the sum of its leaves: the same hash that an export has of it
 *
 * Equal wherever the rows are, and in whatever order. The leaf, too, is by SHA-256: Postgres' own hash would save an
 * eighth of the time and is not told to stay the same from release to release, while a receipt is checked years later.
 */

import type { Client, TextRow } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { digestOf, EXACT, hashOfSums, rowHash, rowText, SUMS } from '../copy/hash.ts'
import { aboutTenant, type CopyTable, type HomeOf, rowsOf } from '../copy/tables.ts'
import { movedTablesOf } from './moved-tables.ts'
import type { TableTree } from './proof.ts'
import { type KeyColumn, keyOf, type RowKeys, rowKeysOf } from './row-keys.ts'

/** Where two trees of a table differ. */
export interface TreeDifference {
  readonly table: string
  /** Rows on the one side, and on the other. */
  readonly rows: readonly [one: number, other: number]
  /** Numbers of the leaves that differ. */
  readonly leaves: readonly number[]
  /** How many leaves there are. */
  readonly of: number
}

export interface TreeOptions {
  /** Default: those of the home (`movedTablesOf`). */
  readonly tables?: readonly CopyTable[]
  /** Default: the home's own. Two sides are compared by the keys of one of them. */
  readonly keys?: RowKeys
  /** Throws between two tables once it is aborted. */
  readonly signal?: AbortSignal
}

/** Leaves that are read; those of small tables are folded up to fewer. */
const LEAVES = 256

const FEWEST = 16
const ROWS_A_LEAF = 64

/**
 * Hash the tenant's tables, in a transaction of the moment that is meant (`beginMoment`). One statement a table.
 *
 * @param client  a session of the mover's; row-level security that would hide rows from it is an error
 */
export async function treesOf(
  client: Client,
  where: HomeOf,
  options: TreeOptions = {},
): Promise<TableTree[]> {
  const tables = options.tables ?? (await movedTablesOf(client, where))
  const keys = options.keys ?? (await rowKeysOf(client, tables))
  await client.query(compile(EXACT))
  const trees: TableTree[] = []
  for (const table of tables) {
    options.signal?.throwIfAborted()
    trees.push(await treeOf(client, table, keys.get(table.id) ?? null))
  }
  return trees
}

/** Begin a transaction that sees the rows of one moment: now. Policies that would hide some of them throw. */
export async function beginMoment(client: Client, { tenant }: HomeOf): Promise<void> {
  await client.query('begin isolation level repeatable read, read only; set local row_security = off')
  // The first statement chooses the moment, and this is one: what comes before it does not count.
  await aboutTenant(client, tenant)
}

async function treeOf(
  client: Client,
  table: CopyTable,
  key: readonly KeyColumn[] | null,
): Promise<TableTree> {
  const rows = await client.query(
    compile(sql`
      select leaf, ${SUMS} from (
        select ${rowHash(table)} as h, ${leafOf(table, key)} as leaf ${rowsOf(table)} offset 0
      ) as hashed group by leaf`),
  )
  const leaves = new Array<Sums>(LEAVES).fill(NO_ROWS)
  for (const row of rows) leaves[Number(row.leaf)] = sumsFrom(row)
  const all = leaves.reduce(add)
  const size = Math.max(FEWEST, Math.min(LEAVES, 2 ** Math.ceil(Math.log2(all.rows / ROWS_A_LEAF))))
  return {
    table: table.id,
    rows: all.rows,
    hash: digits(all),
    key: key?.map(({ name }) => name) ?? null,
    leaves: all.rows === 0 ? [] : fold(leaves, size).map(textOf),
  }
}

/** Number of the leaf that a row of `t` is in, of `LEAVES`. */
export function leafOf(table: CopyTable, key: readonly KeyColumn[] | null): SQL {
  return sql`get_byte(${digestOf(key ? keyOf(key) : rowText(table))}, 0)`
}

/** Trees of tables that do not hold the same on both sides. Tables without rows may be missing on one. */
export function differencesOf(one: readonly TableTree[], other: readonly TableTree[]): TreeDifference[] {
  const [left, right] = [byTable(one), byTable(other)]
  const tables = [...new Set([...left.keys(), ...right.keys()])].toSorted()
  return tables.flatMap((table) => {
    const [a, b] = [left.get(table) ?? empty(table), right.get(table) ?? empty(table)]
    return a.rows === b.rows && a.hash === b.hash ? [] : [differenceOf(a, b)]
  })
}

function differenceOf(one: TableTree, other: TableTree): TreeDifference {
  const [a, b] = [leavesOf(one), leavesOf(other)]
  // Which leaf a row is in depends on the key: by other columns they have nothing in common.
  const isSameKey = one.rows === 0 || other.rows === 0 || one.key?.join() === other.key?.join()
  const of = isSameKey ? Math.min(a.length, b.length) : 1
  const right = fold(b, of).map(textOf)
  const leaves = fold(a, of).flatMap((sums, no) => (textOf(sums) === right[no] ? [] : [no]))
  return { table: one.table, rows: [one.rows, other.rows], leaves, of }
}

const byTable = (trees: readonly TableTree[]) => new Map(trees.map((tree) => [tree.table, tree]))

const empty = (table: string): TableTree => ({ table, rows: 0, hash: '0'.repeat(32), key: null, leaves: [] })

interface Sums {
  readonly rows: number
  readonly high: bigint
  readonly low: bigint
}

const NO_ROWS: Sums = { rows: 0, high: 0n, low: 0n }

const add = (a: Sums, b: Sums): Sums => ({
  rows: a.rows + b.rows,
  high: BigInt.asUintN(64, a.high + b.high),
  low: BigInt.asUintN(64, a.low + b.low),
})

/** Fewer leaves: number n of many goes into number n % size of few. */
const fold = (leaves: readonly Sums[], size: number): Sums[] =>
  Array.from({ length: size }, (_, no) => leaves.filter((_, i) => i % size === no).reduce(add, NO_ROWS))

function sumsFrom(row: TextRow): Sums {
  const hash = hashOfSums(row)
  return { rows: Number(row.rows), ...halves(hash) }
}

const halves = (hash: string) => ({
  high: BigInt(`0x${hash.slice(0, 16)}`),
  low: BigInt(`0x${hash.slice(16)}`),
})

const digits = ({ high, low }: Sums): string =>
  [high, low].map((half) => half.toString(16).padStart(16, '0')).join('')

const textOf = (sums: Sums): string => (sums.rows === 0 ? '' : `${sums.rows} ${digits(sums)}`)

function leavesOf({ rows, hash, leaves }: TableTree): Sums[] {
  if (rows === 0) return new Array<Sums>(LEAVES).fill(NO_ROWS)
  // Where nobody has kept them, the table is one.
  if (leaves.length === 0) return [{ rows, ...halves(hash) }]
  return leaves.map((text) => {
    const [count = '0', sum = '0'.repeat(32)] = text === '' ? [] : text.split(' ')
    return { rows: Number(count), ...halves(sum) }
  })
}
