/**
 * The tenant of the token decides; what else in a request names a tenant may only agree.
 *
 * `X-Tenant-ID` and the subdomain of the Host are there for people and for proxies that route by them.
 * Neither ever selects a tenant, and no look-up is made for what they name: an unknown tenant and
 * somebody else's get the same answer in the same time. X-Forwarded-Host is never read.
 */

import { fail } from '../base/errors.ts'
import type { TenantId } from '../base/ids.ts'

/** A header as Node gives it; a list when it came more than once. */
export type HeaderValue = string | readonly string[] | undefined

export interface Naming {
  /** Of the verified token. */
  readonly tenant: TenantId
  /** Of that tenant, lower case. */
  readonly subdomain: string
  readonly headers: { readonly 'x-tenant-id'?: HeaderValue; readonly host?: HeaderValue }
  /** Domain under which tenants have subdomains, lower case; without it the Host names no tenant. */
  readonly baseDomain?: string | undefined
}

/**
 * @throws TENANT_MISMATCH  a header names another tenant, comes twice, or cannot be read as one name;
 *                          the same sentence for each
 */
export function requireAgreement({ tenant, subdomain, headers, baseDomain }: Naming): void {
  const named = only(headers['x-tenant-id'])
  if (named !== undefined && named !== tenant) mismatch('x-tenant-id')
  if (baseDomain === undefined) return
  const label = subdomainOf(only(headers.host), baseDomain)
  if (label !== undefined && label !== subdomain) mismatch('host')
}

function mismatch(header: string): never {
  return fail('TENANT_MISMATCH', 'The request names another tenant than its token does.', { header })
}

// No spelling is mended: trimming, folding case or taking the first of two would each be a rule that
// some proxy in front follows otherwise. '' is neither a tenant id nor a host name.
function only(value: HeaderValue): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  return value.length > 1 ? '' : value[0]
}

// A name with one trailing dot at most, or an IPv6 address; then a port. ASCII alone, as international
// names reach a server as punycode; the flag "u" would let the Kelvin sign pass for a "k".
const HOST = /^(?:([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i

/**
 * What stands before the base domain; undefined when the host is the base domain or foreign to it, which
 * names no tenant (a health check by address, a second domain). '' for what is no host: agrees with nobody.
 */
function subdomainOf(host: string | undefined, baseDomain: string): string | undefined {
  if (host === undefined) return undefined
  const match = HOST.exec(host)
  if (match === null) return ''
  const name = match[1]?.toLowerCase()
  return name?.endsWith(`.${baseDomain}`) ? name.slice(0, -baseDomain.length - 1) : undefined
}
