/** What the configuration leaves to `start`, and who may have it. */

import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/base/config.ts'
import { type EmbeddedState, fillEmbedded, isEmbedded } from '../../src/commands/embedded.ts'
import { start } from '../../src/commands/start.ts'

const KEPT: EmbeddedState = {
  secret: 'a secret that start has made, long enough',
  passwords: { owner: 'o', app: 'a', mover: 'm', directory: 'd' },
  directoryUrl: 'postgres://directory',
  shards: Object.fromEntries(
    ['shard-a', 'shard-b', 'shard-c'].map((key) => [
      key,
      {
        url: `postgres://app@${key}`,
        ownerUrl: `postgres://owner@${key}`,
        moverUrl: `postgres://mover@${key}`,
      },
    ]),
  ),
}
const REAL = {
  CONTROL_DATABASE_URL: 'postgres://d@db/d',
  JWT_SECRET: 'x'.repeat(40),
  SHARD_A_URL: 'postgres://a@db/a',
  SHARD_B_URL: 'postgres://b@db/b',
  SHARD_C_URL: 'postgres://c@db/c',
}
const config = (env: Record<string, string>) => loadConfig('shards.config.json', env)

describe('the configuration of this repository', () => {
  it('is filled with what start keeps', () => {
    const filled = fillEmbedded(config({}), KEPT)
    expect(isEmbedded(filled)).toBe(false)
    expect(filled.shards['shard-b']).toMatchObject(KEPT.shards['shard-b']!)
    expect([filled.directory.url, filled.tokens[0]?.secrets]).toEqual([KEPT.directoryUrl, [KEPT.secret]])
  })

  it('cannot be used before start has made what it leaves to it', () => {
    expect(() => fillEmbedded(config({}), undefined)).toThrow('has not made it yet')
  })

  it("in production is never filled with a developer's leftovers: each place is named", () => {
    const { SHARD_B_URL: _, ...env } = REAL
    expect(() => fillEmbedded(config({ ...env, NODE_ENV: 'production' }), KEPT)).toThrow(
      /: shards\.shard-b\.url came/,
    )
    expect(() => fillEmbedded(config({ ...REAL, NODE_ENV: 'production' }), KEPT)).not.toThrow()
  })

  it('is not started where a database of somebody else is given: the example has no place in it', async () => {
    const given = {
      ...config({ SHARD_B_URL: REAL.SHARD_B_URL }),
      dataDir: join(tmpdir(), 'shardgate-never-made'),
    }
    const progress = {
      step: () => Promise.reject(new Error('begun')),
      counted: () => Promise.reject(new Error('begun')),
      moving: () => () => {},
      still: () => {},
    }
    await expect(start({ config: given, progress })).rejects.toThrow(/these are given: shards\.shard-b\.url/)
    expect(existsSync(given.dataDir)).toBe(false)
  })

  it('has no owner for a database that start has not made', () => {
    const filled = fillEmbedded(config(REAL), KEPT)
    expect(filled.shards['shard-a']).toMatchObject({ url: REAL.SHARD_A_URL })
    expect(filled.shards['shard-a']).not.toHaveProperty('ownerUrl')
    const { SHARD_B_URL: _, ...mixed } = REAL
    expect(fillEmbedded(config(mixed), KEPT).shards['shard-a']).not.toHaveProperty('ownerUrl')
  })
})
