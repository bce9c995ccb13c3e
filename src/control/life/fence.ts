/**
 * Telling the shard: what a tenant's fence says decides at once, on every gateway, however old its copies are.
 *
 *     closing   fence, then directory      opening   directory, then fence
 *
 * The fence is the first to close and the last to open, so whoever is killed between the two leaves the tenant closed.
 */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import { type Client, type Queryable, sqlState } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { TenantState } from '../../directory/types.ts'
import type { Fleet } from '../reach.ts'
import { isThere, onPlace, type Place } from './subject.ts'

export type FenceState = 'active' | 'read-only' | 'suspended'

/** What the shard is told of a state of the directory: a tenant in quarantine is refused like a suspended one. */
export function fenceOf(state: TenantState): FenceState {
  return state === 'offboarded' ? 'suspended' : state
}

const DOORS: Readonly<Record<TenantState, number>> = {
  active: 0,
  'read-only': 1,
  suspended: 2,
  offboarded: 2,
}

/** Whether the way from one state to the other lets in less than before, or no more. */
export function isClosing(from: TenantState, to: TenantState): boolean {
  return DOORS[to] >= DOORS[from]
}

/** Milliseconds in which writes that had begun have to end. */
const DRAIN_MS = 15_000

/**
 * Write the fence where the tenant's tables are. When a door closes, writes that have begun are waited for.
 *
 * @throws SHARD_UNAVAILABLE  the shard cannot be reached
 * @throws SHARD_UNSAFE       it has no such fence
 * @throws TIMEOUT            a write does not end; new ones are refused by then
 */
export async function setFence(
  fleet: Fleet,
  directory: Queryable,
  tenant: Place & { readonly tenant: TenantId; readonly epoch: number },
  state: FenceState,
): Promise<void> {
  // A database that is lost has taken its fence along, and lets nobody in: such a tenant can be given up.
  const isLost = tenant.isolation === 'database' && !(await isThere(fleet, directory, tenant))
  if (isLost && state === 'suspended') return
  return onPlace(fleet, directory, tenant, async (client) => {
    const { tenant: id, epoch, shard } = tenant
    const written = await client.query(
      compile(sql`
        update shardgate.tenant_fence set state = ${sql.value(state)}
        where tenant_id = ${sql.value(id)} and epoch = ${sql.value(epoch)}::bigint
          and state in ('active', 'read-only', 'suspended')
        returning tenant_id`),
    )
    if (written.length === 0) {
      const hint = 'Run "shardgate doctor".'
      fail('SHARD_UNSAFE', `${shard} has no fence of ${id} at epoch ${epoch}.`, { shard }, { hint })
    }
    if (state !== 'active') await drain(client, id)
  })
}

/**
 * Wait until no write of the tenant is under way that began before now.
 *
 * @throws TIMEOUT  one does not end
 */
export async function drain(client: Client, tenant: TenantId): Promise<void> {
  await client.query(`set lock_timeout = ${DRAIN_MS}`)
  try {
    // Writers share the lock until they end; a statement of its own lets go of it at once.
    await client.query(
      compile(sql`select pg_advisory_xact_lock(shardgate.tenant_lock(${sql.value(tenant)}))`),
    )
  } catch (cause) {
    if (sqlState(cause) !== '55P03') throw cause
    const sentence = `A write of ${tenant} that had begun before goes on for more than ${DRAIN_MS / 1_000} s; new ones are refused.`
    fail('TIMEOUT', sentence, { tenant }, { cause, hint: 'Go on later: "shardgate operation list".' })
  } finally {
    await client.query('set lock_timeout = 0')
  }
}
