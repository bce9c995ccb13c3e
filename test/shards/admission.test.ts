/** Which shards and tables serve: none unseen, none unsafe, and none whose protection was taken away since. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/base/config.ts'
import type { Event } from '../../src/base/events.ts'
import { deadlineIn } from '../../src/base/time.ts'
import { prepared } from '../../src/db/sql.ts'
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

  it('refuses a table that loses its protection behind our back, and nothing else, until it is mended', async () => {
    const tables = () => events.filter(({ kind }) => kind.startsWith('table.'))
    const refused = {
      code: 'TABLE_UNSAFE',
      message: expect.stringMatching(/app\.tasks is not served now.*"shardgate doctor"/),
    }
    const [own, other] = [world.tenants[0]!.id, world.tenants[1]!.id]
    const write = () =>
      gate.door.withTenant(own, 'write', deadlineIn(5_000), async ({ run }) => {
        await run(prepared('select 1'))
        return { keep: true, value: await run(prepared(`update "app"."tasks" set title = title`)) }
      })
    expect(await read()).toEqual([['t']])
    await sql('alter table app.tasks no force row level security')
    try {
      await admission.lookAgain()
      await expect(read()).rejects.toMatchObject(refused)
      await expect(gate.ask(own, 'select * from TASKS')).rejects.toMatchObject(refused)
      await expect(write()).rejects.toMatchObject(refused)
      expect(await gate.ask(own, 'select count(*) > 0 from app.labels')).toEqual([['t']])
      expect(await gate.ask(other, 'select count(*) > 0 from app.tasks')).toEqual([['t']])
      await admission.lookAgain()
      expect([tables(), refusals()]).toEqual([
        [
          {
            kind: 'table.refused',
            shard: 'shard-a',
            table: 'app.tasks',
            reason: expect.stringMatching(/^row-level security is not forced/),
          },
        ],
        [],
      ])
    } finally {
      await sql('alter table app.tasks force row level security')
    }
    await admission.lookAgain()
    expect(await read()).toEqual([['t']])
    expect(tables().at(-1)).toEqual({ kind: 'table.served', shard: 'shard-a', table: 'app.tasks' })
  })

  it('is taken out whole when what it lacks is not of one table', async () => {
    await sql('grant create on schema app to public')
    try {
      await admission.lookAgain()
      await expect(read()).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
      expect(refusals()).toEqual([
        {
          kind: 'shard.refused',
          shard: 'shard-a',
          reason: expect.stringContaining('may create in the schema app'),
        },
      ])
      expect(await gate.ask(world.tenants[1]!.id, 'select 1')).toEqual([['1']])
      await admission.lookAgain()
      expect(refusals()).toHaveLength(1)
    } finally {
      await sql('revoke create on schema app from public')
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
