/**
 * Arguments of a field as functions of the variables: what graphql-js's `getArgumentValues` gives, with the document and
 * the types looked at once and not for each request.
 */

import {
  type FieldNode,
  type GraphQLField,
  type GraphQLInputObjectType,
  type GraphQLInputType,
  type GraphQLList,
  isInputObjectType,
  isListType,
  isNonNullType,
  Kind,
  type ObjectValueNode,
  type ValueNode,
  valueFromAST,
} from 'graphql'
import { StepBack } from './step-back.ts'

/** Values of variables, coerced. */
export type Variables = Readonly<Record<string, unknown>>

export type Arguments = Readonly<Record<string, unknown>>
/** @throws StepBack  a value is missing or null where one has to be */
export type ReadArguments = (variables: Variables) => Arguments

/** Undefined: the place stays empty, as for a variable that did not come. */
type Read = (variables: Variables) => unknown

interface Place {
  readonly name: string
  readonly type: GraphQLInputType
  readonly defaultValue?: unknown
}

/** @throws StepBack  a constant is refused */
export function argumentReader(field: GraphQLField<unknown, unknown>, node: FieldNode): ReadArguments {
  const given = new Map(node.arguments?.map(({ name, value }) => [name.value, value]))
  return fieldsReader(field.args, given)
}

/** Whether the arguments of a field, or those of them that are named, hold variables. */
export function usesVariable(node: FieldNode, names?: readonly string[]): boolean {
  return (node.arguments ?? []).some(
    ({ name, value }) => (!names || names.includes(name.value)) && holdsVariable(value),
  )
}

function holdsVariable(value: ValueNode): boolean {
  if (value.kind === Kind.VARIABLE) return true
  if (value.kind === Kind.LIST) return value.values.some(holdsVariable)
  return value.kind === Kind.OBJECT && value.fields.some((field) => holdsVariable(field.value))
}

function fieldsReader(places: readonly Place[], given: ReadonlyMap<string, ValueNode>): ReadArguments {
  const readers = places.map((place) => [place.name, placeReader(place, given.get(place.name))] as const)
  return (variables) => {
    const values: Record<string, unknown> = {}
    for (const [name, read] of readers) {
      const value = read(variables)
      if (value !== undefined) values[name] = value
    }
    return values
  }
}

function placeReader({ type, defaultValue }: Place, node: ValueNode | undefined): Read {
  const read = node ? readerOf(node, type) : () => undefined
  return (variables) => {
    const value = read(variables)
    if (value !== undefined) return value
    if (defaultValue === undefined && isNonNullType(type)) throw new StepBack()
    return defaultValue
  }
}

function readerOf(node: ValueNode, type: GraphQLInputType): Read {
  if (isNonNullType(type)) {
    const read = readerOf(node, type.ofType)
    return (variables) => {
      const value = read(variables)
      if (value === null) throw new StepBack()
      return value
    }
  }
  if (node.kind === Kind.VARIABLE) {
    const name = node.name.value
    // Every object has a "constructor".
    return (variables) => (Object.hasOwn(variables, name) ? variables[name] : undefined)
  }
  if (!holdsVariable(node)) {
    const value = constantOf(node, type)
    return () => value
  }
  if (isListType(type)) return listReader(node, type)
  if (isInputObjectType(type) && node.kind === Kind.OBJECT) return objectReader(node, type)
  return (variables) => constantOf(node, type, variables)
}

function constantOf(node: ValueNode, type: GraphQLInputType, variables?: Variables): unknown {
  const value: unknown = valueFromAST(node, type, variables)
  if (value === undefined) throw new StepBack()
  return value
}

function listReader(node: ValueNode, { ofType }: GraphQLList<GraphQLInputType>): Read {
  const nodes = node.kind === Kind.LIST ? node.values : [node]
  const readers = nodes.map((item) => readerOf(item, ofType))
  return (variables) =>
    readers.map((read) => {
      const value = read(variables)
      // A variable that did not come is null in a list.
      if (value === undefined && isNonNullType(ofType)) throw new StepBack()
      return value ?? null
    })
}

function objectReader({ fields }: ObjectValueNode, type: GraphQLInputObjectType): Read {
  const given = new Map(fields.map(({ name, value }) => [name.value, value]))
  const read = fieldsReader(Object.values(type.getFields()), given)
  return (variables) => {
    const value = read(variables)
    if (type.isOneOf && (Object.keys(value).length !== 1 || Object.values(value).includes(null))) {
      throw new StepBack()
    }
    return value
  }
}
