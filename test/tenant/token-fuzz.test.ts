/**
 * Forged and odd tokens by the thousand, each judged twice: by the authenticator and by a second
 * verifier that shares no code with it. `COUNT=200000` runs the long form, `SEED=…` repeats a run.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { configFile } from '../../src/base/config-schema.ts'
import { isGatewayError } from '../../src/base/errors.ts'
import { authenticator } from '../../src/tenant/authenticate.ts'
import { manualClock } from '../kit/clock.ts'
import { type Random, runRandom } from '../kit/random.ts'
import type { Subject } from '../kit/token-forgeries.ts'
import { MUTATORS } from '../kit/token-mutators.ts'
import { oracle, type Verdict } from '../kit/token-oracle.ts'
import { hmac, type Json, type Signer, seal, testKey } from '../kit/tokens.ts'

const COUNT = Number(process.env.COUNT ?? 4_000)
const SECRETS = ['the-newest-secret-of-issuer-a-0123456789', 'the-older-secret-of-issuer-a-01234567890']
const keys = [testKey('r1', 'RS256'), testKey('p1', 'PS256'), testKey('e1', 'ES256'), testKey('d1', 'EdDSA')]
const strangers = ['RS256', 'ES256', 'EdDSA'].map((alg) => testKey('evil', alg))

const folder = mkdtempSync(join(tmpdir(), 'shardgate-fuzz-'))
writeFileSync(join(folder, 'keys.json'), JSON.stringify({ keys: keys.map((key) => key.jwk) }))
afterAll(() => rmSync(folder, { recursive: true }))

const issuers = configFile.shape.tokens.parse([
  { issuer: 'https://a.test', audience: 'shardgate', algorithms: ['HS256', 'HS512'], secrets: SECRETS },
  {
    issuer: 'https://b.test',
    audience: 'api',
    algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
    jwksFile: 'keys.json',
    tenantClaim: 'https://b.test/tenant',
    rolesClaim: 'realm.roles',
    defaultRole: 'viewer',
    type: 'at+jwt',
    maxAgeS: 3_600,
  },
])
const clock = manualClock()
const now = clock.now() / 1000
const { authenticate } = authenticator({ issuers, configDir: folder, clock, emit: () => {} })

/** The good token: header, claims and key of one of the issuers. */
function goodToken(random: Random, tenant: string): { header: Json; claims: Json; sign: Signer } {
  const times = { iat: now - random.int(60), exp: now + 60 + random.int(3_000) }
  if (random.chance(0.5)) {
    const alg = random.pick(['HS256', 'HS512'])
    const claims = {
      iss: 'https://a.test',
      aud: 'shardgate',
      sub: 'u1',
      roles: ['member'],
      tenant_id: tenant,
    }
    return {
      header: { alg, typ: 'JWT' },
      claims: { ...claims, ...times },
      sign: hmac(alg, random.pick(SECRETS)),
    }
  }
  const key = random.pick(keys)
  const claims = {
    iss: 'https://b.test',
    aud: 'api',
    realm: { roles: 'admin member' },
    'https://b.test/tenant': tenant,
  }
  return {
    header: { alg: key.alg, kid: key.kid, typ: 'at+jwt' },
    claims: { ...claims, ...times },
    sign: key.sign,
  }
}

function subject(random: Random): Subject {
  const good = goodToken(random, random.pick(['acme', '7', 'globex-2']))
  const other = { ...goodToken(random, 'initech'), header: good.header, sign: good.sign }
  return {
    ...good,
    text: seal(good.header, good.claims, good.sign),
    other: seal(other.header, { ...good.claims, sub: 'u2' }, other.sign),
    published: keys,
    attacker: random.pick(strangers),
    tenantClaim: good.claims.iss === 'https://a.test' ? 'tenant_id' : 'https://b.test/tenant',
    now,
  }
}

/** What the authenticator says: an identity, or null for a refusal. Anything else is a finding. */
async function answer(text: string): Promise<Verdict | null> {
  try {
    const { expiresAt: _, ...identity } = await authenticate(`Bearer ${text}`)
    return identity
  } catch (error) {
    if (!isGatewayError(error, 'UNAUTHENTICATED')) throw error
    if (text.length > 20) expect(`${error.message} ${JSON.stringify(error.details)}`).not.toContain(text)
    return null
  }
}

// Spaces in front belong to the header, which may hold several after "Bearer" (RFC 9110, 11.4).
const judge = (text: string) => oracle(text.replace(/^ +/, ''), issuers, keys, clock.now())

it('D10: no mutated token is accepted that a second verifier refuses, and none refused that it accepts', async () => {
  const random = runRandom().fork('tokens')
  const names = Object.keys(MUTATORS)
  const refused = new Map<string, number>()
  let accepted = 0
  for (let n = 0; n < COUNT; n++) {
    const name = names[n % names.length]!
    const good = subject(random)
    if (random.chance(0.3)) await authenticate(`Bearer ${good.text}`) // so that the cache holds its neighbour
    const text = MUTATORS[name]!(good, random)
    const [said, wanted] = [await answer(text), judge(text)]
    expect(said, `${name}: ${text}`).toEqual(wanted)
    expect(await answer(text), `${name}, again: ${text}`).toEqual(wanted)
    if (said) accepted++
    else refused.set(name, (refused.get(name) ?? 0) + 1)
  }
  const total = [...refused.values()].reduce((sum, one) => sum + one, 0)
  console.log(`${names.length} mutators, ${COUNT} tokens: ${total} refused, ${accepted} valid, 0 disputed`)
  expect(names.length).toBeGreaterThanOrEqual(40)
  expect(refused.size).toBeGreaterThanOrEqual(40)
}, 3_600_000)

it('D10: valid tokens of every issuer, algorithm and secret are accepted', async () => {
  const random = runRandom().fork('valid')
  const count = Math.ceil(COUNT / 4)
  for (let n = 0; n < count; n++) {
    const good = goodToken(random, `tenant-${random.int(1_000)}`)
    const text = seal(good.header, good.claims, good.sign)
    expect(await answer(text), text).toEqual(judge(text))
    expect(judge(text)).not.toBeNull()
  }
  console.log(`${count} valid tokens: 0 refused`)
}, 3_600_000)
