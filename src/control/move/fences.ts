/**
 * Fences of a moving tenant. Each change is one statement that names the epoch that it is about, in the transaction of
 * the caller where there is one, and fails where the fence is another one. Call as owner.
 *
 *     source   active ─freeze▶ frozen ─close▶ moved            thaw: opened again
 *     target   (none, moved, purged) ─lay▶ frozen ─open▶ active
 *     both one active ─freeze▶ frozen ─change▶ active          one row, where both ends are in one database
 *
 * A tenant that is suspended stays so: `frozen` would let its reads in. It has no writes to hold either.
 */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Client, Queryable } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { tenantRole } from '../../directory/namespaces.ts'
import type { Isolation } from '../../directory/types.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import type { FenceState as AnyFence } from '../homes/fences.ts'
import type { FenceState } from '../life/fence.ts'
import { isOneDatabase } from './moved-tables.ts'

/** One life of a tenant at one place. */
export interface Post {
  readonly tenant: TenantId
  readonly epoch: number
}

/** A fence as it was found. */
export interface FoundFence {
  readonly state: AnyFence
  readonly epoch: number
  readonly role: string | null
}

/** Whether two homes have one fence row: shared tables and a schema in the database of one shard. */
export const sharesFence = (source: Whereabouts, target: Whereabouts): boolean =>
  isOneDatabase({ source, target })

/** The role that a fence takes for a home; null where requests stay what they are. @param shardId  uuid of its shard */
export function roleOfHome(isolation: Isolation, tenant: TenantId, shardId: string): string | null {
  return isolation === 'schema' ? tenantRole(shardId, tenant) : null
}

export async function findFence(db: Queryable, tenant: TenantId): Promise<FoundFence | null> {
  const [row] = await db.query(
    compile(
      sql`select state, epoch, role from shardgate.tenant_fence where tenant_id = ${sql.value(tenant)}`,
    ),
  )
  if (!row) return null
  return { state: row.state as AnyFence, epoch: Number(row.epoch), role: row.role ?? null }
}

/** Hold writes; reads go on. One that is frozen already is no fault. Throws as all of these: SHARD_UNSAFE. */
export function freezeFence(client: Queryable, tenant: TenantId, epoch: number): Promise<void> {
  return change(
    client,
    { tenant, epoch },
    sql`
      update shardgate.tenant_fence
      set state = case when state = 'suspended' then state else 'frozen' end
      where tenant_id = ${sql.value(tenant)} and epoch = ${sql.value(epoch)}::bigint and ${LETS_IN}`,
  )
}

/** Let the tenant in as the directory says (`fenceOf`). One that is open already is no fault. */
export function openFence(
  client: Queryable,
  tenant: TenantId,
  epoch: number,
  state: FenceState,
): Promise<void> {
  return change(
    client,
    { tenant, epoch },
    sql`
      update shardgate.tenant_fence set state = ${sql.value(state)}
      where tenant_id = ${sql.value(tenant)} and epoch = ${sql.value(epoch)}::bigint and ${LETS_IN}`,
  )
}

/**
 * Refuse everybody: the tenant is elsewhere, at epoch `to`. One that says so already is no fault. Without a role: that
 * of a home is laid with its fence, and a way back lays it anew.
 */
export function closeFence(client: Queryable, tenant: TenantId, epoch: number, to: number): Promise<void> {
  const [at, next] = [sql.value(epoch), sql.value(to)]
  return change(
    client,
    { tenant, epoch },
    sql`
      update shardgate.tenant_fence set state = 'moved', epoch = ${next}::bigint, role = null
      where tenant_id = ${sql.value(tenant)}
        and (epoch = ${at}::bigint and ${LETS_IN} or epoch = ${next}::bigint and state = 'moved')`,
  )
}

/** What `changeFence` writes. */
export interface NextFence {
  readonly epoch: number
  readonly state: FenceState
  /** Of the new home (`roleOfHome`). */
  readonly role: string | null
}

/** Close the old home and open the new one, where both have one fence. One that is changed already is no fault. */
export function changeFence(
  client: Queryable,
  tenant: TenantId,
  epoch: number,
  next: NextFence,
): Promise<void> {
  const [to, role] = [sql`${sql.value(next.epoch)}::bigint`, sql`${sql.value(next.role)}::name`]
  return change(
    client,
    { tenant, epoch },
    sql`
      update shardgate.tenant_fence set state = ${sql.value(next.state)}, epoch = ${to}, role = ${role}
      where tenant_id = ${sql.value(tenant)} and ${LETS_IN}
        and (epoch = ${sql.value(epoch)}::bigint or epoch = ${to} and role is not distinct from ${role})`,
  )
}

/** Fences of homes that serve, or held writes a moment ago. */
const LETS_IN = sql`state in ('active', 'read-only', 'suspended', 'frozen')`

async function change(client: Queryable, post: Post, update: SQL): Promise<void> {
  const written = await client.query(compile(sql`${update} returning tenant_id`))
  if (written.length === 0) await refuse(client, post)
}

async function refuse(client: Queryable, { tenant, epoch }: Post): Promise<never> {
  const found = await findFence(client, tenant)
  const there = found ? `${found.state}, epoch ${found.epoch}` : 'there is none'
  const sentence = `The fence of ${tenant} is not the one of epoch ${epoch}: ${there}.`
  const hint = 'Run "shardgate move doctor" and "shardgate doctor".'
  return fail('SHARD_UNSAFE', sentence, { tenant }, { hint })
}

/**
 * Lay the fence of a home that is not served yet: reads at the new epoch are let in, writes are held. One of an earlier
 * life, or of one that has gone on elsewhere, is replaced; any other stays.
 *
 * Alone under the tenant's lock, so that no batch of an earlier cleaning is under way that has seen the old fence.
 *
 * @throws SHARD_UNSAFE  there is a fence of another life
 */
export async function layFence(client: Client, post: Post & { readonly role: string | null }): Promise<void> {
  const { tenant, epoch, role } = post
  const written = await client.transaction(async () => {
    await client.query(
      compile(sql`select pg_advisory_xact_lock(shardgate.tenant_lock(${sql.value(tenant)}))`),
    )
    return client.query(
      compile(sql`
        insert into shardgate.tenant_fence as fence (tenant_id, state, epoch, role)
        values (${sql.value(tenant)}, 'frozen', ${sql.value(epoch)}::bigint, ${sql.value(role)}::name)
        on conflict (tenant_id) do update set state = 'frozen', epoch = excluded.epoch, role = excluded.role
        where fence.state in ('moved', 'purged') and fence.epoch < excluded.epoch
          or fence.state = 'frozen' and fence.epoch = excluded.epoch
        returning epoch`),
    )
  })
  if (written.length === 0) await refuse(client, post)
}

/** Take a fence back that `layFence` has laid: what was there before comes back. @param before  null for nothing */
export async function liftFence(
  client: Queryable,
  { tenant, epoch }: Post,
  before: FoundFence | null,
): Promise<void> {
  const mine = sql`tenant_id = ${sql.value(tenant)} and epoch = ${sql.value(epoch)}::bigint and state = 'frozen'`
  const { state = null, epoch: earlier = 0, role = null } = before ?? {}
  await client.query(
    compile(
      before === null
        ? sql`delete from shardgate.tenant_fence where ${mine}`
        : sql`
          update shardgate.tenant_fence
          set state = ${sql.value(state)}, epoch = ${sql.value(earlier)}::bigint, role = ${sql.value(role)}::name
          where ${mine}`,
    ),
  )
}
