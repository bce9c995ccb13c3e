/** The tenant of a request, from its verified token: fast-jwt, which keeps what it has verified. */

import { createVerifier } from 'fast-jwt'

const verify = createVerifier({
  key: process.env.SECRET ?? '',
  algorithms: ['HS256'],
  allowedIss: 'bench',
  allowedAud: 'bench',
  cache: 10_000,
})

/** @throws when there is no token, or one that is not good */
export function tenantOf(authorization: string | undefined): string {
  return verify(authorization?.slice('Bearer '.length) ?? '').tenant_id
}
