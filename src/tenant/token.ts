/**
 * The policy of one issuer, applied to one token.
 *
 * jose checks the signature and, with every option set, the registered claims; its defaults accept a
 * token without exp, aud or iss and any algorithm the key can do. What jose accepts beyond that is
 * refused before (compact.ts) or after (claims.ts). Only keys of the issuer's policy are ever tried:
 * jwk, jku, x5u and x5c in a header are not read.
 */

import { errors, type JWTVerifyOptions, jwtVerify } from 'jose'
import type { IssuerConfig } from '../base/config.ts'
import type { Clock } from '../base/time.ts'
import { identityOf } from './claims.ts'
import type { CompactToken } from './compact.ts'
import type { Keys } from './keys.ts'
import { type Refusal, refuse } from './refusal.ts'
import type { JsonObject } from './strict-json.ts'
import type { Identity } from './types.ts'

/** Characters of a key id; it is kept for a while when it is unknown. */
const KID_LENGTH_MAX = 256

/**
 * Verify a token against the policy of the issuer that it names.
 *
 * @returns who is asking
 * @throws UNAUTHENTICATED   refused; `details.reason` says why in a word
 * @throws AUTH_UNAVAILABLE  the issuer's keys cannot be read, so nobody can tell
 */
export async function verifyToken(
  token: CompactToken,
  issuer: IssuerConfig,
  keys: Keys,
  clock: Clock,
): Promise<Identity> {
  const { alg, kid } = requireHeader(token.header, issuer)
  requireInTime(token.claims, issuer, clock)
  const candidates = await keys.find(alg, kid)
  if (candidates.length === 0) refuse('key')
  const options = optionsOf(issuer, alg, clock)
  for (const key of candidates) {
    if (await fits(token.text, key, options)) return identityOf(token.claims, issuer)
  }
  return refuse('signature')
}

/** The claims that say when a token holds; not looked at yet. */
export interface TokenTimes {
  readonly exp?: unknown
  readonly nbf?: unknown
  readonly iat?: unknown
}

/**
 * Compare the times of a token with the clock: on every use, so that a token that was verified once
 * does not outlive its end. Seconds are whole ones and the tolerance widens both ends, as in jose.
 *
 * @throws UNAUTHENTICATED  expired, not valid yet, too old, or a time that is not a number
 */
export function requireInTime(claims: TokenTimes, issuer: IssuerConfig, clock: Clock): void {
  const now = Math.floor(clock.now() / 1000)
  const tolerance = issuer.clockToleranceS
  if (timeOf(claims.exp) <= now - tolerance) refuse('expired')
  if (claims.nbf !== undefined && timeOf(claims.nbf) > now + tolerance) refuse('early')
  const issued = claims.iat === undefined && issuer.maxAgeS === undefined ? now : timeOf(claims.iat)
  if (issuer.maxAgeS === undefined) return
  if (now - issued - tolerance > issuer.maxAgeS) refuse('age')
  if (issued > now + tolerance) refuse('early')
}

// 1e999 is JSON for Infinity: a number to jose, and a token without end.
function timeOf(claim: unknown): number {
  return typeof claim === 'number' && Number.isFinite(claim) ? claim : refuse('claims')
}

function requireHeader(header: JsonObject, issuer: IssuerConfig): { alg: string; kid: string | undefined } {
  const { alg, kid } = header
  if (typeof alg !== 'string' || !issuer.algorithms.some((one) => one === alg)) return refuse('algorithm')
  // No extension is understood here; b64 changes what is signed, with or without crit.
  if (Object.hasOwn(header, 'crit') || Object.hasOwn(header, 'b64')) return refuse('extension')
  if (kid === undefined) return { alg, kid }
  return typeof kid === 'string' && kid.length <= KID_LENGTH_MAX ? { alg, kid } : refuse('malformed')
}

function optionsOf(issuer: IssuerConfig, alg: string, clock: Clock): JWTVerifyOptions {
  return {
    algorithms: [alg],
    issuer: issuer.issuer,
    audience: issuer.audience,
    requiredClaims: ['exp'],
    clockTolerance: issuer.clockToleranceS,
    currentDate: new Date(clock.now()),
    ...(issuer.type === undefined ? {} : { typ: issuer.type }),
    ...(issuer.maxAgeS === undefined ? {} : { maxTokenAge: issuer.maxAgeS }),
  }
}

/** False when the signature is of another key; refuses everything else, because no key could mend it. */
async function fits(text: string, key: Parameters<typeof jwtVerify>[1], options: JWTVerifyOptions) {
  try {
    await jwtVerify(text, key, options)
    return true
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error
    if (error instanceof errors.JWSSignatureVerificationFailed) return false
    // jose's error holds the claims, so it is not passed on as the cause.
    return refuse(reasonOf(error))
  }
}

const REASON_OF_CLAIM: Readonly<Record<string, Refusal>> = {
  iss: 'issuer',
  aud: 'audience',
  typ: 'type',
  nbf: 'early',
}

function reasonOf(error: errors.JOSEError): Refusal {
  if (error instanceof errors.JWTExpired) return error.claim === 'iat' ? 'age' : 'expired'
  if (error instanceof errors.JWTClaimValidationFailed) return REASON_OF_CLAIM[error.claim] ?? 'claims'
  return 'malformed'
}
