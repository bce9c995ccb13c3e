/**
 * One table of wrong configurations, through `shardgate config check`: each is exactly one fault that names
 * its key, what was wanted and what came; never a secret, never a stack trace.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { runCommand } from '../../src/commands/program.ts'

const HUSH = 'hush-dont-tell-anybody-this-password'
const folder = mkdtempSync(join(tmpdir(), 'shardgate-bad-config-'))
const file = join(folder, 'shards.config.json')
afterAll(() => rmSync(folder, { recursive: true }))

type Json = Record<string, unknown>

const url = (database: string): string => `postgres://role:${HUSH}@127.0.0.1:5432/${database}`
const issuer = (over: Json = {}): Json => ({
  issuer: 'i',
  audience: 'a',
  algorithms: ['HS256'],
  secrets: [`${HUSH}-${HUSH}`],
  ...over,
})
const whole = (over: Json = {}): Json => ({
  directory: { url: url('directory') },
  shards: { 'shard-a': { url: url('a') }, 'shard-b': { url: url('b') } },
  tokens: [issuer()],
  ...over,
})
const shard = (over: Json): Json => whole({ shards: { 'shard-a': { url: url('a'), ...over } } })
const without = (key: string): Json =>
  Object.fromEntries(Object.entries(whole()).filter(([name]) => name !== key))

async function check(text: string): Promise<{ status: number; out: string; err: string }> {
  writeFileSync(file, text)
  const printed = { out: '', err: '' }
  const terminal = {
    out: (more: string) => {
      printed.out += more
    },
    err: (more: string) => {
      printed.err += more
    },
    colour: false,
  }
  const nothing = (): never => {
    throw new Error('no gateway is wanted here')
  }
  const status = await runCommand(['config', 'check', '-c', file], nothing, terminal)
  return { status, ...printed }
}

it('the configuration that the faults are put into is right', async () => {
  expect(await check(JSON.stringify(whole()))).toMatchObject({ status: 0, err: '' })
})

describe('a file that is no configuration is one sentence', () => {
  it.each([
    ['empty', '', /is not JSON/],
    ['cut off', '{"directory": {"url": "postgres://x:hush-dont', /is not JSON/],
    ['a comment', '// mine\n{}', /is not JSON/],
    ['a comma too much', '{"shards": {},}', /is not JSON/],
    ['a secret before the fault', `{"secrets": ["${HUSH}" oops]}`, /is not JSON/],
    ['binary', '\u0000\u0001\ufffd', /is not JSON/],
    ['a list', '[]', /\(the file\): /],
    ['a text', '"postgres://"', /\(the file\): /],
    ['null', 'null', /\(the file\): /],
    ['deep', `${'['.repeat(50_000)}${']'.repeat(50_000)}`, /nested deeper than/],
  ])('%s', async (_, text, message) => {
    const { status, out, err } = await check(text)
    expect([status, out]).toEqual([2, ''])
    expect(err).toMatch(message)
    expect(err).not.toMatch(/^\s+at |hush-dont/m)
    expect(err.trimEnd().split('\n').length).toBeLessThanOrEqual(3)
  })
})

const faults: readonly (readonly [key: string, config: Json, wanted: RegExp])[] = [
  ['shards', without('shards'), /nothing came/],
  ['shards', whole({ shards: {} }), /at least one shard/],
  ['shards', whole({ shards: [] }), /list came/],
  ['shards', whole({ shards: url('a') }), /a text of \d+ characters came/],
  ['shards.shard-a', whole({ shards: { 'shard-a': url('a') } }), /a text of \d+ characters came/],
  ['shards.Shard A', whole({ shards: { 'Shard A': { url: url('a') } } }), /wanted a shard name/],
  [
    'shards.__proto',
    whole({ shards: { 'shard-a': { url: url('a') }, __proto: { url: url('b') } } }),
    /wanted a shard name/,
  ],
  ['shards.shard-a.url', whole({ shards: { 'shard-a': {} } }), /nothing came/],
  ['shards.shard-a.url', shard({ url: `mysql://root:${HUSH}@h/d` }), /wanted postgres:/],
  ['shards.shard-a.url', shard({ url: '' }), /wanted postgres:/],
  ['shards.shard-a.url', shard({ url: `postgres://x:a/${HUSH}@h:5432/d` }), /wanted a URL; .*%2F/],
  ['shards.shard-a.url', shard({ url: 5432 }), /5432 came/],
  ['shards.shard-a.url', shard({ url: [url('a')] }), /list came/],
  [
    'shards.shard-a.url',
    shard({ url: '${SHARDGATE_TEST_IS_NOT_SET}' }),
    /variable SHARDGATE_TEST_IS_NOT_SET; it is not set/,
  ],
  ['shards.shard-a.ownerUrl', shard({ ownerUrl: `${HUSH}` }), /wanted postgres:/],
  ['shards.shard-a.weight', shard({ weight: -1 }), /-1 came/],
  ['shards.shard-a.weight', shard({ weight: '2' }), /"2" came/],
  ['shards.shard-a.readConnections', shard({ readConnections: 0 }), /0 came/],
  ['shards.shard-a.writeConnections', shard({ writeConnections: 1.5 }), /1\.5 came/],
  ['shards.shard-a.connectMs', shard({ connectMs: 1e9 }), /1000000000 came/],
  ['shards.shard-a', shard({ conectMs: 5 }), /"conectMs" is no key here, did you mean "connectMs"\?$/],
  ['(the file)', whole({ shard: {} }), /"shard" is no key here, did you mean "shards"\?$/],
  ['(the file)', whole({ color: 1, htpp: {} }), /: "color" is no key here; "htpp" .* mean "http"\?$/],
  ['(the file)', JSON.parse(JSON.stringify(whole()).replace('{', '{"__proto__":{"a":1},')), /"__proto__"/],
  ['directory', without('directory'), /nothing came/],
  ['directory', whole({ directory: url('d') }), /a text of \d+ characters came/],
  ['directory.url', whole({ directory: { url: null } }), /null came/],
  ['directory.cacheMs', whole({ directory: { url: url('d'), cacheMs: Number.MAX_VALUE } }), /came/],
  ['tenancy.column', whole({ tenancy: { column: '' } }), /"" came/],
  ['tenancy.column', whole({ tenancy: { column: 'x'.repeat(64) } }), /"x+" came/],
  ['tenancy.schemas', whole({ tenancy: { schemas: [] } }), /list came/],
  ['tenancy.schemas', whole({ tenancy: { schemas: 'public' } }), /"public" came/],
  ['tenancy.schemas[1]', whole({ tenancy: { schemas: ['public', 7] } }), /7 came/],
  ['router.strategy', whole({ router: { strategy: 'random' } }), /"random" came/],
  ['router.buckets', whole({ router: { buckets: 0 } }), /0 came/],
  ['router.buckets', whole({ router: { buckets: 65_537 } }), /65537 came/],
  ['tokens', without('tokens'), /nothing came/],
  ['tokens', whole({ tokens: [] }), /list came/],
  ['tokens[0].issuer', whole({ tokens: [issuer({ issuer: '' })] }), /"" came/],
  ['tokens[0].algorithms', whole({ tokens: [issuer({ algorithms: [] })] }), /list came/],
  ['tokens[0].algorithms[0]', whole({ tokens: [issuer({ algorithms: ['none'] })] }), /"none" came/],
  ['tokens[0]', whole({ tokens: [issuer({ secrets: [] })] }), /wanted one of secrets, jwksUrl and jwksFile/],
  ['tokens[0].secrets', whole({ tokens: [issuer({ secrets: HUSH })] }), /a text of \d+ characters came/],
  ['tokens[0].jwksUrl', whole({ tokens: [issuer({ jwksUrl: `ftp://${HUSH}` })] }), /came/],
  ['tokens[0].maxAgeS', whole({ tokens: [issuer({ maxAgeS: 0 })] }), /0 came/],
  ['tokens[0].clockToleranceS', whole({ tokens: [issuer({ clockToleranceS: 301 })] }), /301 came/],
  ['tokens[0].defaultRole', whole({ tokens: [issuer({ defaultRole: 'operator' })] }), /"operator" came/],
  ['tokens[0]', whole({ tokens: [issuer({ secret: HUSH })] }), /"secret" .* "secrets"\?$/],
  ['limits.bodyBytes', whole({ limits: { bodyBytes: '1MB' } }), /"1MB" came/],
  ['limits.depth', whole({ limits: { depth: 101 } }), /101 came/],
  ['limits.requestMs', whole({ limits: { requestMs: -5 } }), /-5 came/],
  ['http.corsOrigins', whole({ http: { corsOrigins: '*' } }), /"\*" came/],
  ['http.baseDomain', whole({ http: { baseDomain: 'https://api.example.com/' } }), /wanted a domain/],
  ['http.drainMs', whole({ http: { drainMs: 0 } }), /0 came/],
  ['extensions', whole({ extensions: './mine.ts' }), /".\/mine\.ts" came/],
]

describe('a fault names its key, what was wanted and what came, and stands alone', () => {
  it.each(faults)('%s %#', async (key, config, wanted) => {
    const { status, out, err } = await check(JSON.stringify(config))
    expect([status, out]).toEqual([2, ''])
    const [head, fault, hint, ...more] = err.trimEnd().split('\n')
    expect([head, more]).toEqual([`${file} cannot be used:`, []])
    expect(fault).toMatch(new RegExp(`^  ${key.replace(/[[\]().]/g, '\\$&')}: `))
    expect(fault).toMatch(wanted)
    expect(fault).toMatch(/wanted |is no key here/)
    expect(hint).toMatch(/^Correct what the message names/)
    expect(err).not.toContain(HUSH)
    expect(err).not.toMatch(/undefined|\[object|Zod|Invalid|expected|^\s+at /m)
  })

  it.each([
    ['tokens[0].secrets[0]', { secrets: ['too-short'] }, /wanted 32 bytes or more; 9 came/],
    ['tokens[0].algorithms', { algorithms: ['RS256'] }, /wanted/],
    ['tokens[0].jwksFile', { algorithms: ['RS256'], secrets: [], jwksFile: './none.json' }, /wanted/],
  ])('%s, which shows only in use', async (key, over, wanted) => {
    const { status, err } = await check(JSON.stringify(whole({ tokens: [issuer(over)] })))
    expect([status, err.trimEnd().split('\n').length]).toEqual([2, 2])
    expect(err.startsWith(key.slice(0, 9))).toBe(true)
    expect(err).toMatch(wanted)
    expect(err).not.toContain(HUSH)
  })

  it('two faults are two lines', async () => {
    const { err } = await check(JSON.stringify(whole({ limits: { depth: 0 }, router: { buckets: 0 } })))
    expect(err.trimEnd().split('\n')).toHaveLength(4)
  })
})
