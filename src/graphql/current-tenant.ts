/**
 * `currentTenant`: what a tenant's own frontend may know of the tenant, and extensions as `context.scope.tenant`.
 *
 * Answered from the placement that the request came with, but for its usage, which the directory knows: no shard is
 * asked, so it also answers while the tenant's shard is away, when a frontend still wants to show the right colours
 * beside its message of regret.
 */

import { fail } from '../base/errors.ts'
import { systemClock } from '../base/time.ts'
import type { Placement } from '../directory/types.ts'
import { limitsType, monthSpan, usageType } from './account.ts'
import type { Builder } from './builder.ts'
import type { CurrentTenant } from './tenant-view.ts'

export const CURRENT_TENANT_FIELD = 'currentTenant'

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
      usage: t.field({
        type: usageType(builder),
        args: { month: t.arg.string({ description: 'As "2026-10", in UTC. Left out, the present one.' }) },
        description: 'What the tenant has used in a month; null where nothing is metered. For its admins.',
        resolve: ({ id }, { month }, { scope }) =>
          scope.account?.usage(id, monthSpan(month, systemClock.now())) ?? null,
      }),
      limits: t.field({
        type: limitsType(builder),
        description: 'What the tenant may ask for, by its plan and by itself.',
        resolve: (_tenant, _args, { scope }) => scope.account?.limits(scope.placement) ?? null,
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
