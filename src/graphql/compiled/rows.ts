/**
 * Writers of rows: the selection of a row to a function that writes it, and on the way the levels that it needs.
 *
 * A writer is a list of functions, one for each selected field, which give the JSON text of their field.
 */

import { type FieldNode, type GraphQLField, type GraphQLObjectType, getNamedType } from 'graphql'
import type { Row } from '../../db/batch.ts'
import type { Relation, Table } from '../../model/types.ts'
import { meaningOf } from '../meanings.ts'
import { columnOf } from '../plan/fragments.ts'
import { encodeOpaque } from '../plan/opaque.ts'
import type { Answer } from './answer.ts'
import type { Compiler } from './compiler.ts'
import { linkOf, rowsOf } from './found.ts'
import { placeOf, type RowLevel } from './levels.ts'
import { constant, objectWriter } from './objects.ts'
import type { Selected } from './selections.ts'
import { StepBack } from './step-back.ts'
import { valueWriter } from './values.ts'

export type WriteRow = (row: Row, answer: Answer) => string

/** @throws StepBack  a field that is not the tables' own */
export function rowWriter(
  compiler: Compiler,
  level: RowLevel,
  type: GraphQLObjectType,
  nodes: readonly FieldNode[],
): WriteRow {
  return objectWriter(
    compiler.selections
      .under(type, nodes)
      .map((selected) => [selected.key, fieldWriter(compiler, level, type, selected)]),
  )
}

function fieldWriter(
  compiler: Compiler,
  level: RowLevel,
  type: GraphQLObjectType,
  { field, nodes }: Selected,
): WriteRow {
  if (!field) return constant(type.name)
  const meaning = meaningOf(field)
  if (meaning?.kind === 'id') return idWriter(level)
  if (meaning?.kind === 'relation') return relationWriter(compiler, level, meaning, field, nodes)
  if (meaning?.kind !== 'column') throw new StepBack()
  const place = placeOf(level, meaning.column.name)
  const write = valueWriter(meaning.column.type, field.type, nodes, compiler.selections)
  return (row) => write(row[level.cells[place]!] ?? null)
}

function idWriter(level: RowLevel): WriteRow {
  const { typeName, primaryKey } = level.table
  const places = primaryKey.map((column) => placeOf(level, column))
  return (row) => `"${encodeOpaque([typeName, ...places.map((place) => row[level.cells[place]!])])}"`
}

function relationWriter(
  compiler: Compiler,
  level: RowLevel,
  { relation, target }: { readonly relation: Relation; readonly target: Table },
  field: GraphQLField<unknown, unknown>,
  nodes: readonly FieldNode[],
): WriteRow {
  const own = relation.columns.map((pair) => pair.own)
  const others = relation.columns.map((pair) => pair.other)
  const places = own.map((column) => placeOf(level, column))
  if (relation.kind === 'one') return oneWriter(compiler, level, target, own, others, field, nodes)
  const source = compiler.source(target, field, nodes[0]!, others)
  const write = compiler.writeList(compiler, source, { level, own }, field, nodes)
  return (row, answer) => write(answer, linkOf(row, level, places))
}

function oneWriter(
  compiler: Compiler,
  level: RowLevel,
  target: Table,
  own: readonly string[],
  others: readonly string[],
  field: GraphQLField<unknown, unknown>,
  nodes: readonly FieldNode[],
): WriteRow {
  const exactness = own.map((column, i) => {
    return exactnessOf(columnOf(level.table, column).type.kind, columnOf(target, others[i]!).type.kind)
  })
  if (exactness.includes('none')) throw new StepBack()
  const places = own.map((column) => placeOf(level, column))
  const type = getNamedType(field.type) as GraphQLObjectType
  const isLeaf = !holdsRelation(compiler, type, nodes)
  const referred = compiler.referred(target, others, level, own, isLeaf)
  const writeRow = rowWriter(compiler, referred, type, nodes)
  // Twenty people write a hundred comments: each is written once.
  const memo = compiler.addMemo()
  const write: WriteRow = isLeaf ? (row, answer) => answer.once(memo, row, writeRow) : writeRow
  return (row, answer) => {
    const link = linkOf(row, level, places)
    if (link === null) return 'null'
    answer.take(1)
    const [found] = rowsOf(answer.found[referred.tag]!, link)
    if (found) return write(found, answer)
    // It may be there under another spelling that its collation calls equal.
    if (exactness.includes('text')) throw new StepBack()
    return 'null'
  }
}

const EXACT: ReadonlySet<string> = new Set(['int', 'bigint', 'uuid', 'boolean', 'date', 'enum'])

/** Whether two values are equal if and only if their texts are: of numerics '1' and '1.00' are equal too. */
function exactnessOf(own: string, other: string): 'exact' | 'text' | 'none' {
  const isInteger = (kind: string): boolean => kind === 'int' || kind === 'bigint'
  if (EXACT.has(own) && (own === other || (isInteger(own) && isInteger(other)))) return 'exact'
  return own === 'text' && other === 'text' ? 'text' : 'none'
}

function holdsRelation(
  { selections }: Compiler,
  type: GraphQLObjectType,
  nodes: readonly FieldNode[],
): boolean {
  return selections.under(type, nodes).some(({ field }) => field && meaningOf(field)?.kind === 'relation')
}
