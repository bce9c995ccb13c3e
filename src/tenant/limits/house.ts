/** What the accounts of all tenants share: a clock, the counters in Redis, how many gateways there are, and the ledger. */

import type { TenantId } from '../../base/ids.ts'
import type { Clock } from '../../base/time.ts'
import type { Pair } from './counts.ts'
import type { SharedCounts } from './redis-counts.ts'

export interface House {
  readonly clock: Clock
  /** Left out, this process counts alone, and limits are whole. */
  readonly shared?: SharedCounts | undefined
  /** How many gateways share the limits. */
  readonly gateways: () => number
  /** What a tenant has used this month by the ledger; undefined where that cannot be told now. Never rejects. */
  readonly usedThisMonth?: ((tenant: TenantId) => Promise<Pair | undefined>) | undefined
}
