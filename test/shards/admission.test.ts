/** Which shards serve: none unseen, none unsafe, and none whose protection was taken away since. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/base/config.ts'
import type { Event } from '../../src/base/events.ts'
import { type Admission, admitShards } from '../../src/shards/admission.ts'
import { openWorldDoor, type WorldDoor } from '../kit/door.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

let world: World
let gate: WorldDoor
let admission: Admission
const events: Event[] = []
const refusals = () => events.filter(({ kind }) => kind === 'shard.refused')

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 2 })
})
afterAll(() => world.stop())
beforeEach(async () => {
  events.length = 0
  gate = await openWorldDoor(world)
  const config = loadConfig(world.configFile, {})
  admission = await admitShards([...gate.fleet.values()], config, (event) => events.push(event))
})
afterEach(() => {
  admission.end()
  gate.end()
})

describe('a shard that serves', () => {
  const read = () => gate.ask(world.tenants[0]!.id, 'select count(*) > 0 from app.tasks')
  const sql = (text: string) => world.sql('shard-a', text)

  it('is taken out when a table loses its protection behind our back, and put back when it is mended', async () => {
    expect(await read()).toEqual([['t']])
    await sql('alter table app.tasks no force row level security')
    try {
      await admission.lookAgain()
      await expect(read()).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
      expect(refusals()).toEqual([
        { kind: 'shard.refused', shard: 'shard-a', reason: expect.stringContaining('app.tasks') },
      ])
      expect(await gate.ask(world.tenants[1]!.id, 'select 1')).toEqual([['1']])
      await admission.lookAgain()
      expect(refusals()).toHaveLength(1)
    } finally {
      await sql('alter table app.tasks force row level security')
    }
    await admission.lookAgain()
    expect(await read()).toEqual([['t']])
  })

  it('goes on while a migration adds a column, or a table that nobody serves', async () => {
    await sql('alter table app.tasks add column later text; create table app.fresh (tenant_id text)')
    try {
      await admission.lookAgain()
      expect([await read(), refusals()]).toEqual([[['t']], []])
    } finally {
      await sql('alter table app.tasks drop column later; drop table app.fresh')
    }
  })
})
