/**
 * The cost of an exchange: told to the limits before anything runs, to the ledger when it has, and to a client that
 * asks with the header `X-Shardgate-Cost: 1`.
 */

import { costOf } from '../graphql/limits/cost.ts'
import type { Demand } from '../graphql/limits/demand.ts'
import { COST } from '../tenant/limits/counts.ts'
import type { Exchange } from './exchange.ts'

/** In small letters. */
const COST_HEADER = 'x-shardgate-cost'

/** @returns what is to be told how many rows the answer has come to */
export function charge(exchange: Exchange, demand: Demand): (rows: number) => void {
  const requested = costOf(demand.points, demand.rows)
  exchange.cost = { requested }
  return (rows) => {
    exchange.cost = { requested, actual: costOf(demand.points, rows) }
  }
}

/** The value of `extensions.cost`; docs/limits.md has its fields. */
export function costExtension({ request, cost, rated }: Exchange): object | undefined {
  if (!cost || request.headers[COST_HEADER] !== '1') return undefined
  const limit = rated?.limits.costPerMinute
  return rated && limit !== undefined ? { ...cost, limit, left: rated.account.left(COST).minute } : cost
}
