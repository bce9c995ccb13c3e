/** The result of an operation that has failed as a whole and must not run again. */

import { type ExecutionResult, GraphQLError, isNonNullType, locatedError, OperationTypeNode } from 'graphql'
import type { Selected, Selections } from './selections.ts'

/**
 * A mutation has no data, as its transaction has none.
 *
 * @param isOfAll  a query is told at each of its fields, as by the executor; else at the first: it is one event
 */
export function failedResult(selections: Selections, error: Error, isOfAll: boolean): ExecutionResult {
  const { schema, operation } = selections
  const type = schema.getRootType(operation.operation)
  if (operation.operation === OperationTypeNode.MUTATION || !type) {
    return { errors: [new GraphQLError(error.message, { originalError: error })] }
  }
  const fields = selections.root(type)
  const read = fields.filter(({ field }) => field !== null)
  const errors = read.map((one) => locatedError(error, one.nodes, [nameOf(one)]))
  const isNeeded = read.some(({ field }) => isNonNullType(field?.type))
  if (isNeeded || !isOfAll) return { errors: errors.slice(0, 1), data: null }
  const data = fields.map((one) => [nameOf(one), one.field ? null : type.name])
  return { errors, data: Object.fromEntries(data) }
}

const nameOf = ({ key }: Selected): string => JSON.parse(key.slice(0, -1))
