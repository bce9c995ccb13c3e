/** The placement cache: late copies are used, guesses are never made, and the directory is asked sparingly. */

import { beforeEach, describe, expect, it } from 'vitest'
import { isGatewayError } from '../../src/base/errors.ts'
import type { Event } from '../../src/base/events.ts'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { type PlacementCache, placementCache } from '../../src/directory/cache.ts'
import type { Placement } from '../../src/directory/types.ts'
import { type ManualClock, manualClock } from '../kit/clock.ts'

/** A directory whose answers the test gives: each read waits until the test settles it. */
interface Read {
  readonly tenant: TenantId
  answer(placement: Placement | null): void
  fail(): void
}

let clock: ManualClock
let reads: Read[]
let events: Event[]
let cache: PlacementCache

const acme = tenantId('acme')
const other = tenantId('other')
const place = (tenant: TenantId, epoch = 1): Placement => ({
  tenant,
  shard: `shard-${epoch}`,
  isolation: 'shared',
  namespace: 'app',
  state: 'active',
  epoch,
  subdomain: tenant,
  name: tenant,
  plan: 'standard',
  settings: {},
  limits: {},
})

function find(tenant: TenantId): Promise<Placement | null> {
  return new Promise((answer, reject) => {
    reads.push({ tenant, answer, fail: () => reject(new Error('connect ECONNREFUSED')) })
  })
}

/** Let everything that is ready to run, run. */
const settle = () => new Promise((resolve) => setImmediate(resolve))

async function know(tenant: TenantId, epoch = 1): Promise<void> {
  const found = cache.find(tenant)
  reads.at(-1)!.answer(place(tenant, epoch))
  await found
}

beforeEach(() => {
  clock = manualClock()
  reads = []
  events = []
  cache = placementCache({
    find,
    max: 3,
    ttlMs: 1_000,
    missingMs: 100,
    clock,
    emit: (event) => events.push(event),
  })
})

describe('a known tenant', () => {
  it('is read once for all who ask together', async () => {
    const asked = Promise.all([cache.find(acme), cache.find(acme), cache.find(acme)])
    expect(reads).toHaveLength(1)
    reads[0]!.answer(place(acme))
    expect(await asked).toEqual([place(acme), place(acme), place(acme)])
    await cache.find(acme)
    expect(reads).toHaveLength(1)
  })

  it('is answered from a late copy at once, which one read renews in the background', async () => {
    await know(acme)
    clock.advance(1_000)
    expect((await cache.find(acme))?.epoch).toBe(1)
    expect((await cache.find(acme))?.epoch).toBe(1)
    expect(reads).toHaveLength(2)
    reads[1]!.answer(place(acme, 2))
    await settle()
    expect((await cache.find(acme))?.epoch).toBe(2)
  })

  it('that is gone when its copy is renewed is unknown from then on', async () => {
    await know(acme)
    clock.advance(1_000)
    await cache.find(acme)
    reads[1]!.answer(null)
    await settle()
    expect(await cache.find(acme)).toBeNull()
  })

  it('makes room when the cache is full: the least recently used goes', async () => {
    for (const id of ['a', 'b', 'c', 'd']) await know(tenantId(id))
    expect(cache.size).toBe(3)
    void cache.find(tenantId('a'))
    expect(reads.at(-1)!.tenant).toBe('a')
    expect(reads).toHaveLength(5)
  })
})

describe('a tenant whose copy says that it is refused', () => {
  const know = async (state: Placement['state']): Promise<void> => {
    const found = cache.find(acme)
    reads.at(-1)!.answer({ ...place(acme), state })
    await found
  }

  it.each(['suspended', 'offboarded'] as const)(
    'is believed to be %s for a second, then asked for before anybody hears it',
    async (state) => {
      cache = placementCache({ find, max: 3, ttlMs: 30_000, clock })
      await know(state)
      clock.advance(999)
      expect((await cache.find(acme))?.state).toBe(state)
      clock.advance(86_400_000)
      const asked = Promise.all([cache.find(acme), cache.find(acme)])
      expect(reads).toHaveLength(2)
      reads[1]!.answer(place(acme))
      expect((await asked).map((placement) => placement?.state)).toEqual(['active', 'active'])
    },
  )

  it('stays refused while the directory is down, and waits for it once a pause', async () => {
    await know('suspended')
    clock.advance(1_000)
    const found = cache.find(acme)
    reads[1]!.fail()
    expect((await found)?.state).toBe('suspended')
    expect((await cache.find(acme))?.state).toBe('suspended')
    expect(reads).toHaveLength(2)
  })

  it('is answered at once when it is read-only: its shard decides, and the copy is as young', async () => {
    cache = placementCache({ find, max: 3, ttlMs: 30_000, clock })
    await know('read-only')
    clock.advance(1_000)
    expect((await cache.find(acme))?.state).toBe('read-only')
    expect(reads).toHaveLength(2)
  })
})

describe('renewing', () => {
  it('reads what is known here anew, and nothing else', async () => {
    await know(acme)
    const renewed = cache.renew([acme, other])
    expect(reads.map((read) => read.tenant)).toEqual([acme, acme])
    reads[1]!.answer(place(acme, 2))
    await renewed
    expect((await cache.find(acme))?.epoch).toBe(2)
  })

  it('asks again for a tenant that was missing', async () => {
    const missing = cache.find(other)
    reads[0]!.answer(null)
    await missing
    await cache.renew([other])
    void cache.find(other)
    expect(reads).toHaveLength(2)
  })

  it('leaves the copy when the directory is down', async () => {
    await know(acme)
    const renewed = cache.renew([acme])
    reads[1]!.fail()
    await renewed
    expect((await cache.find(acme))?.epoch).toBe(1)
  })
})

describe('with the directory down', () => {
  it('known tenants go on for ever, and the directory is tried once a pause, not once a request', async () => {
    await know(acme)
    for (let hour = 0; hour < 24; hour++) {
      clock.advance(3_600_000)
      const before = reads.length
      for (let i = 0; i < 50; i++) {
        expect((await cache.find(acme))?.epoch).toBe(1)
        if (reads.length > before) reads.at(-1)!.fail()
        await settle()
      }
      expect(reads.length).toBe(before + 1)
    }
  })

  it('an unknown tenant is DIRECTORY_UNAVAILABLE, never "no such tenant"', async () => {
    const found = cache.find(other)
    reads[0]!.fail()
    await expect(found).rejects.toMatchObject({ code: 'DIRECTORY_UNAVAILABLE' })
    void cache.find(other).catch(() => {})
    expect(reads).toHaveLength(2)
  })

  it('a tenant that was missing once is not missing for ever', async () => {
    const missing = cache.find(other)
    reads[0]!.answer(null)
    expect(await missing).toBeNull()
    clock.advance(100)
    const again = cache.find(other)
    reads[1]!.fail()
    await expect(again).rejects.toMatchObject({ code: 'DIRECTORY_UNAVAILABLE' })
  })

  it('says so once, and once when it is back', async () => {
    for (const end of ['fail', 'fail', 'answer', 'answer'] as const) {
      const found = cache.refresh(acme).catch(() => null)
      if (end === 'fail') reads.at(-1)!.fail()
      else reads.at(-1)!.answer(place(acme))
      await found
    }
    const kinds = events.map((event) => event.kind).filter((kind) => kind.startsWith('directory.'))
    expect(kinds).toEqual(['directory.down', 'directory.up'])
    expect(events[0]).toEqual({ kind: 'directory.down', reason: 'connect ECONNREFUSED' })
  })

  it('a finder that throws before it has a promise is no different', async () => {
    const broken = placementCache({
      find: () => {
        throw new Error('no pool')
      },
      max: 3,
      ttlMs: 1_000,
      clock,
    })
    const error: unknown = await broken.find(acme).catch((reason: unknown) => reason)
    expect(isGatewayError(error, 'DIRECTORY_UNAVAILABLE')).toBe(true)
  })
})

describe('an unknown tenant', () => {
  it('is believed to be missing briefly, then asked for again', async () => {
    const missing = cache.find(other)
    reads[0]!.answer(null)
    expect(await missing).toBeNull()
    clock.advance(99)
    expect(await cache.find(other)).toBeNull()
    expect(reads).toHaveLength(1)
    clock.advance(1)
    const created = cache.find(other)
    reads[1]!.answer(place(other))
    expect((await created)?.tenant).toBe('other')
  })

  it('never pushes a known tenant out, however many are invented', async () => {
    await know(acme)
    for (let i = 0; i < 500; i++) {
      const missing = cache.find(tenantId(`invented-${i}`))
      reads.at(-1)!.answer(null)
      await missing
    }
    const before = reads.length
    expect((await cache.find(acme))?.tenant).toBe('acme')
    expect(reads).toHaveLength(before)
    expect(cache.size).toBe(1)
  })
})

describe('after a refusal', () => {
  it('the placement is read anew, and later requests use it', async () => {
    await know(acme)
    const refreshed = cache.refresh(acme)
    reads[1]!.answer(place(acme, 2))
    expect((await refreshed)?.epoch).toBe(2)
    expect((await cache.find(acme))?.epoch).toBe(2)
    expect(reads).toHaveLength(2)
  })

  it('a read that began before it is not believed: all who were refused share the next one', async () => {
    await know(acme)
    clock.advance(1_000)
    await cache.find(acme) // begins a read in the background, before the move
    const refreshed = Promise.all([cache.refresh(acme), cache.refresh(acme), cache.refresh(acme)])
    reads[1]!.answer(place(acme, 1))
    await settle()
    expect(reads).toHaveLength(3)
    reads[2]!.answer(place(acme, 2))
    expect((await refreshed).map((placement) => placement?.epoch)).toEqual([2, 2, 2])
    expect((await cache.find(acme))?.epoch).toBe(2)
  })

  it('a failed read that began before it does not fail it', async () => {
    await know(acme)
    clock.advance(1_000)
    await cache.find(acme)
    const refreshed = cache.refresh(acme)
    reads[1]!.fail()
    await settle()
    reads[2]!.answer(place(acme, 2))
    expect((await refreshed)?.epoch).toBe(2)
  })

  it('with the directory down the caller is told, and the copy is kept', async () => {
    await know(acme)
    const refreshed = cache.refresh(acme)
    reads[1]!.fail()
    await expect(refreshed).rejects.toMatchObject({ code: 'DIRECTORY_UNAVAILABLE' })
    expect((await cache.find(acme))?.epoch).toBe(1)
  })
})

describe('preloading', () => {
  const loaded = (random: () => number) =>
    placementCache({
      find,
      load: async (limit) => [acme, other, tenantId('third')].slice(0, limit).map((id) => place(id)),
      max: 10,
      ttlMs: 1_000,
      clock,
      random,
    })

  it('knows tenants without a read for each', async () => {
    cache = loaded(() => 0)
    await cache.preload()
    expect((await cache.find(other))?.tenant).toBe('other')
    expect([cache.size, reads.length]).toEqual([3, 0])
  })

  it('spreads the ages, so that not all copies are renewed in one moment', async () => {
    const ages = [0, 0.5, 0.9]
    cache = loaded(() => ages.shift()!)
    await cache.preload()
    clock.advance(200)
    for (const id of ['acme', 'other', 'third']) await cache.find(tenantId(id))
    expect(reads.map((read) => read.tenant)).toEqual(['acme'])
  })

  it('does not replace what was read since', async () => {
    cache = loaded(() => 0)
    await know(acme, 7)
    await cache.preload()
    expect((await cache.find(acme))?.epoch).toBe(7)
  })
})
