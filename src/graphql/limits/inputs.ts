/**
 * How many input objects the variables of an operation hold, counted before they are coerced.
 *
 * graphql-js looks for every field of an input type in every object that came: 80,000 times `{}` in a body of 250 kB
 * keep the process busy for most of a second, long before anything could ask whether they make sense; and it writes
 * an object with fields that there are not into an error for each of the first fifty of them: 20,000 took 0.8 s. JSON
 * is no input object, however much of it there is.
 */

import {
  type GraphQLInputObjectType,
  type GraphQLInputType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isInputObjectType,
  isInputType,
  isLeafType,
  isListType,
  isNonNullType,
  type OperationDefinitionNode,
  OperationTypeNode,
  typeFromAST,
} from 'graphql'
import { fail } from '../../base/errors.ts'

/** Rows that may be written are objects of an input; others go with them, such as a filter's conditions. */
const BESIDE_ROWS = 1_000

/** As many objects as a field that the type does not have counts for: fifty of them are told, and that is enough. */
const UNKNOWN_FIELD = 20
/** As much of an object as an item of any other list counts for in a query; a column that is written may be a long one. */
const PLAIN_ITEM = 1 / 8

/**
 * @param rows  that a mutation may write
 * @throws QUERY_TOO_COMPLEX  more than an operation can have a use for
 */
export function checkInputs(
  schema: GraphQLSchema,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
  rows: number,
): void {
  const isWrite = operation.operation === OperationTypeNode.MUTATION
  const budget = new Budget(BESIDE_ROWS + (isWrite ? rows : 0), isWrite ? 0 : PLAIN_ITEM)
  for (const { variable, type: node } of operation.variableDefinitions ?? []) {
    const name = variable.name.value
    const type = typeFromAST(schema, node)
    if (!isInputType(type) || !Object.hasOwn(variables, name)) continue
    const value = variables[name]
    // A list of rows, which nobody need look at one by one.
    if (isWrite && Array.isArray(value) && value.length > rows && isInputObjectType(getNamedType(type)))
      tooMany(rows)
    budget.spend(value, type)
    if (budget.left < 0) tooMany(budget.allowed)
  }
}

/** Input objects in a value of `type`, as it came or coerced; of too many, at least one more than there may be. */
export function countObjects(value: unknown, type: GraphQLInputType, rows: number): number {
  const budget = new Budget(rows + BESIDE_ROWS, 0)
  budget.spend(value, type)
  return budget.allowed - budget.left
}

class Budget {
  readonly allowed: number
  left: number
  readonly #item: number

  /** @param item  what one costs that is no input object */
  constructor(allowed: number, item: number) {
    this.allowed = allowed
    this.left = allowed
    this.#item = item
  }

  /** Ends soon after nothing is left. */
  spend(value: unknown, type: GraphQLInputType): void {
    if (isNonNullType(type)) this.spend(value, type.ofType)
    else if (isListType(type)) this.#spendList(Array.isArray(value) ? value : [value], type.ofType)
    else if (isInputObjectType(type) && value != null) this.#spendObject(value, type)
  }

  #spendList(items: readonly unknown[], type: GraphQLInputType): void {
    const price = isLeafType(getNullableType(type)) ? this.#item : 0
    for (const item of items) {
      if (this.left < 0) return
      this.left -= price
      this.spend(item, type)
    }
  }

  /** @param value  may be anything: who sends 100,000 numbers where objects belong has each of them looked at too */
  #spendObject(value: unknown, type: GraphQLInputObjectType): void {
    this.left -= 1
    if (typeof value !== 'object' || value === null) return
    const fields = type.getFields()
    for (const key in value) {
      if (this.left < 0) return
      const field = Array.isArray(value) ? undefined : fields[key]
      if (field) this.spend(Reflect.get(value, key), field.type)
      else this.left -= UNKNOWN_FIELD
    }
  }
}

function tooMany(allowed: number): never {
  const sentence = `The variables hold more than ${allowed} input objects; send them in several operations.`
  return fail('QUERY_TOO_COMPLEX', sentence, { limit: 'inputObjects', allowed })
}
