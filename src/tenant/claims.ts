/** What the claims of a verified token say about who is asking: tenant, roles, subject. */

import { isTenantId, type TenantId } from '../base/ids.ts'
import { refuse } from './refusal.ts'
import { isJsonObject, type JsonObject } from './strict-json.ts'
import { type Identity, ROLES, type Role } from './types.ts'

/** The part of an issuer's policy that reads claims. */
export interface ClaimNames {
  /** "tenant_id", "org.id", "https://example.com/tenant", "https://example.com/app.tenant". */
  readonly tenantClaim: string
  readonly rolesClaim: string
  readonly defaultRole?: Exclude<Role, 'operator'> | undefined
}

/**
 * @param claims  of a token whose signature, issuer, audience and times have been checked
 * @throws UNAUTHENTICATED  no tenant, a tenant that is not an id, a subject that is not a text
 */
export function identityOf(claims: JsonObject, names: ClaimNames): Identity {
  return Object.freeze({
    tenant: tenantOf(claimAt(claims, names.tenantClaim)),
    subject: subjectOf(claims.sub),
    roles: rolesOf(claimAt(claims, names.rolesClaim), names.defaultRole),
    issuer: String(claims.iss),
    expiresAt: Number(claims.exp),
  })
}

/**
 * The claim at a path. The path itself as a name comes first, because namespaced claims are URLs and
 * hold dots; then it is cut at a dot, the longest name that exists winning. Own members only: the path
 * "constructor.name" finds nothing.
 */
export function claimAt(claims: unknown, path: string): unknown {
  if (!isJsonObject(claims)) return undefined
  if (Object.hasOwn(claims, path)) return claims[path]
  for (let dot = path.lastIndexOf('.'); dot > 0; dot = path.lastIndexOf('.', dot - 1)) {
    const name = path.slice(0, dot)
    if (Object.hasOwn(claims, name)) return claimAt(claims[name], path.slice(dot + 1))
  }
  return undefined
}

// Arrays are refused although ['a'] prints as 'a'. Integers end at 2^53 - 1: beyond it JSON.parse rounds,
// and 9007199254740993 would become the tenant 9007199254740992. -0 prints as '0', a tenant it is not.
function tenantOf(claim: unknown): TenantId {
  const id = Number.isSafeInteger(claim) && !Object.is(claim, -0) ? String(claim) : claim
  return isTenantId(id) ? id : refuse('tenant')
}

// A subject goes into logs and audit rows; Postgres text takes neither NUL nor half a character.
function subjectOf(claim: unknown): string {
  if (claim === undefined) return ''
  if (typeof claim !== 'string' || !claim.isWellFormed() || claim.includes('\0')) return refuse('claims')
  return claim
}

function rolesOf(claim: unknown, fallback: Role | undefined): readonly Role[] {
  const named: readonly unknown[] = typeof claim === 'string' ? claim.split(' ') : asArray(claim)
  const roles = ROLES.filter((role) => named.includes(role))
  return Object.freeze(roles.length > 0 || fallback === undefined ? roles : [fallback])
}

function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
