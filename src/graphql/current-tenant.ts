/**
 * `currentTenant`: what a tenant's own frontend may know of the tenant, and extensions as `context.scope.tenant`.
 *
 * Answered from the placement that the request came with: no shard is asked, so it also answers while the tenant's
 * shard is away, when a frontend still wants to show the right colours beside its message of regret.
 */

import { fail } from '../base/errors.ts'
import { deepFreeze } from '../base/freeze.ts'
import type { TenantId } from '../base/ids.ts'
import type { Placement, TenantSettings } from '../directory/types.ts'
import type { Builder } from './builder.ts'

export interface CurrentTenant {
  readonly id: TenantId
  readonly name: string
  readonly subdomain: string
  readonly plan: string
  readonly settings: TenantSettings
  /** `settings.features`: names of what is switched on. */
  readonly features: readonly string[]
}

export const CURRENT_TENANT_FIELD = 'currentTenant'

/** What is known of the tenant of a placement; frozen, because requests share it. */
export function currentTenantOf(placement: Placement): CurrentTenant {
  const { tenant: id, name, subdomain, plan, settings } = placement
  return deepFreeze({ id, name, subdomain, plan, settings, features: featuresOf(settings) })
}

// Settings are whatever an operator has written down: what is no list of names switches nothing on.
function featuresOf({ features }: { readonly features?: unknown }): string[] {
  return Array.isArray(features) ? features.filter((name): name is string => typeof name === 'string') : []
}

export function addCurrentTenant(builder: Builder): void {
  const type = builder.objectRef<CurrentTenant>('CurrentTenant').implement({
    description: 'The tenant that the caller belongs to.',
    fields: (t) => ({
      id: t.exposeID('id', { nullable: false, description: 'As in tokens.' }),
      name: t.exposeString('name', { nullable: false, description: 'For people.' }),
      subdomain: t.exposeString('subdomain', { nullable: false }),
      plan: t.exposeString('plan', { nullable: false }),
      settings: t.field({
        type: 'JSON',
        nullable: false,
        description: 'What operators have set, branding for one. All users of the tenant can read it.',
        resolve: ({ settings }) => settings,
      }),
      features: t.exposeStringList('features', {
        nullable: false,
        description: 'Names of what is switched on for the tenant.',
      }),
    }),
  })
  builder.queryField(CURRENT_TENANT_FIELD, (t) =>
    t.field({
      type,
      nullable: false,
      description: "The caller's tenant, with its settings and features.",
      resolve: (_root, _args, { scope }) => {
        requireServed(scope.placement)
        return scope.tenant
      },
    }),
  )
}

/** As the router refuses every other field of such a tenant. */
function requireServed({ tenant, state }: Placement): void {
  if (state !== 'suspended' && state !== 'offboarded') return
  fail('TENANT_SUSPENDED', 'The tenant is suspended.', { tenant })
}
