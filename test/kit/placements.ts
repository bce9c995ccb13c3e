/** Placements for tests that need one and have no directory. */

import { tenantId } from '../../src/base/ids.ts'
import type { Placement } from '../../src/directory/types.ts'

/** In shared tables of shard `a`, active. */
export function placementOf(tenant: string, more: Partial<Placement> = {}): Placement {
  return {
    tenant: tenantId(tenant),
    shard: 'a',
    isolation: 'shared',
    namespace: 'public',
    state: 'active',
    epoch: 1,
    subdomain: tenant,
    name: tenant,
    plan: 'standard',
    settings: {},
    limits: {},
    ...more,
  }
}
