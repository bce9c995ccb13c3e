/** The fair line in front of a shard's connections: whose turn it is, who is refused, and what is remembered of whom. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Deadline, deadlineIn } from '../../src/base/time.ts'
import { type FairLimits, FairQueue, type Turn } from '../../src/shards/fair-queue.ts'
import { type ManualClock, manualClock } from '../kit/clock.ts'
import { idOf, type SimulatedTenant, simulate } from '../kit/simulated-callers.ts'

/** Of three pipelined connections, as lanes.ts has it. */
const QUICK: FairLimits = { all: 48, together: 12, alone: 48, each: 9, waiting: 1_000, waitingEach: 250 }
/** Of eight connections for transactions and four on top. */
const HELD: FairLimits = { all: 12, together: 8, alone: 6, each: 4, waiting: 1_000, waitingEach: 250 }

let clock: ManualClock
/** What stands in line at the end of a test leaves it. */
let leave: (() => void)[]

beforeEach(() => {
  clock = manualClock()
  leave = []
})
afterEach(() => {
  for (const tell of leave) tell()
})

const patient: Deadline = {
  remainingMs: () => 1_000_000_000,
  whenGone(tell) {
    leave.push(tell)
    return () => {}
  },
}
/** How a request for a turn ends: the turn, or why there is none. */
const outcome = (asked: Turn | Promise<Turn>): Promise<string> =>
  Promise.resolve(asked).then(
    () => 'turn',
    ({ code }) => String(code),
  )

/** Begins as many turns as there are at once; those that wait are left in line. */
function flood(queue: FairQueue, name: string, asked: number): Turn[] {
  const turns: Turn[] = []
  for (let i = 0; i < asked; i++) {
    const entered = queue.enter(idOf(name), 1, patient)
    if (entered instanceof Promise) entered.then((turn) => turns.push(turn)).catch(() => {})
    else turns.push(entered)
  }
  return turns
}

async function shares(tenants: readonly SimulatedTenant[], limits = QUICK): Promise<number[]> {
  const simulation = simulate(new FairQueue(limits, clock), clock)
  for (const tenant of tenants) simulation.join(tenant)
  await simulation.run(4_000)
  const taken = tenants.map(({ name }) => simulation.taken(name))
  for (const { name } of tenants) simulation.leave(name)
  await simulation.run(1_000)
  return taken
}

describe('under overload', () => {
  it('equal tenants have equal parts, however many requests they send and however long those take', async () => {
    const taken = await shares([
      { name: 'flood', callers: 100, ms: 1 },
      { name: 'steady', callers: 5, ms: 1 },
      { name: 'heavy', callers: 8, ms: 20 },
      { name: 'mixed', callers: 6, ms: cycle([1, 1, 1, 40]) },
    ])
    expect(Math.min(...taken) / Math.max(...taken)).toBeGreaterThanOrEqual(0.95)
  })

  it('so do more tenants than there are turns at once', async () => {
    const tenants = Array.from({ length: 30 }, (_, i) => ({
      name: `tenant-${i}`,
      callers: 2 + i,
      ms: 1 + (i % 5),
    }))
    const taken = await shares(tenants)
    expect(Math.min(...taken) / Math.max(...taken)).toBeGreaterThanOrEqual(0.95)
  })

  it('shares weigh', async () => {
    const [one = 0, two = 0, four = 0] = await shares([
      { name: 'one', share: 1, callers: 20, ms: 2 },
      { name: 'two', share: 2, callers: 20, ms: 1 },
      { name: 'four', share: 4, callers: 20, ms: 3 },
    ])
    expect(two / one).toBeCloseTo(2, 0)
    expect(four / one).toBeCloseTo(4, 0)
  })

  it('nobody saves up: who has rested has its part and no more, and who was busy meanwhile is not in debt', async () => {
    const simulation = simulate(new FairQueue(QUICK, clock), clock)
    simulation.join({ name: 'rests', callers: 20, ms: 1 })
    await simulation.run(100)
    simulation.leave('rests')
    simulation.join({ name: 'busy', callers: 20, ms: 1 })
    await simulation.run(10_000)
    simulation.join({ name: 'rests', callers: 20, ms: 1 })
    simulation.taken('rests')
    simulation.taken('busy')
    await simulation.run(500)
    const [rested, busy] = [simulation.taken('rests'), simulation.taken('busy')]
    for (const name of ['rests', 'busy']) simulation.leave(name)
    await simulation.run(100)
    expect(Math.min(rested, busy) / Math.max(rested, busy)).toBeGreaterThanOrEqual(0.95)
  })
})

describe('while there is room', () => {
  it('a turn is there at once, as a plain value', () => {
    const queue = new FairQueue(QUICK, clock)
    expect(queue.enter(idOf('alone'), 1, patient)).not.toBeInstanceOf(Promise)
  })

  it('a tenant alone has all that is for one', () => {
    const queue = new FairQueue(QUICK, clock)
    expect(flood(queue, 'alone', 60)).toHaveLength(48)
    expect(queue.waiting).toBe(12)
  })

  it('who floods never has all: whoever comes meanwhile does not wait', () => {
    const queue = new FairQueue(QUICK, clock)
    queue.enter(idOf('victim'), 1, patient)
    expect(flood(queue, 'flood', 200)).toHaveLength(9)
    for (let i = 0; i < 2; i++) expect(queue.enter(idOf('victim'), 1, patient)).not.toBeInstanceOf(Promise)
  })

  it('the room above the rest is for who has none, and not for who waits for more', async () => {
    const queue = new FairQueue(HELD, clock)
    flood(queue, 'one', 20)
    clock.advance(1)
    flood(queue, 'two', 20)
    clock.advance(1)
    expect(queue.turns).toBe(8)
    expect(queue.enter(idOf('victim'), 1, patient)).not.toBeInstanceOf(Promise)
    const second = outcome(queue.enter(idOf('victim'), 1, patient))
    expect([queue.turns, queue.waiting]).toEqual([9, 33])
    for (const tell of leave.splice(0)) tell()
    expect(await second).toBe('OVERLOADED')
  })

  it('what a turn holds counts as it goes: who holds for long is behind, though no turn of his has ended', async () => {
    const queue = new FairQueue(HELD, clock)
    for (let i = 0; i < 3; i++) {
      const turn = await queue.enter(idOf('victim'), 1, patient)
      clock.advance(20)
      turn.done(20)
      flood(queue, `holder-${i}`, 4)
    }
    clock.advance(500)
    expect(queue.enter(idOf('victim'), 1, patient)).not.toBeInstanceOf(Promise)
  })

  it('a turn that ends goes to the tenant that has had the least', async () => {
    const queue = new FairQueue({ ...QUICK, all: 2, together: 2, alone: 2, each: 2 }, clock)
    const [first] = flood(queue, 'heavy', 3)
    clock.advance(10)
    const light = outcome(queue.enter(idOf('light'), 1, patient))
    first?.done(10)
    expect(await light).toBe('turn')
    expect(queue.waiting).toBe(1)
  })
})

describe('what waits', () => {
  it('is refused with OVERLOADED beyond what a tenant may have in line, told how long that is', async () => {
    const queue = new FairQueue({ ...QUICK, all: 1, together: 1, alone: 1, waitingEach: 3 }, clock)
    flood(queue, 'flood', 4)
    await expect(queue.enter(idOf('flood'), 1, patient)).rejects.toMatchObject({
      code: 'OVERLOADED',
      details: { waiting: 3 },
    })
  })

  it('gives way where the line of all is full: the latest of the longest, and not who comes', async () => {
    const queue = new FairQueue({ ...QUICK, all: 1, together: 1, alone: 1, each: 1, waiting: 4 }, clock)
    const [turn] = flood(queue, 'flood', 1)
    const waiting = Array.from({ length: 4 }, () => outcome(queue.enter(idOf('flood'), 1, patient)))
    const victim = outcome(queue.enter(idOf('victim'), 1, patient))
    expect(await waiting[3]).toBe('OVERLOADED')
    expect(queue.waiting).toBe(4)
    turn?.done(5)
    expect(await victim).toBe('turn')
  })

  it('is refused at its deadline, and leaves nothing behind', async () => {
    const queue = new FairQueue({ ...QUICK, all: 1, together: 1, alone: 1 }, clock)
    const [turn] = flood(queue, 'one', 1)
    expect(await outcome(queue.enter(idOf('one'), 1, deadlineIn(1)))).toBe('OVERLOADED')
    expect(queue.waiting).toBe(0)
    turn?.done(1)
    expect(queue.turns).toBe(0)
  })

  it('leaves when its client hangs up, and the next in line has the turn', async () => {
    const queue = new FairQueue({ ...QUICK, all: 1, together: 1, alone: 1 }, clock)
    const [turn] = flood(queue, 'one', 1)
    const gone = outcome(queue.enter(idOf('one'), 1, patient))
    const hangUp = leave.at(-1)
    const next = outcome(queue.enter(idOf('one'), 1, patient))
    hangUp?.()
    expect(await gone).toBe('OVERLOADED')
    turn?.done(1)
    expect(await next).toBe('turn')
    expect(queue.turns).toBe(1)
  })

  it('of a client that has hung up before leaves at once', async () => {
    const queue = new FairQueue({ ...QUICK, all: 1, together: 1, alone: 1 }, clock)
    flood(queue, 'one', 1)
    const left: Deadline = {
      remainingMs: () => 1_000,
      whenGone(tell) {
        tell()
        return () => {}
      },
    }
    expect(await outcome(queue.enter(idOf('one'), 1, left))).toBe('OVERLOADED')
    expect(queue.waiting).toBe(0)
  })

  it('goes on when there is more room', () => {
    const queue = new FairQueue({ ...QUICK, all: 1, together: 1, alone: 1 }, clock)
    flood(queue, 'one', 5)
    queue.resize(QUICK)
    expect([queue.turns, queue.waiting]).toEqual([5, 0])
  })
})

describe('memory', () => {
  it('is bounded by who was there a moment ago, not by who ever was', () => {
    const queue = new FairQueue(QUICK, clock)
    const kept = queue.enter(idOf('works-on'), 1, patient) as Turn
    for (let i = 0; i < 100_000; i++) {
      const turn = queue.enter(idOf(`tenant-${i}`), 1, patient) as Turn
      clock.advance(1)
      turn.done(1)
    }
    expect(queue.tenants).toBeLessThan(2_500)
    clock.advance(10_000)
    queue.enter(idOf('next'), 1, patient)
    clock.advance(10_000)
    queue.enter(idOf('last'), 1, patient)
    // Those that are at work are never forgotten.
    expect(queue.tenants).toBe(3)
    kept.done(1)
  })
})

/** One value after the other, over and over. */
function cycle(values: readonly number[]): () => number {
  let next = 0
  return () => values[next++ % values.length] ?? 0
}
