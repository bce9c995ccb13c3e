/** Keys served over HTTP by an issuer that is slow, down, broken or rotating: faults 49 to 53. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { KEY_SET_BYTES_MAX, REMOTE_KEYS_TIMES } from '../../src/tenant/remote-keys.ts'
import { type ManualClock, manualClock } from '../kit/clock.ts'
import { claimsAt, type Gate, gateOf } from '../kit/identity.ts'
import { type KeyServer, keyServer } from '../kit/key-server.ts'
import { type Json, seal, type TestKey, testKey } from '../kit/tokens.ts'

const { refreshMs, cooldownMs, absentMs, staleMs } = REMOTE_KEYS_TIMES
const [first, second, unknown] = ['k1', 'k2', 'k9'].map((kid) => testKey(kid, 'ES256')) as [
  TestKey,
  TestKey,
  TestKey,
]
// Nothing is verified before its key is found, so a storm need not pay for signatures.
const unsigned: TestKey = { ...unknown, sign: () => Buffer.alloc(64, 1) }
const ids = (count: number, of: number) => Array.from({ length: count }, (_, n) => `${of}-${n}`)
const acme = expect.objectContaining({ tenant: 'acme' })

let clock: ManualClock
let server: KeyServer
let gate: Gate

const issuer = () => ({ algorithms: ['ES256'], jwksUrl: server.url })
// The subject makes each token another one, so that none is answered from what was verified before.
let serial = 0
const token = (key: TestKey, header: Json = {}) =>
  seal({ alg: 'ES256', kid: key.kid, ...header }, claimsAt(clock, { sub: `u${serial++}` }), key.sign)
const failures = () => gate.events.filter((event) => event.kind === 'keys.failed')

/** One token at a time begins a fetch behind itself; wait until that fetch has been answered for. */
async function settled(events: number): Promise<void> {
  while (gate.events.length < events) await new Promise((resolve) => setImmediate(resolve))
}

beforeEach(async () => {
  clock = manualClock()
  server = await keyServer([first.jwk])
  gate = gateOf(issuer(), {}, clock)
})
afterEach(() => server.close())

describe('a set that is fetched', () => {
  it('is fetched once for all who wait, and not before somebody does', async () => {
    expect(server.requests).toHaveLength(0)
    const said = await Promise.all(Array.from({ length: 50 }, () => gate.judge(token(first))))
    expect(said).toEqual(Array(50).fill(acme))
    expect(server.requests).toHaveLength(1)
    expect(gate.events).toEqual([{ kind: 'keys.refreshed', issuer: 'https://issuer.test', keys: 1 }])
  })

  it('is fetched again behind the requests when it is old, also when every token is known', async () => {
    const known = token(first)
    expect(await gate.judge(known)).toEqual(acme)
    clock.advance(refreshMs)
    expect(await gate.judge(known)).toEqual(acme)
    await settled(2)
    expect(server.requests).toHaveLength(2)
  })

  it('is shared by two issuers of one address', async () => {
    gate = gateOf([issuer(), { ...issuer(), issuer: 'https://two.test' }], {}, clock)
    const claims = claimsAt(clock, { iss: 'https://two.test' })
    expect(await gate.judge(token(first))).toEqual(acme)
    expect(await gate.judge(seal({ alg: 'ES256', kid: 'k1' }, claims, first.sign))).toEqual(acme)
    expect(server.requests).toHaveLength(1)
  })
})

describe('49: the endpoint is down for an hour', () => {
  it('D11, G12: valid tokens go on, with at most one fetch in ten seconds under a storm of unknown ids', async () => {
    expect(await gate.judge(token(first))).toEqual(acme)
    server.down()
    let refused = 0
    for (let second = 0; second < 3_600; second += 5) {
      clock.advance(5_000)
      const valid = gate.judge(token(first))
      const storm = ids(10, second).map((kid) => gate.judge(token(unsigned, { kid })))
      if (typeof (await valid) === 'string') refused++
      for (const said of await Promise.all(storm)) expect(said).toMatch(/^(key|AUTH_UNAVAILABLE)$/)
    }
    expect(refused).toBe(0)
    expect(server.requests.length - 1).toBeGreaterThan(300)
    expect(server.requests.length - 1).toBeLessThanOrEqual(3_600_000 / cooldownMs)
    expect(failures()).toHaveLength(server.requests.length - 1)
  })

  it('D11: fifty tokens at once cost one fetch, and fifty more none', async () => {
    expect(await gate.judge(token(first))).toEqual(acme)
    server.down()
    clock.advance(cooldownMs)
    for (const _ of [1, 2]) {
      await Promise.all(Array.from({ length: 50 }, (_, i) => gate.judge(token(unknown, { kid: `x${i}` }))))
    }
    expect(server.requests).toHaveLength(2)
  })

  it('a key that may be new is AUTH_UNAVAILABLE, because nobody can tell', async () => {
    expect(await gate.judge(token(first))).toEqual(acme)
    server.down()
    clock.advance(cooldownMs)
    expect(await gate.judge(token(second))).toBe('AUTH_UNAVAILABLE')
  })

  it('after a day the set has served long enough, and what it verified ends with it', async () => {
    const long = seal({ alg: 'ES256', kid: 'k1' }, claimsAt(clock, { exp: clock.now() + 9e6 }), first.sign)
    expect(await gate.judge(long)).toEqual(acme)
    expect(await gate.judge(long)).toEqual(acme)
    server.down()
    clock.advance(staleMs - 1)
    expect(await gate.judge(long)).toEqual(acme)
    await settled(2)
    clock.advance(cooldownMs)
    expect(await gate.judge(long)).toBe('AUTH_UNAVAILABLE')
    server.serve([first.jwk])
    clock.advance(cooldownMs)
    expect(await gate.judge(long)).toEqual(acme)
  })

  it('a wall clock that jumps neither ages the set nor begins a fetch', async () => {
    expect(await gate.judge(token(first))).toEqual(acme)
    server.down()
    for (const ms of [-86_400_000, 5 * 86_400_000]) {
      clock.jump(ms)
      expect(await gate.judge(token(first))).toEqual(acme)
    }
    expect(server.requests).toHaveLength(1)
  })

  it('a reload takes the known keys over', async () => {
    expect(await gate.judge(token(first))).toEqual(acme)
    server.down()
    const next = gateOf({ ...issuer(), clockToleranceS: 9 }, { previous: gate }, clock)
    expect(await next.judge(token(first))).toEqual(acme)
  })
})

describe('50: a cold start with the endpoint down', () => {
  it('is AUTH_UNAVAILABLE and no refusal, and is over when the endpoint is back', async () => {
    server.down()
    expect(await gate.judge(token(first))).toBe('AUTH_UNAVAILABLE')
    expect(await gate.judge(token(first))).toBe('AUTH_UNAVAILABLE')
    expect(server.requests).toHaveLength(1)
    server.serve([first.jwk])
    clock.advance(cooldownMs)
    expect(await gate.judge(token(first))).toEqual(acme)
  })

  it('still refuses what no key could mend', async () => {
    server.down()
    expect(await gate.judge(seal({ alg: 'RS256' }, claimsAt(clock), first.sign))).toBe('algorithm')
    expect(await gate.judge(seal({ alg: 'ES256' }, claimsAt(clock, { exp: 1 }), first.sign))).toBe('expired')
    expect(server.requests).toHaveLength(0)
  })
})

describe('51: a bad answer keeps the old set', () => {
  const html = (text: string) => (_: unknown, response: { end(text: string): unknown }) => response.end(text)
  const huge = () => JSON.stringify({ keys: [second.jwk], pad: 'x'.repeat(KEY_SET_BYTES_MAX) })
  const cases: [string, Parameters<KeyServer['answer']>[0], RegExp][] = [
    ['HTML', html('<!doctype html><title>Maintenance</title>'), /not JSON/],
    ['an empty set', html('{"keys":[]}'), /no usable key/],
    ['another JSON', html('{"error":"x"}'), /not a JSON Web Key Set/],
    ['only an encryption key', html(JSON.stringify({ keys: [{ ...second.jwk, use: 'enc' }] })), /no usable/],
    ['only a secret', html('{"keys":[{"kty":"oct","k":"AAAA","kid":"k2"}]}'), /no usable key/],
    ['too much', (_, response) => response.end(huge()), /more than 262144 bytes/],
    ['500 with a good set', (_, r) => r.writeHead(500).end(JSON.stringify({ keys: [second.jwk] })), /500/],
    ['404', (_, response) => response.writeHead(404).end(), /404/],
    ['nothing', (_, response) => response.writeHead(204).end(), /204/],
    ['a body that breaks off', (_, r) => r.writeHead(200).write('{"keys":[', () => r.destroy()), /./],
  ]

  it.each(cases)('%s', async (_, listener, reason) => {
    expect(await gate.judge(token(first))).toEqual(acme)
    server.answer(listener)
    clock.advance(refreshMs)
    expect(await gate.judge(token(first))).toEqual(acme)
    await settled(2)
    expect(failures()).toEqual([
      { kind: 'keys.failed', issuer: 'https://issuer.test', reason: expect.stringMatching(reason) },
    ])
    expect(await gate.judge(token(first))).toEqual(acme)
  })

  it('a redirect is not followed', async () => {
    expect(await gate.judge(token(first))).toEqual(acme)
    server.answer((request, response) => {
      if (request.url !== '/keys') response.end(JSON.stringify({ keys: [second.jwk] }))
      else response.writeHead(302, { location: '/elsewhere' }).end()
    })
    clock.advance(refreshMs)
    expect(await gate.judge(token(second))).toBe('AUTH_UNAVAILABLE')
    expect(await gate.judge(token(first))).toEqual(acme)
    expect(server.requests).toEqual(['/keys', '/keys'])
  })

  it('a body without end is cut off at the limit', async () => {
    let sent = 0
    server.answer((_, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(65_536))) sent += 65_536
      }
      response.on('drain', more)
      more()
    })
    expect(await gate.judge(token(first))).toBe('AUTH_UNAVAILABLE')
    expect(failures()[0]).toMatchObject({ reason: expect.stringContaining('bytes') })
    expect(sent).toBeLessThan(50_000_000)
  })

  it('a server that has not answered yet delays nobody who has a key', async () => {
    expect(await gate.judge(token(first))).toEqual(acme)
    server.answer(() => {})
    clock.advance(refreshMs)
    expect(await gate.judge(token(first))).toEqual(acme)
    expect(failures()).toEqual([])
  })

  it('a server that never answers is given up', async () => {
    gate = gateOf(issuer(), { times: { ...REMOTE_KEYS_TIMES, timeoutMs: 50 } }, clock)
    server.answer((_, response) => response.writeHead(200).write('{"keys":['))
    expect(await gate.judge(token(first))).toBe('AUTH_UNAVAILABLE')
    expect(failures()).toHaveLength(1)
  })
})

describe('52: keys are rotated', () => {
  it('a new key is accepted with one fetch, the old one as long as it is published', async () => {
    expect(await gate.judge(token(first))).toEqual(acme)
    server.serve([first.jwk, second.jwk])
    clock.advance(cooldownMs)
    expect(await gate.judge(token(second))).toEqual(acme)
    expect(await gate.judge(token(first))).toEqual(acme)
    expect(server.requests).toHaveLength(2)
  })

  it('a withdrawn key ends with the next fetch, also for tokens that were verified', async () => {
    const verified = token(first)
    expect(await gate.judge(verified)).toEqual(acme)
    expect(await gate.judge(verified)).toEqual(acme)
    server.serve([second.jwk])
    clock.advance(refreshMs)
    expect(await gate.judge(verified)).toEqual(acme)
    await settled(2)
    expect(await gate.judge(verified)).toBe('key')
  })
})

describe('53: a storm of random key ids', () => {
  it('costs one fetch per cooldown', async () => {
    expect(await gate.judge(token(first))).toEqual(acme)
    for (let second = 0; second < 60; second++) {
      clock.advance(1_000)
      const storm = ids(20, second).map((kid) => gate.judge(token(unsigned, { kid })))
      expect(new Set(await Promise.all(storm))).toEqual(new Set(['key']))
    }
    expect(server.requests).toHaveLength(1 + 60_000 / cooldownMs)
  })

  it('one id that is not published is not asked for again at once', async () => {
    expect(await gate.judge(token(first))).toEqual(acme)
    for (let passed = cooldownMs; passed < cooldownMs + absentMs; passed += cooldownMs) {
      clock.advance(cooldownMs)
      expect(await gate.judge(token(unknown))).toBe('key')
    }
    expect(server.requests).toHaveLength(2)
    server.serve([first.jwk, unknown.jwk])
    clock.advance(cooldownMs)
    expect(await gate.judge(token(unknown))).toEqual(acme)
  })
})
