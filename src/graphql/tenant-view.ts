/** What the frontend and the extensions of a tenant may know of it. */

import type { Limits } from '../base/config-limits.ts'
import { deepFreeze } from '../base/freeze.ts'
import type { TenantId } from '../base/ids.ts'
import type { Placement, TenantSettings } from '../directory/types.ts'
import type { Span } from '../directory/usage-periods.ts'
import type { Figures } from '../directory/usage-reports.ts'

export interface CurrentTenant {
  readonly id: TenantId
  readonly name: string
  readonly subdomain: string
  readonly plan: string
  readonly settings: TenantSettings
  /** `settings.features`: names of what is switched on. */
  readonly features: readonly string[]
}

/** Where the answers about usage and limits of a tenant come from (account.ts). */
export interface TenantAccount {
  /** Null where nothing is metered. Throws DIRECTORY_UNAVAILABLE. */
  usage(tenant: TenantId, span: Span): Promise<Figures> | null
  limits(placement: Placement): Limits
}

/** What is known of the tenant of a placement; frozen, because requests share it. */
export function currentTenantOf(placement: Placement): CurrentTenant {
  const { tenant: id, name, subdomain, plan, settings } = placement
  return deepFreeze({ id, name, subdomain, plan, settings, features: featuresOf(settings) })
}

// Settings are whatever an operator has written down: what is no list of names switches nothing on.
function featuresOf({ features }: { readonly features?: unknown }): string[] {
  return Array.isArray(features) ? features.filter((name): name is string => typeof name === 'string') : []
}
