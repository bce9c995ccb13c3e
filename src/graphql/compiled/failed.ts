/** The result of an operation that has failed as a whole and must not run again. */

import { type ExecutionResult, locatedError } from 'graphql'
import type { Selections } from './selections.ts'

/** Told at the first field at the top, as the executor would. */
export function failedResult(selections: Selections, error: Error): ExecutionResult {
  const type = selections.schema.getRootType(selections.operation.operation)
  const [first] = type ? selections.root(type) : []
  const path = first && [JSON.parse(first.key.slice(0, -1)) as string]
  return { data: null, errors: [locatedError(error, first?.nodes, path)] }
}
