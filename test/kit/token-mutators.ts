/**
 * Ways in which a signed token can be wrong, by name: each signs again with the right key, so that only
 * the policy stands between the token and an identity. Not every result is wrong (a list of audiences
 * may hold the right one): the oracle decides.
 */

import { type Mutator, onSignature, onText, type Subject } from './token-forgeries.ts'
import { hmac, type Json, seal } from './tokens.ts'

const header = (s: Subject, more: Json, sign = s.sign) => seal({ ...s.header, ...more }, s.claims, sign)
const claims = (s: Subject, more: Json) => seal(s.header, { ...s.claims, ...more }, s.sign)
const rawClaims = (s: Subject, text: string | Buffer) => seal(s.header, text, s.sign)
const without = (value: Json, name: string) =>
  Object.fromEntries(Object.entries(value).filter(([key]) => key !== name))
const withText = (value: Json, more: string) => JSON.stringify(value).replace(/}$/, `,${more}}`)

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
