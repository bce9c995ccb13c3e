/**
 * One transaction for all mutations of an operation: they are kept together, or none of them is.
 *
 * When one fails (an error, or a broken constraint as an answer), the others must not read as done. Their
 * results become null with the error ROLLED_BACK, and only the one that failed keeps its answer.
 */

import {
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  getOperationAST,
  isNonNullType,
  OperationTypeNode,
} from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { GatewayError, isGatewayError } from '../base/errors.ts'
import { violation } from '../db/connection.ts'
import type { GatewayContext } from './context.ts'

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
  const { scope } = args.contextValue as GatewayContext
  try {
    return await scope.door.withTenant(scope.identity.tenant, 'write', scope.deadline, (session) =>
      scope.within(session, async () => {
        const result = await execute(args)
        const failed = failedFields(result, scope.failedFields)
        if (failed.size === 0) return { keep: true, value: result }
        return { keep: false, value: withdraw(result, failed, args) }
      }),
    )
  } catch (error) {
    throw deferredViolation(error) ?? error
  }
}

/** Response keys whose field failed by itself, as an answer or with an error. */
function failedFields(result: ExecutionResult, answered: ReadonlySet<string>): Set<string> {
  const failed = new Set(answered)
  for (const { path } of result.errors ?? []) failed.add(String(path?.[0] ?? ''))
  return failed
}

function withdraw(
  result: ExecutionResult,
  failed: ReadonlySet<string>,
  args: ExecutionArgs,
): ExecutionResult {
  const withdrawn = Object.entries(result.data ?? {}).filter(
    ([key, value]) => !failed.has(key) && value !== null,
  )
  const errors = withdrawn.map(([key]) => rolledBack(key))
  const nulled = Object.fromEntries(withdrawn.map(([key]) => [key, null]))
  const data = withdrawn.length > 0 && hasRequiredField(args) ? null : { ...result.data, ...nulled }
  return { ...result, data: result.data ? data : null, ...errorList(result, errors) }
}

function errorList(result: ExecutionResult, more: GraphQLError[]): { errors?: GraphQLError[] } {
  const errors = [...(result.errors ?? []), ...more]
  return errors.length > 0 ? { errors } : {}
}

function rolledBack(key: string): GraphQLError {
  const message = 'Not kept, because another mutation of the operation failed.'
  return new GraphQLError(message, { path: [key], originalError: new GatewayError('ROLLED_BACK', message) })
}

// A field that may not be null cannot be withdrawn alone; then the whole answer is.
function hasRequiredField({ schema }: ExecutionArgs): boolean {
  return Object.values(schema.getMutationType()?.getFields() ?? {}).some(({ type }) => isNonNullType(type))
}

/** A deferred constraint is checked by COMMIT, when no field is left to answer for it. */
function deferredViolation(error: unknown): GatewayError | undefined {
  const broken = isGatewayError(error) ? undefined : violation(error)
  if (!broken) return undefined
  const message = `The changes break the constraint ${broken.constraint ?? broken.state}; nothing was kept.`
  return new GatewayError('BAD_USER_INPUT', message, {}, { cause: error })
}
