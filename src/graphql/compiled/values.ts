/**
 * Writers of values: Postgres text to the JSON text that the resolvers and the executor would make of it.
 *
 * Most values go from one to the other without becoming anything in between. What has parts (lists, ranges, row types,
 * JSON) is read as the resolvers read it.
 */

import {
  type FieldNode,
  type GraphQLOutputType,
  isEnumType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'graphql'
import type { ColumnType } from '../../model/types.ts'
import { meaningOf } from '../meanings.ts'
import { reader } from '../values/text.ts'
import type { Selections } from './selections.ts'
import { StepBack } from './step-back.ts'

export type WriteText = (text: string | null) => string

/**
 * @param type    of the column or measure
 * @param output  of the field
 * @throws StepBack  a part of the value has no meaning; from the writer: null where none may be, and what cannot be read
 */
export function valueWriter(
  type: ColumnType,
  output: GraphQLOutputType,
  nodes: readonly FieldNode[],
  selections: Selections,
): WriteText {
  const isNullable = !isNonNullType(output)
  const write = type.array ? undefined : plainWriter(type, isNullable ? output : output.ofType)
  if (write) return (text) => (text === null ? nothing(isNullable) : write(text))
  const read = reader(type)
  const complete = anyWriter(output, nodes, selections)
  return (text) => complete(read(text))
}

/** For a value that is text, or a number or a flag that is one as it stands. */
function plainWriter(type: ColumnType, output: GraphQLOutputType): ((text: string) => string) | undefined {
  switch (type.kind) {
    case 'boolean':
      return (text) => (text === 't' ? 'true' : 'false')
    case 'int':
      return type.name === 'int8' ? int : (text) => text
    case 'float':
      return float
    case 'uuid':
    case 'bigint':
    case 'decimal':
    case 'date':
    case 'time':
    case 'datetime':
      return (text) => `"${text}"`
    case 'enum':
      return enumWriter(output)
    case 'json':
    case 'range':
    case 'composite':
      return undefined
    default:
      return JSON.stringify
  }
}

/** Of a count, which may be larger than GraphQL's Int. */
function int(text: string): string {
  return Number(text) <= 2_147_483_647 ? text : stepBack()
}

function float(text: string): string {
  const value = Number(text)
  return Number.isFinite(value) ? String(value) : `"${value}"`
}

function enumWriter(output: GraphQLOutputType): ((text: string) => string) | undefined {
  if (!isEnumType(output)) return undefined
  const names = new Map(output.getValues().map(({ name, value }) => [String(value), JSON.stringify(name)]))
  return (text) => names.get(text) ?? stepBack()
}

type WriteAny = (value: unknown) => string

/** As the executor completes a value, whose fields are its properties. */
function anyWriter(output: GraphQLOutputType, nodes: readonly FieldNode[], selections: Selections): WriteAny {
  if (isNonNullType(output)) {
    const write = anyWriter(output.ofType, nodes, selections)
    return (value) => (value == null ? stepBack() : write(value))
  }
  const orNull =
    (write: WriteAny): WriteAny =>
    (value) =>
      value == null ? 'null' : write(value)
  if (isListType(output)) {
    const item = anyWriter(output.ofType, nodes, selections)
    return orNull((list) => `[${(list as unknown[]).map(item).join()}]`)
  }
  if (isLeafType(output)) return orNull((value) => leaf(output.serialize(value)))
  if (!isObjectType(output)) return stepBack()
  const fields = selections.under(output, nodes).map(({ key, field, nodes: below }) => {
    if (!field) return () => `${key}${JSON.stringify(output.name)}`
    if (meaningOf(field)?.kind !== 'part') return stepBack()
    const write = anyWriter(field.type, below, selections)
    return (value: unknown) => `${key}${write((value as Record<string, unknown>)[field.name])}`
  })
  return orNull((value) => `{${fields.map((write) => write(value)).join()}}`)
}

function leaf(value: unknown): string {
  return JSON.stringify(value) ?? 'null'
}

function nothing(isNullable: boolean): string {
  return isNullable ? 'null' : stepBack()
}

function stepBack(): never {
  throw new StepBack()
}
