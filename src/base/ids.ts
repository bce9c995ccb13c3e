/**
 * Tenant ids: the one grammar, and the brand that proves an id has passed it.
 *
 * The grammar admits integers and lower-case uuids, and nothing that could mean something else in a
 * file name, a cache key, a schema name or an SQL setting. The empty string is not an id: a
 * transaction-local setting is '' once its transaction is over, so a row with the tenant '' would be
 * visible to every query that forgot its tenant.
 */

import { fail } from './errors.ts'

declare const tenantBrand: unique symbol

/** 1 to 40 characters of a-z, 0-9 and '-', with no '-' at either end. Made only by `tenantId`. */
export type TenantId = string & { readonly [tenantBrand]: true }

const TENANT_ID = /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/

export function isTenantId(value: unknown): value is TenantId {
  return typeof value === 'string' && TENANT_ID.test(value) && !value.endsWith('\n')
}

/** @throws USAGE  `value` is not a tenant id */
export function tenantId(value: unknown): TenantId {
  if (isTenantId(value)) return value
  return fail(
    'USAGE',
    `A tenant id is 1 to 40 characters of a-z, 0-9 and "-"; ${describe(value)} is not one.`,
  )
}

function describe(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 60)) : `a ${typeof value}`
}
