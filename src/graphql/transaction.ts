/**
 * One transaction for all mutations of an operation: they are kept together, or none of them is.
 *
 * When one fails (an error anywhere in its answer, or a broken constraint as its answer), none may read as
 * done. All results become null with the error ROLLED_BACK; only a broken constraint keeps its answer.
 */

import {
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  getOperationAST,
  isNonNullType,
  OperationTypeNode,
  visit,
} from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { type ErrorCode, GatewayError, isGatewayError } from '../base/errors.ts'
import { raisedState, violation } from '../db/connection.ts'
import { isOfOldTables } from '../shards/failures.ts'
import type { GatewayContext } from './context.ts'
import { claimKey, isClaim } from './idempotency.ts'
import { forwardJobs } from './jobs/enqueue.ts'

type Execute = (args: ExecutionArgs) => Promise<ExecutionResult> | ExecutionResult

export function transactionPlugin(): Plugin {
  return {
    onExecute({ args, executeFn, setExecuteFn }) {
      const operation = getOperationAST(args.document, args.operationName)
      if (operation?.operation !== OperationTypeNode.MUTATION) return
      setExecuteFn((given: ExecutionArgs) => executeInTransaction(executeFn as Execute, given))
    },
  }
}

export async function executeInTransaction(execute: Execute, args: ExecutionArgs): Promise<ExecutionResult> {
  const context = args.contextValue as GatewayContext
  const { scope } = context
  try {
    const answer = await scope.door.withTenant(scope.identity.tenant, 'write', scope.deadline, (session) =>
      scope.within(session, () => outcomeOf(execute, args).catch(refused)),
    )
    return answer()
  } catch (error) {
    scope.hasOldTables ||= isOfOldTables(error)
    throw deferredViolation(error) ?? error
  } finally {
    forwardJobs(context)
  }
}

async function outcomeOf(execute: Execute, args: ExecutionArgs): Promise<LateOutcome> {
  const { scope } = args.contextValue as GatewayContext
  const claim = await claimKey(args)
  if (claim && !isClaim(claim)) {
    scope.replayed = true
    return { keep: false, value: () => claim }
  }
  const result = await execute(args)
  const failed = scope.failed || scope.failedFields.size > 0 || (result.errors?.length ?? 0) > 0
  if (failed) return { keep: false, value: () => withdraw(result, scope.failedFields, args) }
  await claim?.keep(result)
  return { keep: true, value: () => result }
}

interface LateOutcome {
  readonly keep: boolean
  readonly value: () => ExecutionResult
}

/** Refusals of an idempotency key (idempotency.ts), which are no doubt about the connection. */
const REFUSALS: readonly ErrorCode[] = [
  'BAD_USER_INPUT',
  'CONFLICT',
  'IDEMPOTENCY_KEY_REUSED',
  'QUERY_TOO_COMPLEX',
  'SETUP_FAILED',
]

// Thrown inside the transaction, they would cost the connection, and a client could repeat them at no cost of its own.
function refused(error: unknown): LateOutcome {
  if (!isGatewayError(error) || !REFUSALS.includes(error.code)) throw error
  return {
    keep: false,
    value: () => {
      throw error
    },
  }
}

function withdraw(
  result: ExecutionResult,
  answered: ReadonlySet<string>,
  args: ExecutionArgs,
): ExecutionResult {
  const names = typenameKeys(args)
  const withdrawn = Object.entries(result.data ?? {}).filter(
    ([key, value]) => value !== null && !answered.has(key) && !names.has(key),
  )
  const errors = withdrawn.map(([key]) => rolledBack(key))
  const nulled = Object.fromEntries(withdrawn.map(([key]) => [key, null]))
  const data = withdrawn.length > 0 && hasRequiredField(args) ? null : { ...result.data, ...nulled }
  return { ...result, data: result.data ? data : null, ...errorList(result, errors) }
}

/** Response keys of `__typename`, which is true whatever becomes of the mutations. */
function typenameKeys({ document, schema }: ExecutionArgs): Set<string> {
  const keys = new Set<string>()
  const ofMutation = schema.getMutationType()?.name
  visit(document, {
    FragmentDefinition: ({ typeCondition }) => (typeCondition.name.value === ofMutation ? undefined : false),
    Field({ name, alias }) {
      if (name.value === '__typename') keys.add((alias ?? name).value)
      return false
    },
  })
  return keys
}

function errorList(result: ExecutionResult, more: GraphQLError[]): { errors?: GraphQLError[] } {
  const errors = [...(result.errors ?? []), ...more]
  return errors.length > 0 ? { errors } : {}
}

function rolledBack(key: string): GraphQLError {
  const message = 'Not kept, because the operation failed in another place.'
  return new GraphQLError(message, { path: [key], originalError: new GatewayError('ROLLED_BACK', message) })
}

// A field that may not be null cannot be withdrawn alone; then the whole answer is.
function hasRequiredField({ schema }: ExecutionArgs): boolean {
  return Object.values(schema.getMutationType()?.getFields() ?? {}).some(({ type }) => isNonNullType(type))
}

/** A deferred constraint is checked by COMMIT, when no field is left to answer for it; a deferred trigger as well. */
function deferredViolation(error: unknown): GatewayError | undefined {
  if (isGatewayError(error)) return undefined
  const raised = raisedState(error)
  if (raised) {
    const message = 'A rule of the tables refuses the changes; nothing was kept.'
    return new GatewayError('FORBIDDEN', message, { sqlState: raised }, { cause: error })
  }
  const broken = violation(error)
  if (!broken) return undefined
  const message = `The changes break the constraint ${broken.constraint ?? broken.state}; nothing was kept.`
  return new GatewayError('BAD_USER_INPUT', message, {}, { cause: error })
}
