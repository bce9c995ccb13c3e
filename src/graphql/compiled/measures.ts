/** Writers of what is measured over a whole list: its count, its aggregates, its groups. */

import { type FieldNode, type GraphQLField, type GraphQLObjectType, getNamedType } from 'graphql'
import type { Row } from '../../db/batch.ts'
import { type GroupArguments, groupsOf, orderedMeasures } from '../aggregates/arguments.ts'
import { selectedMeasures } from '../aggregates/selection.ts'
import { meaningOf } from '../meanings.ts'
import {
  type AggregatePlan,
  COUNT,
  type Measure,
  type MeasureKind,
  measurePosition,
} from '../plan/aggregate-types.ts'
import { measuresOfNothing } from '../plan/aggregates.ts'
import { measureType } from '../plan/measures.ts'
import type { Answer } from './answer.ts'
import { argumentReader, usesVariable, type Variables } from './arguments.ts'
import type { ListCompiler, WriteList } from './compiler.ts'
import { rowsOf } from './found.ts'
import type { GroupSource, MeasureLevel } from './levels.ts'
import { constant, objectWriter } from './objects.ts'
import type { Selected } from './selections.ts'
import { StepBack } from './step-back.ts'
import { valueWriter } from './values.ts'

/** One row of measures, and where its cells begin. */
interface Measured {
  readonly plan: AggregatePlan
  readonly row: Row
  readonly offset: number
}

type WriteMeasured = (measured: Measured) => string

export function countWriter(list: ListCompiler): WriteList {
  const level = addLevel(list, [COUNT], null)
  const write = measureWriter(list, COUNT, null)
  return (answer, link) => write(measuredOf(level, answer, link)[0] ?? nothing())
}

export function aggregatesWriter(
  list: ListCompiler,
  field: GraphQLField<unknown, unknown>,
  nodes: readonly FieldNode[],
): WriteList {
  const measures = measuresIn(list, nodes)
  const type = getNamedType(field.type) as GraphQLObjectType
  const write = measuredWriter(list, type, nodes)
  if (measures.length === 0) return () => write(EMPTY)
  const level = addLevel(list, measures, null)
  return (answer, link) => write(measuredOf(level, answer, link)[0] ?? nothing())
}

export function groupsWriter(
  list: ListCompiler,
  field: GraphQLField<unknown, unknown>,
  nodes: readonly FieldNode[],
): WriteList {
  const { table } = list.source
  const { sizes } = list.compiler.lists
  const argumentsOf = argumentReader(field, nodes[0]!)
  const make = (variables: Variables) => {
    const args = argumentsOf(variables) as unknown as GroupArguments
    const groups = groupsOf(table, args, sizes())
    return { groups, measures: measuresIn(list, nodes, orderedMeasures(groups)) }
  }
  const isConstant = !usesVariable(nodes[0]!)
  const fixed = isConstant ? make({}) : null
  const level = addLevel(list, [], { isConstant, of: fixed ? () => fixed : make })
  const write = measuredWriter(list, getNamedType(field.type) as GraphQLObjectType, nodes)
  return (answer, link) => {
    const groups = measuredOf(level, answer, link)
    answer.take(groups.length)
    return `[${groups.map(write).join()}]`
  }
}

function measuresIn(
  { compiler, source }: ListCompiler,
  nodes: readonly FieldNode[],
  more: readonly Measure[] = [],
): Measure[] {
  const { operation, fragments, conditions } = compiler.selections
  const info = { fieldNodes: nodes, fragments, operation, variableValues: conditions }
  return selectedMeasures(source.table, info, more)
}

function addLevel(
  { compiler, source, by, parents }: ListCompiler,
  measures: readonly Measure[],
  groups: GroupSource | null,
): MeasureLevel {
  return compiler.add<MeasureLevel>({
    kind: 'measures',
    table: source.table,
    by,
    parents,
    source,
    measures,
    groups,
  })
}

function measuredOf(
  { tag, more }: MeasureLevel,
  answer: Answer,
  link: string | null | undefined,
): Measured[] {
  const plan = answer.aggregates[tag]!
  const of = (rows: readonly Row[], at: number) => rows.map((row) => ({ plan, row, offset: at }))
  if (link === null) return of(measuresOfNothing(plan), 0)
  const found = answer.found[tag]!
  return of(link === undefined ? found.rows : rowsOf(found, link), more)
}

const EMPTY: Measured = { plan: { list: null as never, measures: [], groups: null }, row: [], offset: 0 }

// A list has measures also where it has no rows.
function nothing(): never {
  throw new StepBack()
}

/** The fields of aggregates, and of a group. */
function measuredWriter(
  list: ListCompiler,
  type: GraphQLObjectType,
  nodes: readonly FieldNode[],
): WriteMeasured {
  return objectWriter<Measured>(
    list.compiler.selections
      .under(type, nodes)
      .map((selected) => [selected.key, partWriter(list, type, selected)]),
  )
}

function partWriter(list: ListCompiler, type: GraphQLObjectType, { field, nodes }: Selected): WriteMeasured {
  if (!field) return constant(type.name)
  const meaning = meaningOf(field)
  const inner = getNamedType(field.type) as GraphQLObjectType
  if (meaning?.kind === 'groupKey') return keysWriter(list, inner, nodes)
  if (meaning?.kind !== 'measures') throw new StepBack()
  if (meaning.of === 'count') return measureWriter(list, COUNT, null)
  return objectWriter<Measured>(
    list.compiler.selections
      .under(inner, nodes)
      .map((selected) => [selected.key, columnWriter(list, inner, meaning.of, selected)]),
  )
}

function columnWriter(
  list: ListCompiler,
  type: GraphQLObjectType,
  kind: MeasureKind,
  selected: Selected,
): WriteMeasured {
  const { field } = selected
  if (!field) return constant(type.name)
  const meaning = meaningOf(field)
  if (meaning?.kind !== 'measured') throw new StepBack()
  return measureWriter(list, { kind, column: meaning.column }, selected)
}

function measureWriter(list: ListCompiler, measure: Measure, selected: Selected | null): WriteMeasured {
  const { selections } = list.compiler
  const type = measureType(list.source.table, measure)
  const write = selected?.field
    ? valueWriter(type, selected.field.type, selected.nodes, selections)
    : (text: string | null) => countText(text)
  return ({ plan, row, offset }) => write(row[offset + measurePosition(plan, measure)] ?? null)
}

// GraphQL's Int ends where 32 bits do.
function countText(text: string | null): string {
  if (text === null || Number(text) > 2_147_483_647) throw new StepBack()
  return text
}

function keysWriter(list: ListCompiler, type: GraphQLObjectType, nodes: readonly FieldNode[]): WriteMeasured {
  return objectWriter<Measured>(
    list.compiler.selections.under(type, nodes).map(({ key, field, nodes: below }) => {
      if (!field) return [key, constant(type.name)]
      const meaning = meaningOf(field)
      if (meaning?.kind !== 'key') throw new StepBack()
      const { name, type: columnType } = meaning.column
      const write = valueWriter(columnType, field.type, below, list.compiler.selections)
      return [
        key,
        ({ plan, row, offset }: Measured) => {
          const place = plan.groups?.by.findIndex((term) => term.column === name) ?? -1
          return write(place < 0 ? null : (row[offset + place] ?? null))
        },
      ]
    }),
  )
}
