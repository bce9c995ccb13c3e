/** The contract of base/config-watch.ts: what a changed file changes, and that a bad one changes nothing. */

import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Config, loadConfig } from '../../src/base/config.ts'
import { type ConfigWatch, diffConfig, watchConfig } from '../../src/base/config-watch.ts'
import { fail } from '../../src/base/errors.ts'
import type { Event } from '../../src/base/events.ts'

const SECRET = 'x7Qk2mVb9Rt4Lp8Zc6Wd1Hs5Jf3Gn0Ya'

const base = {
  directory: { url: 'postgres://u:p@h/d' },
  shards: {
    a: { url: 'postgres://u:p@h/a', weight: 1 },
    b: { url: 'postgres://u:p@h/b', weight: 1 },
  },
  tokens: [{ issuer: 'i', audience: 'x', algorithms: ['HS256'], secrets: [SECRET] }],
  limits: { depth: 12 },
}

type File = typeof base & Record<string, unknown>

let folder: string
let file: string
let events: Event[]
let applied: Config[]
let watched: ConfigWatch | undefined
let refuse: string | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shardgate-watch-'))
  file = join(folder, 'shards.config.json')
  events = []
  applied = []
  refuse = undefined
  write(base)
})

afterEach(() => {
  watched?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const write = (content: object | string): void =>
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
const load = (path: string): Config => loadConfig(path, {})

/** A watch whose own timers never fire; the test calls `check`. */
function still(): ConfigWatch {
  watched = watchConfig({
    config: load(file),
    load,
    pollMs: 1e9,
    settleMs: 1e9,
    emit: (event) => events.push(event),
    apply: (config) => {
      if (refuse) fail('CONFIG_INVALID', refuse)
      applied.push(config)
    },
  })
  return watched
}

const withLimits = (depth: number): File => ({ ...base, limits: { depth } })
const lastReason = (): string => {
  const event = events.at(-1)
  return event?.kind === 'config.refused' ? event.reason : ''
}

describe('a good change', () => {
  it('is applied once, as a frozen whole, with the keys named', async () => {
    const watch = still()
    write(withLimits(5))
    await watch.check()
    await watch.check()
    expect(events).toEqual([{ kind: 'config.reloaded', file, changed: ['limits.depth'], needsRestart: [] }])
    expect(applied).toHaveLength(1)
    expect(watch.current().limits.depth).toBe(5)
    expect(Object.isFrozen(watch.current().limits)).toBe(true)
  })

  it('of spaces alone does nothing', async () => {
    const watch = still()
    write(JSON.stringify(base, null, 4))
    await watch.check()
    expect(events).toEqual([])
  })

  it('comes after SIGHUP too, whatever was seen before', async () => {
    const watch = still()
    refuse = 'not now'
    write(withLimits(5))
    await watch.check()
    refuse = undefined
    await watch.reload()
    expect(watch.current().limits.depth).toBe(5)
  })
})

describe('fault 64: a file that must not be taken', () => {
  const bad: Record<string, () => void> = {
    truncated: () => truncateSync(file, 40),
    empty: () => truncateSync(file, 0),
    'half written': () => write(JSON.stringify(withLimits(5)).slice(0, -20)),
    missing: () => rmSync(file),
    'a folder': () => {
      rmSync(file)
      mkdirSync(file)
    },
    'not an object': () => write('[1, 2]'),
    'semantically wrong': () => write({ ...base, limits: { depth: -3 } }),
    'wrong in one of two keys': () => write({ ...base, limits: { depth: 5, pageSize: 'many' } }),
    'of unknown keys': () => write({ ...base, limts: { depth: 5 } }),
    'without a variable that it names': () =>
      write({ ...base, directory: { url: '${NOT_SET_ANYWHERE}' }, limits: { depth: 5 } }),
  }
  it.each(Object.keys(bad))('%s: the old one stays whole and one event says why', async (name) => {
    const watch = still()
    const before = watch.current()
    bad[name]?.()
    await watch.check()
    await watch.check()
    expect(events).toHaveLength(1)
    expect(lastReason()).not.toBe('')
    expect(applied).toEqual([])
    expect(watch.current()).toBe(before)
  })

  it('what the gateway itself cannot use stays out', async () => {
    const watch = still()
    const before = watch.current()
    refuse = 'tokens[0].secrets[0]: wanted 32 bytes; 4 came'
    write(withLimits(5))
    await watch.check()
    expect(lastReason()).toBe(refuse)
    expect(watch.current()).toBe(before)
  })

  it('is forgiven when it is mended', async () => {
    const watch = still()
    truncateSync(file, 40)
    await watch.check()
    write(base)
    await watch.check()
    expect(events.map((event) => event.kind)).toEqual(['config.refused', 'config.reloaded'])
  })

  it('never has its secrets printed', async () => {
    const watch = still()
    const text = JSON.stringify(base)
    for (let end = 1; end < text.length; end += 1) {
      write(text.slice(0, end))
      await watch.check()
      write(text.slice(0, end) + text.slice(end + 1))
      await watch.check()
    }
    expect(events.length).toBeGreaterThan(60)
    const said = JSON.stringify(events)
    const parts = Array.from({ length: SECRET.length - 6 }, (_, i) => SECRET.slice(i, i + 6))
    expect(parts.filter((part) => said.includes(part))).toEqual([])
  })

  it('1,000 writes of which a third is broken: the last good one runs', async () => {
    const watch = still()
    for (let i = 1; i <= 1_000; i += 1) {
      const text = JSON.stringify(withLimits((i % 99) + 1))
      write(i % 3 === 0 ? text.slice(0, i % text.length) : text)
      await watch.check()
      if (i % 3 !== 0) expect(watch.current().limits.depth).toBe((i % 99) + 1)
    }
    expect(events.filter((event) => event.kind === 'config.refused')).toHaveLength(333)
  })
})

describe('a manifest of trusted documents', () => {
  const documents = { trusted: [{ file: 'manifest.json' }] }
  const manifest = (content: string): void => {
    writeFileSync(join(folder, 'next.json'), content)
    renameSync(join(folder, 'next.json'), join(folder, 'manifest.json'))
  }

  it('that changes is a change of the configuration, once', async () => {
    write({ ...base, documents })
    const watch = still()
    manifest('{"a": 1}')
    await watch.check()
    await watch.check()
    expect(events).toEqual([
      { kind: 'config.reloaded', file, changed: ['documents.trusted'], needsRestart: [] },
    ])
    rmSync(join(folder, 'manifest.json'))
    await watch.check()
    expect(applied).toHaveLength(2)
  })

  it('that is refused is looked at again when it changes, though the file does not', async () => {
    const watch = still()
    refuse = 'The trusted documents cannot be used'
    write({ ...base, documents })
    await watch.check()
    await watch.check()
    expect(events.map(({ kind }) => kind)).toEqual(['config.refused'])
    refuse = undefined
    manifest('{}')
    await watch.check()
    expect(events.at(-1)).toMatchObject({ kind: 'config.reloaded', changed: ['documents.trusted'] })
    expect(watch.current().documents.trusted).toHaveLength(1)
  })

  it('that is no longer named is looked at no more', async () => {
    write({ ...base, documents })
    const watch = still()
    write(base)
    await watch.check()
    manifest('{}')
    await watch.check()
    expect(applied).toHaveLength(1)
  })
})

describe('what needs a restart', () => {
  it('is said and ignored, while the rest is taken', async () => {
    const watch = still()
    const shards = { ...base.shards, a: { url: 'postgres://u:p@other/a', weight: 7 } }
    write({ ...base, shards, router: { buckets: 512 } })
    await watch.check()
    expect(events).toEqual([
      {
        kind: 'config.reloaded',
        file,
        changed: ['shards.a.weight'],
        needsRestart: ['router.buckets', 'shards.a.url'],
      },
    ])
    expect(watch.current().shards.a).toMatchObject({ weight: 7, url: 'postgres://u:p@h/a' })
    expect(watch.current().router.buckets).toBe(256)
  })

  it('a shard that comes or goes re-routes nobody', async () => {
    const { b: _, ...without } = base.shards
    const current = load(file)
    write({ ...base, shards: { ...without, c: base.shards.b } })
    const difference = diffConfig(current, load(file))
    expect(difference.needsRestart).toEqual(['shards.b', 'shards.c'])
    expect(difference.changed).toEqual([])
    expect(Object.keys(difference.config.shards)).toEqual(['a', 'b'])
  })

  it('is no news to a gateway where it takes effect by a plan that is applied', () => {
    const before = load(file)
    const wish = {
      ...before,
      pins: { acme: { shard: 'a' } },
      router: { ...before.router, assign: { '0-3': 'a' } },
    }
    const shards = { ...before.shards, a: { ...before.shards.a!, drain: true, capacity: { tenants: 5 } } }
    const { changed, needsRestart, planned } = diffConfig(before, { ...wish, shards })
    expect([changed, needsRestart]).toEqual([[], []])
    expect(planned).toEqual(
      expect.arrayContaining([
        'pins.acme.shard',
        'router.assign.0-3',
        'shards.a.drain',
        'shards.a.capacity.tenants',
      ]),
    )
  })

  it.each([
    ['tokens', { tokens: [...base.tokens, { ...base.tokens[0], issuer: 'j' }] }],
    ['http.corsOrigins', { http: { corsOrigins: ['https://app.example.com'] } }],
    ['limits.bodyBytes', { limits: { ...base.limits, bodyBytes: 1_000 } }],
    ['plans', { plans: { gold: { limits: { requestsPerMinute: 5 } } } }],
    [
      'shards.a.writeConnections',
      { shards: { ...base.shards, a: { ...base.shards.a, writeConnections: 2 } } },
    ],
  ])('%s does not', (key, part) => {
    const current = load(file)
    write({ ...base, ...part })
    expect(diffConfig(current, load(file))).toMatchObject({ changed: [key], needsRestart: [] })
  })
})

describe('seeing a change', () => {
  it.each(['written in place', 'renamed into place', 'behind a swapped link'])('%s', async (how) => {
    if (how === 'behind a swapped link') linkThrough('v1', base)
    const seen = Promise.withResolvers<Event>()
    watched = watchConfig({
      config: load(file),
      load,
      pollMs: 50,
      settleMs: 5,
      apply: () => {},
      emit: (event) => {
        // Writing in place is not atomic: a look in between may see a part, which is refused.
        if (event.kind === 'config.reloaded') seen.resolve(event)
      },
    })
    if (how === 'written in place') write(withLimits(5))
    if (how === 'renamed into place') {
      writeFileSync(join(folder, 'new'), JSON.stringify(withLimits(5)))
      renameSync(join(folder, 'new'), file)
    }
    if (how === 'behind a swapped link') linkThrough('v2', withLimits(5))
    expect(await seen.promise).toMatchObject({ changed: ['limits.depth'] })
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ limits: { depth: 5 } })
  })

  // As a mounted Kubernetes ConfigMap does: shards.config.json → ..data/… → ..v2/…
  function linkThrough(version: string, content: object): void {
    mkdirSync(join(folder, version))
    writeFileSync(join(folder, version, 'shards.config.json'), JSON.stringify(content))
    symlinkSync(version, join(folder, '..data.new'))
    renameSync(join(folder, '..data.new'), join(folder, '..data'))
    if (version !== 'v1') return
    rmSync(file)
    symlinkSync('..data/shards.config.json', file)
  }
})
