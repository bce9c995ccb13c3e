/**
 * Tenant ids: the one grammar, and the brand that proves an id has passed it.
 *
 * The grammar admits integers and lower-case uuids, and nothing that could mean something else in a
 * file name, a cache key, a schema name or an SQL setting. The empty string is not an id: a
 * transaction-local setting is '' once its transaction is over, so a row with the tenant '' would be
 * visible to every query that forgot its tenant. Each id is the only text of what it means, so that two
 * ids are two tenants in a column of any type.
 */

import { fail } from './errors.ts'

declare const tenantBrand: unique symbol

/**
 * 1 to 40 characters of a-z, 0-9 and '-', with no '-' at either end; integers without leading zeros, UUIDs
 * with their dashes. Made only by `tenantId`.
 */
export type TenantId = string & { readonly [tenantBrand]: true }

// Texts that Postgres reads as a number or a UUID that also has another text: '007' and '0x7' are 7, and a
// UUID may come without its dashes. With a tenant column of such a type two ids would be one tenant.
const OTHER_INTEGER = /^0(\d+|[xob][0-9a-f]+)$/
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const UUID_DIGITS = /^[0-9a-f]{32}$/

export function isTenantId(value: unknown): value is TenantId {
  return typeof value === 'string' && tenantIdFault(value) === undefined
}

/** Why a text is no tenant id, as a clause: 'it has capital letters'; undefined when it is one. */
export function tenantIdFault(text: string): string | undefined {
  if (text === '') return 'it is empty'
  if (text.length > 40) return `it has ${text.length} characters; 40 are allowed`
  if (/[A-Z]/.test(text)) return 'it has capital letters'
  if (/[^a-z0-9-]/.test(text)) return 'it has characters other than a-z, 0-9 and "-"'
  if (/^-|-$/.test(text)) return 'it begins or ends with "-"'
  if (UUID_DIGITS.test(text.replaceAll('-', '')) && !UUID.test(text))
    return 'as a UUID its dashes are missing or elsewhere'
  if (OTHER_INTEGER.test(text)) return 'as an integer it has another text'
  return undefined
}

/** @throws USAGE  `value` is not a tenant id */
export function tenantId(value: unknown): TenantId {
  if (isTenantId(value)) return value
  return fail(
    'USAGE',
    'A tenant id is 1 to 40 characters of a-z, 0-9 and "-", an integer without leading zeros, a UUID with its ' +
      `dashes; ${describe(value)} is not one.`,
  )
}

function describe(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 60)) : `a ${typeof value}`
}
