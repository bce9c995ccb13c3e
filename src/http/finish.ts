/** The last stage of a result with errors, in both lanes: masked, numbered with the request's id, and told to the log. */

import type { ExecutionResult, GraphQLError } from 'graphql'
import type { Emit } from '../base/events.ts'
import { finishErrors, firstCode } from '../graphql/errors.ts'
import type { Exchange } from './exchange.ts'

export interface Finish {
  readonly emit: Emit
  /** Take 'Did you mean' out of what is said of variables. */
  readonly hideSuggestions: boolean
}

/** The errors as the client may see them; the exchange is told what they were. */
export function finished(
  errors: NonNullable<ExecutionResult['errors']>,
  exchange: Exchange,
  finish: Finish,
): GraphQLError[] {
  const { requestId, identity, trace } = exchange
  const whose = { requestId, traceId: trace?.traceId, tenant: identity?.tenant }
  const safe = finishErrors(errors, { ...whose, ...finish })
  const code = firstCode(safe)
  if (code) exchange.code = code
  exchange.errors = safe.length
  return safe
}
