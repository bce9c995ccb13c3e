/**
 * The one door: routing, fencing, and what happens to a connection of which there is any doubt.
 */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { deadlineIn } from '../../src/base/time.ts'
import { prepared } from '../../src/db/sql.ts'
import { openWorldDoor, type WorldDoor } from '../kit/door.ts'
import { runsWith } from '../kit/isolation-model.ts'
import { startWorld, type World, type WorldShard, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let gate: WorldDoor
let [one, other, elsewhere]: WorldTenant[] = []

beforeAll(async () => {
  world = await startWorld({ tenants: 4, shards: 3, proxies: true }, { moves: { holdMs: 50 } })
  one = world.tenants[0]!
  elsewhere = world.tenants[1]!
  other = world.tenants[3]!
})
afterAll(() => world.stop())
beforeEach(async () => {
  gate = await openWorldDoor(world)
})
afterEach(() => gate.end())

const shardOf = (tenant: WorldTenant): WorldShard => world.shards.find(({ key }) => key === tenant.shard)!
const TENANTS = 'select distinct tenant_id from app.projects'
const INSERT = `insert into app.projects (tenant_id, id, name) values ($1, $2, 'project ' || $2::bigint)`
// A tenant's own schema has another name.
const isTenants = (text: string) => text.startsWith('select distinct tenant_id')
const isProject = (text: string) => text.startsWith('insert into')
const destroyed = () => gate.events.filter(({ kind }) => kind === 'connection.destroyed').length

describe('a batch', () => {
  it("reads its tenant's rows and nobody else's, with no predicate at all", async () => {
    expect(shardOf(one!).key).toBe(shardOf(other!).key)
    for (const tenant of [one!, other!, elsewhere!, one!]) {
      expect(await gate.ask(tenant.id, TENANTS)).toEqual([[tenant.id]])
    }
  })

  it('answers many at once over few connections, each with its own rows', async () => {
    const asked = Array.from({ length: 200 }, (_, i) => world.tenants[i % 4]!)
    const answers = await Promise.all(asked.map(({ id }) => gate.ask(id, TENANTS)))
    expect(answers).toEqual(asked.map(({ id }) => [[id]]))
  })

  it.skipIf(runsWith('database'))('keeps nothing of the tenant on the connection (D2)', async () => {
    await gate.ask(one!.id, TENANTS)
    const [result] = await gate.fleet
      .get(one!.shard)!
      .use((pool) =>
        pool.batch([prepared(`select current_setting('app.current_tenant_id', true)`)], deadlineIn(1_000)),
      )
    expect(result?.rows).toEqual([['']])
  })

  it('may not write when it said that it reads', async () => {
    await expect(gate.ask(one!.id, INSERT, [one!.id, 1])).rejects.toMatchObject({ code: '25006' })
  })

  it("cannot write another tenant's row", async () => {
    await expect(gate.ask(one!.id, INSERT, [other!.id, 1], 'write')).rejects.toMatchObject({ code: '42501' })
  })

  it('that fails leaves the connection and its prepared statements in order', async () => {
    for (let i = 0; i < 3; i++) {
      await expect(gate.ask(one!.id, 'select 1 / $1::int', [0])).rejects.toMatchObject({ code: '22012' })
      expect(await gate.ask(one!.id, 'select 1 / $1::int', [1])).toEqual([['1']])
      await expect(gate.ask(one!.id, 'select nonsense')).rejects.toMatchObject({ code: '42703' })
    }
    expect(destroyed()).toBe(0)
  })

  it('stops in time, and the next one on the connection does not notice', async () => {
    const slow = gate.door.batch(one!.id, 'read', deadlineIn(50), [prepared('select pg_sleep(20)')])
    await expect(slow).rejects.toMatchObject({ code: 'TIMEOUT' })
    expect(await gate.ask(one!.id, TENANTS)).toEqual([[one!.id]])
    expect(destroyed()).toBe(0)
  })

  it('F14: notices that a prepared statement no longer fits, and sends it again on another connection', async () => {
    const all = 'select * from app.labels where false'
    await gate.ask(one!.id, all)
    await world.sql(one!.shard, 'alter table app.labels add column later text')
    expect(await gate.ask(one!.id, all)).toEqual([])
    await world.sql(one!.shard, 'alter table app.labels drop column later')
  })

  it('that writes waits for the lock of another for a moment only, and nobody behind it for longer', async () => {
    const holder = await world.connectTo(one!)
    try {
      await holder.query('begin')
      await holder.query(prepared('update app.projects set name = name where tenant_id = $1', [one!.id]))
      // With an hour to wait in, whoever waits as long as there is time does not come back.
      const update = prepared('update app.projects set budget_cents = 1')
      const write = gate.door.batch(one!.id, 'write', deadlineIn(3_600_000), [update])
      const refused = expect(write).rejects.toMatchObject({ code: 'TIMEOUT' })
      const bystanders = Array.from({ length: 100 }, () => gate.ask(other!.id, TENANTS))
      expect(await Promise.all(bystanders)).toEqual(bystanders.map(() => [[other!.id]]))
      await refused
    } finally {
      await holder.end()
    }
  })

  it('that writes waits no longer for a tenant that is being moved', async () => {
    const mover = await world.connectTo(one!)
    try {
      await mover.query('begin')
      await mover.query(prepared('select pg_advisory_xact_lock(shardgate.tenant_lock($1))', [one!.id]))
      const write = gate.door.batch(one!.id, 'write', deadlineIn(3_600_000), [prepared('select 1')])
      await expect(write).rejects.toMatchObject({ code: 'TENANT_MOVING' })
    } finally {
      await mover.end()
    }
  })
})

describe('answers that were mixed up', () => {
  it('D6: are noticed by the tenant they carry: the request fails, the connection goes, an alarm comes', async () => {
    const proxy = shardOf(one!).proxy!
    await gate.ask(one!.id, TENANTS)
    const isBatchOf = ({ statements }: { statements: readonly string[] }) => statements.some(isTenants)
    const replayed = proxy.replayAnswer(isBatchOf, isBatchOf)
    await gate.ask(other!.id, TENANTS)
    await expect(gate.ask(one!.id, TENANTS)).rejects.toMatchObject({ code: 'INTERNAL_SERVER_ERROR' })
    await replayed
    expect(gate.events).toContainEqual({
      kind: 'connection.mixup',
      shard: one!.shard,
      asked: one!.id,
      answered: other!.id,
    })
    expect(await gate.ask(one!.id, TENANTS)).toEqual([[one!.id]])
  })
})

it('D6: a refusal that is another tenant’s is no word about a write, which was kept', async () => {
  const proxy = shardOf(one!).proxy!
  const write = (tenant: WorldTenant, id: number | null) =>
    gate.ask(tenant.id, INSERT, [tenant.id, id], 'write')
  const isInsert = ({ statements }: { statements: readonly string[] }) => statements.some(isProject)
  const replayed = proxy.replayAnswer(isInsert, isInsert)
  await expect(write(other!, null)).rejects.toMatchObject({ code: '23502' })
  await expect(write(one!, 4_711)).rejects.toMatchObject({ code: 'INTERNAL_SERVER_ERROR' })
  await replayed
  expect(await gate.ask(one!.id, 'select name from app.projects where id = 4711')).toHaveLength(1)
})

describe('answers to another kind of batch', () => {
  // The place of one kind's tenant is that of the other kind's first row, which here claims to be the asking tenant.
  it.each([
    ['one statement, by that of two', 1, 2],
    ['two statements, by that of one', 2, 1],
  ])('D6: are noticed too: a batch of %s', async (_, wanted, answered) => {
    const proxy = shardOf(one!).proxy!
    const texts = (count: number) => Array.from({ length: count }, () => 'select $1::text as claimed')
    const ask = (tenant: WorldTenant, count: number) => {
      const statements = texts(count).map((text) => prepared(text, [one!.id]))
      return gate.door.batch(tenant.id, 'read', deadlineIn(5_000), statements)
    }
    const isAsked = (count: number) => (answer: { statements: readonly string[] }) =>
      answer.statements.filter((text) => text === texts(1)[0]).length === count
    await ask(one!, 1)
    const replayed = proxy.replayAnswer(isAsked(answered), isAsked(wanted))
    await ask(other!, answered)
    await expect(ask(one!, wanted)).rejects.toMatchObject({ code: 'INTERNAL_SERVER_ERROR' })
    await replayed
    const alarm = { kind: 'connection.mixup', shard: one!.shard, asked: one!.id, answered: other!.id }
    expect(gate.events).toContainEqual(alarm)
  })
})

describe('a transaction', () => {
  const transaction = <T>(work: Parameters<typeof gate.door.withTenant<T>>[3], ms = 5_000) =>
    gate.door.withTenant(one!.id, 'write', deadlineIn(ms), work)
  const count = async (id: number) =>
    (await world.sql(one!.shard, 'select from app.projects where id = $1', [id])).length

  it('is kept when its work says so, and only then', async () => {
    await transaction(async ({ run }) => ({ keep: true, value: await run(prepared(INSERT, [one!.id, 101])) }))
    await transaction(async ({ run }) => ({
      keep: false,
      value: await run(prepared(INSERT, [one!.id, 102])),
    }))
    expect([await count(101), await count(102)]).toEqual([1, 0])
    expect(destroyed()).toBe(0)
  })

  it('D1: that its work leaves by an error is rolled back, and its connection is not used again', async () => {
    const failing = transaction(async ({ run }) => {
      await run(prepared(INSERT, [one!.id, 103]))
      throw new Error('thrown by the work')
    })
    await expect(failing).rejects.toThrow('thrown by the work')
    expect(await gate.ask(other!.id, TENANTS)).toEqual([[other!.id]])
    expect([await count(103), destroyed()]).toEqual([0, 1])
  })

  it("that has ended gives nothing to work that goes on: its connection may be another tenant's by now", async () => {
    const late: { run?: (statement: ReturnType<typeof prepared>) => Promise<unknown> } = {}
    await transaction(async ({ run }) => {
      late.run = run
      return { keep: true, value: null }
    })
    const others = gate.door.withTenant(other!.id, 'read', deadlineIn(5_000), async ({ run }) => {
      await expect(late.run?.(prepared(TENANTS))).rejects.toMatchObject({ code: 'ROLLED_BACK' })
      return { keep: false, value: await run(prepared(TENANTS)) }
    })
    expect(await others).toEqual([[other!.id]])
  })

  it('whose work hangs ends at its deadline and gives its connection back', async () => {
    const hang = transaction<null>(() => new Promise(() => {}), 50)
    await expect(hang).rejects.toMatchObject({ code: 'TIMEOUT' })
    expect(gate.fleet.get(one!.shard)!.stats.exclusiveInUse).toBe(0)
  })

  it('that the fence refuses leaves its connection in order', async () => {
    await world.sql(one!.shard, `update shardgate.tenant_fence set state = 'frozen' where tenant_id = $1`, [
      one!.id,
    ])
    const write = () => transaction(async () => ({ keep: true, value: null }))
    for (let i = 0; i < 3; i++) await expect(write()).rejects.toMatchObject({ code: 'TENANT_MOVING' })
    await world.sql(one!.shard, `update shardgate.tenant_fence set state = 'active' where tenant_id = $1`, [
      one!.id,
    ])
    await write()
    expect(destroyed()).toBe(0)
  })

  it('in which a statement failed is never reported as kept', async () => {
    const failing = transaction(async ({ run }) => {
      await run(prepared('select 1 / 0')).catch(() => {})
      return { keep: true, value: null }
    })
    await expect(failing).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  it('D3, D5: that gets no answer destroys its connection, and the next borrower is well', async () => {
    await gate.ask(one!.id, TENANTS)
    const late = transaction(async ({ run }) => {
      shardOf(one!).proxy!.blackhole()
      return { keep: true, value: await run(prepared('select 1')) }
    }, 200)
    await expect(late).rejects.toMatchObject({ code: 'TIMEOUT' })
    shardOf(one!).proxy!.pass()
    shardOf(one!).proxy!.cut()
    // D5: a cancel hits a connection, not a query, so none is ever sent.
    expect(shardOf(one!).proxy!.counts.cancels).toBe(0)
    expect(await gate.ask(one!.id, TENANTS)).toEqual([[one!.id]])
  })

  it('D4: whose backend is killed fails alone; the process lives', async () => {
    const killed = transaction(async ({ run }) => {
      const [[pid] = []] = await run(prepared('select pg_backend_pid()'))
      await world.sql(one!.shard, 'select pg_terminate_backend($1, 5000)', [pid])
      return { keep: true, value: await run(prepared('select 1')) }
    })
    await expect(killed).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    expect(await gate.ask(one!.id, TENANTS)).toEqual([[one!.id]])
  })

  it('gives its work the errors that it would throw: a statement that takes too long is TIMEOUT', async () => {
    const codes: unknown[] = []
    await transaction(async ({ run }) => {
      await run(prepared('select pg_sleep(20)')).catch(({ code }) => codes.push(code))
      return { keep: false, value: null }
    }, 100)
    expect(codes).toEqual(['TIMEOUT'])
  })

  it('whose COMMIT was sent and not answered has an unknown outcome, and is not tried again', async () => {
    const proxy = shardOf(one!).proxy!
    const cut = proxy.on(({ type, text }) => type === 'CommandComplete' && text === 'COMMIT', 'cut', {
      times: 1,
    })
    const lost = transaction(async ({ run }) => ({
      keep: true,
      value: await run(prepared(INSERT, [one!.id, 104])),
    }))
    await expect(lost).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' })
    cut.off()
    expect(await count(104)).toBe(1)
  })
})

describe('a placement that is out of date', () => {
  const raise = (tenant: WorldTenant, place: string, epoch: number) =>
    world.sql(
      place,
      `update ${place === 'directory' ? 'directory.tenant' : 'shardgate.tenant_fence'} set epoch = $2
      where ${place === 'directory' ? 'id' : 'tenant_id'} = $1`,
      [tenant.id, epoch],
    )

  it('is refused by the shard, read again once, and the caller does not notice', async () => {
    await gate.ask(one!.id, TENANTS)
    await raise(one!, one!.shard, 2)
    await raise(one!, 'directory', 2)
    expect(await gate.ask(one!.id, TENANTS)).toEqual([[one!.id]])
    expect(gate.events).toContainEqual(
      expect.objectContaining({ kind: 'placement.refreshed', tenant: one!.id }),
    )
  })

  it('that the directory does not know better is TENANT_MOVING, not another tenant', async () => {
    await raise(other!, other!.shard, 5)
    await expect(gate.ask(other!.id, TENANTS)).rejects.toMatchObject({ code: 'TENANT_MOVING' })
    await raise(other!, other!.shard, 1)
  })

  it('with the directory away: known tenants go on, unknown ones are not guessed', async () => {
    await gate.ask(elsewhere!.id, TENANTS)
    await world.directoryProxy!.refuse()
    world.directoryProxy!.cut()
    expect(await gate.ask(elsewhere!.id, TENANTS)).toEqual([[elsewhere!.id]])
    await expect(gate.ask(world.tenants[2]!.id, TENANTS)).rejects.toMatchObject({
      code: 'DIRECTORY_UNAVAILABLE',
    })
    await world.directoryProxy!.restore()
  })
})
