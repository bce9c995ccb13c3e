/**
 * What an operation asks for, held against what there may be: before anything runs, and without a shard being asked.
 *
 * An honest operation may ask for far more rows than there are: only what goes past every measure is refused here.
 * What really comes is counted when it comes (`RequestScope.take`).
 */

import { GraphQLError, getOperationAST } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { fail } from '../../base/errors.ts'
import type { GatewayContext } from '../context.ts'
import type { PageSizes } from '../pages.ts'
import { type Demand, demandOf } from './demand.ts'
import { checkInputs } from './inputs.ts'
import { checkOwnDemand } from './own.ts'

/** Estimated rows that are let through, as a multiple of the rows that an answer may hold. */
const SLACK = 100

/** Yoga's place for the limit of variables: before anything else looks at them. */
export function inputsPlugin(getSizes: () => PageSizes): Plugin {
  return {
    onExecute({ args: { schema, document, operationName, variableValues } }) {
      const operation = getOperationAST(document, operationName)
      if (operation) checkInputs(schema, operation, variableValues ?? {}, getSizes().rows)
    },
  }
}

/**
 * Yoga's place for the limits of what is asked: after permissions, so that the estimate tells nobody of fields
 * that he may not use. An answer that has come to too many rows on the way is refused whole: it would have
 * nulls in thousands of places where there are rows.
 *
 * @param begin  told what is asked, once it is within the limits and before it runs; what it gives back is told how many
 *               rows the answer has come to
 */
export function demandPlugin<C extends object>(
  getSizes: () => PageSizes,
  begin: (demand: Demand, context: GatewayContext & C) => (rows: number) => void,
): Plugin<GatewayContext & C> {
  return {
    onExecute({ args }) {
      const { schema, document, operationName, variableValues } = args
      const context = args.contextValue as GatewayContext & C
      const operation = getOperationAST(document, operationName)
      if (!operation) return undefined
      const variables = variableValues ?? {}
      const demand = demandOf(schema, document, operation, variables, getSizes())
      checkRows(demand, getSizes())
      checkOwnDemand(demand, context.scope.limits)
      const end = begin(demand, context)
      return {
        onExecuteDone({ setResult }) {
          const { overflow, rowsTaken } = context.scope
          end(rowsTaken)
          if (overflow)
            setResult({ errors: [new GraphQLError(overflow.message, { originalError: overflow })] })
        },
      }
    },
  }
}

function checkRows({ rows: asked }: Demand, sizes: PageSizes): void {
  const allowed = SLACK * sizes.rows
  if (asked <= allowed) return
  const sentence = `The operation asks for up to ${asked} rows; ${allowed} are allowed. Ask for shorter lists.`
  fail('QUERY_TOO_COMPLEX', sentence, { limit: 'estimatedRows', asked, allowed })
}
