/** The header, the choice of the issuer, and what is remembered of verified tokens. */

import { describe, expect, it } from 'vitest'
import { TOKEN_BYTES_MAX } from '../../src/tenant/compact.ts'
import { claimsAt, gateOf, hs256, hs256Token, SECRET } from '../kit/identity.ts'
import { hmac, seal } from '../kit/tokens.ts'

const acme = expect.objectContaining({ tenant: 'acme' })

describe('the header', () => {
  const gate = gateOf(hs256)
  const token = hs256Token(gate.clock)
  const say = (header: string | undefined) => gate.authenticate(header).catch((error) => error.details.reason)

  it.each(['Bearer', 'bearer', 'BEARER', 'bEaReR'])('%s', async (scheme) => {
    expect(await say(`${scheme} ${token}`)).toEqual(acme)
  })

  const wrong: readonly [string | undefined, string][] = [
    [undefined, 'missing'],
    ['', 'missing'],
    ['Bearer', 'scheme'],
    ['Bearer ', 'scheme'],
    [token, 'scheme'],
    [`Basic ${token}`, 'scheme'],
    [`Token ${token}`, 'scheme'],
    [`Bearer${token}`, 'scheme'],
    [`Bearer\t${token}`, 'scheme'],
    [` Bearer ${token}`, 'scheme'],
    [`Bearer ${token} `, 'scheme'],
    [`Bearer ${token}\n`, 'scheme'],
    [`Bearer ${token}\r\nX-Tenant-ID: b`, 'scheme'],
    [`Bearer ${token}, Bearer ${token}`, 'scheme'],
    [`Bearer ${token},Bearer`, 'malformed'],
    [`Bearer "${token}"`, 'malformed'],
    [`Bearer token=${token}`, 'malformed'],
    ['Bearer undefined', 'malformed'],
    ['Bearer null', 'malformed'],
    [`Bearer ${'x'.repeat(TOKEN_BYTES_MAX + 1)}`, 'size'],
    [`Bearer ${' '.repeat(1_000_000)}x`, 'size'],
  ]
  it.each(wrong.map(([header, reason]) => [String(header).slice(0, 30), reason, header] as const))(
    '%s… is refused: %s',
    async (_, reason, header) => expect(await say(header)).toBe(reason),
  )
})

describe('two issuers', () => {
  const other = 'the-secret-of-another-issuer-0123456789'
  const two = {
    issuer: 'https://two.test',
    algorithms: ['HS512'],
    secrets: [other],
  }
  const gate = gateOf([hs256, two])
  const token = (iss: string, alg: string, secret: string) =>
    seal({ alg }, claimsAt(gate.clock, { iss }), hmac(alg, secret))

  it('each verifies its own tokens, with its own keys and algorithms', async () => {
    expect(await gate.judge(token('https://issuer.test', 'HS256', SECRET))).toEqual(acme)
    expect(await gate.judge(token('https://two.test', 'HS512', other))).toEqual(acme)
    expect(await gate.judge(token('https://two.test', 'HS512', SECRET))).toBe('signature')
    expect(await gate.judge(token('https://two.test', 'HS256', other))).toBe('algorithm')
    expect(await gate.judge(token('https://issuer.test', 'HS256', other))).toBe('signature')
  })

  it.each([[['https://two.test']], [null], [7], ['HTTPS://TWO.TEST'], ['__proto__']])(
    'iss %j is nobody',
    async (iss) => {
      expect(await gate.judge(hs256Token(gate.clock, { iss }))).toBe('issuer')
      // No issuer's keys are asked: with any of them this would be a wrong signature.
      expect(await gate.judge(hs256Token(gate.clock, { iss }, {}, 'nobody'))).toBe('issuer')
    },
  )
})

describe('a token that was verified before', () => {
  it('gives the same identity, frozen, without verifying again', async () => {
    const gate = gateOf(hs256)
    const token = hs256Token(gate.clock, { roles: ['admin'] })
    const identity = await gate.judge(token)
    expect(await gate.judge(token)).toBe(identity)
    expect(() => (identity as { roles: string[] }).roles.push('operator')).toThrow(TypeError)
  })

  it('ends with its exp and the tolerance, to the second', async () => {
    const gate = gateOf(hs256)
    const token = hs256Token(gate.clock)
    expect(await gate.judge(token)).toEqual(acme)
    gate.clock.advance(604_000)
    expect(await gate.judge(token)).toEqual(acme)
    gate.clock.advance(1_000)
    expect(await gate.judge(token)).toBe('expired')
  })

  it('ages, where the issuer limits the age', async () => {
    const gate = gateOf({ ...hs256, maxAgeS: 60 })
    const token = hs256Token(gate.clock)
    expect(await gate.judge(token)).toEqual(acme)
    gate.clock.advance(65_000)
    expect(await gate.judge(token)).toEqual(acme)
    gate.clock.advance(1_000)
    expect(await gate.judge(token)).toBe('age')
  })

  it.each([
    [30_000, acme],
    [-30_000, acme],
    [300_000, acme],
    [606_000, 'expired'],
    [-86_400_000, acme],
  ])('54: the clock jumps by %i ms', async (ms, said) => {
    const gate = gateOf(hs256)
    const token = hs256Token(gate.clock)
    expect(await gate.judge(token)).toEqual(acme)
    gate.clock.jump(ms)
    expect(await gate.judge(token)).toEqual(said)
    expect(await gate.judge(hs256Token(gate.clock))).toEqual(acme)
  })

  it('54: a clock set back makes it not valid yet, where it says so', async () => {
    const gate = gateOf(hs256)
    const token = hs256Token(gate.clock, { nbf: gate.clock.now() / 1000 })
    expect(await gate.judge(token)).toEqual(acme)
    gate.clock.jump(-30_000)
    expect(await gate.judge(token)).toBe('early')
  })

  it('D10: lends nothing to another spelling of itself', async () => {
    const gate = gateOf(hs256)
    const token = hs256Token(gate.clock)
    expect(await gate.judge(token)).toEqual(acme)
    const last = token.at(-1)!
    const twin = token.slice(0, -1) + String.fromCharCode(last.charCodeAt(0) + 1)
    expect(Buffer.from(twin.split('.')[2]!, 'base64url')).toEqual(
      Buffer.from(token.split('.')[2]!, 'base64url'),
    )
    for (const text of [twin, `${token}=`, `${token}\n`, `${token}.`])
      expect(await gate.judge(text)).toBeTypeOf('string')
  })

  it('lends nothing to a token of its signature or of its claims', async () => {
    const gate = gateOf(hs256)
    const [mine, theirs] = [hs256Token(gate.clock), hs256Token(gate.clock, { tenant_id: 'globex' })]
    expect(await gate.judge(mine)).toEqual(acme)
    const [header, , signature] = mine.split('.')
    expect(await gate.judge(`${header}.${theirs.split('.')[1]}.${signature}`)).toBe('signature')
    expect(await gate.judge(`${header}.${mine.split('.')[1]}.${theirs.split('.')[2]}`)).toBe('signature')
  })
})
