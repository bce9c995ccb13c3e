/**
 * Tokens made by hand with node:crypto, so that a test can sign what no library would: any header, any
 * text in place of JSON, any key.
 */

import { constants, createHmac, generateKeyPairSync, type KeyObject, sign as signWith } from 'node:crypto'

export type Json = Record<string, unknown>

/** Signs bytes: what comes after the second dot. */
export type Signer = (input: Buffer) => Buffer

export interface TestKey {
  readonly kid: string
  readonly alg: string
  readonly publicKey: KeyObject
  readonly sign: Signer
  /** As an issuer publishes it. */
  readonly jwk: Json
}

export const base64url = (value: string | Buffer): string => Buffer.from(value).toString('base64url')

/** A compact token; an object is written as JSON, a text or bytes go in as they are. */
export function seal(header: Json | string, claims: Json | string | Buffer, sign: Signer): string {
  const input = `${base64url(asText(header))}.${base64url(asText(claims))}`
  return `${input}.${base64url(sign(Buffer.from(input)))}`
}

function asText(value: Json | string | Buffer): string | Buffer {
  return typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value)
}

export function hmac(alg: string, secret: string | Buffer): Signer {
  return (input) =>
    createHmac(`sha${alg.slice(2)}`, secret)
      .update(input)
      .digest()
}

/** A fresh key pair for RS256, RS512, PS256, ES256, ES384 or EdDSA. */
export function testKey(kid: string, alg: string, rsaBits = 2048): TestKey {
  const { publicKey, privateKey } = pairFor(alg, rsaBits)
  return {
    kid,
    alg,
    publicKey,
    sign: signer(alg, privateKey),
    jwk: { ...(publicKey.export({ format: 'jwk' }) as Json), kid, alg, use: 'sig' },
  }
}

function signer(alg: string, key: KeyObject): Signer {
  if (alg === 'EdDSA') return (input) => signWith(null, input, key)
  const padding = alg.startsWith('PS')
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    : {}
  return (input) => signWith(`sha${alg.slice(2)}`, input, { key, dsaEncoding: 'ieee-p1363', ...padding })
}

function pairFor(alg: string, rsaBits: number) {
  if (alg === 'EdDSA') return generateKeyPairSync('ed25519')
  if (alg.startsWith('ES'))
    return generateKeyPairSync('ec', { namedCurve: alg === 'ES256' ? 'P-256' : 'P-384' })
  return generateKeyPairSync('rsa', { modulusLength: rsaBits })
}
