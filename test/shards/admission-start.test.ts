/**
 * Who is let in at the start, and later: a shard whose tables are not those of the others is refused alone,
 * and one that was away is looked at like any other before it serves anybody.
 */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/base/config.ts'
import type { Event } from '../../src/base/events.ts'
import { type Admission, admitShards } from '../../src/shards/admission.ts'
import { openWorldDoor, type WorldDoor } from '../kit/door.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

const POLL = { timeout: 20_000, interval: 20 }

let world: World
let gate: WorldDoor
let admission: Admission | undefined
let events: Event[]

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 2, proxies: true })
})
afterAll(() => world?.stop())
beforeEach(async () => {
  events = []
  gate = await openWorldDoor(world, undefined, false)
})
afterEach(() => {
  admission?.end()
  gate.end()
})

const admit = async (): Promise<void> => {
  const config = loadConfig(world.configFile, {})
  admission = await admitShards([...gate.fleet.values()], config, (event) => events.push(event))
}
/** What a request of each tenant gets: 'served', or a code. */
const answers = (): Promise<string[]> =>
  Promise.all(
    world.tenants.map(({ id }) =>
      gate.ask(id, 'select 1').then(
        () => 'served',
        ({ code }) => code,
      ),
    ),
  )
const onB = (text: string) => world.sql('shard-b', text)

const MORE = {
  spoil: 'alter table app.labels add column later text',
  mend: 'alter table app.labels drop column later',
  refusal: {
    kind: 'shard.refused',
    shard: 'shard-b',
    reason: 'its tables are not the same as those of the other shards',
  },
} as const

describe('at the start', () => {
  it('nobody is served by a shard that was not looked at', async () => {
    expect(await answers()).toEqual(['SHARD_UNAVAILABLE', 'SHARD_UNAVAILABLE'])
    await admit()
    expect(await answers()).toEqual(['served', 'served'])
  })

  it('a shard whose tables differ is refused, and the other serves', async () => {
    await onB(MORE.spoil)
    try {
      await admit()
    } finally {
      await onB(MORE.mend)
    }
    expect(events).toContainEqual(MORE.refusal)
    expect(await answers()).toEqual(['served', 'SHARD_UNAVAILABLE'])
  })
})

describe('a shard that was away at the start', () => {
  const proxy = () => world.shards[1]!.proxy!

  beforeEach(async () => {
    await proxy().refuse()
    await admit()
    expect(await answers()).toEqual(['served', 'SHARD_UNAVAILABLE'])
  })

  it('serves once it has been looked at', async () => {
    await proxy().restore()
    await expect.poll(answers, POLL).toEqual(['served', 'served'])
    expect(events).not.toContainEqual(expect.objectContaining({ kind: 'shard.refused' }))
  })

  it('and comes with one column more is refused', async () => {
    await onB(MORE.spoil)
    try {
      await proxy().restore()
      await expect.poll(() => events, POLL).toContainEqual(MORE.refusal)
    } finally {
      await onB(MORE.mend)
    }
    expect(await answers()).toEqual(['served', 'SHARD_UNAVAILABLE'])
  })

  it('and comes with one protection less serves what is safe', async () => {
    await onB('alter table app.tasks no force row level security')
    try {
      await proxy().restore()
      await expect.poll(answers, POLL).toEqual(['served', 'served'])
    } finally {
      await onB('alter table app.tasks force row level security')
    }
    expect(events).toContainEqual(expect.objectContaining({ kind: 'table.refused', table: 'app.tasks' }))
    const [, { id } = world.tenants[0]!] = world.tenants
    await expect(gate.ask(id, 'select 1 from app.tasks')).rejects.toMatchObject({ code: 'TABLE_UNSAFE' })
  })
})
