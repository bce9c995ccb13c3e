/**
 * The one door: the only way from a request, a job or an export to a tenant's rows.
 *
 *     tenant ──▶ placement (router) ──▶ shard ──▶ [ begin_tenant | statements ] Sync ──▶ rows
 *
 * The tenant is an argument, never a default and never read from ambient state. Every batch begins with
 * the shard's fence, and the tenant that the fence says it has set is compared with the one that was
 * asked for: that also proves that this answer belongs to this question. When it does not, the
 * connection is destroyed, the request fails and an alarm goes out.
 *
 * A refusal by the fence means that our copy of the placement is late, or that the tenant is just being moved:
 * routing.ts knows where to try again, and when.
 */

import { fail } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import { type Failpoints, noFailpoints } from '../base/failpoints.ts'
import type { TenantId } from '../base/ids.ts'
import { type Deadline, isGone } from '../base/time.ts'
import { ONE_SNAPSHOT, type Result, type Row } from '../db/batch.ts'
import { type Connection, ConnectionLost } from '../db/connection.ts'
import type { Check, Pool } from '../db/pool.ts'
import type { Statement } from '../db/sql.ts'
import type { Meter } from '../db/stopwatch.ts'
import type { Placement } from '../directory/types.ts'
import { commit, inTime, outcomeUnknown } from './endings.ts'
import {
  BeforeFence,
  explain,
  isAnswerLost,
  isOfOldTables,
  mayHaveLostRole,
  mayTryAgain,
  refusalOfFence,
} from './failures.ts'
import { BEGIN, beginTenant, hasLostRole, type Mode, ROLLBACK, SHARED_LOCK_MS, tenantOf } from './fence.ts'
import type { Applicant } from './lanes.ts'
import type { ForHome } from './namespaces.ts'
import type { Routed } from './routing.ts'
import type { OwnDatabase, Shard } from './shard.ts'
import { telling, type Waited } from './telling.ts'

export type { Mode } from './fence.ts'

/** A transaction of one tenant that is open now. */
export interface TenantSession {
  readonly tenant: TenantId
  /** @throws what Postgres refuses; the transaction can then only be rolled back */
  run(statement: Statement): Promise<Row[]>
}

/** What a transaction's work decides: keep its changes or not, and what to hand to the caller. */
export interface Outcome<T> {
  readonly keep: boolean
  readonly value: T
}

export interface Door {
  /**
   * Run `statements` as one batch, in one implicit transaction and one round trip. Several that read see the tables
   * at one moment. The connection is shared: what writes waits for the locks of others for a moment only, and
   * is refused with TIMEOUT then.
   *
   * @returns rows of Postgres text for each statement, columns in the order that it selects
   * @throws TENANT_UNKNOWN, TENANT_SUSPENDED, TENANT_READ_ONLY (writes only), TENANT_MOVING, SHARD_UNAVAILABLE,
   *         TABLE_UNSAFE, OVERLOADED, TIMEOUT, CONFLICT, OUTCOME_UNKNOWN (writes only), or Postgres's own error for a bad value
   */
  batch(tenant: TenantId, mode: Mode, deadline: Deadline, statements: readonly Statement[]): Promise<Row[][]>

  /**
   * Run `work` in a transaction on a connection of its own. It is committed when `work` says `keep`. While the tenant is
   * being moved it begins later: `work` runs once.
   * Throws as `batch`; what `work` throws rolls back and is passed on.
   */
  withTenant<T>(
    tenant: TenantId,
    mode: Mode,
    deadline: Deadline,
    work: (session: TenantSession) => Promise<Outcome<T>>,
  ): Promise<T>
}

export interface DoorParts {
  readonly routed: Routed
  /** Statements name the schema that tenants share; those with one of their own have theirs in its place. */
  readonly forHome: ForHome
  /** How much of a shard a tenant may have beside others. Left out, all have the same. */
  readonly shareOf?: ShareOf
  readonly emit: Emit
  readonly failpoints?: Failpoints
}

export type ShareOf = (placement: Placement) => number

export function openDoor({
  routed,
  forHome,
  shareOf = () => 1,
  emit,
  failpoints = noFailpoints,
}: DoorParts): Door {
  const told = telling(emit, forHome)
  const applicant = (placement: Placement): Applicant => ({
    tenant: placement.tenant,
    isolation: placement.isolation,
    share: shareOf(placement),
  })

  /**
   * The tenant that the fence has set must be the one asked for: see the head of this file.
   *
   * @param count  of statements; null where one was refused, which may be the fence
   */
  function requireTenant(
    results: readonly Result[],
    count: number | null,
    asked: TenantId,
    shard: Shard,
  ): void {
    const answered = tenantOf(results)
    if (count === null ? ['', asked].includes(answered) : answered === asked && results.length === count)
      return
    emit({ kind: 'connection.mixup', shard: shard.key, asked, answered })
    fail('INTERNAL_SERVER_ERROR', 'The database answered for another request; nothing of it was used.')
  }

  async function sendBatch(
    shard: Shard,
    placement: Placement,
    mode: Mode,
    deadline: Deadline,
    statements: readonly Statement[],
    meter: Meter,
  ): Promise<Row[][]> {
    shard.requireSafe(statements)
    const entering = shard.lanes.enter(applicant(placement), statements, deadline)
    // A turn that is there at once costs no wait, not even for the next microtask.
    const { isSlow, done } = entering instanceof Promise ? await entering : entering
    const before = { ...meter }
    let lostRole: Promise<boolean> | undefined
    let isFenceSilent = false
    try {
      const first = mode === 'read' && statements.length > 1 ? [ONE_SNAPSHOT] : []
      const fence = beginTenant(placement, mode, deadline, mode === 'write' ? SHARED_LOCK_MS : undefined)
      const all = [...first, fence, ...forHome(placement, statements)]
      const check: Check = (results, connection, refusal) => {
        requireTenant(results, refusal ? null : all.length, placement.tenant, shard)
        isFenceSilent = tenantOf(results) === ''
        if (refusal && isFenceSilent && mayHaveLostRole(refusal)) lostRole = hasLostRole(connection)
      }
      // A write goes on without its client: many send it and do not wait.
      const endsWithClient = isSlow && mode === 'read'
      if (endsWithClient && isGone(deadline)) fail('TIMEOUT', 'The client did not wait for the answer.')
      const send = (pool: Pool): Promise<Result[]> => pool.batch(all, deadline, check, meter, endsWithClient)
      const results = await shard.use(send, databaseOf(placement, deadline), isSlow)
      return results.slice(first.length + 1).map(({ rows }) => rows)
    } catch (error) {
      if (await lostRole)
        throw new ConnectionLost('unsent', 'The session had lost its role.', { cause: error })
      if (mode === 'write' && isAnswerLost(error)) return outcomeUnknown(error)
      if (isFenceSilent && error instanceof Error && isOfOldTables(error)) throw new BeforeFence(error)
      throw error
    } finally {
      done(meter.workedMs - before.workedMs, meter.longMs - before.longMs)
    }
  }

  async function batch(
    tenant: TenantId,
    mode: Mode,
    deadline: Deadline,
    statements: readonly Statement[],
  ): Promise<Row[][]> {
    return routed({ tenant, mode, deadline }, (shard, placement) =>
      told({ placement, shard, mode, deadline }, statements, (meter) => {
        const send = () => sendBatch(shard, placement, mode, deadline, statements, meter)
        return send().catch((error: unknown) => {
          if (mayTryAgain(error, mode) && deadline.remainingMs() > 0 && !isGone(deadline)) return send()
          throw error
        })
      }),
    )
  }

  async function withTenant<T>(
    tenant: TenantId,
    mode: Mode,
    deadline: Deadline,
    work: (session: TenantSession) => Promise<Outcome<T>>,
  ): Promise<T> {
    return routed({ tenant, mode, deadline }, async (shard, placement) => {
      const cameAt = performance.now()
      const turn = await shard.lanes.hold(applicant(placement), deadline)
      const begunAt = performance.now()
      const waited: Waited = { ms: begunAt - cameAt }
      const transaction = (pool: Pool): Promise<T> =>
        pool.exclusive(deadline, async (connection) => {
          await failpoints.hit('session.before-begin')
          await begin(connection, shard, placement, mode, deadline)
          await failpoints.hit('session.after-begin')
          let open = true
          // Explained here, because the work may take the error as an answer and never pass it on.
          const run = async (statement: Statement): Promise<Row[]> => {
            // The connection may be another tenant's by now: work that outlives its transaction gets nothing.
            if (!open) fail('ROLLED_BACK', 'The transaction of this statement has ended.')
            shard.requireSafe([statement])
            const [own = statement] = forHome(placement, [statement])
            const [rows = []] = await told(
              { placement, shard, mode, deadline, waited },
              [statement],
              async (meter) => [await runOne(connection, own, deadline, meter)],
            ).catch((error: unknown) => {
              throw explain(error, mode)
            })
            return rows
          }
          const { keep, value } = await inTime(work({ tenant, run }), deadline).finally(() => {
            open = false
          })
          await failpoints.hit('session.before-commit')
          await (keep ? commit(connection, deadline) : connection.batch([ROLLBACK], deadline))
          await failpoints.hit('session.after-commit')
          return value
        })
      try {
        return await shard.use(transaction, databaseOf(placement, deadline))
      } finally {
        turn.done(performance.now() - begunAt)
      }
    })
  }

  async function begin(
    connection: Connection,
    shard: Shard,
    placement: Placement,
    mode: Mode,
    deadline: Deadline,
  ): Promise<void> {
    try {
      const begun = await connection.batch([BEGIN, beginTenant(placement, mode, deadline)], deadline)
      requireTenant(begun, 2, placement.tenant, shard)
    } catch (error) {
      // A frozen tenant that goes on writing must not cost a new connection each time.
      if (refusalOfFence(error)) await connection.batch([ROLLBACK], deadline)
      throw error
    }
  }

  return { batch, withTenant }
}

async function runOne(
  connection: Connection,
  statement: Statement,
  deadline: Deadline,
  meter: Meter,
): Promise<Row[]> {
  const [result] = await connection.batch([statement], deadline, meter)
  return result?.rows ?? []
}

function databaseOf({ isolation, namespace: name }: Placement, deadline: Deadline): OwnDatabase | undefined {
  return isolation === 'database' ? { name, deadline } : undefined
}
