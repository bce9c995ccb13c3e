/** Moves that are only written down: for tests of what happens around them. */

import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { insertMove } from '../../src/control/move/store.ts'
import type { MoveRecord } from '../../src/control/move/types.ts'
import type { Fleet } from '../../src/control/reach.ts'
import type { Client } from '../../src/db/client.ts'
import { findTenant } from '../../src/directory/tenants.ts'

let made = 0

/** A tenant of a fresh id in shared tables. */
export async function freshTenant(fleet: Fleet): Promise<TenantId> {
  made += 1
  const id = tenantId(`moving-${made}`)
  await createTenant(fleet, { id, name: id })
  return id
}

/** A queued move of `tenant` to another shard of the fleet. */
export async function queuedMove(fleet: Fleet, directory: Client, tenant: TenantId): Promise<MoveRecord> {
  const now = await findTenant(directory, tenant)
  if (!now) throw new TypeError(`queuedMove: there is no tenant ${tenant}`)
  const { shard, isolation, namespace, epoch } = now
  const other = fleet.shards.find(({ key }) => key !== shard)
  if (!other) throw new TypeError('queuedMove: the fleet has one shard alone')
  const source = { shard, isolation, namespace, epoch }
  return insertMove(directory, { tenant, source, target: { ...source, shard: other.key }, operator: 'ann' })
}
