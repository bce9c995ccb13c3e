/**
 * A root field that writes one row, as a unit: one statement that writes the row and reads what is selected of it and
 * of the rows that it refers to. Its text hangs on the columns that are given, never on their values.
 */

import { LRUCache } from 'lru-cache'
import type { TenantId } from '../../base/ids.ts'
import { type Changed, prepared, type SQL, type Statement, sql, type Value } from '../../db/sql.ts'
import type { Table } from '../../model/types.ts'
import { source } from '../plan/fragments.ts'
import { ANY_TENANT, parametersOf, type Slot, slot } from '../plan/slots.ts'
import {
  type Changes,
  deleteRow,
  insertRows,
  type Key,
  removed,
  updateRow,
  upsertRow,
} from '../plan/writes.ts'
import { Answer } from './answer.ts'
import type { Variables } from './arguments.ts'
import { sortRows } from './found.ts'
import { type Layout, layOut } from './layout.ts'
import type { RowLevel } from './levels.ts'
import { type KeepsTable, readKeys } from './reads.ts'
import { compileLevels, isBare, type LevelShape } from './statement.ts'
import type { Asked } from './unit.ts'

/** What the arguments of a request want written. */
export type Wanted =
  | { readonly verb: 'create'; readonly changes: Changes }
  | { readonly verb: 'update'; readonly key: Key; readonly changes: Changes }
  | { readonly verb: 'delete'; readonly key: Key }
  | {
      readonly verb: 'upsert'
      readonly changes: Changes
      /** The columns that tell whether the row is there, and those that change when it is. */
      readonly on: readonly string[]
      readonly update: readonly string[]
    }

export interface WriteUnitParts {
  readonly table: Table
  /** The first is the row that is written; all others are rows that one refers to. */
  readonly levels: readonly RowLevel[]
  /** Whether Postgres shall refuse a write that leaves no row. */
  readonly surely: boolean
  /** @throws  the arguments are refused */
  readonly wantedBy: (variables: Variables) => Wanted
  readonly write: (answer: Answer) => string
  /** Left out where no answers are kept. */
  readonly keeps?: KeepsTable | undefined
}

interface WriteStatement extends Pick<Statement, 'text' | 'name' | 'changes'> {
  readonly slots: readonly Slot[]
}

/** The statements of all units: the columns that an input gives are the caller's choice. */
const statements = new LRUCache<string, WriteStatement>({
  max: 2_000,
  maxSize: 4_000_000, // characters
  sizeCalculation: ({ text, slots }, key) => text.length + key.length + 100 * slots.length,
})
let units = 0

export class WriteUnit {
  readonly #parts: WriteUnitParts
  readonly #id = ++units
  readonly #layout: Layout

  constructor(parts: WriteUnitParts) {
    this.#parts = parts
    if (parts.keeps) readKeys(parts.levels.slice(0, 1), parts.keeps)
    this.#layout = layOut(parts.levels, isBare(parts.levels, parts))
  }

  /** @throws  an argument is refused */
  ask(variables: Variables, tenant: TenantId): Asked {
    const { levels, wantedBy, write } = this.#parts
    const wanted = wantedBy(variables)
    const { slots, ...known } = this.#statement(wanted)
    const statement = { ...known, values: parametersOf(slots, valuesOf(wanted), tenant) }
    const none = { plans: [], aggregates: [], cursorPlaces: [] }
    return {
      statements: [statement],
      tables: [],
      names: () => [],
      write: ([rows = []], bounds, count) =>
        write(new Answer({ tenant, found: sortRows(levels, rows), ...none, bounds, count })),
    }
  }

  #statement(wanted: Wanted): WriteStatement {
    const name = `${this.#id}:${shapeOf(wanted)}`
    const known = statements.get(name)
    if (known) return known
    const fresh = this.#compile(wanted)
    statements.set(name, fresh)
    return fresh
  }

  #compile(wanted: Wanted): WriteStatement {
    const { table, levels, surely } = this.#parts
    const none = { plan: null, aggregate: null, limit: sql.blank, offset: null, key: [] }
    const shapes = levels.map((level, i): LevelShape => {
      return { level, ...none, ...(i === 0 && { write: writeSql(table, withSlots(wanted)) }) }
    })
    // Each row refers to one at the most, so that no level can grow.
    const { text, slots } = compileLevels(shapes, this.#layout, { rows: 1, surely })
    const { name } = prepared(text)
    return { text, ...(name !== undefined && { name }), slots, changes: this.#changes(wanted) }
  }

  #changes({ verb }: Wanted): Changed {
    const { table, levels } = this.#parts
    if (verb === 'delete') return removed(table)
    const [{ columns, cells, tag }] = levels as [RowLevel]
    const key = table.primaryKey.map((column) => cells[columns.indexOf(column)] ?? -1)
    return {
      table: table.id,
      reaches: table.reaches === true,
      key: key.includes(-1) ? null : key,
      ...(!isBare(levels, this.#parts) && { tag: String(tag) }),
    }
  }
}

function writeSql(table: Table, wanted: Wanted): SQL {
  const of = source(table)
  switch (wanted.verb) {
    case 'create':
      return insertRows(of, ANY_TENANT, [wanted.changes])
    case 'update':
      return updateRow(of, ANY_TENANT, wanted.key, wanted.changes)
    case 'delete':
      return deleteRow(of, ANY_TENANT, wanted.key)
    case 'upsert':
      return upsertRow(of, ANY_TENANT, wanted.changes, wanted.on, wanted.update)
  }
}

/** Equal for what differs in nothing but values. A key has always the same columns. */
function shapeOf(wanted: Wanted): string {
  const given = 'changes' in wanted ? wanted.changes.map(({ column }) => column.name) : []
  return JSON.stringify(wanted.verb === 'upsert' ? [given, wanted.on, wanted.update] : given)
}

function valuesOf(wanted: Wanted): Value[] {
  const values: Value[] = []
  mapValues(wanted, (value) => {
    values.push(value)
    return value
  })
  return values
}

function withSlots(wanted: Wanted): Wanted {
  let next = 0
  return mapValues(wanted, () => slot(next++))
}

/** `wanted` with other values, which come in one order. */
function mapValues(wanted: Wanted, map: (value: Value) => Value): Wanted {
  const mapped = <T extends { readonly value: Value }>(items: readonly T[]): T[] =>
    items.map((item) => ({ ...item, value: map(item.value) }))
  if (wanted.verb === 'delete') return { ...wanted, key: mapped(wanted.key) }
  const changes = mapped(wanted.changes)
  return wanted.verb === 'update' ? { ...wanted, changes, key: mapped(wanted.key) } : { ...wanted, changes }
}
