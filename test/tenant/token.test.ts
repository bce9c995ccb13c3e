/** One token against one issuer's policy: what jose alone would accept, and the words of a refusal. */

import { jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { readToken, TOKEN_BYTES_MAX } from '../../src/tenant/compact.ts'
import { issuerKeys } from '../../src/tenant/keys.ts'
import { verifyToken } from '../../src/tenant/token.ts'
import { manualClock } from '../kit/clock.ts'
import { claimsAt, gateOf, hs256, hs256Token, issuersOf, SECRET } from '../kit/identity.ts'
import { hmac, type Json, seal, testKey } from '../kit/tokens.ts'

const clock = manualClock()
const now = clock.now() / 1000
const gate = gateOf(hs256, {}, clock)
const token = (more: Json = {}, header: Json = {}) => hs256Token(clock, more, header)
const raw = (claims: string | Buffer) => seal({ alg: 'HS256' }, claims, hmac('HS256', SECRET))
const acme = { tenant: 'acme', subject: 'u1', roles: [], issuer: 'https://issuer.test', expiresAt: now + 600 }

it('a good token says who is asking', async () => {
  expect(await gate.judge(token())).toEqual(acme)
})

describe('D10: what jose accepts with no options is refused', () => {
  const good = token()
  const [header, claims, signature] = good.split('.') as [string, string, string]
  // 32 bytes end in a character with two spare bits; jose ignores them.
  const twin = signature.slice(0, -1) + String.fromCharCode(signature.charCodeAt(42) + 1)
  const accepted: readonly [string, string, string, number?][] = [
    ['no exp', raw(JSON.stringify({ ...claimsAt(clock), exp: undefined })), 'claims'],
    ['no aud', raw(JSON.stringify({ ...claimsAt(clock), aud: undefined })), 'audience'],
    ['no iss', raw(JSON.stringify({ ...claimsAt(clock), iss: undefined })), 'issuer'],
    ['HS512 instead of HS256', seal({ alg: 'HS512' }, claimsAt(clock), hmac('HS512', SECRET)), 'algorithm'],
    ['a trailing newline', `${good}\n`, 'scheme'],
    ['a space inside', `${header}.${claims}. ${signature}`, 'scheme'],
    ['a last character with spare bits', `${header}.${claims}.${twin}`, 'malformed'],
    ['a tenant in an array', token({ tenant_id: ['acme'] }), 'tenant'],
    ['a claim twice', raw(`{"tenant_id":"globex",${JSON.stringify(claimsAt(clock)).slice(1)}`), 'duplicate'],
    [
      'a claim twice, escaped',
      raw(`{"tenant\\u005fid":"x",${JSON.stringify(claimsAt(clock)).slice(1)}`),
      'duplicate',
    ],
    [
      'an end at infinity',
      raw(JSON.stringify(claimsAt(clock)).replace(/"exp":\d+/, '"exp":1e999')),
      'claims',
    ],
  ]

  it.each(accepted)('%s', async (_, text, reason) => {
    const key = new TextEncoder().encode(SECRET)
    await expect(jwtVerify(text, key, { currentDate: new Date(clock.now()) })).resolves.toBeDefined()
    expect(await gate.judge(text)).toBe(reason)
  })

  it('and what it refuses stays refused: none, crit, a text as exp, HMAC with the public key', async () => {
    const key = testKey('k', 'RS256')
    const pem = key.publicKey.export({ type: 'spki', format: 'pem' }) as string
    expect(await gate.judge(`${seal({ alg: 'none' }, claimsAt(clock), () => Buffer.from('x'))}`)).toBe(
      'algorithm',
    )
    expect(await gate.judge(token({}, { crit: ['x'], x: 1 }))).toBe('extension')
    expect(await gate.judge(token({}, { b64: false }))).toBe('extension')
    expect(await gate.judge(token({ exp: `${now + 60}` }))).toBe('claims')
    expect(await gate.judge(seal({ alg: 'HS256' }, claimsAt(clock), hmac('HS256', pem)))).toBe('signature')
  })
})

describe('a refusal says why', () => {
  const pinned = gateOf({ ...hs256, type: 'at+jwt', maxAgeS: 300 }, {}, clock)
  const typed = (more: Json = {}, typ: unknown = 'at+jwt') => token(more, { typ })

  it.each<[string, unknown, unknown]>([
    ['expired', gate.judge(token({ exp: now - 6 })), 'expired'],
    ['not valid yet', gate.judge(token({ nbf: now + 6 })), 'early'],
    ['another audience', gate.judge(token({ aud: ['other'] })), 'audience'],
    ['an issuer that is not configured', gate.judge(token({ iss: 'https://evil.test' })), 'issuer'],
    ['another key', gate.judge(hs256Token(clock, {}, {}, `${SECRET}2`)), 'signature'],
    ['too large', gate.judge(token({ pad: 'x'.repeat(TOKEN_BYTES_MAX) })), 'size'],
    ['not a token', gate.judge('hello'), 'malformed'],
    ['another type', pinned.judge(typed({}, 'JWT')), 'type'],
    ['no type', pinned.judge(token()), 'type'],
    ['issued too long ago', pinned.judge(typed({ iat: now - 306 })), 'age'],
    ['issued in the future', pinned.judge(typed({ iat: now + 6 })), 'early'],
    ['no time of issue', pinned.judge(typed({ iat: undefined })), 'claims'],
  ])('%s', async (_, said, reason) => expect(await said).toBe(reason))

  it('but never repeats the token', async () => {
    // The audience is compared by jose, whose own error holds all claims.
    const text = token({ aud: 'elsewhere', sub: 'a-secret-subject' })
    const error: Error = await gate.authenticate(`Bearer ${text}`).catch((caught) => caught)
    expect(error.message).toBe('The token is meant for another audience.')
    expect(error.cause).toBeUndefined()
    expect(JSON.stringify(error) + error.stack).not.toMatch(/a-secret-subject|elsewhere|eyJ/)
  })
})

it("is held against the issuer's own name, whoever chose the issuer", async () => {
  const [issuer] = issuersOf(hs256)
  const keys = issuerKeys(issuer!, 'tokens[0]', '.', undefined)
  const verify = (iss: string) => verifyToken(readToken(token({ iss })), issuer!, keys, clock)
  await expect(verify('https://issuer.test')).resolves.toEqual(acme)
  await expect(verify('https://other.test')).rejects.toMatchObject({ details: { reason: 'issuer' } })
})

it('the type is compared as RFC 7515 says: case and "application/" do not count', async () => {
  const pinned = gateOf({ ...hs256, type: 'at+jwt' }, {}, clock)
  expect(await pinned.judge(token({}, { typ: 'application/AT+JWT' }))).toEqual(acme)
})

it('the clock tolerance widens both ends, and ends there', async () => {
  expect(await gate.judge(token({ exp: now - 4 }))).toMatchObject({ tenant: 'acme' })
  expect(await gate.judge(token({ exp: now - 5 }))).toBe('expired')
  expect(await gate.judge(token({ nbf: now + 5 }))).toMatchObject({ tenant: 'acme' })
  expect(await gate.judge(token({ nbf: now + 6 }))).toBe('early')
})

it('white space inside the JSON is the issuer\u2019s own business', async () => {
  expect(await gate.judge(raw(JSON.stringify(claimsAt(clock), null, 2)))).toEqual(acme)
})
