/**
 * The compiled lane as its callers see it: operations made of table fields, run without an executor.
 *
 * It answers flawless operations only. Whatever is unusual (an argument that is refused, a limit that is passed, a broken
 * constraint) makes it step back before anything has an effect, and the resolver lane runs the operation as if this one
 * were not there: so both lanes give the same errors. What must not run again it tells itself (failed.ts): whom the
 * shard refuses at once, an answer that was another's, a write of which nobody knows.
 */

import type { DocumentNode, ExecutionResult } from 'graphql'
import type { LimitsConfig } from '../../base/config.ts'
import type { Limits } from '../../base/config-limits.ts'
import type { Emit } from '../../base/events.ts'
import type { Deadline } from '../../base/time.ts'
import type { Placement } from '../../directory/types.ts'
import type { Door } from '../../shards/door.ts'
import type { Identity } from '../../tenant/types.ts'
import type { AnswerCache } from '../cache/answers.ts'
import type { Keeping } from '../cache/keeping.ts'
import type { GatewayContext } from '../context.ts'
import type { Demand } from '../limits/demand.ts'
import type { ParseDocument } from '../limits/limits.ts'
import type { Permissions } from '../permissions/permissions.ts'
import type { Tables } from '../plan/types.ts'
import type { RowCount } from './answer.ts'

export interface Lane {
  /**
   * The operation that a request asks for; null where the resolver lane has to answer.
   *
   * A document is parsed, held against its limits, validated and compiled when it is first seen.
   */
  find(query: string, operationName: string | null | undefined): LaneOperation | null
}

export interface LaneOperation {
  readonly kind: 'query' | 'mutation'
  /** A GraphQL name; undefined for an operation without one. */
  readonly name: string | undefined
  readonly document: DocumentNode
  /** What it asks for at the most. @param variables  as they came */
  demand(variables: LaneRequest['variables']): Demand
  /**
   * The whole answer as JSON text. Null: the resolver lane has to answer, and nothing has had an effect. A result
   * with errors: nobody may run the operation again.
   */
  run(request: LaneRequest): Promise<string | ExecutionResult | null>
}

export interface LaneRequest {
  readonly identity: Identity
  readonly placement: Placement
  readonly requestId: string
  readonly deadline: Deadline
  /** As they came: not coerced yet. */
  readonly variables: Readonly<Record<string, unknown>> | null | undefined
  readonly idempotencyKey: string | undefined
  /** Of the operation with these variables, where it is known. */
  readonly demand?: Demand
  /** The tenant's own, where they are less than everybody's. */
  readonly limits?: Limits
  /** Told how many rows the answer holds. */
  readonly taken?: RowCount
  /** Set by the lane where it has asked for a kept answer. */
  cache?: 'hit' | 'miss'
}

export interface LaneParts {
  readonly permissions: () => Permissions
  readonly tables: Tables
  readonly limits: () => LimitsConfig
  /** Shared with the resolver lane. */
  readonly parse: ParseDocument
  readonly door: Door
  /** For rules that are code. */
  readonly contextFor: (request: LaneRequest) => GatewayContext
  /** Told of faults of the lane itself as `request.failed`: the answer comes from the resolvers all the same. */
  readonly emit: Emit
  /** Left out, no answers are kept. */
  readonly cache?: AnswerCache | undefined
}

export interface CompileParts extends LaneParts {
  /** Left out while no answers are kept. */
  readonly keeping: Keeping | undefined
}
