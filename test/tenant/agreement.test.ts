/** What a request may say beside its token, in more than sixty spellings. */

import { describe, expect, it } from 'vitest'
import { isGatewayError } from '../../src/base/errors.ts'
import { tenantId } from '../../src/base/ids.ts'
import { type HeaderValue, requireAgreement } from '../../src/tenant/agreement.ts'

const baseDomain = 'api.example.com'
const token = { tenant: tenantId('acme'), subdomain: 'acme-inc' }

/** 'agrees', or the sentence of the refusal. */
function said(headers: Record<string, HeaderValue>, domain: string | undefined = baseDomain): string {
  try {
    requireAgreement({ ...token, headers, baseDomain: domain })
    return 'agrees'
  } catch (error) {
    if (!isGatewayError(error, 'TENANT_MISMATCH')) throw error
    return error.message
  }
}
/** Rows of one value with a title in front, because some are long. */
const titled = (rows: readonly [HeaderValue][]) =>
  rows.map(([value]) => [String(JSON.stringify(value)).slice(0, 50), value] as const)
const MISMATCH = 'The request names another tenant than its token does.'

describe('X-Tenant-ID', () => {
  it.each(titled([[undefined], [[]], ['acme'], [['acme']]]))('%s agrees', (_, value) => {
    expect(said({ 'x-tenant-id': value })).toBe('agrees')
  })

  it.each(
    titled([
      ['globex'], // somebody else's
      ['nobody-has-this'], // nobody's
      ['acme-inc'], // the subdomain is not the id
      ['ACME'],
      ['Acme'],
      [' acme'],
      ['acme '],
      ['acme\t'],
      ['acme\n'],
      ['acme\0'],
      ['\0'],
      [''],
      [' '],
      ['"acme"'],
      ['acme,'],
      ['acme, acme'],
      ['acme,globex'],
      ['globex, acme'],
      ['acme;globex'],
      ['acme acme'],
      [['acme', 'acme']],
      [['acme', 'globex']],
      [['globex', 'acme']],
      [['', 'acme']],
      [['globex']],
      ['%61cme'],
      ['acm%65'],
      ['acme%00'],
      ['acme%0d%0a'],
      ['acme.'],
      ['acme/../globex'],
      ['../acme'],
      ['acme*'],
      ['*'],
      ["acme' or '1'='1"],
      ['аcme'], // Cyrillic а
      ['ａｃｍｅ'], // full width
      ['acmé'],
      ['acme\u0301'],
      ['acme\u200b'],
      ['\ufeffacme'],
      ['xn--acme'],
      ['undefined'],
      ['null'],
      ['0'],
      ['acme'.repeat(10_000)],
    ]),
  )('%s is refused', (_, value) => {
    expect(said({ 'x-tenant-id': value })).toBe(MISMATCH)
  })
})

describe('Host under the base domain', () => {
  it.each([
    ['acme-inc.api.example.com'],
    ['ACME-INC.API.example.COM'],
    ['acme-inc.api.example.com:443'],
    ['acme-inc.api.example.com.'],
    ['acme-inc.api.example.com.:8443'],
  ])('%j agrees', (host) => expect(said({ host })).toBe('agrees'))

  it.each(
    titled([
      ['globex.api.example.com'],
      ['nobody-has-this.api.example.com'],
      ['acme.api.example.com'], // the id is not the subdomain
      ['globex.api.example.com.'],
      ['GLOBEX.api.example.com:4000'],
      ['x.acme-inc.api.example.com'],
      ['acme-inc.globex.api.example.com'],
      ['acme-inc..api.example.com'],
      ['.api.example.com'],
      ['acme-inc.api.example.com..'],
      ['acme-inc.api.example.com:'],
      ['acme-inc.api.example.com:x'],
      ['acme-inc.api.example.com:80:80'],
      ['acme-inc.api.example.com:123456'],
      ['acme-inc.api.example.com, globex.api.example.com'],
      ['globex.api.example.com,acme-inc.api.example.com'],
      [['acme-inc.api.example.com', 'acme-inc.api.example.com']],
      [['acme-inc.api.example.com', 'globex.api.example.com']],
      [' acme-inc.api.example.com'],
      ['acme-inc .api.example.com'],
      ['acme-inc.api.example.com\n'],
      ['acme-inc.api.example.com\0'],
      ['globex.api.example.com\0.evil.test'],
      ['acme%2dinc.api.example.com'],
      ['acme-inc%2eapi.example.com'],
      ['acme-inc.api.example.com/globex'],
      ['acme-inc.api.example.com@globex.api.example.com'],
      ['globex.api.example.com#'],
      ['http://acme-inc.api.example.com'],
      ['аcme-inc.api.example.com'], // Cyrillic а
      ['acme\u2010inc.api.example.com'],
      ['acme-inc。api.example.com'], // an ideographic full stop
      ['acme-inc\u00ad.api.example.com'],
      ['xn--cme-inc-7fg.api.example.com'],
      ['*.api.example.com'],
      [''],
      [' '],
      [`${'a.'.repeat(50_000)}api.example.com`],
    ]),
  )('%s is refused', (_, host) => expect(said({ host })).toBe(MISMATCH))
})

describe('Host that names no tenant', () => {
  it.each([
    [undefined],
    ['api.example.com'],
    ['API.EXAMPLE.COM.:4000'],
    ['example.com'],
    ['globex.example.com'],
    ['globexapi.example.com'], // ends in the base domain, but not at a dot
    ['api.example.com.evil.test'],
    ['localhost:4000'],
    ['10.0.0.7:4000'],
    ['[::1]:4000'],
    ['[::1]'],
  ])('%j has nothing to agree with', (host) => expect(said({ host })).toBe('agrees'))

  it('so it is when no base domain is configured', () => {
    const headers = { host: 'globex.api.example.com' }
    expect(() => requireAgreement({ ...token, headers })).not.toThrow()
    expect(said({ ...headers, 'x-tenant-id': 'globex' })).toBe(MISMATCH)
  })
})

it('no letter that lower case would turn into ASCII passes for it', () => {
  const kelvin = { ...token, subdomain: 'kiwi', baseDomain }
  expect(() => requireAgreement({ ...kelvin, headers: { host: 'KIWI.api.example.com' } })).not.toThrow()
  expect(() => requireAgreement({ ...kelvin, headers: { host: '\u212aiwi.api.example.com' } })).toThrow()
})

it('both must agree, each on its own', () => {
  const host = 'acme-inc.api.example.com'
  expect(said({ host, 'x-tenant-id': 'acme' })).toBe('agrees')
  expect(said({ host, 'x-tenant-id': 'globex' })).toBe(MISMATCH)
  expect(said({ host: 'globex.api.example.com', 'x-tenant-id': 'acme' })).toBe(MISMATCH)
})

it('X-Forwarded-Host and its kin are never read', () => {
  const forwarded = { 'x-forwarded-host': 'globex.api.example.com', forwarded: 'host=globex.api.example.com' }
  expect(said({ ...forwarded, host: 'api.example.com' })).toBe('agrees')
  expect(said({ 'x-forwarded-host': 'acme-inc.api.example.com', host: 'globex.api.example.com' })).toBe(
    MISMATCH,
  )
})
