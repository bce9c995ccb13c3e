/**
 * How many input objects the variables of an operation hold, counted before they are coerced.
 *
 * graphql-js looks for every field of an input type in every object that came: 80,000 times `{}` in a body of 250 kB
 * keep the process busy for most of a second, long before anything could ask whether they make sense. JSON is
 * no input object, however much of it there is.
 */

import {
  type GraphQLInputType,
  type GraphQLSchema,
  isInputObjectType,
  isInputType,
  isListType,
  isNonNullType,
  type OperationDefinitionNode,
  typeFromAST,
} from 'graphql'
import { fail } from '../../base/errors.ts'

/** Rows that may be written are objects of an input; others go with them, such as a filter's conditions. */
const BESIDE_ROWS = 1_000

/** @throws QUERY_TOO_COMPLEX  more than an operation with `rows` rows can have a use for */
export function checkInputs(
  schema: GraphQLSchema,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
  rows: number,
): void {
  const budget = { allowed: rows + BESIDE_ROWS, left: rows + BESIDE_ROWS }
  for (const { variable, type: node } of operation.variableDefinitions ?? []) {
    const name = variable.name.value
    const type = typeFromAST(schema, node)
    if (isInputType(type) && Object.hasOwn(variables, name)) count(variables[name], type, budget)
  }
}

interface Budget {
  readonly allowed: number
  left: number
}

function count(value: unknown, type: GraphQLInputType, budget: Budget): void {
  if (isNonNullType(type)) count(value, type.ofType, budget)
  else if (Array.isArray(value))
    for (const item of value) count(item, isListType(type) ? type.ofType : type, budget)
  else if (isListType(type)) count(value, type.ofType, budget)
  else if (isInputObjectType(type) && typeof value === 'object' && value !== null) {
    budget.left -= 1
    if (budget.left < 0) tooMany(budget.allowed)
    const fields = type.getFields()
    for (const [key, part] of Object.entries(value)) if (fields[key]) count(part, fields[key].type, budget)
  }
}

function tooMany(allowed: number): never {
  const sentence = `The variables hold more than ${allowed} input objects; send them in several operations.`
  return fail('QUERY_TOO_COMPLEX', sentence, { limit: 'inputObjects', allowed })
}
