/**
 * The statement of a root field: one CTE for each level, and what they hold as plain rows, told apart by a tag.
 *
 *     with l0 as materialized (the page), l1 as materialized (each parent of it, lateral its children), …
 *     select 0, … from l0 union all select 1, key of the parent, … from l1 union all select 2, id, … from users
 *
 * JSON made by Postgres would cost more of its time than everything else in a nested list (`npm run bench` has both as
 * limits). Where which value stands, layout.ts says. A root field with one level is a plain select without a tag.
 */

import { type SQL, type Statement, sql, type Value } from '../../db/sql.ts'
import type { ColumnType } from '../../model/types.ts'
import type { AggregatePlan } from '../plan/aggregate-types.ts'
import { measuredSql } from '../plan/aggregates.ts'
import {
  at,
  castList,
  columnOf,
  from,
  hasValues,
  isTenant,
  matchesKey,
  readable,
  source,
} from '../plan/fragments.ts'
import { pageConditions } from '../plan/lists.ts'
import { measureType } from '../plan/measures.ts'
import { computedBeside, computedTerms, orderBy, orderValues, reversed } from '../plan/order.ts'
import { listShape } from '../plan/shape.ts'
import { ANY_TENANT, type Compiled, compileSlots } from '../plan/slots.ts'
import type { ListPlan, OrderTerm } from '../plan/types.ts'
import { faultless } from './faults.ts'
import { type Layout, outputOf } from './layout.ts'
import type { Level, Parent, RowLevel } from './levels.ts'

/** What a level asks for, with slots in the place of values. */
export interface LevelShape {
  readonly level: Level
  /** Of a list. */
  readonly plan: ListPlan | null
  /** Of measures. */
  readonly aggregate: AggregatePlan | null
  /** Rows to be read; a slot or a literal. */
  readonly limit: SQL
  readonly offset: SQL | null
  /** Of a row at the root: its key. */
  readonly key: readonly { readonly column: string; readonly value: Value }[]
  /** Of a row at the root that is written: how, up to what it returns. */
  readonly write?: SQL
}

export interface Bounds {
  /** Rows of all pages of one level, at most: what comes is refused then, and must not fill the memory before. */
  readonly rows: number
  /** Refuse a write that leaves no row to answer with: once it is kept, it is too late to say so. */
  readonly surely?: boolean
}

/** Whether the statement is a plain one, whose rows have no tag. */
export function isBare({ length }: readonly unknown[], { surely }: Pick<Bounds, 'surely'> = {}): boolean {
  return length === 1 && !surely
}

/**
 * Rows at which a level is cut off: a page is read one row longer than it shows. An answer within its bounds may come to
 * as many all the same, where what is read for nothing (that one row more) has long lists below it. So whoever gets as
 * many must not take them for all.
 */
export function readMax(rowsMax: number): number {
  return 2 * rowsMax + 2
}

export function compileLevels(shapes: readonly LevelShape[], layout: Layout, bounds: Bounds): Compiled {
  const { rows, surely = false } = bounds
  if (isBare(shapes, bounds)) return compileSlots(bare(shapes[0]!))
  const ctes = shapes.map((shape) => sql`${name(shape.level)} as materialized (${levelSql(shape, rows)})`)
  const found = shapes.map(cells)
  const width = Math.max(layout.types?.length ?? 0, ...found.map((places) => Math.max(0, ...places.keys())))
  const parts = shapes.map((shape, i) => {
    const output = outputOf(layout, found[i]!, width)
    return tagged(shape.level, output, surely && shape.write !== undefined)
  })
  return compileSlots(sql`with ${sql.join(ctes, ',\n')}\n${sql.join(parts, '\nunion all ')}`)
}

/** The shapes of the lists in a statement, for whoever counts them. */
export function listsOf(shapes: readonly LevelShape[]): NonNullable<Statement['lists']> {
  return shapes.flatMap(({ plan, aggregate }) => {
    if (aggregate) return [listShape(aggregate.list, false)]
    return plan ? [listShape(plan, true)] : []
  })
}

const name = ({ tag }: Level): SQL => sql.identifier(`l${tag}`)
const cell = (position: number): SQL => sql.identifier(`c${position}`)
const key = (position: number): SQL => sql.identifier(`k${position}`)

/** What of a level stands at which place of its rows. */
function cells({ level, plan, aggregate }: LevelShape): Map<number, SQL> {
  const { table, links, more } = level
  const isNumbered = level.kind === 'row' && level.isNumbered
  const places = new Map(links.map((place, i) => [place, isNumbered ? NUMBER : key(i)]))
  const addText = (first: number, types: readonly ColumnType[]): void => {
    for (const [i, type] of types.entries()) places.set(more + i, asText(cell(first + i), type))
  }
  if (level.kind === 'measures') {
    const grouped = (aggregate?.groups?.by ?? []).map(({ column }) => columnOf(table, column).type)
    const measured = (aggregate?.measures ?? []).map((measure) => measureType(table, measure))
    addText(0, [...grouped, ...measured])
    return places
  }
  for (const [i, place] of level.cells.entries()) places.set(place, cell(i))
  if (plan && level.hasCursors) addText(level.columns.length, cursorTypes(level, plan.order))
  return places
}

/** Columns that only the cursors of a list need, in the order of its terms. */
function cursorColumns(level: RowLevel, order: readonly OrderTerm[]): string[] {
  if (!level.hasCursors) return []
  const wanted = order.flatMap(({ by }) => (by.kind === 'column' ? [by.column] : []))
  return [...new Set(wanted)].filter((column) => !level.columns.includes(column))
}

/** The types of what only the cursors need: columns, then computed values. */
function cursorTypes(level: RowLevel, order: readonly OrderTerm[]): ColumnType[] {
  const columns = cursorColumns(level, order).map((column) => columnOf(level.table, column).type)
  const values = orderValues(source(level.table), order).filter((_, i) => order[i]?.by.kind !== 'column')
  return [...columns, ...values.map(({ type }) => type)]
}

/** Places of the values of a list's order in a row of its level. */
export function cursorPlaces(level: RowLevel, order: readonly OrderTerm[]): number[] {
  const more = cursorColumns(level, order)
  const computed = computedTerms(order)
  return order.map((term) => {
    const { by } = term
    if (by.kind !== 'column') return level.more + more.length + computed.indexOf(term)
    const shown = level.columns.indexOf(by.column)
    return shown >= 0 ? level.cells[shown]! : level.more + more.indexOf(by.column)
  })
}

function bare(shape: LevelShape): SQL {
  const { level, aggregate, write } = shape
  if (aggregate) return measuredSql(aggregate, ANY_TENANT)
  if (write) return sql`${write} returning ${selected(level, (level as RowLevel).columns)}`
  return level.kind === 'row' ? keyedSql(shape) : pageSql(shape)
}

function levelSql(shape: LevelShape, rowsMax: number): SQL {
  const { level } = shape
  if (level.parents.length === 0) return bare(shape)
  if (level.kind === 'one') return referredSql(level)
  const { aggregate } = shape
  const inner = aggregate ? measuredSql(aggregate, ANY_TENANT) : pageSql(shape)
  return sql`select k.*, t.* from (${keysOf(level.parents)}) as k cross join lateral (${inner}) as t
    limit ${sql.literal(readMax(rowsMax))}`
}

function pageSql({ level, plan, limit, offset }: LevelShape): SQL {
  const of = source(level.table)
  const found = plan!
  const order = found.backward ? found.order.map(reversed) : found.order
  const values = orderValues(of, order)
  return sql`select ${outputs(
    level as RowLevel,
    found,
    values.map((value) => value.found),
  )}
    from ${from(of)}${computedBeside(of, order, ANY_TENANT)}
    where ${pageConditions(of, found, ANY_TENANT)}
    order by ${orderBy(values, order)} limit ${limit}${offset ? sql` offset ${offset}` : sql.blank}`
}

function outputs(level: RowLevel, { order }: ListPlan, values: readonly SQL[]): SQL {
  const own = [...level.columns, ...cursorColumns(level, order)]
  const computed = level.hasCursors ? values.filter((_, i) => order[i]?.by.kind !== 'column') : []
  return selected(level, own, computed)
}

function selected(level: Level, columns: readonly string[], more: readonly SQL[] = []): SQL {
  const { table } = level
  const of = source(table)
  const found = columns.map((column) => readable(at(of, column), columnOf(table, column).type))
  const all = [...found, ...more, ...faultless(level, columns)]
  if (all.length === 0) return sql`null as c0`
  return sql.join(
    all.map((value, i) => sql`${value} as ${cell(i)}`),
    ', ',
  )
}

const NUMBER = sql.identifier('n')

function keyedSql({ level, key: wanted }: LevelShape): SQL {
  const of = source(level.table)
  if (level.kind === 'row' && level.isNumbered) {
    const lists = wanted.map(({ column, value }) => castList(value, columnOf(level.table, column).type))
    const names = wanted.map((_, i) => key(i))
    return sql`select k.n, ${selected(level, level.columns)}
      from unnest(${sql.join(lists, ', ')}) with ordinality as k(${sql.join([...names, NUMBER], ', ')})
      join ${from(of)} on ${isTenant(of, ANY_TENANT)} and ${matchesKey(
        of,
        wanted.map(({ column }) => column),
      )}`
  }
  const where = sql`${isTenant(of, ANY_TENANT)} and ${hasValues(of, wanted)}`
  return sql`select ${selected(level, (level as RowLevel).columns)} from ${from(of)} where ${where}`
}

/** Each row that a level above refers to, once. */
function referredSql(level: RowLevel): SQL {
  const { table, by, parents, columns } = level
  const of = source(table)
  const links = by.map((column, i) => sql`${at(of, column)} as ${key(i)}`)
  const out = sql`${sql.join(links, ', ')}, ${selected(level, columns)}`
  const [column, ...more] = by
  if (column !== undefined && more.length === 0) {
    const keys = parents.map(({ level: parent, own }) => {
      return sql`select ${cell(placeIn(parent, own[0]!))} from ${name(parent)}`
    })
    return sql`select ${out} from ${from(of)} where ${isTenant(of, ANY_TENANT)}
      and ${at(of, column)} = any(array(${sql.join(keys, ' union ')}))`
  }
  return sql`select ${out} from (${keysOf(parents)}) as k join ${from(of)}
    on ${isTenant(of, ANY_TENANT)} and ${matchesKey(of, by)}`
}

/** The keys that rows of `parents` hold, each once, as k0, k1, …; a key with a null leads nowhere. */
function keysOf(parents: readonly Parent[]): SQL {
  const selects = parents.map(({ level, own }) => {
    const found = own.map((column) => cell(placeIn(level, column)))
    const columns = sql.join(
      found.map((value, i) => sql`${value} as ${key(i)}`),
      ', ',
    )
    const given = sql.join(
      found.map((value) => sql`${value} is not null`),
      ' and ',
    )
    const { primaryKey } = level.table
    const isWhole = primaryKey.length > 0 && primaryKey.every((column) => own.includes(column))
    // One row may be asked for by its id more than once.
    const isUnique = parents.length === 1 && isWhole && !level.isNumbered
    const distinct = isUnique ? sql.blank : sql` distinct`
    return sql`select${distinct} ${columns} from ${name(level)} where ${given}`
  })
  return sql.join(selects, ' union ')
}

function placeIn(level: RowLevel, column: string): number {
  const place = level.columns.indexOf(column)
  if (place < 0) throw new Error(`level ${level.tag} does not read ${column}`)
  return place
}

function tagged(level: Level, output: readonly SQL[], surely: boolean): SQL {
  const row = [sql.literal(level.tag), ...output]
  const rows = name(level)
  // Without a row the count cannot be divided by.
  const counted = sql`(select 1 / count(*) as n from ${rows}) as one left join ${rows} on true where one.n = 1`
  return sql`select ${sql.join(row, ', ')} from ${surely ? counted : rows}`
}

// A cast to text is the text that Postgres sends, but for a few types whose cast is a function of its own.
function asText(found: SQL, type: ColumnType): SQL {
  if (!type.array && type.kind === 'boolean')
    return sql`case ${found} when true then 't' when false then 'f' end`
  if (isCastOtherwise(type)) return sql`case when ${found} is not null then format('%s', ${found}) end`
  return sql`${found}::text`
}

const OTHERWISE: ReadonlySet<string> = new Set(['bpchar', 'char', 'inet', 'cidr', 'xml', 'name'])

function isCastOtherwise({ schema, name: type, kind, array }: ColumnType): boolean {
  if (array) return false
  if (schema === 'pg_catalog') return OTHERWISE.has(type)
  return kind !== 'enum'
}
