/** Signing a token as one of the configured issuers would: for development, and for the operator. */

import type { IssuerConfig } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import type { TenantId } from '../base/ids.ts'
import { systemClock } from '../base/time.ts'
import { issueToken } from './issue.ts'
import type { Role } from './types.ts'

export interface SignedToken {
  readonly token: string
  readonly issuer: string
}

export interface SignRequest {
  readonly tenant: TenantId
  readonly roles: readonly Role[]
  readonly subject: string
  /** Seconds until the token ends. */
  readonly ttlS: number
  /** Which issuer; the first with a secret when left out. */
  readonly issuer?: string | undefined
}

const SECRET_ALGORITHMS = ['HS256', 'HS384', 'HS512'] as const

/**
 * Sign with the newest secret of an issuer.
 *
 * @throws USAGE  no issuer has a secret, or not the one that is named
 */
export async function signToken(
  issuers: readonly IssuerConfig[],
  request: SignRequest,
): Promise<SignedToken> {
  const issuer = signingIssuer(issuers, request.issuer)
  const algorithm = SECRET_ALGORITHMS.find((known) => issuer.algorithms.includes(known))
  if (!algorithm) fail('USAGE', `Issuer "${issuer.issuer}" has a secret but no algorithm that uses one.`)
  const token = await issueToken({
    secret: issuer.secrets[0] ?? '',
    issuer: issuer.issuer,
    audience: issuer.audience,
    tenantClaim: issuer.tenantClaim,
    rolesClaim: issuer.rolesClaim,
    type: issuer.type,
    algorithm,
    tenant: request.tenant,
    roles: request.roles,
    subject: request.subject,
    ttlS: request.ttlS,
    clock: systemClock,
  })
  return { token, issuer: issuer.issuer }
}

function signingIssuer(issuers: readonly IssuerConfig[], name: string | undefined): IssuerConfig {
  const withSecret = issuers.filter((issuer) => issuer.secrets.length > 0)
  const chosen = withSecret.find((issuer) => name === undefined || issuer.issuer === name)
  if (chosen) return chosen
  const names = withSecret.map((issuer) => issuer.issuer).join(', ')
  return fail(
    'USAGE',
    name === undefined
      ? 'No issuer of the configuration has a secret; its tokens come from your identity provider.'
      : `No issuer "${name}" has a secret; those that have: ${names || 'none'}.`,
  )
}
