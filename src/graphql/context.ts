/**
 * What a resolver may reach: who is asking, how long is left, and the tenant's rows.
 *
 * The tenant is fixed when the request begins. Queries read through the door in batches of their own;
 * all mutations of one operation share one transaction (transaction.ts), and what they select is read
 * in it, so that they see their own changes.
 */

import type { FieldNode } from 'graphql'
import type { Limits } from '../base/config-limits.ts'
import { fail, GatewayError } from '../base/errors.ts'
import { once } from '../base/once.ts'
import type { Deadline } from '../base/time.ts'
import { BATCH_BYTES_MAX, type Row, tooManyBytes } from '../db/batch.ts'
import { isBadParameter, sqlState } from '../db/connection.ts'
import type { Statement } from '../db/sql.ts'
import type { Placement } from '../directory/types.ts'
import type { Door, TenantSession } from '../shards/door.ts'
import { isOfOldTables } from '../shards/failures.ts'
import type { Identity } from '../tenant/types.ts'
import type { Jobs } from './jobs/book.ts'
import { createLoaders, type Loaders, type Room } from './loaders.ts'
import type { ListPlan } from './plan/types.ts'
import { type CurrentTenant, currentTenantOf, type TenantAccount } from './tenant-view.ts'

export interface ScopeParts {
  readonly identity: Identity
  /** Of the tenant, as it was known when the request came. */
  readonly placement: Placement
  readonly requestId: string
  readonly deadline: Deadline
  readonly door: Door
  /** The header Idempotency-Key as it came; '' for one that came several times. */
  readonly idempotencyKey?: string | undefined
  /** Bytes of the values in the answer, at most; without limit when it is left out. */
  readonly answerBytes?: number
  /** The tenant's own limits, where they are less than everybody's. */
  readonly limits?: Limits
  /** What the tenant may know of its usage and limits; left out, nobody can say. */
  readonly account?: TenantAccount
}

export class RequestScope {
  readonly identity: Identity
  readonly placement: Placement
  readonly requestId: string
  readonly deadline: Deadline
  readonly door: Door
  readonly loaders: Loaders
  readonly idempotencyKey: string | undefined
  readonly limits: Limits
  readonly account: TenantAccount | undefined
  readonly #answerBytes: number
  /** The answer is one that was kept for the idempotency key. */
  replayed = false
  /** A statement has failed as if it had been made for other tables than there are; nothing of a mutation is kept. */
  hasOldTables = false
  /** Response keys of mutations that answered with a broken constraint. */
  readonly failedFields = new Set<string>()
  readonly #plans = new Map<FieldNode, KnownPlan>()
  #tenant: CurrentTenant | undefined
  #session: TenantSession | undefined
  #failed = false
  #rows = 0
  #bytes = 0
  #bytesRead = 0
  #written = 0
  #overflow: GatewayError | undefined

  constructor(parts: ScopeParts) {
    const {
      identity,
      placement,
      requestId,
      deadline,
      door,
      idempotencyKey,
      answerBytes = Number.POSITIVE_INFINITY,
      limits = {},
    } = parts
    this.identity = identity
    this.placement = placement
    this.requestId = requestId
    this.deadline = deadline
    this.door = door
    this.idempotencyKey = idempotencyKey
    this.limits = limits
    this.account = parts.account
    this.#answerBytes = Math.min(answerBytes, limits.answerBytes ?? answerBytes)
    this.loaders = createLoaders(identity.tenant, (statements) => this.run(statements))
  }

  /**
   * The tenant of this request: its names, plan, settings and features, from the gateway's copy of its placement,
   * without a query. Frozen; a change of them arrives as `tenant set` reaches the gateway, mostly within seconds.
   */
  get tenant(): CurrentTenant {
    this.#tenant ??= currentTenantOf(this.placement)
    return this.#tenant
  }

  /** Whether a feature is switched on for the tenant, by its exact name. */
  hasFeature(name: string): boolean {
    return this.tenant.features.includes(name)
  }

  /**
   * Count rows on their way into the answer. Rows that the loaders have already cost no database time, so
   * nothing else would stop a short document from multiplying them until the memory is full.
   *
   * @param max  for everybody; of the tenant there may be fewer
   * @throws QUERY_TOO_COMPLEX  they are more
   */
  take(rows: number, max: number): void {
    this.#rows += rows
    const most = this.#rowsMax(max)
    if (this.#rows > most) this.#refuse(most)
  }

  /** Rows in the answer so far. */
  get rowsTaken(): number {
    return this.#rows
  }

  #rowsMax(max: number): number {
    return Math.min(max, this.limits.rows ?? max)
  }

  /**
   * Count a value on its way into the answer. A value may be as long as a request, and one that stands behind each
   * of 10,000 rows is read once and written 10,000 times: the process would do nothing else for a minute.
   * Characters count as bytes: to encode each value for its count would cost as much as to write it.
   *
   * @throws QUERY_TOO_COMPLEX  they are larger than an answer may be
   */
  takeValue(text: string | null): string | null {
    this.#bytes += text?.length ?? 0
    if (this.#bytes > this.#answerBytes) this.#refuseBytes(this.#answerBytes)
    return text
  }

  /** How many rows may still be taken when there may be `max` in all. */
  room(max: number): Room {
    const most = this.#rowsMax(max)
    return { left: () => Math.max(0, most - this.#rows), refuse: () => this.#refuse(most) }
  }

  /** Why the answer may not be given: it would hold too many rows, and has holes instead of them. */
  get overflow(): GatewayError | undefined {
    return this.#overflow
  }

  /**
   * Count rows that the operation writes, children included.
   *
   * @throws QUERY_TOO_COMPLEX  they are more than `max`, or the tenant may
   */
  countWrites(rows: number, max: number): void {
    this.#written += rows
    const allowed = this.#rowsMax(max)
    if (this.#written <= allowed) return
    const message = `The operation writes more than ${allowed} rows; send several with fewer.`
    fail('QUERY_TOO_COMPLEX', message, { limit: 'writtenRows', allowed })
  }

  /** Whether the operation is a mutation, whose transaction is open. */
  get inTransaction(): boolean {
    return this.#session !== undefined
  }

  /** Whether a statement of the operation has failed: nothing of it will be kept. */
  get failed(): boolean {
    return this.#failed
  }

  #refuse(max: number): never {
    const message = `The answer would hold more than ${max} rows; ask for shorter lists.`
    this.#overflow ??= new GatewayError('QUERY_TOO_COMPLEX', message, { limit: 'rows', allowed: max })
    throw this.#overflow
  }

  #refuseBytes(max: number): never {
    const message = `The answer would hold more than ${max} bytes; ask for shorter lists or fewer fields.`
    this.#overflow ??= new GatewayError('QUERY_TOO_COMPLEX', message, { limit: 'answerBytes', allowed: max })
    throw this.#overflow
  }

  // All of one operation may be as large as one batch: its batches run side by side. Rows are read whole, also
  // columns that are not in the answer.
  #countRead(results: readonly (readonly Row[])[]): void {
    for (const rows of results) {
      for (const row of rows) for (const text of row) this.#bytesRead += text?.length ?? 0
    }
    if (this.#bytesRead <= BATCH_BYTES_MAX) return
    this.#overflow ??= tooManyBytes()
    throw this.#overflow
  }

  /**
   * The plan of a list that stands below many parents: its arguments are the same for all of them.
   *
   * Made and named for each parent, a filter of 200 kB below 10,000 rows kept the process busy for minutes.
   *
   * @param node     the field in the document
   * @param columns  what leads to the parents; a field of an interface may stand for several relations
   * @param make     a fault of the arguments is remembered as the plan is
   */
  planOf(node: FieldNode, columns: readonly string[], make: () => ListPlan): ListPlan {
    const known = this.#plans.get(node)
    if (known?.columns === columns) return known.plan()
    const fresh = { columns, plan: once(make) }
    this.#plans.set(node, fresh)
    return fresh.plan()
  }

  /**
   * Run statements as the tenant of this request: rows for each, as Postgres text.
   *
   * @throws BAD_USER_INPUT  a value does not fit its column
   * @throws ROLLED_BACK     an earlier mutation of the operation has failed
   * @throws                 what the door throws
   */
  async run(statements: readonly Statement[]): Promise<Row[][]> {
    try {
      const results = this.#session
        ? await this.#runInSession(this.#session, statements)
        : await this.door.batch(this.identity.tenant, 'read', this.deadline, statements)
      this.#countRead(results)
      return results
    } catch (error) {
      this.hasOldTables ||= isOfOldTables(error)
      throw valueError(error) ?? error
    }
  }

  /** Run `work` with every statement of this request inside `session`. */
  async within<T>(session: TenantSession, work: () => Promise<T>): Promise<T> {
    this.#session = session
    try {
      return await work()
    } finally {
      this.#session = undefined
    }
  }

  async #runInSession(session: TenantSession, statements: readonly Statement[]): Promise<Row[][]> {
    const results: Row[][] = []
    for (const statement of statements) {
      if (this.#failed) rolledBack()
      results.push(await session.run(statement).catch((error: unknown) => this.#giveUp(error)))
    }
    return results
  }

  // Postgres ignores what follows in a transaction in which a statement has failed, and so do we.
  #giveUp(error: unknown): never {
    this.#failed = true
    if (sqlState(error) === ABORTED) rolledBack() // It was on its way when the one before it failed.
    throw error
  }
}

/** SQLSTATE of a statement that follows a failed one in its transaction. */
const ABORTED = '25P02'

function rolledBack(): never {
  return fail('ROLLED_BACK', 'Not done, because another part of the operation failed.')
}

interface KnownPlan {
  readonly columns: readonly string[]
  readonly plan: () => ListPlan
}

// Classes 0A, 22 and 54 of SQLSTATE, or not readable: the value, or its size in an index, is at fault and not the
// system (0A000 is money that is not a number).
// Postgres's own message may quote values.
function valueError(error: unknown): GatewayError | undefined {
  const state = sqlState(error)
  if (!state || !(/^(0A|22|54)/.test(state) || isBadParameter(error))) return undefined
  return new GatewayError(
    'BAD_USER_INPUT',
    `A value does not fit its column (SQLSTATE ${state}).`,
    {},
    { cause: error },
  )
}

/** The GraphQL context, as resolvers and extensions see it. */
export interface GatewayContext {
  readonly scope: RequestScope
  /** Left out where no jobs can be asked for; `enqueue` of extension.ts is the way to them. */
  readonly jobs?: Jobs | undefined
}
