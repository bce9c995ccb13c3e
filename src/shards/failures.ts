/**
 * What a failure below means to the caller: one table from SQLSTATEs and lost connections to our codes.
 *
 * Three questions are answered here and nowhere else: does the shard count as down, may the same batch
 * be sent again, and what does the client hear. Constraint failures and bad values pass through: they
 * are the mutation's to explain.
 */

import { BrokenCircuitError } from 'cockatiel'
import { GatewayError, isGatewayError } from '../base/errors.ts'
import { ConnectionLost, isStalePlan, sqlState } from '../db/connection.ts'

/** The fence's refusals, raised by `shardgate.begin_tenant`. */
export const FENCE = { moved: 'SG001', frozen: 'SG002', suspended: 'SG003', unknown: 'SG004' } as const

const UNAVAILABLE = new Set(['57P01', '57P02', '57P03', '57P05', '53100', '53200', '58030'])
const CONFLICT = new Set(['40001', '40P01'])
const TIMED_OUT = new Set(['57014', '55P03', '25P03'])
/** A write met a server that only reads: it has been demoted, and another one is the primary now. */
const DEMOTED = '25006'

/** Errors of Node's sockets and of pg's log-in have no class of their own; these are their marks. */
function isSocketError(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = (error as NodeJS.ErrnoException).code
  return (
    (typeof code === 'string' && /^E[A-Z]+$/.test(code)) ||
    error.message === 'timeout expired' ||
    error.message.startsWith('Connection terminated')
  )
}

/** Whether `error` says that the shard, not the statement, is at fault. */
export function isShardDown(error: unknown): boolean {
  const state = sqlState(error)
  if (state !== undefined) return UNAVAILABLE.has(state) || /^(08|28|3D)/.test(state)
  return error instanceof ConnectionLost || isSocketError(error)
}

/**
 * Whether `error` counts towards opening the breaker. One killed backend fails every batch that it had in
 * flight, and says nothing about the server; a server that is really gone refuses the next connection.
 */
export function tripsBreaker(error: unknown): boolean {
  if (error instanceof ConnectionLost) return error.reason === 'deadline'
  if (sqlState(error) === '57P01') return false
  // Another server than the shard answers at its address: not worth a new connection for each request.
  if (isGatewayError(error, 'SHARD_UNAVAILABLE')) return true
  return isShardDown(error)
}

/** Whether a read that failed with `error` may be sent once more, on another connection. */
export function isWorthAnotherRead(error: unknown): boolean {
  const state = sqlState(error)
  if (state !== undefined) return isStalePlan(error) || CONFLICT.has(state) || /^57P0/.test(state)
  return error instanceof ConnectionLost && error.reason === 'lost'
}

/** Whether a write met a server that was demoted. In a read, the statement that writes is at fault. */
export function isDemoted(error: unknown, mode: 'read' | 'write'): boolean {
  return mode === 'write' && sqlState(error) === DEMOTED
}

/** The error that the caller of the door gets in place of `error`. */
export function explain(error: unknown, mode: 'read' | 'write'): unknown {
  if (error instanceof GatewayError) return error
  const say = (code: ConstructorParameters<typeof GatewayError>[0], message: string): GatewayError =>
    new GatewayError(code, message, {}, { cause: error })
  const state = sqlState(error) ?? ''
  if (state === FENCE.frozen) return say('TENANT_MOVING', 'The tenant is being moved and cannot write now.')
  if (state === FENCE.suspended) return say('TENANT_SUSPENDED', 'The tenant is suspended.')
  if (state === FENCE.moved) return say('TENANT_MOVING', 'The tenant has just moved.')
  if (TIMED_OUT.has(state)) return say('TIMEOUT', 'The database did not finish in time.')
  if (CONFLICT.has(state)) return say('CONFLICT', 'Another operation of the tenant was in the way.')
  if (state === '53300') return say('OVERLOADED', 'The shard has no connection left.')
  if (state === FENCE.unknown) return say('SHARD_UNAVAILABLE', 'The shard does not know the tenant.')
  if (error instanceof ConnectionLost && ['deadline', 'queued'].includes(error.reason)) {
    return say('TIMEOUT', 'The database did not answer in time.')
  }
  if (error instanceof BrokenCircuitError || isShardDown(error) || isDemoted(error, mode)) {
    return say('SHARD_UNAVAILABLE', 'The shard of the tenant cannot be reached.')
  }
  return error
}
