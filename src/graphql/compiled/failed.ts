/** The result of an operation that has failed as a whole and must not run again. */

import { type ExecutionResult, GraphQLError, locatedError, OperationTypeNode } from 'graphql'
import type { Selections } from './selections.ts'

/** A query is told at its first field, as the executor would; a mutation has no data, as its transaction has none. */
export function failedResult(selections: Selections, error: Error): ExecutionResult {
  if (selections.operation.operation === OperationTypeNode.MUTATION) {
    return { errors: [new GraphQLError(error.message, { originalError: error })] }
  }
  const type = selections.schema.getRootType(selections.operation.operation)
  const [first] = type ? selections.root(type) : []
  const path = first && [JSON.parse(first.key.slice(0, -1)) as string]
  return { data: null, errors: [locatedError(error, first?.nodes, path)] }
}
