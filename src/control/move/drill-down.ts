/**
 * From "these trees differ" to the rows and columns that do: what an operator has to know to find the cause.
 *
 * What rows hold stays where it is: values are compared by their hashes. The key of a row is a value too ("by
 * e-mail address"): it is kept apart from the error's text and details, which are logged and stored, and only
 * whoever prints for the operator asks for it (`rowDifferencesOf`).
 */

import { GatewayError } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { rowHash, sha256Of } from '../copy/hash.ts'
import { type CopyTable, rowsOf } from '../copy/tables.ts'
import { leafOf, type TreeDifference } from './hash-tree.ts'
import { keyOf } from './row-keys.ts'
import { fromSide, type OneSide, type Sides, type Twin, toSide } from './sides.ts'

/** How the rows of one table differ. */
export interface RowDifferences {
  readonly table: string
  /** Rows of the source that the target has not. */
  readonly missing: number
  /** Rows of the target that the source has not. */
  readonly extra: number
  /** Rows that are on both sides and do not hold the same. */
  readonly different: number
  /** Columns in which these differ. */
  readonly columns: readonly string[]
  /** Whether all rows were looked at; otherwise there may be more than is counted. */
  readonly isWhole: boolean
  /** The first of them: 'missing (7)'. Values of the tenant: for the operator's terminal alone. */
  readonly keys: readonly string[]
}

/** Rows of one table that are looked at on each side, at most; one leaf always is. */
const MOST_ROWS = 20_000

/** Rows whose columns are looked at, at most, and keys that are told. */
const MOST_KEYS = 20

/**
 * Find the rows behind differences of trees, in the transactions that the trees were made in.
 *
 * @param differences  as `differencesOf` gives them, the source being the one side
 */
export async function drillDown(
  sides: Sides,
  differences: readonly TreeDifference[],
): Promise<RowDifferences[]> {
  const found: RowDifferences[] = []
  for (const difference of differences) {
    const twin = sides.twins.find(({ id }) => id === difference.table)
    found.push(twin ? await inLeaves(sides, twin, difference) : nowhere(difference))
  }
  return found
}

// The target has no such table: all of its rows are missing.
function nowhere({ table, rows: [missing, extra] }: TreeDifference): RowDifferences {
  return { table, missing, extra, different: 0, columns: [], isWhole: true, keys: [] }
}

function inLeaves(sides: Sides, twin: Twin, { leaves, of, rows }: TreeDifference): Promise<RowDifferences> {
  const aLeaf = Math.max(...rows) / of
  const looked = leaves.slice(0, Math.max(1, Math.floor(MOST_ROWS / Math.max(1, aLeaf))))
  const chosen = ({ table, key }: OneSide): SQL => {
    const leaf = sql`${leafOf(table, key)} % ${sql.value(of)}::int`
    return sql`${rowsWhere(table)} and ${leaf} = any(${sql.value(looked)}::int[])`
  }
  return compareRows(sides, twin, chosen, looked.length === leaves.length)
}

/** `from … where …`: the rows in question, as `t`; may be followed by `and …`. */
export type Chosen = (side: OneSide) => SQL

const rowsWhere = (table: CopyTable): SQL => (table.tenant ? rowsOf(table) : sql`${rowsOf(table)} where true`)

/** Compare rows of a table, one by one. */
export async function compareRows(
  { source, target }: Sides,
  twin: Twin,
  chosen: Chosen,
  isWhole = true,
): Promise<RowDifferences> {
  const [from, to] = [fromSide(twin), toSide(twin)]
  const [here, there] = await Promise.all([
    hashesByKey(source, from, chosen(from)),
    hashesByKey(target, to, chosen(to)),
  ])
  const missing: string[] = []
  const extra: string[] = []
  const different: string[] = []
  for (const key of new Set([...here.keys(), ...there.keys()])) {
    const [a, b] = [here.get(key) ?? [], there.get(key) ?? []]
    for (let n = b.length; n < a.length; n++) missing.push(key)
    for (let n = a.length; n < b.length; n++) extra.push(key)
    if (a.length === b.length && a.join() !== b.join()) different.push(key)
  }
  const keys = different.slice(0, MOST_KEYS)
  return {
    table: twin.id,
    missing: missing.length,
    extra: extra.length,
    different: different.length,
    columns: keys.length === 0 ? [] : await differentColumns({ source, target }, twin, keys, chosen),
    isWhole,
    keys: toldKeys({ missing, extra, different }, twin.keys === null),
  }
}

function toldKeys(found: Readonly<Record<string, readonly string[]>>, isHashed: boolean): string[] {
  const told = Object.entries(found).flatMap(([what, keys]) =>
    keys.slice(0, MOST_KEYS).map((key) => `${what} ${isHashed ? `row of SHA-256 ${key}` : key}`),
  )
  return told.slice(0, MOST_KEYS)
}

const knownBy = ({ table, key }: OneSide): SQL => (key ? sql`${keyOf(key)}::text` : rowHash(table))

async function hashesByKey(client: Client, side: OneSide, from: SQL): Promise<Map<string, string[]>> {
  const rows = await client.query(
    compile(sql`select ${knownBy(side)} as key, ${rowHash(side.table)} as h ${from} order by 1, 2`),
  )
  const hashes = new Map<string, string[]>()
  for (const { key, h } of rows) hashes.set(key ?? '', [...(hashes.get(key ?? '') ?? []), h ?? ''])
  return hashes
}

async function differentColumns(
  { source, target }: Pick<Sides, 'source' | 'target'>,
  twin: Twin,
  keys: readonly string[],
  chosen: Chosen,
): Promise<string[]> {
  const [from, to] = [fromSide(twin), toSide(twin)]
  const [here, there] = await Promise.all([
    columnHashes(source, from, keys, chosen(from)),
    columnHashes(target, to, keys, chosen(to)),
  ])
  const names = new Set([...from.table.columns, ...to.table.columns].map(({ name }) => name))
  const differs = (name: string) =>
    keys.some((key) => here.get(key)?.[name] !== there.get(key)?.[name] || !here.get(key))
  return [...names].filter(differs)
}

async function columnHashes(
  client: Client,
  { table, key }: OneSide,
  keys: readonly string[],
  from: SQL,
): Promise<Map<string, Record<string, string>>> {
  // json_build_object takes 100 arguments at most; a list of pairs has no such bound.
  const pairs = table.columns.map(
    ({ name }) => sql`(${sql.value(name)}::text, ${sha256Of(sql`row(t.${sql.identifier(name)})`)})`,
  )
  const known = sql`${keyOf(key ?? [])}::text`
  const rows = await client.query(
    compile(sql`
      select ${known} as key,
        (select json_object_agg(name, h) from (values ${sql.join(pairs, ', ')}) as pair (name, h)) as hashes
      ${from} and ${known} = any(${sql.value(keys)}::text[])`),
  )
  return new Map(rows.map((row) => [row.key ?? '', JSON.parse(row.hashes ?? '{}') as Record<string, string>]))
}

// Beside the errors, not in them: whatever writes an error down finds no key in it.
const KNOWN = new WeakMap<Error, readonly RowDifferences[]>()

/** REFUSED: rows of the target are not those of the source, by table and column. */
export function rowsDiffer(moment: string, differences: readonly RowDifferences[]): GatewayError {
  const tables = differences.map(sentenceOf).join('; ')
  const sentence = `The target does not hold what the source holds (${moment}): ${tables}.`
  const hint = 'The source was not changed. Find out what else writes to the target, then start again.'
  const error = new GatewayError('REFUSED', sentence, detailsOf(differences), { hint })
  KNOWN.set(error, differences)
  return error
}

/** What an error of `rowsDiffer` knows, keys of rows included: for the operator's terminal alone. */
export function rowDifferencesOf(error: unknown): readonly RowDifferences[] | undefined {
  return error instanceof Error ? KNOWN.get(error) : undefined
}

function sentenceOf({ table, missing, extra, different, columns, isWhole }: RowDifferences): string {
  const parts = [
    missing > 0 && `${missing} missing`,
    extra > 0 && `${extra} extra`,
    different > 0 && `${different} different in ${columns.join(', ')}`,
  ].filter((part) => part !== false)
  return `${table} ${isWhole ? '' : 'at least '}${parts.join(', ')}`
}

function detailsOf(differences: readonly RowDifferences[]) {
  const sum = (of: 'missing' | 'extra' | 'different') => differences.reduce((all, one) => all + one[of], 0)
  return {
    tables: differences.map(({ table }) => table).join(', '),
    missing: sum('missing'),
    extra: sum('extra'),
    different: sum('different'),
  }
}
