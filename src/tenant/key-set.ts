/**
 * A JSON Web Key Set read into the keys that may verify tokens.
 *
 * A set is read once, so that a token pays for no import. What is not a public signing key is left out,
 * the rest of the set stays usable: issuers publish encryption keys beside signing keys.
 */

import { createPublicKey, type KeyObject } from 'node:crypto'
import { isJsonObject, type JsonObject } from './strict-json.ts'

export interface PublicKey {
  readonly kid: string | undefined
  /** Algorithms that may be verified with it. */
  readonly algorithms: readonly string[]
  readonly key: KeyObject
}

/** Usable keys of one set. A token without a key id may have to be tried against each of them. */
export const KEYS_MAX = 64

/**
 * @returns at least one key
 * @throws Error  whose message says what is wrong with the set, and repeats nothing of it
 */
export function readKeySet(text: string): readonly PublicKey[] {
  const set = parse(text)
  if (!isJsonObject(set) || !Array.isArray(set.keys)) throw new Error('not a JSON Web Key Set')
  const keys = set.keys.filter(isJsonObject).flatMap((jwk) => readKey(jwk) ?? [])
  if (keys.length === 0) throw new Error('no usable key in the set')
  if (keys.length > KEYS_MAX) throw new Error(`more than ${KEYS_MAX} keys in the set`)
  return keys
}

/** The keys that fit a token's header; without a key id each of the right algorithm does. */
export function selectKeys(keys: readonly PublicKey[], alg: string, kid: string | undefined): KeyObject[] {
  return keys
    .filter((one) => one.algorithms.includes(alg) && (kid === undefined || kid === one.kid))
    .map((one) => one.key)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('not JSON')
  }
}

function readKey(jwk: JsonObject): PublicKey | undefined {
  const { kid, use, key_ops: operations, alg } = jwk
  // A symmetric or private key that anybody can download proves nothing.
  if (jwk.kty === 'oct' || Object.hasOwn(jwk, 'd') || Object.hasOwn(jwk, 'k')) return undefined
  if (use !== undefined && use !== 'sig') return undefined
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return undefined
  if (kid !== undefined && typeof kid !== 'string') return undefined
  const key = importKey(jwk)
  const algorithms = algorithmsOf(key).filter((one) => alg === undefined || one === alg)
  return key && algorithms.length > 0 ? { kid, algorithms, key } : undefined
}

function importKey(jwk: JsonObject): KeyObject | undefined {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' })
  } catch {
    return undefined
  }
}

const RSA_BITS_MIN = 2048 // RFC 7518, 3.3 and 3.5

function algorithmsOf(key: KeyObject | undefined): readonly string[] {
  const { modulusLength = 0, namedCurve } = key?.asymmetricKeyDetails ?? {}
  switch (key?.asymmetricKeyType) {
    case 'rsa':
      return modulusLength >= RSA_BITS_MIN ? ['RS256', 'RS384', 'RS512', 'PS256'] : []
    case 'ec':
      return namedCurve === 'prime256v1' ? ['ES256'] : namedCurve === 'secp384r1' ? ['ES384'] : []
    case 'ed25519':
      return ['EdDSA']
    default:
      return []
  }
}
