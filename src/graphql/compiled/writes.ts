/**
 * Mutations of one row: a field of Mutation to a unit.
 *
 *     createComment(input) { … on Comment { body ticket { subject } } }
 *
 *     with l0 as (insert … returning …), l1 as (the ticket that it refers to) select 0, … union all select 1, …
 *
 * One statement sees the tables as they were before it, and the rows that it writes itself. So what else a
 * write changes must not be selected with it: that is the resolver lane's, which reads afterwards.
 */

import { type GraphQLField, type GraphQLObjectType, getNamedType, isObjectType } from 'graphql'
import type { LimitsConfig } from '../../base/config.ts'
import type { Table } from '../../model/types.ts'
import { isWhole } from '../lookups.ts'
import { type Meaning, meaningOf } from '../meanings.ts'
import { childRelations } from '../mutations/children.ts'
import { changesOf, type Fields, isGiven } from '../mutations/fields.ts'
import { writableKeys } from '../mutations/inputs.ts'
import { requirePatch, updatedColumns } from '../mutations/single.ts'
import { columnOf } from '../plan/fragments.ts'
import { decodeIdOf } from '../plan/ids.ts'
import type { Tables } from '../plan/types.ts'
import type { Key } from '../plan/writes.ts'
import { argumentReader } from './arguments.ts'
import { Compiler } from './compiler.ts'
import type { RowLevel } from './levels.ts'
import { constant } from './objects.ts'
import type { KeepsTable } from './reads.ts'
import type { RootField } from './root-fields.ts'
import { rowWriter } from './rows.ts'
import type { Selected, Selections } from './selections.ts'
import { StepBack } from './step-back.ts'
import { type Wanted, WriteUnit } from './write-unit.ts'

type WriteMeaning = Extract<Meaning, { kind: 'write' }>

/** Bytes that there is room for in each value, or the resolver lane counts them. */
const VALUE_BYTES_MIN = 1_000

export interface WriteParts {
  readonly tables: Tables
  readonly limits: () => LimitsConfig
  readonly keeps?: KeepsTable | undefined
}

/** @throws StepBack  it is not one write of one row, or what is selected with it is not known when it is written */
export function compileMutation(selections: Selections, parts: WriteParts): RootField[] {
  const type = selections.schema.getMutationType()
  const fields = type ? selections.root(type) : []
  const named = { statements: [], tables: [], names: () => [], write: constant(type?.name ?? '') }
  // Several are a transaction of several statements, of which each may see what those before it have written.
  if (!type || fields.filter(({ field }) => field).length !== 1) throw new StepBack()
  return fields.map((selected) => {
    if (!selected.field) return { key: selected.key, tables: [], ask: () => named }
    const unit = writeUnit(selected, selected.field, selections, parts)
    return { key: selected.key, tables: [], ask: (variables, tenant) => unit.ask(variables, tenant) }
  })
}

function writeUnit(
  { nodes }: Selected,
  field: GraphQLField<unknown, unknown>,
  selections: Selections,
  parts: WriteParts,
): WriteUnit {
  const meaning = meaningOf(field)
  if (meaning?.kind !== 'write') throw new StepBack()
  const { table, verb } = meaning
  const type = selections.schema.getType(table.typeName)
  if (!isObjectType(type)) throw new StepBack()
  const compiler = new Compiler(selections, { tables: parts.tables, sizes: parts.limits }, () => stepBack())
  const level = compiler.rowLevel(table)
  const write = rowWriter(compiler, level, type, nodes)
  const levels = boundLevels(compiler, type, nodes, parts.limits())
  requireKnown(meaning, levels)
  const wants = wanter(meaning, parts.tables)
  const argumentsOf = argumentReader(field, nodes[0]!)
  return new WriteUnit({
    table,
    levels,
    keeps: parts.keeps,
    surely: verb === 'upsert' || (verb === 'create' && table.reaches === true),
    wantedBy: (variables) => wants(argumentsOf(variables)),
    write(answer) {
      const [row] = answer.found[level.tag]!.rows
      if (row) return write(row, answer)
      if (verb === 'update' || verb === 'delete') return 'null'
      throw new Error('a row was created and did not come back')
    },
  })
}

/** The levels, with as many bytes to each value as there are for the answer. @throws StepBack  there are too few */
function boundLevels(
  compiler: Compiler,
  type: GraphQLObjectType,
  nodes: Selected['nodes'],
  { rows, answerBytes }: LimitsConfig,
): RowLevel[] {
  const levels = compiler.ordered().filter((level) => level.kind !== 'measures')
  const rowsMax = levels.flatMap(({ parents }) => parents).length
  const bytesMax = Math.floor(answerBytes / countFields(compiler.selections, type, nodes))
  if (rowsMax > rows || bytesMax < VALUE_BYTES_MIN) throw new StepBack()
  for (const level of levels) level.bytesMax = bytesMax
  return levels
}

function countFields(selections: Selections, type: GraphQLObjectType, nodes: Selected['nodes']): number {
  return selections.under(type, nodes).reduce((count, { field, nodes: below }) => {
    const under = field && getNamedType(field.type)
    return count + (isObjectType(under) ? countFields(selections, under, below) : 1)
  }, 1)
}

/** @throws StepBack  a row that is selected with the written one may change with it, or not be found by its key */
function requireKnown({ verb, table }: WriteMeaning, [, ...below]: readonly RowLevel[]): void {
  if (below.length === 0) return
  // What a foreign key does when a row is deleted may reach any other.
  if (verb === 'delete' || table.reaches) throw new StepBack()
  for (const { table: other, by } of below) {
    if (other.id === table.id || other.kind === 'view' || other.depends) throw new StepBack()
    // Texts may be equal without being the same, and whether they are is known when all is done.
    if (by.some((column) => columnOf(other, column).type.kind === 'text')) throw new StepBack()
  }
}

/** What the arguments of a field want written, as the resolvers read them. */
function wanter({ verb, table }: WriteMeaning, tables: Tables): (args: Fields) => Wanted {
  const children = childRelations(table, tables).map(({ relation }) => relation.field)
  const inputOf = (args: Fields): Fields => {
    const input = args.input as Fields
    return children.some((child) => isGiven(input, child)) ? stepBack() : input
  }
  if (verb === 'update' || verb === 'delete') requireWholeKey(table)
  switch (verb) {
    case 'create':
      return (args) => ({ verb, changes: changesOf(table, inputOf(args)) })
    case 'update':
      return (args) => {
        const changes = changesOf(table, requirePatch(args.patch as Fields))
        return changes.length > 0 ? { verb, key: keyOf(table, args), changes } : stepBack()
      }
    case 'delete':
      return (args) => ({ verb, key: keyOf(table, args) })
    case 'upsert': {
      const keys = writableKeys(table)
      return (args) => {
        const input = inputOf(args)
        const key = keys.find(({ name }) => name === args.on)!
        const wanted = args.update as readonly string[] | null | undefined
        const update = updatedColumns(tables, table, key, input, wanted)
        return { verb, changes: changesOf(table, input), on: key.columns, update }
      }
    }
  }
}

// What only Postgres can read is the resolver lane's: there it travels on its own.
function requireWholeKey(table: Table): void {
  if (!table.primaryKey.every((column) => isWhole(columnOf(table, column).type))) throw new StepBack()
}

function keyOf(table: Table, { id }: Fields): Key {
  const values = decodeIdOf(table, id as string)
  return table.primaryKey.map((column, i) => ({ column, value: values[i]! }))
}

function stepBack(): never {
  throw new StepBack()
}
