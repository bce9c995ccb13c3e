/**
 * From an Authorization header to an identity: the only place that makes one.
 *
 *     header ─▶ bearerToken ─▶ cache ─▶ times
 *                                └─▶ readToken ─▶ issuer by its unverified "iss" ─▶ times ─▶ verifyToken
 *
 * Choosing the issuer by a claim that is not verified yet is safe, because the token is then held
 * against that issuer's policy and keys alone. Each step may refuse, and the cheap ones come first. What the
 * cache knows has passed them all, letter by letter as it came now; only time and keys may have changed since.
 */

import { LRUCache } from 'lru-cache'
import type { IssuerConfig } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import type { Clock } from '../base/time.ts'
import { bearerToken, digestOf, readToken } from './compact.ts'
import { issuerKeys, type Keys } from './keys.ts'
import { refuse } from './refusal.ts'
import { type RemoteKeysTimes, remoteKeys } from './remote-keys.ts'
import { requireInTime, type TokenTimes, verifyToken } from './token.ts'
import type { Identity } from './types.ts'

export interface Authenticator {
  /**
   * @param authorization  the one value of the header, as it came
   * @throws UNAUTHENTICATED   no token, or one that is refused; `details.reason` says why in a word
   * @throws AUTH_UNAVAILABLE  the issuer's keys cannot be read, so nobody can tell
   */
  authenticate(authorization: string | undefined): Promise<Identity>
  /** Key sets served over HTTP, by address: for the authenticator that follows this one. */
  readonly keySets: ReadonlyMap<string, Keys>
}

export interface AuthenticatorOptions {
  readonly issuers: readonly IssuerConfig[]
  /** Folder from which `jwksFile` is found; default is the working directory. */
  readonly configDir?: string
  readonly clock: Clock
  readonly emit: Emit
  readonly fetch?: typeof globalThis.fetch
  readonly times?: RemoteKeysTimes
  /**
   * The authenticator that this one replaces after a reload. Its key sets are taken over: a reload while
   * an issuer cannot be reached must not forget the keys that are known.
   */
  readonly previous?: Authenticator
}

// Verifying took 65 µs (HS256) to 165 µs (EdDSA), finding a verified token again 2 µs (8 when it was taken apart
// first): medians of 1,500 tokens or more, Node 26, 2 shared cores. An entry is about 500 bytes, so 5 MB at most.
const VERIFIED_MAX = 10_000

/** What a token was found to be. */
interface Verified {
  readonly identity: Identity
  readonly times: TokenTimes
  readonly policy: Policy
  readonly generation: number
}

/**
 * An authenticator for a set of issuers. It never changes: other issuers need another one, which
 * also drops all that was verified under the old policy.
 *
 * @throws CONFIG_INVALID  naming the key, e.g. "tokens[0].secrets[1]"
 */
export function authenticator(options: AuthenticatorOptions): Authenticator {
  const { clock } = options
  const keySets = remoteKeySets(options)
  const policies = policiesOf(options, keySets)
  const verified = new LRUCache<string, Verified>({ max: VERIFIED_MAX })

  const authenticate = async (authorization: string | undefined): Promise<Identity> => {
    const text = bearerToken(authorization)
    const digest = digestOf(text)
    const known = verified.get(digest)
    if (known === undefined) return verify(text, digest)
    requireInTime(known.times, known.policy.issuer, clock)
    return known.generation === known.policy.keys.generation() ? known.identity : verify(text, digest)
  }

  const verify = async (text: string, digest: string): Promise<Identity> => {
    const token = readToken(text)
    const policy = policies.get(token.claims.iss) ?? refuse('issuer')
    requireInTime(token.claims, policy.issuer, clock)
    // Taken before verifying: keys that change meanwhile leave an entry that is already out of date.
    const generation = policy.keys.generation()
    const identity = await verifyToken(token, policy.issuer, policy.keys, clock)
    const { exp, nbf, iat } = token.claims
    if (generation !== undefined)
      verified.set(digest, { identity, times: { exp, nbf, iat }, policy, generation })
    return identity
  }
  return { authenticate, keySets }
}

interface Policy {
  readonly issuer: IssuerConfig
  readonly keys: Keys
}

function policiesOf(
  { issuers, configDir = '.' }: AuthenticatorOptions,
  keySets: ReadonlyMap<string, Keys>,
): ReadonlyMap<unknown, Policy> {
  const policies = new Map<unknown, Policy>()
  for (const [i, issuer] of issuers.entries()) {
    const at = `tokens[${i}]`
    if (policies.has(issuer.issuer)) {
      fail('CONFIG_INVALID', `${at}.issuer: wanted each issuer once; it comes twice`)
    }
    const remote = issuer.jwksUrl === undefined ? undefined : keySets.get(issuer.jwksUrl)
    policies.set(issuer.issuer, { issuer, keys: issuerKeys(issuer, at, configDir, remote) })
  }
  return policies
}

/** One set an address, so that two issuers who share one also share its cooldown. */
function remoteKeySets(options: AuthenticatorOptions): ReadonlyMap<string, Keys> {
  const { clock, emit, fetch = globalThis.fetch, times, previous } = options
  const sets = new Map<string, Keys>()
  for (const { issuer, jwksUrl: url } of options.issuers) {
    if (url === undefined || sets.has(url)) continue
    const fresh = () => remoteKeys({ issuer, url, clock, emit, fetch, ...(times ? { times } : {}) })
    sets.set(url, previous?.keySets.get(url) ?? fresh())
  }
  return sets
}
