/**
 * Ways in which a token can be wrong, by name. Each takes a good token and makes another text of it.
 *
 * Those on text and signature forge; those on header and claims sign again with the right key, so that
 * only the policy stands between the token and an identity. Not all results are wrong (an audience list
 * may hold the right one): the oracle decides.
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
const claims = (s: Subject, more: Json) => seal(s.header, { ...s.claims, ...more }, s.sign)
const rawClaims = (s: Subject, text: string | Buffer) => seal(s.header, text, s.sign)
const without = (value: Json, name: string) =>
  Object.fromEntries(Object.entries(value).filter(([key]) => key !== name))
const withText = (value: Json, more: string) => JSON.stringify(value).replace(/}$/, `,${more}}`)
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

const onText: Record<string, Mutator> = {
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
  'too large': (s, r) => claims(s, { pad: 'x'.repeat(5_000 + r.int(8_000)) }),
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

const onSignature: Record<string, Mutator> = {
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

const onHeader: Record<string, Mutator> = {
  'alg of another type': (s, r) => header(s, { alg: r.pick<unknown>([[s.header.alg], 256, null, true, {}]) }),
  'alg missing': (s) => seal(without(s.header, 'alg'), s.claims, s.sign),
  'alg that is not pinned': (s, r) => {
    const alg = r.pick(['HS384', 'hs256', 'HS256 ', 'HS1'])
    return header(s, { alg }, alg === 'HS384' ? hmac(alg, 'rotated-away-but-long-enough-0000') : s.sign)
  },
  crit: (s, r) => {
    const crit = r.pick<unknown>([['exp'], ['b64'], [], ['x'], 'exp', null, ['http://x'], ['__proto__']])
    return header(s, { crit, exp: s.claims.exp, x: 1, ...(r.chance(0.3) ? { b64: true } : {}) })
  },
  b64: (s, r) => header(s, { b64: r.pick<unknown>([false, true, 0, null]) }),
  kid: (s, r) => {
    const odd = [
      '',
      '../../dev/null',
      "' or 1=1 --",
      '/proc/self/environ',
      'constructor',
      '__proto__',
      s.attacker.kid,
    ]
    const published = s.published.map((key) => key.kid)
    return header(s, { kid: r.pick<unknown>([...odd, ...published, 'x'.repeat(257), 7, null, ['a'], {}]) })
  },
  typ: (s, r) => {
    const typ = r.pick<unknown>([
      'JWT',
      'at+jwt',
      'AT+JWT',
      'application/at+jwt',
      'dpop+jwt',
      '',
      5,
      null,
      ['at+jwt'],
    ])
    return header(s, { typ })
  },
  'typ missing': (s) => seal(without(s.header, 'typ'), s.claims, s.sign),
  'member twice in the header': (s, r) => {
    const alg = JSON.stringify(s.header.alg)
    const more = r.pick([`"alg":${alg}`, `"\\u0061lg":${alg}`, '"x":1,"x":1', '"kid":"a","kid":"a"'])
    return seal(withText(s.header, more), s.claims, s.sign)
  },
  'header that is no object': (s, r) =>
    seal(r.pick(['[]', 'null', '"x"', '1', '', '{', '{}x', "{'alg':'HS256'}"]), s.claims, s.sign),
  'header with white space': (s, r) =>
    seal(JSON.stringify(s.header, null, r.pick([1, '\t'])), s.claims, s.sign),
  'strange members in the header': (s, r) =>
    header(
      s,
      r.pick<Json>([{ zip: 'DEF' }, { enc: 'A256GCM' }, { cty: 'JWT' }, { iss: 'x' }, { nonce: 'n' }]),
    ),
}

const TIMES: readonly unknown[] = [null, '9999999999', [], {}, true, -1, 0, 0.5, 1e300, 9e15]

const onClaims: Record<string, Mutator> = {
  exp: (s, r) => claims(s, { exp: r.pick([...TIMES, s.now - 1e6]) }),
  'exp missing': (s) => seal(s.header, without(s.claims, 'exp'), s.sign),
  'exp at the edge': (s, r) => claims(s, { exp: s.now + r.int(21) - 10 + r.pick([0, 0.5]) }),
  'exp without end': (s, r) =>
    rawClaims(s, withText(without(s.claims, 'exp'), `"exp":${r.pick(['1e999', '1E+400'])}`)),
  nbf: (s, r) => claims(s, { nbf: r.pick([...TIMES, s.now + 1e6, s.now + r.int(21) - 10]) }),
  iat: (s, r) =>
    claims(s, { iat: r.pick([...TIMES, s.now + 1e6, s.now - 3600 + r.int(21) - 10, s.now + r.int(10)]) }),
  'iat missing': (s) => seal(s.header, without(s.claims, 'iat'), s.sign),
  iss: (s, r) => {
    const iss = String(s.claims.iss)
    const odd = [
      `${iss}/`,
      iss.toUpperCase(),
      ` ${iss}`,
      [iss],
      1,
      null,
      '',
      'https://evil.test',
      '__proto__',
    ]
    return claims(s, { iss: r.pick<unknown>([...odd, 'https://a.test', 'https://b.test']) })
  },
  'iss missing': (s) => seal(s.header, without(s.claims, 'iss'), s.sign),
  aud: (s, r) => {
    const aud = String(s.claims.aud)
    const lists = [[aud], ['x', aud], ['x'], [], [[aud]], [null, aud], [`${aud} `]]
    return claims(s, {
      aud: r.pick<unknown>([...lists, `${aud}/`, aud.slice(1), '', '*', null, { 0: aud }, 1]),
    })
  },
  'aud missing': (s) => seal(s.header, without(s.claims, 'aud'), s.sign),
  tenant: (s, r) => {
    const odd = [
      '',
      ' acme',
      'acme ',
      'acme\n',
      'ACME',
      'a_b',
      '-a',
      'a-',
      'a'.repeat(41),
      'аcme',
      'a\0b',
      '*',
      'a,b',
    ]
    const types = [
      ['acme'],
      [],
      { id: 'acme' },
      null,
      true,
      1.5,
      -1,
      2 ** 53,
      1e21,
      0,
      42,
      'b',
      'a'.repeat(40),
    ]
    return claims(s, {
      [s.tenantClaim]: r.pick<unknown>([...odd, ...types, "acme' or 1=1", '../acme', 'acme%00']),
    })
  },
  'tenant in a number as text': (s, r) => {
    const number = r.pick(['-0', '1e2', '1.0', '9007199254740993', '1e999', '0x1', '01', '+1', '1_0'])
    return rawClaims(
      s,
      withText(without(s.claims, s.tenantClaim), `${JSON.stringify(s.tenantClaim)}:${number}`),
    )
  },
  'tenant missing': (s) => seal(s.header, without(s.claims, s.tenantClaim), s.sign),
  'tenant beside its path': (s, r) => {
    const [first, ...rest] = s.tenantClaim.split('.')
    const nested = { [first!]: { [rest.join('.')]: r.pick(['globex', 'b']) } }
    return r.chance(0.5)
      ? claims(s, nested)
      : seal(s.header, { ...without(s.claims, s.tenantClaim), ...nested }, s.sign)
  },
  roles: (s, r) => {
    const lists = [['admin'], ['admin', 'admin', 'x'], [['admin']], [], [1, null, 'member'], { admin: true }]
    const texts = ['admin member', 'admin,member', 'ADMIN', ' admin', '', null, 5, 'operator\n']
    const value = r.pick<unknown>([...lists, ...texts])
    return claims(s, r.chance(0.5) ? { roles: value } : { realm: { roles: value } })
  },
  sub: (s, r) => claims(s, { sub: r.pick<unknown>(['', 'u', 7, null, ['u'], 'a\0b', '\ud800', 'é🙂', {}]) }),
  'member twice in the claims': (s, r) => {
    const name = JSON.stringify(s.tenantClaim)
    const escaped = name.replace(/"(.)/, (_, c: string) => `"\\u00${c.charCodeAt(0).toString(16)}`)
    const more = [
      `${name}:"globex"`,
      `${escaped}:"globex"`,
      '"exp":9999999999',
      '"x":{"a":1,"a":2}',
      '"":1,"":2',
    ]
    return rawClaims(s, withText(s.claims, r.pick([...more, '"y":[{"b":1,"\\u0062":2}]', '"aud":"x"'])))
  },
  'names that only look alike': (s, r) =>
    rawClaims(
      s,
      withText(
        s.claims,
        r.pick(['"a":"\\"a\\":1"', '"x":{"a":1},"y":{"a":1}', '"q":"{\\"exp\\":1}"', '"Exp":1']),
      ),
    ),
  'claims that are no object': (s, r) =>
    rawClaims(
      s,
      r.pick([
        '[]',
        'null',
        '"x"',
        '1',
        '',
        '{',
        `${JSON.stringify(s.claims)},`,
        `[${JSON.stringify(s.claims)}]`,
      ]),
    ),
  'bytes that are no UTF-8': (s, r) => {
    const good = Buffer.from(JSON.stringify({ ...s.claims, x: '@' }))
    const bad = r.pick([[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80]])
    const at = good.lastIndexOf('@')
    return rawClaims(s, Buffer.concat([good.subarray(0, at), Buffer.from(bad), good.subarray(at + 1)]))
  },
  'byte order mark': (s) => rawClaims(s, `\ufeff${JSON.stringify(s.claims)}`),
  'names of Object.prototype': (s, r) => {
    const name = r.pick(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])
    const stolen = JSON.stringify({ [s.tenantClaim]: 'globex', exp: 9e9, roles: ['admin'] })
    return rawClaims(
      s,
      withText(r.chance(0.5) ? without(s.claims, s.tenantClaim) : s.claims, `"${name}":${stolen}`),
    )
  },
  'deep nesting': (s, r) => {
    const depth = 10 + r.int(400)
    return rawClaims(s, withText(s.claims, `"deep":${'['.repeat(depth)}${']'.repeat(depth)}`))
  },
}

export const MUTATORS: Readonly<Record<string, Mutator>> = {
  ...onText,
  ...onSignature,
  ...onHeader,
  ...onClaims,
}
