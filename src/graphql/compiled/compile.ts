/** From the selection of an operation to its units: one for each field of Query. */

import {
  type FieldNode,
  type GraphQLField,
  type GraphQLObjectType,
  getArgumentValues,
  getNamedType,
} from 'graphql'
import { lookupKeys } from '../../model/lookups.ts'
import type { Table } from '../../model/types.ts'
import { isWhole, keyOfLookup } from '../lookups.ts'
import { meaningOf } from '../meanings.ts'
import type { Lists } from '../pages.ts'
import { columnOf } from '../plan/fragments.ts'
import { decodeIdOf } from '../plan/ids.ts'
import type { Answer } from './answer.ts'
import { Compiler } from './compiler.ts'
import type { RowLevel } from './levels.ts'
import { constant } from './objects.ts'
import { listWriter } from './pages.ts'
import { rowWriter } from './rows.ts'
import type { Selected, Selections } from './selections.ts'
import type { Variables } from './sources.ts'
import { StepBack } from './step-back.ts'
import { type RowKey, Unit } from './unit.ts'

/** A field of the answer: its name as JSON with the colon, and the unit that gives its value. */
export interface RootField {
  readonly key: string
  readonly unit: Unit
}

/** @throws StepBack  a field that is not the tables' own; whatever the arguments of a constant list are refused with */
export function compileQuery(selections: Selections, lists: Lists): RootField[] {
  const type = selections.schema.getQueryType()
  if (!type) throw new StepBack()
  return selections.root(type).map((selected) => ({
    key: selected.key,
    unit: unitOf(selected, type, selections, lists),
  }))
}

function unitOf(
  { field, nodes }: Selected,
  type: GraphQLObjectType,
  selections: Selections,
  lists: Lists,
): Unit {
  const compiler = new Compiler(selections, lists, listWriter)
  if (!field) return made(compiler, null, constant(type.name))
  const meaning = meaningOf(field)
  switch (meaning?.kind) {
    case 'list': {
      const source = compiler.source(meaning.table, field, nodes[0]!, null)
      return made(compiler, null, listWriter(compiler, source, null, field, nodes))
    }
    case 'row':
      return rowUnit(compiler, meaning.table, field, nodes, (args) =>
        keyOfId(meaning.table, args.id as string),
      )
    case 'lookup':
      return rowUnit(compiler, meaning.table, field, nodes, (args) =>
        keyOfLookup(meaning.table, args.by as object),
      )
    default:
      throw new StepBack()
  }
}

function made(
  compiler: Compiler,
  keyOf: ((variables: Variables) => RowKey) | null,
  write: (answer: Answer) => string,
) {
  const { sources } = compiler
  return new Unit({ levels: compiler.ordered(), sources, keyOf, write, rowsMax: compiler.lists.sizes().rows })
}

type Arguments = Readonly<Record<string, unknown>>

/** One row by a key that the arguments give. */
function rowUnit(
  compiler: Compiler,
  table: Table,
  field: GraphQLField<unknown, unknown>,
  nodes: readonly FieldNode[],
  keyOf: (args: Arguments) => RowKey,
): Unit {
  const keys = [table.primaryKey, ...lookupKeys(table).map(({ columns }) => columns.map(({ name }) => name))]
  // What only Postgres can read is the resolver lane's: there it travels on its own.
  if (!keys.flat().every((column) => isWhole(columnOf(table, column).type))) throw new StepBack()
  const level = compiler.add<RowLevel>({
    kind: 'row',
    table,
    by: [],
    parents: [],
    source: null,
    columns: [],
    hasCursors: false,
  })
  const write = rowWriter(compiler, level, getNamedType(field.type) as GraphQLObjectType, nodes)
  return made(
    compiler,
    (variables) => keyOf(getArgumentValues(field, nodes[0]!, variables)),
    (answer) => {
      const [row] = answer.found[level.tag]!.rows
      return row ? write(row, answer) : 'null'
    },
  )
}

function keyOfId(table: Table, id: string): RowKey {
  const key = decodeIdOf(table, id)
  return table.primaryKey.map((column, i) => ({ column, value: key[i]! }))
}
