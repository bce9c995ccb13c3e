/** Tokens for development and for the operator's `token` command; an identity provider makes the others. */

import { SignJWT } from 'jose'
import { fail } from '../base/errors.ts'
import type { TenantId } from '../base/ids.ts'
import type { Clock } from '../base/time.ts'
import { secretKey } from './keys.ts'
import type { Identity, Role } from './types.ts'

export interface TokenRequest {
  /** 32 bytes or more: the newest of the issuer's `secrets`. */
  readonly secret: string
  readonly issuer: string
  readonly audience: string
  readonly tenant: TenantId
  readonly roles: readonly Role[]
  readonly subject: string
  /** Seconds until the token ends, 1 or more. */
  readonly ttlS: number
  readonly clock: Clock
  /** Default HS256. */
  readonly algorithm?: 'HS256' | 'HS384' | 'HS512'
  /** As in the issuer's configuration; default "tenant_id". */
  readonly tenantClaim?: string
  /** As in the issuer's configuration; default "roles". */
  readonly rolesClaim?: string
  /** As in the issuer's configuration; default "JWT". */
  readonly type?: string | undefined
}

/**
 * A signed token in compact form.
 *
 * @throws CONFIG_INVALID  the secret is shorter than 32 bytes
 * @throws USAGE           `ttlS` is not a whole number of seconds from 1 on
 */
export async function issueToken(request: TokenRequest): Promise<string> {
  const { algorithm = 'HS256', type = 'JWT', ttlS } = request
  const key = secretKey(request.secret, 'secret')
  if (!Number.isSafeInteger(ttlS) || ttlS < 1) {
    fail('USAGE', `A token lives for 1 second or more; ${ttlS} came.`)
  }
  const now = Math.floor(request.clock.now() / 1000)
  return new SignJWT(claimsOf(request))
    .setProtectedHeader({ alg: algorithm, typ: type })
    .setIssuer(request.issuer)
    .setAudience(request.audience)
    .setIssuedAt(now)
    .setExpirationTime(now + ttlS)
    .sign(key)
}

// A path is written as one name, dots and all: a reader looks for that first.
function claimsOf({ tenantClaim = 'tenant_id', rolesClaim = 'roles', ...request }: TokenRequest) {
  return { sub: request.subject, [rolesClaim]: [...request.roles], [tenantClaim]: request.tenant }
}

/** @throws FORBIDDEN  the token does not carry the role "operator" */
export function requireOperator(identity: Identity): void {
  if (identity.roles.includes('operator')) return
  fail('FORBIDDEN', 'This needs a token with the role "operator".', { wanted: 'operator' })
}
