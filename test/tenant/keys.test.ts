/** Secrets and local key sets: what is taken, and what the configuration is told about the rest. */

import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { KEYS_MAX, readKeySet, selectKeys } from '../../src/tenant/key-set.ts'
import { manualClock } from '../kit/clock.ts'
import { claimsAt, gateOf, hs256, hs256Token, issuersOf, SECRET } from '../kit/identity.ts'
import { type Json, seal, type TestKey, testKey } from '../kit/tokens.ts'

const folder = mkdtempSync(join(tmpdir(), 'shardgate-keys-'))
afterAll(() => rmSync(folder, { recursive: true }))
const write = (name: string, text: string) => writeFileSync(join(folder, name), text)

const clock = manualClock()
const rsa = testKey('r1', 'RS256')
const ec = testKey('e1', 'ES256')
const token = (key: TestKey, header: Json = {}) =>
  seal({ alg: key.alg, kid: key.kid, ...header }, claimsAt(clock), key.sign)
write('keys.json', JSON.stringify({ keys: [rsa.jwk, ec.jwk] }))

describe('CONFIG_INVALID names the key', () => {
  const rs = { algorithms: ['RS256'] }
  it.each<[Json, string]>([
    [
      { algorithms: ['HS256'], secrets: [SECRET, 'x'.repeat(31)] },
      'tokens[0].secrets[1]: wanted 32 bytes or more; 31 came',
    ],
    [{ algorithms: ['HS256'], jwksFile: 'keys.json' }, 'tokens[0].secrets: '],
    [{ algorithms: ['RS256'], secrets: [SECRET] }, 'tokens[0].algorithms: '],
    [{ algorithms: ['HS256', 'RS256'], secrets: [SECRET] }, 'tokens[0].jwksUrl: '],
    [{ algorithms: ['HS256'], secrets: [SECRET], jwksFile: 'keys.json' }, 'tokens[0].algorithms: '],
    [{ ...rs, jwksFile: 'keys.json', jwksUrl: 'https://issuer.test/keys' }, 'tokens[0].jwksFile: '],
    [{ ...rs, jwksFile: 'absent.json' }, 'tokens[0].jwksFile: wanted a JSON Web Key Set at '],
    [{ ...rs, jwksFile: 'html.json' }, 'not JSON'],
    [{ ...rs, jwksFile: 'empty.json' }, 'no usable key'],
  ])('%j', (issuer, words) => {
    write('html.json', '<html>')
    write('empty.json', '{"keys":[]}')
    const make = () => gateOf(issuer, { configDir: folder })
    expect(make).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(words) }),
    )
    expect(make).not.toThrow(/xxxx|a-secret/)
  })

  it('of an issuer that comes twice', () => {
    const make = () => gateOf(hs256, { issuers: issuersOf(hs256, hs256) })
    expect(make).toThrow('tokens[1].issuer: wanted each issuer once; it comes twice')
  })
})

it('56: while a secret is rotated, tokens of both secrets are accepted, and no other', async () => {
  const [newer, older] = [`newer-${SECRET}`, `older-${SECRET}`]
  const before = gateOf({ algorithms: ['HS256'], secrets: [older] }, {}, clock)
  const between = gateOf({ algorithms: ['HS256'], secrets: [newer, older] }, { previous: before }, clock)
  const after = gateOf({ algorithms: ['HS256'], secrets: [newer] }, { previous: between }, clock)
  const [first, second] = [hs256Token(clock, {}, {}, older), hs256Token(clock, {}, {}, newer)]
  expect(await before.judge(first)).toMatchObject({ tenant: 'acme' })
  expect(await between.judge(first)).toMatchObject({ tenant: 'acme' })
  expect(await between.judge(second)).toMatchObject({ tenant: 'acme' })
  expect(await after.judge(second)).toMatchObject({ tenant: 'acme' })
  expect(await after.judge(first)).toBe('signature')
})

describe('a local key set', () => {
  const gate = gateOf({ algorithms: ['RS256', 'ES256'], jwksFile: 'keys.json' }, { configDir: folder }, clock)

  it('verifies by key id, and without one tries each key of the algorithm', async () => {
    expect(await gate.judge(token(rsa))).toMatchObject({ tenant: 'acme' })
    expect(await gate.judge(token(ec))).toMatchObject({ tenant: 'acme' })
    expect(await gate.judge(token(ec, { kid: undefined }))).toMatchObject({ tenant: 'acme' })
  })

  it('knows no key under another id, another algorithm or a path', async () => {
    expect(await gate.judge(token(rsa, { kid: 'e1' }))).toBe('key')
    expect(await gate.judge(token(rsa, { kid: '../keys.json' }))).toBe('key')
    expect(await gate.judge(token(rsa, { kid: 7 }))).toBe('malformed')
  })

  it('is never replaced by key material in the header', async () => {
    const evil = testKey('evil', 'RS256')
    const der = evil.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
    for (const header of [
      { jwk: evil.jwk },
      { jku: 'http://127.0.0.1:9/' },
      { x5u: 'http://127.0.0.1:9/' },
      { x5c: [der] },
    ]) {
      expect(await gate.judge(token(evil, header))).toBe('key')
      expect(await gate.judge(token(evil, { ...header, kid: 'r1' }))).toBe('signature')
      expect(await gate.judge(token(evil, { ...header, kid: undefined }))).toBe('signature')
      expect(await gate.judge(token(rsa, header))).toMatchObject({ tenant: 'acme' })
    }
  })
})

it('D10: with secrets and public keys, the algorithm decides which are tried', async () => {
  const both = { algorithms: ['HS256', 'RS256'], secrets: [SECRET], jwksFile: 'keys.json' }
  const gate = gateOf(both, { configDir: folder }, clock)
  const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' }) as string
  expect(await gate.judge(token(rsa))).toMatchObject({ tenant: 'acme' })
  expect(await gate.judge(hs256Token(clock, {}, { kid: 'r1' }))).toMatchObject({ tenant: 'acme' })
  expect(await gate.judge(hs256Token(clock, {}, { kid: 'r1' }, pem))).toBe('signature')
})

describe('51: of a key set only public signing keys are used', () => {
  const secret = { kty: 'oct', k: 'c2VjcmV0', kid: 'o', alg: 'HS256' }
  const odd: readonly [string, unknown][] = [
    ['use enc', { ...rsa.jwk, use: 'enc' }],
    ['key_ops without verify', { ...rsa.jwk, key_ops: ['encrypt'] }],
    ['a secret', secret],
    [
      'a private key',
      generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }),
    ],
    ['a short RSA key', testKey('s', 'RS256', 1024).jwk],
    ['another curve', { ...testKey('x', 'ES384').jwk, alg: 'ES256' }],
    ['an algorithm that does not fit', { ...rsa.jwk, alg: 'ES256' }],
    ['an algorithm for encryption', { ...rsa.jwk, alg: 'RSA-OAEP' }],
    ['a key id that is no text', { ...rsa.jwk, kid: 5 }],
    ['a broken modulus', { kty: 'RSA', n: '!', e: 'AQAB' }],
    ['no object', 'key'],
    ['null', null],
  ]

  it.each(odd)('%s: left out, the rest stays', (_, jwk) => {
    expect(() => readKeySet(JSON.stringify({ keys: [jwk] }))).toThrow('no usable key')
    const kept = readKeySet(JSON.stringify({ keys: [jwk, ec.jwk] }))
    expect(kept.map((key) => key.kid)).toEqual(['e1'])
  })

  it.each(['[]', 'null', '{}', '{"keys":{}}', '<html>'])('%s is no key set', (text) => {
    expect(() => readKeySet(text)).toThrow()
  })

  it('two keys under one id are both tried', () => {
    const twin = testKey('e1', 'ES256')
    expect(selectKeys(readKeySet(JSON.stringify({ keys: [twin.jwk, ec.jwk] })), 'ES256', 'e1')).toHaveLength(
      2,
    )
  })

  it('more keys than one token may be tried against are refused', () => {
    const keys = Array.from({ length: KEYS_MAX + 1 }, (_, i) => ({ ...ec.jwk, kid: `k${i}` }))
    expect(() => readKeySet(JSON.stringify({ keys }))).toThrow('more than 64 keys')
    expect(readKeySet(JSON.stringify({ keys: keys.slice(1) }))).toHaveLength(KEYS_MAX)
  })
})
