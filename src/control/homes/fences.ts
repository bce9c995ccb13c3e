/** Rows of `shardgate.tenant_fence`, which decide whether a transaction of a tenant may begin. */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Client, Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'

export type FenceState = 'active' | 'frozen' | 'read-only' | 'suspended' | 'moved' | 'purged'

export interface Fence {
  readonly tenant: TenantId
  readonly state: FenceState
  readonly epoch: number
  /** Role of a tenant with a schema of its own; null for the others. */
  readonly role: string | null
}

/**
 * Write fences that are not there, also over those of an earlier life that has ended, here or elsewhere. Call as owner.
 *
 * @returns a sentence for each tenant that has another fence than the wanted one; that one is left as it is
 */
export async function writeFences(
  client: Queryable,
  shard: string,
  fences: readonly Fence[],
): Promise<Map<TenantId, string>> {
  const list = sql.value(JSON.stringify(fences))
  // A life that has ended has a lower epoch: control/lifecycle.ts begins the next one after its tombstone.
  await client.query(
    compile(sql`
      insert into shardgate.tenant_fence as fence (tenant_id, state, epoch, role)
      select tenant, state, epoch, role
      from jsonb_to_recordset(${list}::jsonb) as t (tenant text, state text, epoch bigint, role text)
      on conflict (tenant_id) do update set state = excluded.state, epoch = excluded.epoch, role = excluded.role
      where fence.state in ('purged', 'moved') and fence.epoch < excluded.epoch`),
  )
  const found = await client.query(
    compile(sql`
      select tenant_id, state, epoch, role from shardgate.tenant_fence
      where tenant_id = any(${sql.value(fences.map(({ tenant }) => tenant))}::text[])`),
  )
  const rows = new Map(found.map((row) => [row.tenant_id, row]))
  const wrong = fences.filter(({ tenant, state, epoch, role }) => {
    const row = rows.get(tenant)
    return row?.state !== state || Number(row.epoch) !== epoch || row.role !== role
  })
  return new Map(
    wrong.map(({ tenant }) => {
      const row = rows.get(tenant)
      return [tenant, `${shard} has a fence of ${tenant} already: ${row?.state}, epoch ${row?.epoch}`]
    }),
  )
}

/** Write one fence. @throws SHARD_UNSAFE  there is another one */
export async function writeFence(client: Client, fence: Fence & { readonly shard: string }): Promise<void> {
  const { tenant, state, epoch, role, shard } = fence
  const [fault] = (await writeFences(client, shard, [{ tenant, state, epoch, role }])).values()
  if (fault !== undefined) fail('SHARD_UNSAFE', `${fault}.`, { shard })
}

/**
 * Remove the fence of one life of a tenant from the shard. Fences of other lives are left as they are.
 *
 * @param grave  leave one in the state 'purged' in its place
 */
export async function removeFence(
  client: Client,
  { tenant, epoch }: Pick<Fence, 'tenant' | 'epoch'>,
  grave: boolean,
): Promise<void> {
  const one = sql`tenant_id = ${sql.value(tenant)} and epoch = ${sql.value(epoch)}::bigint`
  if (!grave) {
    await client.query(compile(sql`delete from shardgate.tenant_fence where ${one} and state <> 'purged'`))
    return
  }
  await client.query(
    compile(sql`
      insert into shardgate.tenant_fence as fence (tenant_id, state, epoch)
      values (${sql.value(tenant)}, 'purged', ${sql.value(epoch)}::bigint)
      on conflict (tenant_id) do update set state = 'purged', epoch = excluded.epoch, role = null
      where fence.epoch <= excluded.epoch`),
  )
}
