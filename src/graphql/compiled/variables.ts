/** Values of variables as an operation declares them: coerced as graphql-js does, which is left out where it has nothing to do. */

import {
  type GraphQLLeafType,
  type GraphQLSchema,
  getVariableValues,
  isInputType,
  isLeafType,
  isNonNullType,
  typeFromAST,
  type VariableDefinitionNode,
} from 'graphql'
import type { Variables } from './arguments.ts'
import { StepBack } from './step-back.ts'

/** @throws StepBack  a value is refused */
export type ReadVariables = (given: Variables) => Variables

export function variableReader(
  schema: GraphQLSchema,
  definitions: readonly VariableDefinitionNode[],
): ReadVariables {
  const leaves = definitions.map((definition) => leafOf(schema, definition))
  if (leaves.every((leaf) => leaf !== null)) return (given) => readLeaves(leaves, given)
  return (given) => {
    const { coerced, errors } = getVariableValues(schema, definitions, given, { maxErrors: 1 })
    if (errors) throw new StepBack()
    return coerced
  }
}

interface Leaf {
  readonly name: string
  readonly type: GraphQLLeafType
  readonly isRequired: boolean
}

/** Null for an input object, a list, and a variable with a default. */
function leafOf(
  schema: GraphQLSchema,
  { variable, type: node, defaultValue }: VariableDefinitionNode,
): Leaf | null {
  const type = typeFromAST(schema, node)
  if (defaultValue || !isInputType(type)) return null
  const isRequired = isNonNullType(type)
  const inner = isRequired ? type.ofType : type
  return isLeafType(inner) ? { name: variable.name.value, type: inner, isRequired } : null
}

function readLeaves(leaves: readonly Leaf[], given: Variables): Variables {
  // Without a prototype: a variable may be named "__proto__".
  const values: Record<string, unknown> = Object.create(null)
  for (const { name, type, isRequired } of leaves) {
    const value = Object.hasOwn(given, name) ? given[name] : undefined
    if (isRequired && value == null) throw new StepBack()
    if (value !== undefined) values[name] = value === null ? null : parsed(type, value)
  }
  return values
}

function parsed(type: GraphQLLeafType, value: unknown): unknown {
  const found: unknown = type.parseValue(value)
  if (found === undefined) throw new StepBack()
  return found
}
