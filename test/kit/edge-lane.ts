/**
 * A compiled lane for the small schema of edge.ts: graphql-js behind the interface of the real one, with its
 * manners. It takes what it knows, answers flawless operations alone, and steps back from everything else.
 */

import { execute, getOperationAST, Kind, type OperationDefinitionNode, validate } from 'graphql'
import type { Config } from '../../src/base/config.ts'
import { isGatewayError } from '../../src/base/errors.ts'
import { failedResult } from '../../src/graphql/compiled/failed.ts'
import { selectionsOf } from '../../src/graphql/compiled/selections.ts'
import type { Lane, LaneRequest } from '../../src/graphql/compiled/types.ts'
import type { GatewayContext } from '../../src/graphql/context.ts'
import { demandOf } from '../../src/graphql/limits/demand.ts'
import { checkDocument } from '../../src/graphql/limits/limits.ts'
import type { Permissions } from '../../src/graphql/permissions/permissions.ts'

/** Fields that end, each in every run the same. */
const TAKEN = [
  'hello',
  'mine',
  'items',
  'echo',
  'big',
  'old',
  'ruleless',
  'boom',
  'createItem',
  'deleteItem',
  'away',
  '__typename',
]

/** Where the shard refuses all of an operation. */
const OF_SHARD = ['away', '__typename']

export function edgeLane(permissions: Permissions, config: () => Config): Lane {
  const { schema } = permissions
  return {
    find(query, operationName) {
      const document = documentOf(query, config())
      const operation = document && getOperationAST(document, operationName)
      if (!operation || operation.operation === 'subscription' || !isOfFields(operation, TAKEN)) return null
      if (validate(schema, document).length > 0) return null
      const name = operation.name?.value
      const run = async ({ variables, idempotencyKey, ...scope }: LaneRequest) => {
        if (idempotencyKey !== undefined) return null
        const contextValue = { scope } as unknown as GatewayContext
        const asked = { document, operationName, contextValue, variableValues: variables }
        try {
          await permissions.decide(asked)
        } catch {
          return null
        }
        const { errors, data } = await execute({ schema, ...asked })
        const refusal = errors?.map(({ originalError }) => originalError).find(isOfShard)
        if (refusal && isOfFields(operation, OF_SHARD))
          return failedResult(selectionsOf(schema, document, operation, {}), refusal, true)
        return errors ? null : JSON.stringify({ data })
      }
      const demand = (variables: LaneRequest['variables']) =>
        demandOf(schema, document, operation, variables ?? {}, config().limits)
      return { kind: operation.operation, name, document, demand, run }
    },
  }
}

function documentOf(query: string, { limits }: Config) {
  try {
    return checkDocument(query, limits)
  } catch {
    return undefined
  }
}

function isOfFields({ selectionSet }: OperationDefinitionNode, names: readonly string[]): boolean {
  return selectionSet.selections.every(
    (selection) => selection.kind === Kind.FIELD && names.includes(selection.name.value),
  )
}

/** A refusal that must not be tried again by the other lane. */
const isOfShard = (error: unknown): error is Error => isGatewayError(error, 'SHARD_UNAVAILABLE')
