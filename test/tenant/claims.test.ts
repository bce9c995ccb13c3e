/** Which claim names the tenant, which the roles, and which values are taken. */

import { describe, expect, it } from 'vitest'
import { claimAt, identityOf } from '../../src/tenant/claims.ts'

const names = { tenantClaim: 'tenant_id', rolesClaim: 'roles' }
const tenant = (value: unknown) => identityOf({ tenant_id: value }, names).tenant
const roles = (value: unknown, defaultRole?: 'viewer') =>
  identityOf({ tenant_id: 'a', roles: value }, { ...names, defaultRole }).roles

describe('the tenant', () => {
  it.each([
    ['acme', 'acme'],
    ['9b2d6f0c-53f1-4a0e-8a51-6f3f4d7f9a11', '9b2d6f0c-53f1-4a0e-8a51-6f3f4d7f9a11'],
    ['42', '42'],
    [42, '42'],
    [0, '0'],
    [Number.MAX_SAFE_INTEGER, '9007199254740991'],
  ])('%j is %s', (value, id) => expect(tenant(value)).toBe(id))

  it.each([
    [['acme']],
    [[]],
    [{ id: 'acme' }],
    [null],
    [undefined],
    [true],
    [''],
    ['ACME'],
    ['acme '],
    ['acme\n'],
    ['a_b'],
    ['-a'],
    ['a-'],
    ['a'.repeat(41)],
    ['аcme'], // a Cyrillic а
    [1.5],
    [-1],
    [-0],
    [2 ** 53],
    [1e21],
    [Number.NaN],
  ])('%j is refused', (value) => {
    expect(() => tenant(value)).toThrow(expect.objectContaining({ code: 'UNAUTHENTICATED' }))
  })
})

describe('a path', () => {
  it.each<[string, unknown, unknown]>([
    ['tenant_id', { tenant_id: 'a' }, 'a'],
    ['org.id', { org: { id: 'a' } }, 'a'],
    ['org.id', { 'org.id': 'a', org: { id: 'b' } }, 'a'],
    ['https://example.com/tenant', { 'https://example.com/tenant': 'a' }, 'a'],
    ['https://example.com/app.tenant', { 'https://example.com/app': { tenant: 'a' } }, 'a'],
    ['a.b.c', { a: { b: { c: 1 } }, 'a.b': { c: 2 } }, 2],
    ['a.b.c', { a: { 'b.c': 1 } }, 1],
    ['org.id', { org: ['x'] }, undefined],
    ['org.0', { org: ['x'] }, undefined],
    ['org.length', { org: 'xy' }, undefined],
    ['constructor', {}, undefined],
    ['constructor.name', {}, undefined],
    ['__proto__.x', {}, undefined],
    ['.a', { '': { a: 1 } }, undefined],
    ['a.', { a: { '': 1 } }, 1],
  ])('%s of %j is %j', (path, claims, found) => expect(claimAt(claims, path)).toEqual(found))
})

describe('roles', () => {
  it.each<[unknown, readonly string[]]>([
    [
      ['admin', 'member'],
      ['member', 'admin'],
    ],
    ['admin member', ['member', 'admin']],
    [['admin', 'admin', 'billing'], ['admin']],
    ['operator', ['operator']],
    ['admin,member', []],
    ['ADMIN', []],
    [[['admin']], []],
    [{ admin: true }, []],
    [7, []],
    [undefined, []],
  ])('%j are %j', (value, known) => expect(roles(value)).toEqual(known))

  it('none known is the default role, where there is one', () => {
    expect(roles(['billing'], 'viewer')).toEqual(['viewer'])
    expect(roles(undefined, 'viewer')).toEqual(['viewer'])
    expect(roles('admin', 'viewer')).toEqual(['admin'])
  })
})

it('a subject is a text that Postgres and a log can hold', () => {
  const subject = (sub: unknown) => identityOf({ tenant_id: 'a', sub }, names).subject
  expect(subject(undefined)).toBe('')
  expect(subject('auth0|5')).toBe('auth0|5')
  for (const odd of [7, null, ['u'], 'a\0b', '\ud800']) expect(() => subject(odd)).toThrow()
})
