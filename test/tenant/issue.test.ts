/** Tokens made here are accepted here; what would not be is refused before it is made. */

import { decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { issueToken, requireOperator } from '../../src/tenant/issue.ts'
import type { Identity } from '../../src/tenant/types.ts'
import { gateOf, SECRET } from '../kit/identity.ts'

const gate = gateOf({ algorithms: ['HS256', 'HS512'], secrets: [SECRET] })
const wish = {
  secret: SECRET,
  issuer: 'https://issuer.test',
  audience: 'shardgate',
  tenant: tenantId('acme'),
  roles: ['member', 'operator'],
  subject: 'u1',
  ttlS: 60,
  clock: gate.clock,
} as const

describe('an issued token', () => {
  it('is accepted, with what was asked for', async () => {
    const expiresAt = gate.clock.now() / 1000 + 60
    expect(await gate.judge(await issueToken(wish))).toEqual({
      tenant: 'acme',
      subject: 'u1',
      roles: ['member', 'operator'],
      issuer: 'https://issuer.test',
      expiresAt,
    })
  })

  it('follows the issuer\u2019s claim names, algorithm and type', async () => {
    const claims = { tenantClaim: 'https://example.com/tenant', rolesClaim: 'realm.roles' }
    const other = gateOf(
      { algorithms: ['HS512'], secrets: [SECRET], type: 'at+jwt', ...claims },
      {},
      gate.clock,
    )
    const token = await issueToken({ ...wish, ...claims, algorithm: 'HS512', type: 'at+jwt' })
    expect(await other.judge(token)).toMatchObject({ tenant: 'acme', roles: ['member', 'operator'] })
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'HS512', typ: 'at+jwt' })
  })

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'does not live for %s seconds',
    async (ttlS) => {
      await expect(issueToken({ ...wish, ttlS })).rejects.toMatchObject({ code: 'USAGE' })
    },
  )

  it('is not signed with a short secret', async () => {
    const made = issueToken({ ...wish, secret: 'hunter2' })
    await expect(made).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.not.stringContaining('hunter2'),
    })
  })
})

describe('the operator', () => {
  const identity = (roles: Identity['roles']) => ({ roles }) as Identity

  it('is who has the role, not who is admin', () => {
    expect(() => requireOperator(identity(['operator']))).not.toThrow()
    for (const roles of [[], ['admin'], ['viewer', 'member', 'admin']] as const) {
      expect(() => requireOperator(identity(roles))).toThrow(expect.objectContaining({ code: 'FORBIDDEN' }))
    }
  })
})
