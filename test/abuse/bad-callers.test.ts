/**
 * Callers whom a whole gateway refuses: forged tokens, tokens of nobody, and requests that name another
 * tenant than their token does. Nothing is changed by any of them.
 */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/time.ts'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { type Caller, openCaller } from '../kit/refusal.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'
import { hmac, type Json, seal } from '../kit/tokens.ts'

const QUERY = '{ projects { totalCount } }'
const BASE = 'api.example.test'
/** What every tenant has. */
const THREE = { projects: { totalCount: 3 } }

let world: World
let gateway: Gateway
let mine: WorldTenant
let other: WorldTenant
let caller: Caller
let before: string[]

beforeAll(async () => {
  world = await startWorld({ tenants: 4, shards: 3, rows: 3 }, { http: { baseDomain: BASE } })
  gateway = await startGateway(world, { NODE_ENV: 'production' })
  mine = world.tenants[0]!
  other = world.tenants[3]! // On the same shard.
  expect(other.shard).toBe(mine.shard)
  caller = openCaller(world, gateway, mine, await worldToken(world, mine))
  before = await caller.contents()
})
afterAll(async () => {
  caller?.close()
  await gateway?.stop()
  await world?.stop()
})
afterEach(async () => {
  expect(await caller.contents()).toEqual(before)
  expect(gateway.ended).toBeUndefined()
})

describe('a token', () => {
  const claims = (over: Json = {}): Json => {
    const now = Math.floor(systemClock.now() / 1000)
    const times = { iat: now, exp: now + 600 }
    return {
      iss: 'shardgate',
      aud: 'shardgate',
      sub: 's',
      tenant_id: mine.id,
      roles: ['admin'],
      ...times,
      ...over,
    }
  }
  const signed = (over: Json = {}, head: Json = {}): string =>
    seal({ alg: 'HS256', typ: 'JWT', ...head }, claims(over), hmac('HS256', world.secret))

  it('the token that the others are made of is good', async () => {
    expect(await caller.data({ query: QUERY, token: signed() })).toEqual(THREE)
  })

  it.each<[string, () => string | null]>([
    ['no token', () => null],
    ['an empty one', () => ''],
    ['a word', () => 'x'],
    ['signed by nobody', () => seal({ alg: 'none', typ: 'JWT' }, claims(), () => Buffer.alloc(0))],
    ['with another secret', () => seal({ alg: 'HS256' }, claims(), hmac('HS256', 'x'.repeat(32)))],
    ['with another algorithm', () => seal({ alg: 'HS512' }, claims(), hmac('HS512', world.secret))],
    ['expired', () => signed({ exp: 1 })],
    ['without an end', () => signed({ exp: undefined })],
    ['not yet valid', () => signed({ nbf: 32_503_680_000 })],
    ['of another issuer', () => signed({ iss: 'somebody' })],
    ['for another audience', () => signed({ aud: 'somewhere' })],
    [
      'with its own key',
      () => signed({}, { jwk: { kty: 'oct', k: 'AA' } }).replace(/.$/, (last) => (last === 'A' ? 'E' : 'A')),
    ],
    ['of two tenants', () => signed({ tenant_id: [mine.id, other.id] })],
    ['of no tenant', () => signed({ tenant_id: undefined })],
    ['of a tenant with a strange name', () => signed({ tenant_id: '../etc' })],
    ['in capitals', () => signed({ tenant_id: mine.id.toUpperCase() })],
    [
      'changed after signing',
      () =>
        signed().replace(
          /\.[^.]+\./,
          `.${Buffer.from(JSON.stringify(claims({ tenant_id: other.id }))).toString('base64url')}.`,
        ),
    ],
    ['half a megabyte', () => signed({ noise: 'x'.repeat(7_000) })],
  ])('%s', async (_, made) => {
    await caller.refused({ query: QUERY, token: made() }, 'UNAUTHENTICATED')
  })

  it.each<[string, Json, string]>([
    ['of a tenant that is not there', { tenant_id: 'nobody' }, 'TENANT_UNKNOWN'],
    ['without a role', { roles: [] }, 'FORBIDDEN'],
    ['with a role that is none', { roles: ['king'] }, 'FORBIDDEN'],
    ['of a viewer who writes', { roles: ['viewer'] }, 'FORBIDDEN'],
    ['of the operator', { roles: ['operator'] }, 'FORBIDDEN'],
  ])('%s', async (_, over, code) => {
    const query = 'mutation { createProject(input: { rowId: 901, name: "x" }) { __typename } }'
    await caller.refused({ query, token: signed(over) }, code)
  })
})

describe('X-Tenant-ID', () => {
  it('of the own tenant is no news', async () => {
    expect(await caller.data({ query: QUERY, headers: { 'x-tenant-id': mine.id } })).toEqual(THREE)
  })

  it.each<[string, () => Record<string, string>]>([
    ['of another tenant', () => ({ 'x-tenant-id': other.id })],
    ['of nobody', () => ({ 'x-tenant-id': 'nobody' })],
    ['in capitals', () => ({ 'x-tenant-id': mine.id.toUpperCase() })],
    ['of both', () => ({ 'x-tenant-id': `${mine.id}, ${other.id}` })],
    ['empty', () => ({ 'x-tenant-id': '' })],
  ])('%s', async (_, headers) => {
    await caller.refused({ query: QUERY, headers: headers() }, 'TENANT_MISMATCH')
  })

  it('of somebody else and of nobody are answered alike', async () => {
    const said = new Set<string>()
    for (const id of [other.id, 'nobody']) {
      said.add(await caller.refused({ query: QUERY, headers: { 'x-tenant-id': id } }, 'TENANT_MISMATCH'))
    }
    expect(said.size).toBe(1)
  })
})

describe('the subdomain', () => {
  it.each<[string, () => string]>([
    ['is its own', () => `${mine.id}.${BASE}`],
    ['is its own, with a port', () => `${mine.id}.${BASE}:8443`],
    ['is its own, in capitals and with a dot at the end', () => `${mine.id.toUpperCase()}.${BASE}.`],
    ['is missing', () => BASE],
    ['is of another domain', () => `${other.id}.example.test`],
    ['is an address', () => '127.0.0.1'],
  ])('%s: answered', async (_, host) => {
    expect(await caller.data({ query: QUERY, headers: { host: host() } })).toEqual(THREE)
  })

  it.each<[string, () => Record<string, string>]>([
    ['of another tenant', () => ({ host: `${other.id}.${BASE}` })],
    ['of nobody', () => ({ host: `nobody.${BASE}` })],
    ['below its own', () => ({ host: `x.${mine.id}.${BASE}` })],
    ['of two', () => ({ host: `${mine.id}.${BASE},${other.id}.${BASE}` })],
    ['of another, with its own header', () => ({ host: `${other.id}.${BASE}`, 'x-tenant-id': mine.id })],
    [
      'of its own, with the header of another',
      () => ({ host: `${mine.id}.${BASE}`, 'x-tenant-id': other.id }),
    ],
  ])('%s: refused', async (_, headers) => {
    await caller.refused({ query: QUERY, headers: headers() }, 'TENANT_MISMATCH')
  })

  it.each(['x-forwarded-host', 'x-original-host', 'forwarded'])('%s has no say in it', async (name) => {
    const foreign = { [name]: name === 'forwarded' ? `host=${other.id}.${BASE}` : `${other.id}.${BASE}` }
    expect(await caller.data({ query: QUERY, headers: foreign })).toEqual(THREE)
    await caller.refused(
      { query: QUERY, headers: { ...foreign, host: `${other.id}.${BASE}` } },
      'TENANT_MISMATCH',
    )
  })
})
