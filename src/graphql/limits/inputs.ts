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
  const budget = new Budget(rows + BESIDE_ROWS)
  for (const { variable, type: node } of operation.variableDefinitions ?? []) {
    const name = variable.name.value
    const type = typeFromAST(schema, node)
    if (isInputType(type) && Object.hasOwn(variables, name)) budget.spend(variables[name], type)
    if (budget.left < 0) tooMany(budget.allowed)
  }
}

/** Input objects in a value of `type`, as it came or coerced; of too many, at least one more than there may be. */
export function countObjects(value: unknown, type: GraphQLInputType, rows: number): number {
  const budget = new Budget(rows + BESIDE_ROWS)
  budget.spend(value, type)
  return budget.allowed - budget.left
}

class Budget {
  readonly allowed: number
  left: number

  constructor(allowed: number) {
    this.allowed = allowed
    this.left = allowed
  }

  /** Ends soon after nothing is left. */
  spend(value: unknown, type: GraphQLInputType): void {
    if (this.left < 0) return
    if (isNonNullType(type)) this.spend(value, type.ofType)
    else if (Array.isArray(value))
      for (const item of value) this.spend(item, isListType(type) ? type.ofType : type)
    else if (isListType(type)) this.spend(value, type.ofType)
    else if (isInputObjectType(type) && typeof value === 'object' && value !== null) {
      this.left -= 1
      const fields = type.getFields()
      for (const [key, part] of Object.entries(value)) if (fields[key]) this.spend(part, fields[key].type)
    }
  }
}

function tooMany(allowed: number): never {
  const sentence = `The variables hold more than ${allowed} input objects; send them in several operations.`
  return fail('QUERY_TOO_COMPLEX', sentence, { limit: 'inputObjects', allowed })
}
