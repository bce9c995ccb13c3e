/**
 * Tenant → placement, from this gateway's own copies. A copy may be late; the shard's fence notices.
 */

import { fail } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import type { TenantId } from '../base/ids.ts'
import type { FindPlacement, Placement } from '../directory/types.ts'

export interface Router {
  /**
   * A tenant that is read-only is found as any other: its shard refuses what writes.
   *
   * @throws TENANT_UNKNOWN, TENANT_SUSPENDED, DIRECTORY_UNAVAILABLE (only for a tenant not known yet)
   */
  find(tenant: TenantId): Promise<Placement>
  /** Read past the copies, after a shard has refused one. Throws as `find`. */
  refresh(tenant: TenantId): Promise<Placement>
  /** As `refresh`, for whoever asks every few milliseconds: nobody is told. */
  reread(tenant: TenantId): Promise<Placement>
}

export function createRouter(copies: { find: FindPlacement; refresh: FindPlacement }, emit: Emit): Router {
  const reread = async (tenant: TenantId): Promise<Placement> =>
    required(tenant, await copies.refresh(tenant))
  return {
    find: async (tenant) => required(tenant, await copies.find(tenant)),
    async refresh(tenant) {
      emit({ kind: 'placement.refreshed', tenant, reason: 'refused by the shard' })
      return reread(tenant)
    },
    reread,
  }
}

/** Whether a tenant has moved, or was closed or opened, between two readings. */
export function isAnother(one: Placement, other: Placement): boolean {
  return (
    one.epoch !== other.epoch ||
    one.shard !== other.shard ||
    one.isolation !== other.isolation ||
    one.namespace !== other.namespace
  )
}

function required(tenant: TenantId, placement: Placement | null): Placement {
  if (!placement) return fail('TENANT_UNKNOWN', 'The tenant of the token is not known here.', { tenant })
  if (placement.state === 'suspended') return fail('TENANT_SUSPENDED', 'The tenant is suspended.', { tenant })
  if (placement.state === 'offboarded') {
    return fail('TENANT_SUSPENDED', 'The tenant has been offboarded.', { tenant }, { hint: RESTORABLE })
  }
  return placement
}

const RESTORABLE = 'Ask the operator: until it is purged, a tenant can be restored.'
