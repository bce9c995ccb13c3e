/**
 * Ways to forge a token without the right key: another text for a good one, another signature, another
 * kind of signature.
 */

import { publicEncrypt } from 'node:crypto'
import type { Random } from './random.ts'
import { base64url, hmac, type Json, type Signer, seal, type TestKey } from './tokens.ts'

export interface Subject {
  readonly header: Json
  readonly claims: Json
  readonly sign: Signer
  /** The good token. */
  readonly text: string
  /** Another good one, of another tenant. */
  readonly other: string
  /** Public keys of the issuers: what an outsider can have. */
  readonly published: readonly TestKey[]
  /** The outsider's own key. */
  readonly attacker: TestKey
  readonly tenantClaim: string
  /** Seconds since 1970. */
  readonly now: number
}

export type Mutator = (subject: Subject, random: Random) => string

const parts = (text: string) => text.split('.') as [string, string, string]
const splice = (text: string, at: number, remove: number, insert: string) =>
  text.slice(0, at) + insert + text.slice(at + remove)
const header = (s: Subject, more: Json, sign = s.sign) => seal({ ...s.header, ...more }, s.claims, sign)
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

function flipBit(bytes: Buffer, random: Random): Buffer {
  const copy = Buffer.from(bytes)
  const at = random.int(copy.length)
  copy[at] = copy[at]! ^ (1 << random.int(8))
  return copy
}

function withSignature(s: Subject, change: (signature: Buffer) => Buffer): string {
  const [head, body, signature] = parts(s.text)
  return `${head}.${body}.${base64url(change(Buffer.from(signature, 'base64url')))}`
}

/** On the text alone: nobody signs anything. */
export const onText: Record<string, Mutator> = {
  'bit of the signature': (s, r) => withSignature(s, (bytes) => flipBit(bytes, r)),
  'character anywhere': (s, r) => splice(s.text, r.int(s.text.length), 1, r.pick([...ALPHABET])),
  'character dropped': (s, r) => splice(s.text, r.int(s.text.length), 1, ''),
  'character added': (s, r) => splice(s.text, r.int(s.text.length + 1), 0, r.pick([...ALPHABET])),
  'two characters swapped': (s, r) => {
    const at = r.int(s.text.length - 1)
    return splice(s.text, at, 2, s.text[at + 1]! + s.text[at]!)
  },
  'white space at an end': (s, r) => {
    const space = r.pick(['\n', ' ', '\t', '\r\n', '\u00a0', '\ufeff', '\v'])
    return r.chance(0.5) ? s.text + space : space + s.text
  },
  'white space inside': (s, r) => splice(s.text, r.int(s.text.length), 0, r.pick(['\n', ' ', '\t', '\r'])),
  padding: (s, r) => {
    const all = parts(s.text)
    const i = r.int(3)
    all[i] += r.pick(['=', '==', '==='])
    return all.join('.')
  },
  'spare bits of the last character': (s, r) => {
    const all = parts(s.text)
    const i = r.pick([0, 1, 2].filter((n) => all[n]!.length % 4 !== 0).concat(2))
    const last = ALPHABET.indexOf(all[i]!.at(-1)!)
    all[i] = all[i]!.slice(0, -1) + ALPHABET[last ^ (1 + r.int(3))]
    return all.join('.')
  },
  'the other base64 alphabet': (s, r) =>
    r.chance(0.5)
      ? s.text.replaceAll('-', '+').replaceAll('_', '/')
      : splice(s.text, r.int(s.text.length), 1, r.pick(['+', '/'])),
  'no signature': (s, r) => parts(s.text).slice(0, 2).join('.') + r.pick(['', '.', '..', '.='].concat('.A')),
  'signature cut': (s, r) => withSignature(s, (bytes) => bytes.subarray(0, r.int(bytes.length))),
  'signature longer': (s, r) => withSignature(s, (bytes) => Buffer.concat([bytes, r.bytes(1 + r.int(40))])),
  'signature of zeros': (s) => withSignature(s, (bytes) => Buffer.alloc(bytes.length)),
  'signature of chance': (s, r) => withSignature(s, (bytes) => r.bytes(bytes.length)),
  'signature of another token': (s) => [...parts(s.text).slice(0, 2), parts(s.other)[2]].join('.'),
  'claims of another token': (s) => [parts(s.text)[0], parts(s.other)[1], parts(s.text)[2]].join('.'),
  'claims changed, signature kept': (s, r) => {
    const changed = { ...s.claims, [s.tenantClaim]: r.pick(['globex', 'a', 1]) }
    return [parts(s.text)[0], base64url(JSON.stringify(changed)), parts(s.text)[2]].join('.')
  },
  'more or fewer parts': (s, r) =>
    r.pick([
      `${s.text}.`,
      `.${s.text}`,
      `${s.text}.AAAA`,
      s.text.replace('.', '..'),
      parts(s.text)[1],
      '..',
      '.',
    ]),
  'parts in another order': (s, r) => r.shuffle(parts(s.text)).join('.'),
  'percent-encoded': (s, r) => {
    const at = r.int(s.text.length)
    return splice(s.text, at, 1, `%${s.text.charCodeAt(at).toString(16)}`)
  },
  'NUL or another control character': (s, r) =>
    splice(s.text, r.int(s.text.length + 1), 0, String.fromCharCode(r.int(32))),
  'letter beyond ASCII': (s, r) =>
    splice(s.text, r.int(s.text.length), 1, r.pick(['а', 'Ａ', 'ı', 'K', '．', '🙂', '\u0301', 'ſ'])),
  'case of the letters': (s, r) => (r.chance(0.5) ? s.text.toLowerCase() : s.text.toUpperCase()),
  'two tokens in one': (s, r) => r.pick([`${s.text},${s.text}`, `${s.text}, ${s.other}`, s.text + s.text]),
  'too large': (s, r) => seal(s.header, { ...s.claims, pad: 'x'.repeat(5_000 + r.int(8_000)) }, s.sign),
}

function ecdsaOther(s: Subject): string {
  // (r, n - s) is as good a signature as (r, s): another text for one meaning, and a valid one.
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  return withSignature(s, (bytes) => {
    if (s.header.alg !== 'ES256') return bytes
    const half = BigInt(`0x${bytes.subarray(32).toString('hex')}`)
    const hex = (n - half).toString(16).padStart(64, '0')
    return Buffer.concat([bytes.subarray(0, 32), Buffer.from(hex, 'hex')])
  })
}

/** On the signature, with keys that an outsider has. */
export const onSignature: Record<string, Mutator> = {
  'alg none': (s, r) => {
    const alg = r.pick(['none', 'None', 'NONE', 'nOnE', ''])
    const end = r.pick(['', base64url('x'), parts(s.text)[2]])
    return `${base64url(JSON.stringify({ ...s.header, alg }))}.${parts(s.text)[1]}.${end}`
  },
  'alg changed, signature kept': (s, r) => {
    const alg = r.pick(['HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519', 'hs256'])
    return [base64url(JSON.stringify({ ...s.header, alg })), ...parts(s.text).slice(1)].join('.')
  },
  'HMAC with a public key as the secret': (s, r) => {
    const { publicKey, jwk } = r.pick(s.published)
    const secret = r.pick<string | Buffer>([
      publicKey.export({ type: 'spki', format: 'pem' }) as string,
      publicKey.export({ type: 'spki', format: 'der' }) as Buffer,
      JSON.stringify(jwk),
      String(jwk.n ?? jwk.x),
    ])
    const alg = r.pick(['HS256', 'HS512'])
    return seal({ ...s.header, alg }, s.claims, hmac(alg, secret))
  },
  'HMAC with a weak secret': (s, r) => {
    const secret = r.pick(['', 'secret', 'undefined', 'null', '\0'.repeat(32), '[object Object]'])
    return seal({ ...s.header, alg: 'HS256' }, s.claims, hmac('HS256', secret))
  },
  'another key under the same id': (s, r) => {
    const { alg, kid } = s.attacker
    return header(s, { alg, kid: r.pick([s.header.kid, kid, undefined]) }, s.attacker.sign)
  },
  'key in the header': (s, r) => {
    const { alg, jwk, kid } = s.attacker
    return header(s, { alg, jwk, ...(r.chance(0.5) ? { kid } : {}) }, s.attacker.sign)
  },
  'address of a key in the header': (s, r) => {
    const { alg, kid, sign } = s.attacker
    const at = r.pick(['jku', 'x5u'])
    return header(
      s,
      { alg, kid, [at]: r.pick(['http://127.0.0.1:9/keys', 'file:///etc/passwd', '//x']) },
      sign,
    )
  },
  'certificate in the header': (s, r) => {
    const der = s.attacker.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
    return header(s, { alg: s.attacker.alg, x5c: r.pick([[der], der, []]), x5t: 'AA' }, s.attacker.sign)
  },
  'key in the header of a good token': (s, r) =>
    header(
      s,
      r.pick<Json>([{ jku: 'http://127.0.0.1:9/' }, { jwk: s.attacker.jwk }, { x5c: [] }, { x5u: 1 }]),
    ),
  'ECDSA signature negated': ecdsaOther,
  'token in a token': (s) => seal({ ...s.header, cty: 'JWT' }, s.text, s.sign),
  'encrypted to the public key': (s, r) => {
    const rsa = s.published.find((key) => key.alg === 'RS256')!
    const enveloped = publicEncrypt(rsa.publicKey, r.bytes(32))
    const head = base64url(JSON.stringify({ alg: 'RSA-OAEP', enc: 'A256GCM', kid: rsa.kid }))
    return [head, enveloped, r.bytes(12), r.bytes(80), r.bytes(16)]
      .map((part) => (typeof part === 'string' ? part : base64url(part)))
      .join('.')
  },
  'JSON serialisation': (s) => {
    const [head, payload, signature] = parts(s.text)
    return JSON.stringify({ protected: head, payload, signature })
  },
}
