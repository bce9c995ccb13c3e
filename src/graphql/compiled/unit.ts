/**
 * A root field as a unit: what it reads in one statement, and how it is written. Compiled once for a document, used
 * with the values of each request.
 */

import { LRUCache } from 'lru-cache'
import type { TenantId } from '../../base/ids.ts'
import type { Row } from '../../db/batch.ts'
import { prepared, type Statement, sql, type Value } from '../../db/sql.ts'
import type { Table } from '../../model/types.ts'
import { type AggregatePlan, wholeOf } from '../plan/aggregate-types.ts'
import { parametersOf, type Slot, slot } from '../plan/slots.ts'
import type { ListPlan } from '../plan/types.ts'
import { Answer, type AnswerBounds, type RowCount } from './answer.ts'
import type { Variables } from './arguments.ts'
import { sortRows } from './found.ts'
import { type Layout, layOut } from './layout.ts'
import type { Level, MeasureLevel } from './levels.ts'
import { addTables, type KeepsTable, namesRead, readKeys } from './reads.ts'
import { groupsKey, listKey, mapGroups, mapList } from './shapes.ts'
import type { ListSource } from './sources.ts'
import { compileLevels, cursorPlaces, isBare, type LevelShape, listsOf, readMax } from './statement.ts'
import { StepBack } from './step-back.ts'

/** The key by which a row at the root is asked for. */
export type RowKey = readonly { readonly column: string; readonly value: Value }[]

export interface UnitParts {
  /** In the order of the statement. */
  readonly levels: readonly Level[]
  readonly sources: readonly ListSource[]
  readonly write: (answer: Answer) => string
  readonly rowsMax: number
  /** Left out where no answers are kept. */
  readonly keeps?: KeepsTable | undefined
}

/** A statement for all requests of one shape. */
interface UnitStatement extends Pick<Statement, 'text' | 'name' | 'lists'> {
  readonly slots: readonly Slot[]
  readonly cursorPlaces: readonly (readonly number[])[]
  /** All that it reads, where answers are kept. */
  readonly tables: readonly Table[]
}

/** A unit with the values of a request. */
export interface Asked {
  readonly statements: readonly Statement[]
  /** All tables that the statements read, where answers are kept. */
  readonly tables: readonly Table[]
  /** Names of what their results hang on. */
  names(results: readonly Row[][]): readonly string[]
  /** @param results  of the statements, in their order */
  write(results: readonly Row[][], bounds: AnswerBounds, count: RowCount): string
}

interface AskedUnit extends Asked {
  answerOf(rows: Row[], bounds: AnswerBounds, count: RowCount): Answer
}

interface Plans {
  readonly lists: readonly ListPlan[]
  /** By tag. */
  readonly aggregates: readonly (AggregatePlan | null)[]
}

/**
 * The statements of all units. There are any number of shapes where filters come whole in variables, so that a bound
 * for each unit would be none: this many characters and slots take some 60 MB.
 */
const statements = new LRUCache<string, UnitStatement>({
  max: 10_000,
  maxSize: 20_000_000,
  sizeCalculation: ({ text, slots }, key) => text.length + key.length + 100 * slots.length,
})
let units = 0

export class Unit {
  readonly #parts: UnitParts
  readonly #id = ++units
  readonly #isConstant: boolean
  readonly #layout: Layout
  #constant: { readonly plans: Plans; readonly key: string; readonly values: readonly Value[] } | undefined

  constructor(parts: UnitParts) {
    this.#parts = parts
    const groups = parts.levels.flatMap((level) => (level.kind === 'measures' ? (level.groups ?? []) : []))
    if (parts.keeps) readKeys(parts.levels, parts.keeps)
    this.#isConstant = [...parts.sources, ...groups].every(({ isConstant }) => isConstant)
    this.#layout = layOut(parts.levels, isBare(parts.levels))
  }

  /**
   * @param key  of the row or the rows at the root
   * @throws GatewayError  an argument is refused
   * @throws StepBack      from `write`: there may be more rows than were read
   */
  ask(variables: Variables, tenant: TenantId, key: RowKey = []): AskedUnit {
    const { levels, write, rowsMax } = this.#parts
    const { plans, key: listsKey, values: listValues } = this.#lists(variables, tenant)
    const known = this.#statement(`${columnsKey(key)}${listsKey}`, plans, key)
    const values = [...key.map(({ value }) => value), ...listValues]
    const statement = known && {
      text: known.text,
      name: known.name!,
      lists: known.lists!,
      values: parametersOf(known.slots, values, tenant),
    }
    const { cursorPlaces: places = [], tables = [] } = known ?? {}
    const { lists, aggregates } = plans
    const answerOf: AskedUnit['answerOf'] = (rows, bounds, count) => {
      if (rows.length >= readMax(rowsMax)) throw new StepBack()
      return new Answer({
        tenant,
        found: sortRows(levels, rows),
        plans: lists,
        aggregates,
        cursorPlaces: places,
        bounds,
        count,
      })
    }
    return {
      statements: statement ? [statement] : [],
      tables,
      names: ([rows = []]) => namesRead(levels, tables, () => sortRows(levels, rows), countOf(key)),
      answerOf,
      write: ([rows = []], bounds, count) => write(answerOf(rows, bounds, count)),
    }
  }

  #lists(variables: Variables, tenant: TenantId) {
    if (this.#constant) return this.#constant
    const { sources, levels } = this.#parts
    const lists = sources.map((source) => source.of(variables, tenant))
    const aggregates: (AggregatePlan | null)[] = []
    for (const level of levels) {
      aggregates[level.tag] = level.kind === 'measures' ? aggregateOf(level, lists, variables) : null
    }
    const plans = { lists, aggregates }
    const values: Value[] = []
    const keys = levels.map((level) => {
      shapeOf(level, plans, (value) => values.push(value) && value)
      return levelKey(level, plans)
    })
    const found = { plans, key: keys.join('\n'), values }
    if (this.#isConstant) this.#constant = found
    return found
  }

  #statement(key: string, plans: Plans, rowKey: RowKey): UnitStatement | null {
    if (this.#parts.levels.length === 0) return null
    const name = `${this.#id}:${key}`
    const known = statements.get(name)
    if (known) return known
    const fresh = this.#compile(plans, rowKey)
    statements.set(name, fresh)
    return fresh
  }

  #compile(plans: Plans, rowKey: RowKey): UnitStatement {
    const { levels, rowsMax } = this.#parts
    let next = rowKey.length
    const take = (): Value => slot(next++)
    const key = rowKey.map(({ column }, i) => ({ column, value: slot(i) }))
    const shapes = levels.map((level): LevelShape => ({ level, key, ...shapeOf(level, plans, take) }))
    const { text, slots } = compileLevels(shapes, this.#layout, { rows: rowsMax })
    const places: number[][] = []
    for (const level of levels) {
      if (level.kind === 'list')
        places[level.tag] = cursorPlaces(level, plans.lists[level.source!.index]!.order)
    }
    return {
      ...prepared(text),
      lists: listsOf(shapes),
      slots,
      cursorPlaces: places,
      tables: this.#tables(plans),
    }
  }

  #tables(plans: Plans): Table[] {
    if (!this.#parts.keeps) return []
    const found = new Set(this.#parts.levels.map(({ table }) => table))
    addTables(plans, found)
    return [...found]
  }
}

/** Rows that a key asks for: it may hold a list of values for each column. */
function countOf([first]: RowKey): number {
  return first && typeof first.value === 'object' ? (first.value?.length ?? 0) : 1
}

function aggregateOf(level: MeasureLevel, lists: readonly ListPlan[], variables: Variables): AggregatePlan {
  const list = wholeOf(lists[level.source.index]!)
  if (!level.groups) return { list, measures: level.measures, groups: null }
  return { list, ...level.groups.of(variables) }
}

type Map_ = (value: Value) => Value

/**
 * What a level asks, each value passed through `map` in the order of the statement's slots; see shapes.ts.
 */
function shapeOf(level: Level, { lists, aggregates }: Plans, map: Map_): Omit<LevelShape, 'level' | 'key'> {
  const none = { plan: null, aggregate: null, limit: sql.blank, offset: null }
  const aggregate = aggregates[level.tag]
  if (aggregate) {
    const list = mapList(aggregate.list, map)
    const groups = aggregate.groups && mapGroups(aggregate.groups, map)
    return { ...none, aggregate: { ...aggregate, list, groups } }
  }
  if (level.kind !== 'list') return none
  const { index, hasFixedLimit } = level.source!
  const plan = lists[index]!
  const asked = mapList(plan, map)
  const rows = plan.limit + (level.peeks ? 1 : 0)
  const limit = hasFixedLimit ? sql.literal(rows) : sql.value(map(rows) as number)
  const offset = plan.offset > 0 ? sql.value(map(plan.offset) as number) : null
  return { ...none, plan: asked, limit, offset }
}

// No name holds the character, and any other: a column may be named "a,b".
function columnsKey(key: RowKey): string {
  return key.map(({ column }) => `${column}\0`).join('')
}

function levelKey(level: Level, { lists, aggregates }: Plans): string {
  const aggregate = aggregates[level.tag]
  if (aggregate) {
    const { list, groups, measures } = aggregate
    return `${listKey(list)}${groups ? groupsKey(groups) : ''}${groups ? JSON.stringify(measures) : ''}`
  }
  if (level.kind !== 'list') return ''
  const plan = lists[level.source!.index]!
  return `${listKey(plan)}${level.source!.hasFixedLimit ? plan.limit : ''}`
}
