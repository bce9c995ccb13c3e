/**
 * Which indexes the lists of one shard lack, by what its gateways have run (directory/statistics.ts) and what
 * its catalogs have.
 *
 *     index-tenant   no index starts with the tenant column and goes on with the columns compared by `=`
 *     index-order    one does, and leaves the rows to be sorted
 *     index-partial  as either, for lists that nearly always leave out the same rows
 *     index-filter   no index can help: the comparison is not leakproof, so it is made row by row
 *
 * Postgres makes no index condition of a comparison that might tell of hidden rows by an error or a log line.
 * Under row-level security that is every comparison not marked leakproof, among them those of numeric and of
 * enums.
 */

import { createHash } from 'node:crypto'
import type { ListShape } from '../base/list-shape.ts'
import type { Queryable } from '../db/client.ts'
import type { ListStatistic } from '../directory/statistics.ts'
import { quoted, quotedList } from '../model/quote.ts'
import { advice, type Finding } from '../model/safety/finding.ts'
import { type ColumnFacts, type IndexFacts, readIndexFacts, type TableIndexFacts } from './index-facts.ts'

/** Rows below which no index is advised: a scan of so few takes about 0.2 ms, and each index slows every write. */
export const ROWS_MIN = 1_000
/** Lists of one shape below which somebody was only trying things out. */
export const CALLS_MIN = 10
/** Share of a table's lists that must leave out the same rows before an index without them serves them. */
const PARTIAL_SHARE = 0.9

type OrderTerm = ListShape['order'][number]

/** An index that would serve a shape. */
interface Wanted {
  readonly equals: readonly string[]
  readonly rest: readonly OrderTerm[]
  /** Column whose nulls alone the index holds. */
  readonly nullColumn: string | null
}

interface Want extends Wanted {
  readonly check: string
  readonly seen: readonly ListStatistic[]
}

/**
 * The findings of one shard, the lists that took most time first. Changes nothing; any role may ask.
 *
 * @param column      the tenant column
 * @param statistics  of this shard
 */
export async function adviseIndexes(
  db: Queryable,
  column: string,
  statistics: readonly ListStatistic[],
): Promise<Finding[]> {
  const often = statistics.filter(({ calls }) => calls >= CALLS_MIN)
  const byTable = Map.groupBy(often, ({ shape }) => shape.table)
  const facts = await readIndexFacts(db, [...byTable.keys()])
  const large = facts.filter(({ rows }) => rows >= ROWS_MIN)
  return large.flatMap((table) => {
    const seen = byTable.get(`${table.schema}.${table.name}`) ?? []
    return [...missingIndexes(table, column, seen), ...uselessFilters(table, seen)]
  })
}

function missingIndexes(table: TableIndexFacts, tenant: string, seen: readonly ListStatistic[]): Finding[] {
  const wants = new Map<string, Want>()
  for (const statistic of seen.toSorted((a, b) => b.totalMs - a.totalMs)) {
    const wanted = wantedIndex(table, tenant, statistic.shape, seen)
    const check = wanted && checkOf(table, tenant, wanted)
    if (!wanted || !check) continue
    const key = JSON.stringify(wanted)
    wants.set(key, { ...wanted, check, seen: [...(wants.get(key)?.seen ?? []), statistic] })
  }
  const all = [...wants.values()]
  // An index that goes on serves those that end earlier; a count needs none beside that of its list.
  const needed = all.filter((one) => !all.some((other) => other !== one && includes(other, one)))
  return needed.map((want) => missingFinding(table, tenant, want))
}

/** What would serve a shape; undefined when nothing that an index can be searched by is left of it. */
function wantedIndex(
  table: TableIndexFacts,
  tenant: string,
  shape: ListShape,
  seen: readonly ListStatistic[],
): Wanted | undefined {
  const isServed = (name: string): boolean =>
    name !== tenant && table.columns.find((column) => column.name === name)?.leakproof === true
  const equals = [...new Set([...(shape.parent ?? []), ...shape.equals])].filter(isServed)
  const nullColumn = shape.nulls.find((one) => one.isNull && isUsual(one.column, seen))?.column ?? null
  const range = shape.ranges.find((name) => isServed(name) && !equals.includes(name))
  const order = shape.order.filter(({ column }) => !equals.includes(column))
  const asked = order.some(({ column }) => !table.primaryKey.includes(column))
  // One index cannot both narrow a range and give another order: the order saves reading the whole list.
  const byRange = range !== undefined && !asked && order[0]?.column !== range
  const rest = byRange ? [{ column: range, descending: false, nullsFirst: false }] : order
  return equals.length + rest.length > 0 ? { equals: equals.sort(), rest, nullColumn } : undefined
}

/** Whether nearly every list of the table asks for the rows in which `column` is null. */
function isUsual(column: string, seen: readonly ListStatistic[]): boolean {
  const sum = (list: readonly ListStatistic[]): number => list.reduce((total, { calls }) => total + calls, 0)
  const asking = seen.filter(({ shape }) => shape.nulls.some((one) => one.isNull && one.column === column))
  return sum(asking) >= sum(seen) * PARTIAL_SHARE
}

/** Which check fails; undefined when an index serves the list. */
function checkOf(table: TableIndexFacts, tenant: string, wanted: Wanted): string | undefined {
  const usable = table.indexes.filter((index) => index.valid && mayHold(index, wanted))
  const leading = usable.filter((index) => leadsWith(index, tenant, wanted.equals))
  if (leading.some((index) => goesOn(index, wanted))) return undefined
  // What is left when the columns compared by `=` are found is sorted; a range would not even be found.
  if (wanted.nullColumn !== null) return 'index-partial'
  return leading.length > 0 ? 'index-order' : 'index-tenant'
}

function mayHold({ predicate }: IndexFacts, { nullColumn }: Wanted): boolean {
  if (predicate === null) return true
  return nullColumn !== null && predicate === `(${quoted(nullColumn)} IS NULL)`
}

function leadsWith({ keys }: IndexFacts, tenant: string, equals: readonly string[]): boolean {
  const next = new Set(keys.slice(1, 1 + equals.length).map(({ column }) => column))
  return keys[0]?.column === tenant && equals.every((column) => next.has(column))
}

/** Read forward or backward, the columns after those compared by `=` are in the wanted order. */
function goesOn({ keys }: IndexFacts, { equals, rest }: Wanted): boolean {
  const after = keys.slice(1 + equals.length)
  const same = (turned: boolean) =>
    rest.every(({ column, descending, nullsFirst }, i) => {
      const key = after[i]
      if (key?.column !== column) return false
      return (key.descending === descending) !== turned && (key.nullsFirst === nullsFirst) !== turned
    })
  return same(false) || same(true)
}

function includes(other: Wanted, one: Wanted): boolean {
  const prefix = [...other.equals, ...other.rest.map(termText)]
  const wanted = [...one.equals, ...one.rest.map(termText)]
  const sameStart = one.equals.length === other.equals.length || one.rest.length === 0
  return other.nullColumn === one.nullColumn && sameStart && wanted.every((column, i) => prefix[i] === column)
}

function missingFinding(table: TableIndexFacts, tenant: string, want: Want): Finding {
  const { equals, rest, nullColumn, check } = want
  const columns = quotedList([tenant, ...equals]).slice(0, -1)
  const list = `${[columns, ...rest.map(termText)].join(', ')})`
  const has = check === 'index-order' ? 'find their rows by an index and sort them' : 'have no index'
  const by = equals.length > 0 ? ` by ${equals.join(', ')}` : ''
  const order = rest.length > 0 ? ` in the order ${rest.map(termText).join(', ')}` : ''
  const only =
    nullColumn === null ? '' : `; nearly all lists of the table leave out rows with a ${nullColumn}`
  const reason = `its lists${by}${order} ${has} (${callsText(want.seen)})${only}.`
  return advice(check, reason, createSql(table, list, want), `${table.schema}.${table.name}`)
}

function createSql(table: TableIndexFacts, list: string, { equals, rest, nullColumn }: Wanted): string {
  const name = indexName(table.name, [...equals, ...rest.map(({ column }) => column)], list, nullColumn)
  const where = nullColumn === null ? '' : ` where ${quoted(nullColumn)} is null`
  // An index that was cut short keeps its name, and "if not exists" would leave it as it is: unusable.
  const broken = table.indexes.some((index) => index.name === name && !index.valid)
  const drop = broken ? `drop index concurrently ${quoted(table.schema, name)};\n` : ''
  const how = table.partitioned ? '' : 'concurrently '
  return `${drop}create index ${how}if not exists ${quoted(name)} on ${quoted(table.schema, table.name)} ${list}${where};`
}

/** Bytes of a name in Postgres; a longer one is cut, and two of them may become one. */
const NAME_MAX = 63

function indexName(
  table: string,
  columns: readonly string[],
  list: string,
  nullColumn: string | null,
): string {
  const name = [table, 'tenant', ...columns, ...(nullColumn === null ? [] : ['live']), 'idx'].join('_')
  const plain = !list.includes(' desc') && !list.includes(' nulls')
  if (plain && Buffer.byteLength(name) <= NAME_MAX) return name
  const hash = createHash('sha256').update(list).digest('hex').slice(0, 8)
  const room = NAME_MAX - hash.length - '__idx'.length
  return `${cut(name.slice(0, -'_idx'.length), room)}_${hash}_idx`
}

function cut(text: string, bytes: number): string {
  return Buffer.byteLength(text) <= bytes ? text : cut(text.slice(0, -1), bytes)
}

function termText({ column, descending, nullsFirst }: OrderTerm): string {
  const nulls = nullsFirst === descending ? '' : nullsFirst ? ' nulls first' : ' nulls last'
  return `${quoted(column)}${descending ? ' desc' : ''}${nulls}`
}

function uselessFilters(table: TableIndexFacts, seen: readonly ListStatistic[]): Finding[] {
  const found = new Map<string, { column: ColumnFacts; operator: string; seen: ListStatistic[] }>()
  for (const statistic of seen) {
    for (const { column: name, operator } of comparisonsOf(statistic.shape)) {
      const column = table.columns.find((one) => one.name === name)
      const isServed = column?.leakproof === true && ['eq', 'range'].includes(operator)
      if (!column || isServed) continue
      const key = `${name} ${operator}`
      found.set(key, { column, operator, seen: [...(found.get(key)?.seen ?? []), statistic] })
    }
  }
  return [...found.values()].map(({ column, operator, seen: lists }) => {
    const reason =
      `its lists compare ${column.name} (${column.type}) by ${operator}, which is not leakproof: under ` +
      `row-level security no index can serve that, and each list reads every row of its tenant that other ` +
      `conditions leave (${callsText(lists)}). ${alternative(column, operator)}`
    return advice('index-filter', reason, undefined, `${table.schema}.${table.name}`)
  })
}

function comparisonsOf({
  equals,
  ranges,
  parent,
  matches,
}: ListShape): { column: string; operator: string }[] {
  return [
    ...[...equals, ...(parent ?? [])].map((column) => ({ column, operator: 'eq' })),
    ...ranges.map((column) => ({ column, operator: 'range' })),
    ...matches,
  ]
}

function alternative({ type, isEnum }: ColumnFacts, operator: string): string {
  if (isEnum) return 'Keep the state as a text with a check constraint.'
  if (/^(numeric|money)/.test(type)) return 'Keep the amount as a bigint in its smallest unit.'
  if (/^json/.test(type)) return 'Keep what is searched for in a generated column of its own.'
  if (operator === 'startsWith') return 'Ask for a range of the column (gte, lt) in place of its beginning.'
  if (operator === 'search') return 'Add a condition that narrows the list first: a state, a time, a parent.'
  if (type.endsWith('[]')) return 'Keep the items in a table of their own, one a row.'
  return 'Add a condition that narrows the list first, or compare a column that holds just what is looked for.'
}

function callsText(seen: readonly ListStatistic[]): string {
  const calls = seen.reduce((sum, one) => sum + one.calls, 0)
  const totalMs = seen.reduce((sum, one) => sum + one.totalMs, 0)
  return `${calls} lists, ${(totalMs / calls).toFixed(1)} ms each`
}
