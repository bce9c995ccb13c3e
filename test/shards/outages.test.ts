/** What a tenant meets when a shard, or a part of it, goes away: refusals in words, and a way back by itself. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/base/config.ts'
import { deadlineIn } from '../../src/base/time.ts'
import { ConnectionLost } from '../../src/db/connection.ts'
import { prepared } from '../../src/db/sql.ts'
import { Shard } from '../../src/shards/shard.ts'
import { openWorldDoor, type WorldDoor } from '../kit/door.ts'
import { runsWith } from '../kit/isolation-model.ts'
import { startWorld, type World, type WorldShard, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let gate: WorldDoor
let [one, elsewhere]: WorldTenant[] = []

beforeAll(async () => {
  world = await startWorld({ tenants: 4, shards: 3, proxies: true })
  one = world.tenants[0]!
  elsewhere = world.tenants[1]!
})
afterAll(() => world.stop())
beforeEach(async () => {
  gate = await openWorldDoor(world)
})
afterEach(() => gate.end())

const shardOf = (tenant: WorldTenant): WorldShard => world.shards.find(({ key }) => key === tenant.shard)!
const TENANTS = 'select distinct tenant_id from app.projects'
const INSERT = `insert into app.projects (tenant_id, id, name) values ($1, $2, 'project ' || $2::bigint)`

describe('a shard whose server was demoted', () => {
  it('D7: refuses writes as SHARD_UNAVAILABLE, goes on reading, and writes again on new connections', async () => {
    const readOnly = (on: boolean) =>
      world.sql(
        one!.shard,
        `do $$ begin execute format('alter database %I set default_transaction_read_only = ${on}',
        current_database()); end $$`,
      )
    const write = (id: number) => gate.ask(one!.id, INSERT, [one!.id, id], 'write')
    await readOnly(true)
    try {
      await expect(write(401)).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
      expect(await gate.ask(one!.id, TENANTS)).toEqual([[one!.id]])
    } finally {
      await world.sql(
        one!.shard,
        `begin read write; do $$ begin execute format('alter database %I reset default_transaction_read_only',
        current_database()); end $$; commit`,
      )
    }
    await expect(write(402)).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    expect(await write(403)).toEqual([])
  })
})

describe('a backend that is killed', () => {
  it('fails at most what it had in flight; the shard stays in service', async () => {
    for (let round = 0; round < 5; round++) {
      const reads = Array.from({ length: 20 }, () =>
        gate.ask(one!.id, 'select pg_sleep(0.02)').then(
          () => 'answered',
          ({ code }) => code,
        ),
      )
      await world.sql(
        one!.shard,
        `select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'shardgate' and datname = current_database()`,
      )
      for (const answer of await Promise.all(reads))
        expect(['answered', 'SHARD_UNAVAILABLE']).toContain(answer)
      expect(await gate.ask(one!.id, TENANTS)).toEqual([[one!.id]])
    }
    expect(gate.events.filter(({ kind }) => kind === 'shard.down')).toEqual([])
  })
})

describe('a breaker', () => {
  it('opens after failures in a row, and never for as many with successes between them', async () => {
    const shard = gate.fleet.get(one!.shard)!
    const fails = async (): Promise<void> => {
      const lost = new ConnectionLost('deadline', 'no answer')
      await expect(shard.use(() => Promise.reject(lost))).rejects.toBe(lost)
    }
    for (let i = 0; i < 5; i++) {
      await fails()
      await fails()
      expect(await shard.use(async () => 'well')).toBe('well')
    }
    expect(shard.available).toBe(true)
    for (let i = 0; i < 3; i++) await fails()
    expect(shard.available).toBe(false)
  })
})

describe('a shard that is down', () => {
  it('is SHARD_UNAVAILABLE for its own tenants, nothing for the others, and comes back by itself', async () => {
    const proxy = shardOf(elsewhere!).proxy!
    await gate.ask(elsewhere!.id, TENANTS)
    await proxy.refuse()
    proxy.cut()
    for (let i = 0; i < 6; i++) {
      await expect(gate.ask(elsewhere!.id, TENANTS)).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
      expect(await gate.ask(one!.id, TENANTS)).toEqual([[one!.id]])
    }
    expect(gate.events).toContainEqual(
      expect.objectContaining({ kind: 'shard.down', shard: elsewhere!.shard }),
    )
    const tries = proxy.counts.connections
    await expect(gate.ask(elsewhere!.id, TENANTS)).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    expect(proxy.counts.connections).toBe(tries)
    await proxy.restore()
    await expect.poll(() => gate.ask(elsewhere!.id, TENANTS), { timeout: 5_000 }).toEqual([[elsewhere!.id]])
  })

  it('that comes back is tried with something short: nobody waits for a transaction to end', async () => {
    const proxy = shardOf(elsewhere!).proxy!
    await proxy.refuse()
    proxy.cut()
    for (let i = 0; i < 4; i++) await gate.ask(elsewhere!.id, TENANTS).catch(() => {})
    await proxy.restore()
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const long = () =>
      gate.door.withTenant(elsewhere!.id, 'write', deadlineIn(20_000), async () => {
        await released
        return { keep: false, value: 'long' }
      })
    const tries: Promise<unknown>[] = []
    await expect
      .poll(
        () => {
          tries.push(long().catch(() => 'refused'))
          return gate.fleet.get(elsewhere!.shard)!.stats.exclusiveInUse
        },
        { timeout: 5_000 },
      )
      .toBeGreaterThan(0)
    expect(await gate.ask(elsewhere!.id, TENANTS)).toEqual([[elsewhere!.id]])
    release()
    await Promise.all(tries)
  })

  it.skipIf(runsWith('database'))(
    'whose connection string was swapped with another is not served',
    async () => {
      await world.sql(elsewhere!.shard, 'update shardgate.identity set id = gen_random_uuid()')
      await expect(gate.ask(elsewhere!.id, TENANTS)).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
      expect(gate.events).toContainEqual(
        expect.objectContaining({ kind: 'shard.refused', shard: elsewhere!.shard }),
      )
    },
  )

  it('F8: whose role may see everything is not served', async () => {
    // A role of its own: roles belong to the whole server, where other tests are at work.
    const role = `mighty_${process.pid}`
    await world.sql(one!.shard, `create role ${role} login bypassrls password 'm' in role shardgate_app`)
    const url = new URL(shardOf(one!).appUrl)
    Object.assign(url, { username: role, password: 'm' })
    const { [one!.shard]: config } = loadConfig(world.configFile, {}).shards
    const [identity] = await world.sql(one!.shard, 'select id from shardgate.identity')
    const refused: string[] = []
    const shard = new Shard({
      key: one!.shard,
      config: { ...config!, url: url.href },
      id: String(identity?.id),
      emit: (event) => event.kind === 'shard.refused' && refused.push(event.reason),
    })
    try {
      shard.admit()
      const asked = shard.use((pool) => pool.batch([prepared('select 1')], deadlineIn(2_000)))
      await expect(asked).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
      expect(refused).toEqual(['the role of its url may bypass row-level security'])
    } finally {
      shard.end()
      await world.sql(one!.shard, `drop role ${role}`)
    }
  })
})
