/** Requests of a tenant that is just being moved: held within bounds, done once, and in the right place. */

import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { HoldOutcome } from '../../src/base/events.ts'
import { type Deadline, deadlineIn } from '../../src/base/time.ts'
import { prepared } from '../../src/db/sql.ts'
import { Buffering } from '../../src/shards/buffering.ts'
import { isOfOldTables } from '../../src/shards/failures.ts'
import { openWorldDoor, type WorldDoor } from '../kit/door.ts'
import { placementOf } from '../kit/placements.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'
import { type Post, type SimulatedMove, simulateMove } from '../kit/simulated-move.ts'
import type { WireProxy } from '../kit/wire-proxy.ts'

const SHARED = (shard: string): Post => ({ shard, isolation: 'shared' })
const soon = () => deadlineIn(20_000)

let world: World
let tenant: WorldTenant, neighbour: WorldTenant
let epoch = 1
let at = SHARED('shard-a')
const opened: { end(): unknown }[] = []

beforeAll(async () => {
  // Of the first two, both live on shard-a.
  world = await startWorld({ tenants: 3, shards: 2, isolations: ['shared'], proxies: true })
  ;[tenant, , neighbour] = world.tenants as [WorldTenant, WorldTenant, WorldTenant]
})
afterAll(() => world?.stop())
afterEach(async () => {
  for (const one of opened.splice(0)) await one.end()
})

/** A gateway that has served the tenant where it is now. */
async function gateway(moves: object = {}): Promise<WorldDoor> {
  const configFile = `${world.configFile}.${opened.length}.json`
  const config = JSON.parse(readFileSync(world.configFile, 'utf8'))
  writeFileSync(configFile, JSON.stringify({ ...config, moves }))
  const gate = await openWorldDoor({ ...world, configFile })
  opened.push(gate)
  await words(gate)
  return gate
}

/** The next move of the tenant, which the test makes step by step. */
async function moveTo(to: Post): Promise<SimulatedMove> {
  const move = await simulateMove(world, tenant, { from: at, to, epoch })
  opened.push(move)
  return { ...move, relocate: () => move.relocate().then(() => arrived(to)) }
}

const arrived = (to: Post): void => {
  at = to
  epoch++
}

async function wholeMove(to: Post): Promise<SimulatedMove> {
  const move = await moveTo(to)
  for (const step of ['prepare', 'freeze', 'copy', 'relocate', 'close', 'open'] as const) await move[step]()
  return move
}

const elsewhere = (): Post => SHARED(at.shard === 'shard-a' ? 'shard-b' : 'shard-a')

let words_ = 0
const word = (): string => `word-${++words_}`
const words = async (gate: WorldDoor): Promise<(string | null | undefined)[]> =>
  (await gate.ask(tenant.id, `select word from app.labels where word like 'word-%'`)).map(([one]) => one)

type Write = (gate: WorldDoor, word: string, deadline?: Deadline) => Promise<unknown>
const insert = (text: string) =>
  prepared('insert into app.labels (tenant_id, task_id, word) values ($1, 1, $2)', [tenant.id, text])
const inBatch: Write = (gate, text, deadline = soon()) =>
  gate.door.batch(tenant.id, 'write', deadline, [insert(text)])
const inTransaction: Write = (gate, text, deadline = soon()) =>
  gate.door.withTenant(tenant.id, 'write', deadline, async ({ run }) => {
    await run(insert(text))
    return { keep: true, value: null }
  })

const held = (gate: WorldDoor, count: number): Promise<void> =>
  expect.poll(() => gate.buffering.held, { interval: 2 }).toBe(count)
const outcomes = (gate: WorldDoor, mode: 'read' | 'write' = 'write'): HoldOutcome[] =>
  gate.events.flatMap((event) => (event.kind === 'request.held' && event.mode === mode ? event.outcome : []))
const MOVING = { code: 'TENANT_MOVING' }

describe.each<[string, Write]>([
  ['a batch', inBatch],
  ['a transaction', inTransaction],
])('F15: %s that writes during a freeze', (_, write) => {
  it('is held, and done once where the tenant has arrived', async () => {
    const gate = await gateway()
    const move = await moveTo(elsewhere())
    await move.prepare()
    await move.freeze()
    const frozen = await move.contents('source')
    const mine = Array.from({ length: 40 }, word)
    const writing = mine.map((one) => write(gate, one))
    await held(gate, 40)
    // Nobody else notices: no connection is taken, and the neighbour writes.
    expect(gate.fleet.get('shard-a')!.stats).toMatchObject({ exclusiveInUse: 0, waiting: 0 })
    const label = `insert into app.labels (tenant_id, task_id, word) values ($1, 1, $2) returning word`
    const theirs = word()
    expect(await gate.ask(neighbour.id, label, [neighbour.id, theirs], 'write')).toEqual([[theirs]])
    await move.copy()
    await move.relocate()
    await move.close()
    await move.open()
    await Promise.all(writing)
    expect(await words(gate)).toEqual(expect.arrayContaining(mine))
    expect(await move.contents('source')).toBe(frozen)
    expect(outcomes(gate)).toEqual(mine.map(() => 'released'))
    expect(gate.buffering.held).toBe(0)
  })

  it('is done where the tenant was when the freeze is given up', async () => {
    const gate = await gateway()
    const move = await moveTo(elsewhere())
    await move.prepare()
    await move.freeze()
    const mine = word()
    const writing = write(gate, mine)
    await held(gate, 1)
    await move.thaw()
    await writing
    expect(await move.contents('source')).toContain(mine)
    expect(await words(gate)).toContain(mine)
  })

  it('waits for no lock of the mover, and keeps nobody behind it on its connection', async () => {
    const gate = await gateway()
    const move = await moveTo(elsewhere())
    const free = await move.lock()
    const mine = word()
    const writing = write(gate, mine)
    await held(gate, 1)
    const asked = Array.from({ length: 50 }, () => gate.ask(neighbour.id, 'select 1', [], 'write'))
    expect(await Promise.all(asked)).toEqual(asked.map(() => [['1']]))
    expect(gate.fleet.get(at.shard)!.stats.exclusiveInUse).toBe(0)
    await free()
    await writing
    expect(await words(gate)).toContain(mine)
  })
})

describe('what is held', () => {
  async function frozen(): Promise<SimulatedMove> {
    const move = await moveTo(elsewhere())
    await move.prepare()
    await move.freeze()
    return move
  }

  it('goes on in the order in which it came, sixteen at a time', async () => {
    const placement = placementOf('acme')
    const fence = { state: 'frozen', epoch: 1, isFree: true }
    const buffering = new Buffering({
      reread: async () => placement,
      fenceAt: async () => ({ ...fence }),
      limits: () => ({ holdMs: 5_000, holdRequests: 100 }),
      emit: () => {},
    })
    const gone: { no: number; done: () => void }[] = []
    const asked = Array.from(
      { length: 40 },
      () => ({ tenant: placement.tenant, mode: 'write', deadline: soon() }) as const,
    )
    const first = asked.map((one) => buffering.hold(one, placement, true))
    for (const [no, turn] of first.entries()) turn.then(({ done }) => gone.push({ no, done }))
    fence.state = 'active'
    await first[15]
    expect(gone.map(({ no }) => no)).toEqual(first.slice(0, 16).map((_, no) => no))
    // One that is refused once more stands where it stood.
    fence.state = 'frozen'
    const again = buffering
      .hold(asked[3]!, placement, true)
      .then((turn) => gone.push({ no: 3, done: turn.done }))
    for (const { done } of gone) done()
    fence.state = 'active'
    await Promise.all([...first, again])
    expect(gone.slice(16).map(({ no }) => no)).toEqual([3, ...first.slice(16).map((_, i) => i + 16)])
  })

  it.each<[string, HoldOutcome, object, () => Deadline]>([
    ['its time is over', 'late', { holdMs: 60 }, soon],
    ['its deadline has come', 'late', {}, () => deadlineIn(60)],
    ['its client has hung up', 'gone', {}, () => ({ ...soon(), whenGone: hangsUp })],
  ])('leaves when %s', async (_, outcome, moves, deadline) => {
    const gate = await gateway(moves)
    const move = await frozen()
    await expect(inTransaction(gate, word(), deadline())).rejects.toMatchObject(MOVING)
    expect([outcomes(gate), gate.buffering.held]).toEqual([[outcome], 0])
    await move.thaw()
  })

  const hangsUp = (tell: () => void): (() => void) => {
    const timer = setTimeout(tell, 20)
    return () => clearTimeout(timer)
  }

  it('is held once for both lanes: a second try has no time left', async () => {
    const gate = await gateway({ holdMs: 60 })
    const move = await frozen()
    const deadline = soon()
    await expect(inBatch(gate, word(), deadline)).rejects.toMatchObject(MOVING)
    await expect(inTransaction(gate, word(), deadline)).rejects.toMatchObject(MOVING)
    const [first, second] = gate.events.flatMap((event) => (event.kind === 'request.held' ? event.ms : []))
    expect([first! > 50, second! < 5]).toEqual([true, true])
    await move.thaw()
  })

  it('is refused at once when as many are held as may be', async () => {
    const gate = await gateway({ holdRequests: 3 })
    const move = await frozen()
    const writing = [1, 2, 3].map(() => inBatch(gate, word()))
    await held(gate, 3)
    await expect(inBatch(gate, word())).rejects.toMatchObject(MOVING)
    expect(outcomes(gate)).toEqual(['full'])
    await move.thaw()
    await Promise.all(writing)
  })

  it('is told when the tenant is suspended meanwhile', async () => {
    const gate = await gateway()
    const move = await frozen()
    const refused = expect(inBatch(gate, word())).rejects.toMatchObject({ code: 'TENANT_SUSPENDED' })
    await held(gate, 1)
    const state = (to: string) =>
      world.sql('directory', `update directory.tenant set state = '${to}' where id = $1`, [tenant.id])
    await state('suspended')
    await refused
    await state('active')
    await move.thaw()
  })

  it.each<[string, (proxy: WireProxy) => unknown, (proxy: WireProxy) => unknown]>([
    ['refuses connections', (proxy) => proxy.refuse().then(() => proxy.cut()), (proxy) => proxy.restore()],
    ['does not answer', (proxy) => proxy.blackhole(), (proxy) => proxy.pass()],
  ])('goes on by what the fence says where the directory %s', async (_, away, back) => {
    const gate = await gateway()
    const move = await frozen()
    await away(world.directoryProxy!)
    const mine = word()
    const writing = inBatch(gate, mine)
    await held(gate, 1)
    await move.thaw()
    await writing
    await back(world.directoryProxy!)
    expect(await words(gate)).toContain(mine)
  })

  it('is not what a trigger refuses with the same words', async () => {
    const gate = await gateway()
    await world.sql(
      at.shard,
      `create function app.no() returns trigger language plpgsql as $$
       begin raise exception 'no' using errcode = 'SG002'; end $$;
       create trigger no before insert on app.labels for each row execute function app.no()`,
    )
    try {
      for (const write of [inBatch, inTransaction]) await expect(write(gate, word())).rejects.toBeDefined()
      expect(outcomes(gate)).toEqual([])
    } finally {
      await world.sql(at.shard, 'drop function app.no() cascade')
    }
  })
})

describe('reads', () => {
  it('go on during the freeze and the cutover, on a gateway that knows and on one that does not', async () => {
    const late = await gateway()
    const mine = word()
    await inBatch(late, mine)
    const move = await moveTo(elsewhere())
    await move.prepare()
    for (const step of ['freeze', 'copy', 'relocate', 'close', 'open'] as const) {
      await move[step]()
      for (const gate of [late, await gateway()]) expect(await words(gate), step).toContain(mine)
    }
    expect(outcomes(late, 'read')).toEqual([])
  })

  it('wait between directory and fence where both homes have one fence', async () => {
    const move = await moveTo({ shard: at.shard, isolation: 'schema' })
    const mine = word()
    await inBatch(await gateway(), mine)
    await move.prepare()
    await move.freeze()
    await move.copy()
    await move.relocate()
    const gate = await openWorldDoor(world)
    opened.push(gate)
    const reading = words(gate)
    await held(gate, 1)
    await move.open()
    expect(await reading).toContain(mine)
    expect(outcomes(gate, 'read')).toEqual(['released'])
    await wholeMove(SHARED(at.shard))
  })
})

describe('F15, fault 33: a gateway that has heard of nothing', () => {
  it.each<[string, Write]>([
    ['batch', inBatch],
    ['transaction', inTransaction],
  ])('writes and reads in the new place: %s', async (_, write) => {
    const [asleep, awake] = [await gateway(), await gateway()]
    const move = await wholeMove(elsewhere())
    const before = await move.contents('source')
    const [first, second] = [word(), word()]
    await write(awake, first)
    expect(await words(asleep)).toContain(first)
    await write(asleep, second)
    expect(await words(awake)).toContain(second)
    expect(await move.contents('source')).toBe(before)
    expect(asleep.events).toContainEqual(
      expect.objectContaining({ kind: 'placement.changed', tenant: tenant.id, epoch }),
    )
  })

  it('and slept through a move there and back', async () => {
    const home = at
    const asleep = [await gateway()]
    const there = await wholeMove(elsewhere())
    asleep.push(await gateway())
    const back = await wholeMove(home)
    const other = await there.contents('target')
    for (const gate of asleep) {
      const mine = word()
      await inBatch(gate, mine)
      expect(await words(gate)).toContain(mine)
      expect(await back.contents('target')).toContain(mine)
    }
    expect(await there.contents('target')).toBe(other)
  })

  it('whose statements name a schema that is gone', async () => {
    const home = at
    await wholeMove({ shard: at.shard, isolation: 'schema' })
    const asleep = await gateway()
    const move = await wholeMove(home)
    await move.clean()
    // Not prepared on any connection yet, so that Postgres reads it before it asks the fence.
    expect(await asleep.ask(tenant.id, 'select count(*) > 0 as new from app.labels')).toEqual([['t']])
    await inBatch(asleep, word())
  })

  it('sends nothing that was made for the tables of the old home to a new one whose tables differ', async () => {
    const home = at
    const asleep = await gateway()
    const door = asleep.doorFor(({ isolation }) => isolation === 'shared')
    const move = await wholeMove({ shard: at.shard, isolation: 'schema' })
    const before = await move.contents('target')
    const attempts = [
      () => door.batch(tenant.id, 'write', soon(), [insert(word())]),
      () => door.withTenant(tenant.id, 'write', soon(), () => Promise.reject(new Error('It has begun.'))),
      () => door.batch(tenant.id, 'read', soon(), [prepared('select word from app.labels')]),
    ]
    for (const attempt of attempts) await expect(attempt()).rejects.toSatisfy(isOfOldTables)
    expect(await move.contents('target')).toBe(before)
    const back = await wholeMove(home)
    await back.clean()
    await door.batch(tenant.id, 'write', soon(), [insert(word())])
  })

  it('closes the connections to a database that its tenant has left', async () => {
    const home = at
    const there = await wholeMove({ shard: at.shard, isolation: 'database' })
    const asleep = await gateway()
    const back = await wholeMove(home)
    await there.end()
    const shard = asleep.fleet.get(at.shard)!
    expect(shard.stats.shared).toBe(1)
    expect(await words(asleep)).not.toEqual([])
    const text = `select from pg_stat_activity where usename = 'shardgate_app' and datname like 'shardgate\\_%'`
    await expect.poll(() => world.sql(at.shard, text)).toEqual([])
    await back.clean()
    await inBatch(asleep, word())
  })
})

it('two gateways under load while the tenant goes to and fro: everything is kept once, and nothing fails', async () => {
  const gates = [await gateway(), await gateway()]
  const kept: string[] = []
  let isOver = false
  const writers = gates.flatMap((gate) =>
    [inBatch, inTransaction, inBatch].map(async (write) => {
      while (!isOver) {
        const mine = word()
        await write(gate, mine)
        kept.push(mine)
        expect(await words(gates[kept.length % 2]!)).toContain(mine)
      }
    }),
  )
  for (const to of [elsewhere(), at, { shard: at.shard, isolation: 'schema' } as const, SHARED('shard-b')]) {
    await wholeMove(to)
  }
  isOver = true
  await Promise.all(writers)
  const found = await words(gates[0]!)
  for (const one of kept) expect(found.filter((text) => text === one)).toEqual([one])
})
