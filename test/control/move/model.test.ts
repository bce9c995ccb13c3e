/**
 * The protocol of a move, explored: every order in which its statements, those of a second and third runner, and those
 * of clients whose gateways may believe anything old can come true, within a bound. Then once more with one careless
 * spot each, which has to be found, by name.
 *
 * A killed or stopped runner is one that is not taken further; a runner that wakes up is one that is. `DEPTH=2` adds a
 * write and a take-over to every bound, and takes minutes and some gigabytes.
 */

import { describe, expect, it } from 'vitest'
import { ENDED, MOVE_EVENTS, MOVE_STATES, TRANSITIONS } from '../../../src/control/move/states.ts'
import { type Break, explore } from './model-explore.ts'
import { CAREFUL, type Rules, type Setting } from './model-world.ts'

const DEPTH = Number(process.env.DEPTH ?? 1)

const setting = (part: Partial<Setting>, careless: readonly (keyof Rules)[] = []): Setting => ({
  path: 'live',
  oneFence: false,
  writes: 1,
  claims: 2,
  moves: 1,
  returns: 0,
  rules: { ...CAREFUL, ...Object.fromEntries(careless.map((rule) => [rule, false])) },
  ...part,
})

const BOUNDS: Readonly<Record<string, Partial<Setting>>> = {
  'a move and its rollback': { writes: 2, returns: 1 },
  'a move and its rollback, with two take-overs': { claims: 3, returns: 1 },
  'a rollback that is cancelled and wanted again': { returns: 2 },
  'a move there and one back, with a rollback each': { moves: 2, returns: 1 },
  'small moves there and back': { path: 'still', writes: 2, moves: 2 },
  'between two homes with one fence, and its rollback': { oneFence: true, writes: 2, claims: 3, returns: 1 },
  'small moves there and back between homes with one fence': {
    path: 'still',
    oneFence: true,
    writes: 2,
    moves: 2,
  },
}

describe('in every world that can come about by', () => {
  it.each(Object.entries(BOUNDS))(
    '%s, all seven invariants hold and an end can be reached',
    (name, bound) => {
      const one = setting(bound)
      const { worlds, events, states, breaks } = explore({
        ...one,
        writes: one.writes + DEPTH - 1,
        claims: one.claims + DEPTH - 1,
      })
      console.log(`${name}: ${worlds} worlds, ${events} events`)
      expect(breaks).toEqual([])
      // A model in which something is impossible by mistake would hold everything.
      const returns = ['returning', 'return-frozen', 'returned', 'rolled-back']
      const possible = MOVE_STATES.filter((state) => one.returns > 0 || !returns.includes(state))
      expect([...states].toSorted()).toEqual(possible.toSorted())
    },
    900_000,
  )
})

/** Each careless spot, the invariant that finds it, and how the model is set for that. */
const MUTANTS: Readonly<Record<keyof Rules, readonly [Break['invariant'], Partial<Setting>]>> = {
  'the source is closed before the target is opened': ['I6', {}],
  'the commit point asks for the token': ['I2', {}],
  'who takes over ends older sessions': ['I4', {}],
  'who ends a session waits for its end': ['I4', {}],
  'a session is opened before the token is asked for': ['I4', {}],
  'who was cut off draws a new token': ['I2', {}],
  'the mark is written under the lock': ['I3', {}],
  'the directory says frozen before the source does': ['I7', {}],
  'the source is opened before the directory says so': ['I7', {}],
  'an unknown outcome is looked up': ['I2', {}],
  'an epoch rises': ['I1', {}],
  'an epoch is drawn once': ['I1', { moves: 2 }],
  'the fence compares epochs': ['I6', { path: 'still', moves: 2 }],
  'cleaning compares epochs': ['I5', { path: 'still', moves: 2, writes: 0 }],
  'cleaning waits for readers': ['I6', {}],
  'the way back is drained': ['I3', { returns: 1 }],
  'nothing is undone behind the commit point': ['I5', {}],
}

describe('without', () => {
  const mutants = Object.entries(MUTANTS) as [keyof Rules, (typeof MUTANTS)[keyof Rules]][]
  it.each(mutants.filter(([rule]) => rule !== 'cleaning compares epochs'))(
    '"%s"',
    (rule, [invariant, bound]) => {
      const { breaks } = explore(setting(bound, [rule]), invariant)
      const found = breaks.find((one) => one.invariant === invariant)
      expect(found).toBeDefined()
    },
    120_000,
  )

  it('"the fence compares epochs", two homes with one fence both take writes', () => {
    const { breaks } = explore(setting({ oneFence: true }, ['the fence compares epochs']), 'I1')
    expect(breaks.map(({ invariant }) => invariant)).toContain('I1')
  })

  // A cleaning that comes too late needs a session that nobody has ended: the epoch is the second wall.
  it('"cleaning compares epochs", where sessions are not ended either', () => {
    const bound = { path: 'still', moves: 2, writes: 0 } as const
    const faultsOf = (...careless: (keyof Rules)[]) => explore(setting(bound, careless)).faults
    const fault = 'cleaning removes what serves'
    expect(faultsOf('who takes over ends older sessions')).not.toContain(fault)
    expect(faultsOf('who takes over ends older sessions', 'cleaning compares epochs')).toContain(fault)
  }, 120_000)

  it('a source that can be told, only what a router reads that has slept is old', () => {
    const { breaks } = explore(setting({ returns: 1 }, ['the source is closed before the target is opened']))
    expect(breaks.map(({ invariant }) => invariant)).toEqual(['I6'])
  })
})

describe('the table of states', () => {
  it('leads from every state to an end, and from an end nowhere', () => {
    for (const state of MOVE_STATES) {
      const reached = new Set([state])
      for (const one of reached)
        for (const event of MOVE_EVENTS) {
          const next = TRANSITIONS[one][event]
          if (next) reached.add(next)
        }
      expect(ENDED.some((end) => reached.has(end))).toBe(true)
      if (ENDED.includes(state)) expect([...reached]).toEqual([state])
    }
  })

  it('has no way back over a commit point but the rollback', () => {
    expect(TRANSITIONS.relocated.cancelled).toBeNull()
    expect(TRANSITIONS.returned.cancelled).toBeNull()
    expect(TRANSITIONS.settled.cancelled).toBeNull()
  })
})
