/**
 * A compiled lane for the small schema of edge.ts: graphql-js behind the interface of the real one, with its
 * manners. It takes what it knows, answers flawless operations alone, and steps back from everything else.
 */

import { execute, getOperationAST, Kind, type OperationDefinitionNode, validate } from 'graphql'
import type { Config } from '../../src/base/config.ts'
import type { Lane, LaneRequest } from '../../src/graphql/compiled/types.ts'
import type { GatewayContext } from '../../src/graphql/context.ts'
import { demandOf } from '../../src/graphql/limits/demand.ts'
import { checkDocument } from '../../src/graphql/limits/limits.ts'
import type { Permissions } from '../../src/graphql/permissions/permissions.ts'

/** Fields that end, each in every run the same. */
const TAKEN = ['hello', 'mine', 'items', 'echo', 'big', 'old', 'ruleless', 'boom', 'createItem', 'deleteItem']

export function edgeLane(permissions: Permissions, config: () => Config): Lane {
  const { schema } = permissions
  return {
    find(query, operationName) {
      const document = documentOf(query, config())
      const operation = document && getOperationAST(document, operationName)
      if (!operation || operation.operation === 'subscription' || !isTaken(operation)) return null
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

function isTaken({ selectionSet }: OperationDefinitionNode): boolean {
  return selectionSet.selections.every(
    (selection) => selection.kind === Kind.FIELD && TAKEN.includes(selection.name.value),
  )
}
