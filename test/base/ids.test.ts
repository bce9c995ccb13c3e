/** Tenant ids: the grammar, and that two ids are never one tenant. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isTenantId, tenantId } from '../../src/base/ids.ts'

const UUID = '5f0c2f1e-7d53-4b8e-9a61-2c9d4e8b7a10'

describe('a tenant id', () => {
  it.each(['acme', 'a', '0', '7', '4217', 'a-b-c', 'x'.repeat(40), UUID, '0x', 'f-1', '1e5', 'deadbeef'])(
    'may be %j',
    (id) => {
      expect(tenantId(id)).toBe(id)
    },
  )

  it.each([
    ['', 'F1: the empty setting'],
    ['Acme', 'a case twin'],
    ['-acme', 'a dash in front'],
    ['acme-', 'a dash behind'],
    ['a'.repeat(41), 'too long'],
    ['acme\n', 'a line feed'],
    ['acme\0', 'NUL'],
    ['ac me', 'a space'],
    ['аcme', 'a Cyrillic а'],
    ['a:b', 'a separator'],
    ['../a', 'a path'],
    ['a%', 'a wildcard'],
    ['007', 'another text of 7'],
    ['00', 'another text of 0'],
    ['0x7', 'hexadecimal for 7'],
    ['0b111', 'binary for 7'],
    ['0o7', 'octal for 7'],
    [UUID.replaceAll('-', ''), 'a UUID without dashes'],
    ['5f0c-2f1e7d534b8e9a612c9d4e8b7a10', 'a UUID with dashes elsewhere'],
    [7, 'a number'],
    [null, 'null'],
    [['acme'], 'a list'],
  ])('may not be %j (%s)', (value: unknown, _why: unknown) => {
    expect(isTenantId(value)).toBe(false)
    expect(() => tenantId(value)).toThrow('A tenant id is')
  })

  it('is the only text of the integer or the UUID that it is', () => {
    const integer = fc
      .tuple(fc.constantFrom('', '0', '00', '0x', '0o', '0b'), fc.nat(99_999))
      .map(([sign, n]) => `${sign}${n}`)
    fc.assert(
      fc.property(fc.array(integer, { minLength: 2 }), (texts) => {
        const ids = [...new Set(texts)].filter(isTenantId)
        expect(new Set(ids.map(Number)).size).toBe(ids.length)
      }),
    )
    const dashed = fc.tuple(fc.uuid(), fc.subarray([4, 8, 12, 16, 20, 24, 28])).map(([uuid, places]) => {
      const digits = uuid.replaceAll('-', '')
      return [...digits].map((digit, i) => (places.includes(i) ? `-${digit}` : digit)).join('')
    })
    fc.assert(
      fc.property(dashed, (text) => {
        expect(isTenantId(text)).toBe(/^.{8}-.{4}-.{4}-.{4}-.{12}$/.test(text) && text.length === 36)
      }),
    )
  })
})
