/** Units of rows that are asked for by their keys: one row, or rows of any tables by their ids. */

import { type FieldNode, isObjectType } from 'graphql'
import type { TenantId } from '../../base/ids.ts'
import type { Table } from '../../model/types.ts'
import { isWhole } from '../lookups.ts'
import type { Lists } from '../pages.ts'
import { columnOf } from '../plan/fragments.ts'
import { decodeId } from '../plan/ids.ts'
import type { Answer } from './answer.ts'
import type { Variables } from './arguments.ts'
import { Compiler } from './compiler.ts'
import { rowsOf } from './found.ts'
import type { RowLevel } from './levels.ts'
import { listWriter } from './pages.ts'
import { rowWriter, type WriteRow } from './rows.ts'
import type { Selections } from './selections.ts'
import { StepBack } from './step-back.ts'
import { type Asked, type RowKey, Unit } from './unit.ts'

export function unitOf(compiler: Compiler, write: (answer: Answer) => string): Unit {
  const { sources, lists } = compiler
  return new Unit({
    levels: compiler.ordered(),
    sources,
    write,
    rowsMax: lists.sizes().rows,
    keeps: lists.keeps,
  })
}

/**
 * One row by a key.
 *
 * @param keys  columns of the keys that may come
 */
export function rowUnit(
  compiler: Compiler,
  table: Table,
  keys: readonly (readonly string[])[],
  nodes: readonly FieldNode[],
): Unit {
  const { level, write } = rowLevel(compiler, table, keys, nodes, false)
  return unitOf(compiler, (answer) => {
    const [row] = answer.found[level.tag]!.rows
    return row ? write(row, answer) : 'null'
  })
}

/** @throws StepBack  a key that only Postgres can read: in the resolver lane it travels on its own */
function rowLevel(
  compiler: Compiler,
  table: Table,
  keys: readonly (readonly string[])[],
  nodes: readonly FieldNode[],
  isNumbered: boolean,
) {
  if (!keys.flat().every((column) => isWhole(columnOf(table, column).type))) throw new StepBack()
  const type = compiler.selections.schema.getType(table.typeName)
  if (!isObjectType(type)) throw new StepBack()
  const level = compiler.rowLevel(table, isNumbered)
  return { level, write: rowWriter(compiler, level, type, nodes) }
}

/** Rows of one table, by ids that come with the request. */
interface TableRows {
  readonly unit: Unit
  readonly level: RowLevel
  readonly write: WriteRow
}

/** `node` and `nodes`: which tables the rows are of, only the ids say. */
export class NodeRows {
  readonly #selections: Selections
  readonly #lists: Lists
  readonly #nodes: readonly FieldNode[]
  readonly #isList: boolean
  readonly #byTypeName: ReadonlyMap<string, Table>
  readonly #tables = new Map<Table, TableRows>()

  constructor(selections: Selections, lists: Lists, nodes: readonly FieldNode[], isList: boolean) {
    this.#selections = selections
    this.#lists = lists
    this.#nodes = nodes
    this.#isList = isList
    const identified = [...lists.tables.values()].filter(({ primaryKey }) => primaryKey.length > 0)
    this.#byTypeName = new Map(identified.map((table) => [table.typeName, table]))
  }

  /** @throws  an id that this API has not given out, or too many of them */
  ask(ids: readonly string[], variables: Variables, tenant: TenantId): Asked {
    if (ids.length > this.#lists.sizes().pageSize) throw new StepBack()
    const wanted = ids.map((id) => decodeId(id, this.#byTypeName))
    const tables = [...Map.groupBy(wanted.keys(), (place) => wanted[place]!.table)].map(([table, places]) => {
      const rows = this.#rowsOf(table)
      const keys = places.map((place) => wanted[place]!.key)
      return { rows, places, asked: rows.unit.ask(variables, tenant, keyOfRows(table, keys)) }
    })
    return {
      statements: tables.flatMap(({ asked }) => asked.statements),
      tables: tables.flatMap(({ asked }) => asked.tables),
      names: (results) => tables.flatMap(({ asked }, i) => asked.names([results[i] ?? []])),
      write: (results, bounds, count) => {
        const texts: string[] = []
        for (const [i, { rows, places, asked }] of tables.entries()) {
          const answer = asked.answerOf(results[i] ?? [], bounds, count)
          for (const [n, place] of places.entries()) texts[place] = textOf(rows, answer, n + 1)
        }
        return this.#isList ? `[${texts.join()}]` : texts[0]!
      },
    }
  }

  #rowsOf(table: Table): TableRows {
    const known = this.#tables.get(table)
    if (known) return known
    const compiler = new Compiler(this.#selections, this.#lists, listWriter)
    const { level, write } = rowLevel(compiler, table, [table.primaryKey], this.#nodes, true)
    const fresh = { unit: unitOf(compiler, () => ''), level, write }
    this.#tables.set(table, fresh)
    return fresh
  }
}

/** Columns of the primary key, each with its values in all keys. */
function keyOfRows(table: Table, keys: readonly string[][]): RowKey {
  return table.primaryKey.map((column, i) => ({ column, value: keys.map((key) => key[i]!) }))
}

function textOf({ level, write }: TableRows, answer: Answer, number: number): string {
  answer.take(1)
  const [row] = rowsOf(answer.found[level.tag]!, String(number))
  return row ? write(row, answer) : 'null'
}
