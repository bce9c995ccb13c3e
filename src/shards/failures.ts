/**
 * What a failure below means to the caller: one table from SQLSTATEs and lost connections to our codes.
 *
 * Three questions are answered here and nowhere else: does the shard count as down, may the same batch
 * be sent again, and what does the client hear. Constraint failures and bad values pass through: they
 * are the mutation's to explain.
 */

import { BrokenCircuitError } from 'cockatiel'
import { GatewayError, isGatewayError } from '../base/errors.ts'
import { ConnectionLost, isFatal, isStalePlan, sqlState } from '../db/connection.ts'

/** The fence's refusals, raised by `shardgate.begin_tenant`. */
export const FENCE = {
  moved: 'SG001',
  frozen: 'SG002',
  suspended: 'SG003',
  unknown: 'SG004',
  readOnly: 'SG005',
  locked: 'SG006',
} as const

export interface FenceRefusal {
  readonly state: (typeof FENCE)[keyof typeof FENCE]
  /** The fence's own one, of `moved` alone. */
  readonly epoch: number | null
}

/**
 * What the fence has said against a transaction, of which nothing was done then; undefined for every other failure. A
 * trigger of somebody's own tables may raise the same states, and by then something was done.
 */
export function refusalOfFence(error: unknown): FenceRefusal | undefined {
  const state = Object.values(FENCE).find((one) => one === sqlState(error))
  const { where, detail } = error as { where?: string; detail?: string }
  if (state === undefined || !where?.includes('begin_tenant(')) return undefined
  return { state, epoch: detail === undefined ? null : Number(detail) }
}

/**
 * Statements were made for other tables than the tenant has by now, because it was moved to tables that differ. Nothing
 * was sent; the operation has to be planned anew.
 */
export class OtherTables extends GatewayError {
  constructor() {
    super('TENANT_MOVING', 'The tenant has just been moved to other tables.')
  }
}

/** No such column, table, function, type or schema, a type that is another one, a column that Postgres writes now. */
const OLD_TABLES: ReadonlySet<string> = new Set([
  '42703',
  '42P01',
  '42883',
  '42704',
  '3F000',
  '42804',
  '428C9',
])

/** Whether a statement has failed as if it had been made for other tables than there are. */
export function isOfOldTables(error: unknown): boolean {
  return error instanceof OtherTables || OLD_TABLES.has(sqlState(error) ?? '')
}

/** A statement was refused before the fence had its turn: the tables may be gone because their tenant is. */
export class BeforeFence extends Error {
  override readonly name = 'BeforeFence'
  override readonly cause: Error

  constructor(cause: Error) {
    super(cause.message)
    this.cause = cause
  }
}

const UNAVAILABLE = new Set(['57P01', '57P02', '57P03', '57P05', '53100', '53200', '58030'])
const CONFLICT = new Set(['40001', '40P01'])
const TIMED_OUT = new Set(['57014', '55P03', '25P03'])
/** A write met a server that only reads: it has been demoted, and another one is the primary now. */
const DEMOTED = '25006'

/**
 * A tenant's own database is not there, takes no connections or is not what it should be: nothing was sent, and the
 * server that it would be on may be well.
 */
export class DatabaseAway extends Error {
  override readonly name = 'DatabaseAway'

  constructor(cause: unknown) {
    super(`The database cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

/** No such database, no log-in to it, one that takes no connections, no right to connect. */
const AWAY = new Set(['3D000', '28000', '55000', '42501'])

/** Whether a connection to a tenant's own database failed for what the database is. */
export function isDatabaseAway(error: unknown): boolean {
  return error instanceof DatabaseAway || (isFatal(error) && AWAY.has(sqlState(error) ?? ''))
}

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

/** Whether `error` says that nobody could be asked there. */
export function isUnreachable(error: unknown): boolean {
  return (
    isGatewayError(error, 'SHARD_UNAVAILABLE') ||
    error instanceof BrokenCircuitError ||
    error instanceof DatabaseAway ||
    isShardDown(error)
  )
}

/**
 * Whether the caller of the door was refused because the shard has no room, or is known not to answer: to come again by
 * another way would cost more than the refusal.
 */
export function isRefusedAtOnce(error: unknown): boolean {
  if (isGatewayError(error, 'OVERLOADED')) return true
  return isGatewayError(error, 'SHARD_UNAVAILABLE') && error.cause instanceof BrokenCircuitError
}

/** Whether a batch that was refused before the fence has answered may have met a session that has lost its role. */
export function mayHaveLostRole(refusal: unknown): boolean {
  return sqlState(refusal) === '42501'
}

/** Whether a batch that failed with `error` may be sent again: it has done nothing, or only reads. */
export function mayTryAgain(error: unknown, mode: 'read' | 'write'): boolean {
  return isUnsent(error) || isStalePlan(error) || (mode === 'read' && isWorthAnotherRead(error))
}

/** Whether nobody knows what the server has done. */
export function isAnswerLost(error: unknown): boolean {
  return (error instanceof ConnectionLost && !isUnsent(error)) || isFatal(error)
}

function isUnsent(error: unknown): boolean {
  return error instanceof ConnectionLost && error.reason === 'unsent'
}

/** Whether a read that failed with `error` may be sent once more, on another connection. */
function isWorthAnotherRead(error: unknown): boolean {
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
  if (error instanceof BeforeFence) return explain(error.cause, mode)
  const say = (code: ConstructorParameters<typeof GatewayError>[0], message: string): GatewayError =>
    new GatewayError(code, message, {}, { cause: error })
  const state = sqlState(error) ?? ''
  if (state === FENCE.frozen || state === FENCE.locked)
    return say('TENANT_MOVING', 'The tenant is being moved and cannot write now.')
  if (state === FENCE.suspended) return say('TENANT_SUSPENDED', 'The tenant is suspended.')
  if (state === FENCE.readOnly) return say('TENANT_READ_ONLY', 'The tenant is read-only now.')
  if (state === FENCE.moved) return say('TENANT_MOVING', 'The tenant has just moved.')
  if (TIMED_OUT.has(state)) return say('TIMEOUT', 'The database did not finish in time.')
  if (CONFLICT.has(state)) return say('CONFLICT', 'Another operation of the tenant was in the way.')
  if (state === '53300') return say('OVERLOADED', 'The shard has no connection left.')
  if (state === FENCE.unknown) return say('SHARD_UNAVAILABLE', 'The shard does not know the tenant.')
  if (error instanceof ConnectionLost && ['deadline', 'queued'].includes(error.reason)) {
    return say('TIMEOUT', 'The database did not answer in time.')
  }
  if (error instanceof DatabaseAway) {
    return say('SHARD_UNAVAILABLE', 'The database of the tenant cannot be reached.')
  }
  if (error instanceof BrokenCircuitError || isShardDown(error) || isDemoted(error, mode)) {
    return say('SHARD_UNAVAILABLE', 'The shard of the tenant cannot be reached.')
  }
  return error
}
