/** Pools of tenants' own databases: made on use, few connections for all of them, and what is wrong with one is its own. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ShardConfig } from '../../src/base/config.ts'
import type { Event } from '../../src/base/events.ts'
import { deadlineIn } from '../../src/base/time.ts'
import { type Client, connect } from '../../src/db/client.ts'
import type { Pool } from '../../src/db/pool.ts'
import { prepared } from '../../src/db/sql.ts'
import { TenantDatabases } from '../../src/shards/databases.ts'
import { Shard } from '../../src/shards/shard.ts'
import { type ManualClock, manualClock } from '../kit/clock.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'

const NAMES = ['one', 'two', 'three', 'four'] as const
const CONFIG = {
  weight: 1,
  drain: false,
  capacity: {},
  readConnections: 2,
  readDepth: 16,
  slowConnections: 3,
  writeConnections: 8,
  overflowConnections: 4,
  databaseConnections: 3,
  databaseIdleMs: 60_000,
  connectMs: 2_000,
  maxAgeMinutes: 0,
  pingAfterMs: 30_000,
}

let fleet: TestFleet
let admin: Client
let id: string
let config: ShardConfig
/** Of this test, by the short name. */
const nameOf = (name: string): string => `shardgate_${id.slice(0, 8)}_${name}`

beforeAll(async () => {
  fleet = await freshFleet({ weights: { 'shard-a': 1 } })
  const [shard] = fleet.shards
  admin = await connect(shard!.superuserUrl)
  const [identity] = await admin.query('select id, current_database() as name from shardgate.identity')
  id = identity!.id!
  await admin.end()
  // Copies of the shard's database are what a tenant's own one is like.
  admin = await connect(Object.assign(new URL(shard!.superuserUrl), { pathname: '/postgres' }).href)
  for (const name of NAMES) {
    await admin.query(`create database "${nameOf(name)}" template "${identity!.name}"`)
  }
  config = { ...CONFIG, url: shard!.url('app') }
})
afterAll(async () => {
  for (const name of NAMES) await admin?.query(`drop database if exists "${nameOf(name)}" with (force)`)
  await admin?.end()
  await fleet?.drop()
})

const WHERE = [prepared('select current_database()')]
const ask = (pool: Pool, ms = 5_000): Promise<string> =>
  pool.batch(WHERE, deadlineIn(ms)).then(([result]) => String(result?.rows[0]?.[0]))
const sessions = async (): Promise<string[]> => {
  const rows = await admin.query(
    `select datname from pg_stat_activity where datname like '${nameOf('%')}' order by 1`,
  )
  return rows.map(({ datname }) => datname ?? '')
}

describe('pools', () => {
  let clock: ManualClock
  let databases: TenantDatabases
  const on = (name: string, ms = 5_000) =>
    databases.use(nameOf(name), deadlineIn(ms), (pool) => ask(pool, ms))
  /** Holds a connection of a database until it is released. */
  function hold(name: string): { release: () => void; held: Promise<void>; ended: Promise<void> } {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const { promise: held, resolve: hasIt } = Promise.withResolvers<void>()
    const ended = databases.use(nameOf(name), deadlineIn(5_000), (pool) =>
      pool.exclusive(deadlineIn(5_000), async () => {
        hasIt()
        await released
      }),
    )
    return { release, held, ended }
  }

  beforeEach(() => {
    clock = manualClock()
    databases = new TenantDatabases({ config, clock, onConnect: async () => {}, onDestroyed: () => {} })
  })
  afterEach(() => databases.end())

  it('are made on use and lead where they say', async () => {
    expect(databases.connections).toBe(0)
    expect(await Promise.all([on('one'), on('two')])).toEqual([nameOf('one'), nameOf('two')])
    expect(databases.stats).toMatchObject({ shared: 2, exclusiveInUse: 0, waiting: 0 })
  })

  it('make room for each other: of those that nobody uses, the one unused for longest goes', async () => {
    for (const name of ['one', 'two', 'three', 'one', 'four']) await on(name)
    expect(databases.connections).toBe(3)
    await expect.poll(sessions).toEqual([nameOf('four'), nameOf('one'), nameOf('three')])
  })

  it('never have more connections than there is room for, however many ask at once', async () => {
    let most = 0
    const watched = async (name: string): Promise<string> => {
      const found = await on(name, 20_000)
      most = Math.max(most, databases.connections)
      return found
    }
    const asked = Array.from({ length: 60 }, (_, i) => NAMES[i % 4]!)
    expect(await Promise.all(asked.map(watched))).toEqual(asked.map(nameOf))
    expect(most).toBeLessThanOrEqual(3)
  })

  it('let whoever finds no room wait, and no longer than he has time', async () => {
    const holders = [hold('one'), hold('two'), hold('three')]
    await Promise.all(holders.map(({ held }) => held))
    await expect(on('four', 50)).rejects.toMatchObject({ code: 'OVERLOADED' })
    const waiting = on('four')
    await expect.poll(() => databases.stats.waiting).toBe(1)
    holders[1]!.release()
    expect(await waiting).toBe(nameOf('four'))
    for (const { release, ended } of holders) {
      release()
      await ended
    }
    expect(databases.stats).toMatchObject({ exclusiveInUse: 0, waiting: 0 })
  })

  it('give up what is idle in a database that is busy otherwise', async () => {
    const [first, second, third] = [hold('one'), hold('one'), hold('one')]
    await Promise.all([first, second, third].map(({ held }) => held))
    second.release()
    await second.ended
    expect(await on('two')).toBe(nameOf('two'))
    for (const one of [first, third]) one.release()
    await Promise.all([first.ended, third.ended])
  })

  it('are closed when nobody has used them for a while, and not before', async () => {
    await on('one')
    clock.advance(59_999)
    databases.closeIdle()
    await on('two')
    clock.advance(1)
    databases.closeIdle()
    expect(databases.connections).toBe(1)
    await expect.poll(sessions).toEqual([nameOf('two')])
    clock.advance(60_000)
    const busy = hold('two')
    await busy.held
    databases.closeIdle()
    expect(databases.stats.exclusiveInUse).toBe(1)
    busy.release()
    await busy.ended
  })

  it('take over other numbers while they run', async () => {
    await Promise.all(['one', 'two', 'three'].map((name) => on(name)))
    databases.reconfigure({ ...config, databaseConnections: 1 })
    expect(databases.connections).toBe(1)
    expect(await on('four')).toBe(nameOf('four'))
    expect(databases.connections).toBe(1)
  })

  it('do not ask again and again for a database that is gone, and find it when it is there', async () => {
    const away = nameOf('later')
    const ask = () => on('later').then(String, ({ name }) => name)
    expect(await ask()).toBe('DatabaseAway')
    await admin.query(`create database "${away}"`)
    try {
      expect(await ask()).toBe('DatabaseAway')
      clock.advance(500)
      expect(await ask()).toBe(away)
    } finally {
      await admin.query(`drop database "${away}" with (force)`)
    }
  })

  it('leave no connection behind when they end, also one that is being opened', async () => {
    const opening = on('one').catch(({ name }) => name)
    databases.end()
    expect(await opening).toBe('ConnectionLost')
    await expect.poll(() => databases.connections).toBe(0)
    await expect.poll(sessions).toEqual([])
  })
})

describe('a shard', () => {
  let shard: Shard
  let events: Event[]
  const on = (name: string, more: Partial<ShardConfig> = {}) =>
    shard.use((pool) => ask(pool), { name: nameOf(name), deadline: deadlineIn(5_000), ...more })
  const down = () => events.filter(({ kind }) => kind === 'shard.down')

  beforeEach(() => {
    events = []
    shard = new Shard({ key: 'shard-a', config, id, emit: (event) => void events.push(event) })
    shard.admit()
  })
  afterEach(() => shard.end())

  it('counts the connections of all its databases as its own', async () => {
    await Promise.all([on('one'), on('two'), shard.use((pool) => ask(pool))])
    expect(shard.stats.shared).toBe(3)
  })

  it.each([
    ['is gone', async () => {}, 'nowhere'],
    [
      'takes no connections',
      () => admin.query(`alter database "${nameOf('four')}" allow_connections false`),
      'four',
    ],
    [
      'lets the role not in',
      () =>
        admin.query(
          `alter database "${nameOf('four')}" allow_connections true; revoke all on database "${nameOf('four')}" from public, shardgate_app`,
        ),
      'four',
    ],
  ])('goes on serving when a database %s', async (_, prepare, name) => {
    await prepare()
    for (let i = 0; i < 5; i++) {
      await expect(on(name)).rejects.toMatchObject({ name: 'DatabaseAway' })
      expect(await on('one')).toBe(nameOf('one'))
    }
    expect([shard.available, down()]).toEqual([true, []])
  })

  it('does not use a database that is another shard’s, and goes on', async () => {
    const other = new Shard({
      key: 'shard-a',
      config,
      id: '00000000-0000-4000-8000-000000000000',
      emit: (event) => void events.push(event),
    })
    other.admit()
    try {
      const asked = other.use((pool) => ask(pool), { name: nameOf('one'), deadline: deadlineIn(5_000) })
      await expect(asked).rejects.toMatchObject({ name: 'DatabaseAway' })
      expect(events).toContainEqual({
        kind: 'database.refused',
        shard: 'shard-a',
        database: nameOf('one'),
        reason: `its id is ${id}; the directory has 00000000-0000-4000-8000-000000000000`,
      })
      expect([other.available, down()]).toEqual([true, []])
    } finally {
      other.end()
    }
  })

  it('that is away opens its breaker, though only databases of tenants were asked for', async () => {
    const url = Object.assign(new URL(config.url), { port: '1' }).href
    const away = new Shard({
      key: 'shard-a',
      config: { ...config, url },
      id,
      emit: (event) => void events.push(event),
    })
    away.admit()
    try {
      for (const name of ['one', 'two', 'three']) {
        const asked = away.use((pool) => ask(pool), { name: nameOf(name), deadline: deadlineIn(5_000) })
        await expect(asked).rejects.toMatchObject({ code: 'ECONNREFUSED' })
      }
      expect([away.available, down().length]).toEqual([false, 1])
    } finally {
      away.end()
    }
  })

  it('closes the connections of all when the server was demoted', async () => {
    await Promise.all([on('one'), on('two')])
    shard.dropConnections()
    expect(shard.stats.shared).toBe(0)
    expect(await on('one')).toBe(nameOf('one'))
  })
})
