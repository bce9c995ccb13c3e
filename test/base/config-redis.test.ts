/** Where the address of Redis comes from, and that nobody reads it again. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type Config, type Environment, loadConfig } from '../../src/base/config.ts'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function redisOf(redis: unknown, env: Environment): Config['redis'] {
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-redis-'))
  folders.push(folder)
  const file = join(folder, 'shards.config.json')
  const secret = 'x7Qk2mVb9Rt4Lp8Zc6Wd1Hs5Jf3Gn0Ya'
  const content = {
    directory: { url: 'postgres://u:p@h/d' },
    shards: { a: { url: 'postgres://u:p@h/a' } },
    tokens: [{ issuer: 'i', audience: 'x', algorithms: ['HS256'], secrets: [secret] }],
    redis,
  }
  writeFileSync(file, JSON.stringify(content))
  return loadConfig(file, env).redis
}

describe('redis', () => {
  it('is not there by itself', () => {
    expect(redisOf(undefined, {})).toEqual({ prefix: 'shardgate', commandMs: 50 })
    expect(redisOf({}, { REDIS_URL: '' })).toEqual({ prefix: 'shardgate', commandMs: 50 })
  })

  it('is the one of the file, else the one of the environment', () => {
    const env = { REDIS_URL: 'rediss://u:p@there:6380/1', OTHER: 'redis://other' }
    expect(redisOf(undefined, env).url).toBe(env.REDIS_URL)
    expect(redisOf({ prefix: 'eu' }, env)).toEqual({ url: env.REDIS_URL, prefix: 'eu', commandMs: 50 })
    expect(redisOf({ url: '${OTHER}' }, env).url).toBe(env.OTHER)
  })

  it('is refused without a word of what came', () => {
    for (const url of ['there:6379', 'http://u:hush@there', 'redis://u:hu/sh@there', 'redis:'])
      for (const [redis, env] of [
        [{ url }, {}],
        [undefined, { REDIS_URL: url }],
      ] as const) {
        expect(() => redisOf(redis, env)).toThrow(/redis\.url: wanted .*; a text of \d+ characters came$/)
        expect(() => redisOf(redis, env)).not.toThrow(/hu/)
      }
    expect(() => redisOf('there', { REDIS_URL: 'redis://x' })).toThrow('redis: wanted an object')
    expect(() => redisOf({ prefix: 'a:b' }, {})).toThrow('redis.prefix: wanted')
  })
})
