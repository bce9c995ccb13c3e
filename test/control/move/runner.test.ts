/**
 * Runners: any number of them share what is queued, within limits, in order, past failures, and stop where it is safe.
 * What a move does is replaced by hands that only walk its states; the directory and the claims are real.
 */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { claimMove, setWanted } from '../../../src/control/move/claim.ts'
import { holdLease } from '../../../src/control/move/lease.ts'
import { chooseWork, readQueue, TRIES } from '../../../src/control/move/queue.ts'
import type { RunOptions } from '../../../src/control/move/run.ts'
import { type Hands, type MovesEvent, type MovesOptions, runMoves } from '../../../src/control/move/runner.ts'
import { type Entering, enterState, findMove, keepMoveError } from '../../../src/control/move/store.ts'
import type { MoveRecord } from '../../../src/control/move/types.ts'
import { type Fleet, onDirectory } from '../../../src/control/reach.ts'
import { type Client, connect } from '../../../src/db/client.ts'
import { freshFleet, type TestFleet } from '../../kit/fleet.ts'
import { freshTenant, queuedMove } from '../../kit/moves.ts'

let test: TestFleet
let directory: Client
let log: string[]

beforeAll(async () => {
  test = await freshFleet({ weights: { 'shard-a': 1, 'shard-b': 1 } })
  directory = await connect(test.directoryUrl)
})
beforeEach(() => {
  log = []
})
afterEach(async () => {
  await directory.query(`delete from directory.move`)
  await directory.query(`delete from directory.operation`)
  await directory.query(`delete from directory.plan`)
})
afterAll(async () => {
  await directory.end()
  await test.drop()
})

const settings = (moves: object = {}): Fleet => ({
  ...test.fleet,
  moves: {
    pauseMs: 500,
    stillMs: 15,
    windowMinutes: 60,
    windows: 100,
    atOnce: 2,
    perShard: 2,
    leaseMs: 2_000,
    holdMs: 5_000,
    holdRequests: 1_000,
    ...moves,
  },
})

const queued = async (): Promise<MoveRecord> =>
  queuedMove(test.fleet, directory, await freshTenant(test.fleet))

const stateOf = async ({ id }: MoveRecord): Promise<string | undefined> =>
  (await findMove(directory, id))?.state

interface Disturbance {
  /** Called with each state before the next; throws to fail there, waits to hold it up. */
  readonly at?: (move: MoveRecord) => Promise<void> | void
  readonly settling?: Entering
}

/** Hands that claim as run.ts does, and do nothing in each state. */
function walking({
  at = () => {},
  settling = { windowMinutes: 60, memory: { hasWayBack: true } },
}: Disturbance = {}): Hands {
  const walk =
    (event: 'done' | 'completed', ends: readonly string[]) =>
    (fleet: Fleet, id: string, options: RunOptions): Promise<MoveRecord> =>
      onDirectory(fleet.directoryUrl, async (db) => {
        const leaseMs = fleet.moves!.leaseMs
        let now = await claimMove(db, id, `runner ${process.pid}`, leaseMs, options.terms)
        const lease = holdLease(fleet, now, leaseMs, { stop: options.stop })
        options.onState?.(now)
        log.push(`${event === 'done' ? 'run' : 'complete'} ${id}`)
        try {
          let next = event
          while (!ends.includes(now.state) && !lease.signal.aborted) {
            await at(now)
            if (lease.signal.aborted) break
            const entering = now.state === 'relocated' ? settling : {}
            now = await enterState(
              db,
              now,
              now.wanted === 'cancel' && now.state === 'claimed' ? 'cancelled' : next,
              entering,
            )
            next = 'done'
            options.onState?.(now)
          }
        } catch (error) {
          await keepMoveError(db, now, String(error))
          throw error
        } finally {
          await lease.end()
        }
        return now
      })
  return { run: walk('done', ['settled', 'aborted', 'done']), complete: walk('completed', ['done']) }
}

/** All that the runner tells, and the summary. */
async function running(fleet: Fleet, options: MovesOptions = {}) {
  const events: MovesEvent[] = []
  const summary = await runMoves(fleet, {
    hands: walking(),
    ...options,
    onEvent: (event) => events.push(event),
  })
  return { summary, events }
}

describe('a runner', () => {
  it('takes moves of a plan in its order, those by hand before them', async () => {
    const [plan] = await directory.query(
      `insert into directory.plan (hash, body, operator) values ('x', '{}', 'ann') returning id`,
    )
    const moves = [await queued(), await queued(), await queued()]
    for (const [i, { id }] of moves.slice(0, 2).entries())
      await directory.query(
        `update directory.move set plan = ${plan?.id}, position = ${5 - i} where id = ${id}`,
      )
    const { summary } = await running(settings({ atOnce: 1 }))
    const [first, second, byHand] = moves.map(({ id }) => id)
    expect(log).toEqual([`run ${byHand}`, `run ${second}`, `run ${first}`])
    expect(summary).toMatchObject({ arrived: [first, second, byHand], failed: [], open: [] })
  })

  it('runs a plan alone where that is asked', async () => {
    const [plan] = await directory.query(
      `insert into directory.plan (hash, body, operator) values ('y', '{}', 'ann') returning id`,
    )
    const [mine, other] = [await queued(), await queued()]
    await directory.query(`update directory.move set plan = ${plan?.id} where id = ${mine.id}`)
    const { summary } = await running(settings(), { plan: plan!.id! })
    expect(summary.arrived).toEqual([mine.id])
    expect(await stateOf(other)).toBe('queued')
  })

  it('runs as many at once as there may be, and counts those of other runners', async () => {
    const moves = [await queued(), await queued(), await queued(), await queued(), await queued()]
    let most = 0
    const at = async (): Promise<void> => {
      const [row] = await directory.query(
        `select count(*) as n from directory.move where lease_until > clock_timestamp() and state <> 'settled'`,
      )
      most = Math.max(most, Number(row?.n))
    }
    const fleet = settings({ atOnce: 2, perShard: 5 })
    const only = moves.map(({ id }) => id) // One that comes late would not know of what has arrived by then.
    const all = await Promise.all([1, 2, 3].map(() => running(fleet, { only, hands: walking({ at }) })))
    expect(most).toBe(2)
    for (const { summary } of all) expect(summary.arrived).toEqual(only)
    // Each was run once, by one of them.
    expect(log.toSorted()).toEqual(moves.map(({ id }) => `run ${id}`).sort())
  })

  it('takes over what a lost runner has left, and leaves to a living one what it holds', async () => {
    const [lost, held] = [await queued(), await queued()]
    await claimMove(directory, lost.id, 'lost', 0)
    const living = await claimMove(directory, held.id, 'living', 600_000)
    const stop = new AbortController()
    const done = running(settings({ atOnce: 5, perShard: 5 }), {
      signal: stop.signal,
      hands: walking({
        at: ({ id, state }) => void (id === lost.id && state === 'relocated' && stop.abort()),
      }),
    })
    const { summary } = await done
    expect(log).toEqual([`run ${lost.id}`])
    expect(summary.open).toContain(held.id)
    expect((await findMove(directory, held.id))?.token).toBe(living.token)
  })

  it('goes on with others when one fails, tries that again, and leaves it with its error', async () => {
    const [bad, good] = [await queued(), await queued()]
    let now = 0
    const clock = { now: () => now, elapsed: () => now }
    const at = ({ id, state }: MoveRecord): void => {
      now += 120_000
      if (id === bad.id && state === 'prepared') throw new Error('the disk is full')
    }
    // Between tries the directory's clock is put on, as time would.
    const onEvent = (event: MovesEvent): void => {
      if (event.kind === 'failed')
        void directory.query(`update directory.move set changed_at = changed_at - interval '1 hour'`)
    }
    const events: MovesEvent[] = []
    const summary = await runMoves(settings(), {
      clock,
      hands: walking({ at }),
      onEvent: (event) => {
        events.push(event)
        onEvent(event)
      },
    })
    expect(summary).toMatchObject({ arrived: [good.id], failed: [bad.id] })
    const failures = events.filter((event) => event.kind === 'failed')
    expect(failures.map(({ again }) => again)).toEqual([...Array(TRIES - 1).fill(true), false])
    expect(await findMove(directory, bad.id)).toMatchObject({
      state: 'prepared',
      error: 'Error: the disk is full',
      memory: { failures: TRIES },
    })
    // Resumed by the operator, it is tried again.
    await setWanted(directory, bad.id, 'run', 'ann')
    expect((await running(settings())).summary.arrived).toEqual([bad.id])
  })

  it('tells of a move that cannot be claimed, and ends', async () => {
    const move = await queued()
    await directory.query(`update directory.tenant set epoch = epoch + 1 where id = '${move.tenant}'`)
    const { summary, events } = await running(settings())
    expect(summary.failed).toEqual([move.id])
    expect(events).toMatchObject([{ kind: 'failed', error: { code: 'REFUSED' }, again: false }])
  })

  it('undoes what is cancelled, and leaves what pauses', async () => {
    const [cancelled, paused] = [await queued(), await queued()]
    await claimMove(directory, cancelled.id, 'lost', 0)
    await setWanted(directory, cancelled.id, 'cancel', 'ann')
    await setWanted(directory, paused.id, 'pause', 'ann')
    const { summary } = await running(settings())
    expect(summary).toMatchObject({ undone: [cancelled.id], paused: [paused.id], arrived: [] })
  })

  it('stops where a move may rest when it is told to, and another goes on from there', async () => {
    const move = await queued()
    const stop = new AbortController()
    const at = ({ state }: MoveRecord): void => void (state === 'copied' && stop.abort())
    const { summary } = await running(settings(), { signal: stop.signal, hands: walking({ at }) })
    expect(summary.open).toEqual([move.id])
    expect(await findMove(directory, move.id)).toMatchObject({ state: 'copied', isHeld: false, error: null })
    expect((await running(settings())).summary.arrived).toEqual([move.id])
  })

  it('waits for a directory that is away, and says so', async () => {
    const move = await queued()
    const fleet = { ...settings() }
    let looks = 0
    const away = Object.defineProperty(fleet, 'directoryUrl', {
      get: () => (++looks === 2 ? 'postgres://nobody@127.0.0.1:1/none' : test.directoryUrl),
    })
    const { summary, events } = await running(away)
    expect(summary.arrived).toEqual([move.id])
    expect(events[0]).toMatchObject({ kind: 'directory away', error: { code: 'DIRECTORY_UNAVAILABLE' } })
  })
})

describe('windows', () => {
  it('are closed when they have ended', async () => {
    const [over, open] = [await queued(), await queued()]
    await running(settings({ atOnce: 1 }))
    // What had settled before has not arrived with the second run.
    expect((await running(settings())).summary.arrived).toEqual([])
    await directory.query(`update directory.move set window_until = clock_timestamp() where id = ${over.id}`)
    log = []
    await running(settings())
    expect(log).toEqual([`complete ${over.id}`])
    expect([await stateOf(over), await stateOf(open)]).toEqual(['done', 'settled'])
  })

  it('are given up, the oldest first, where their slots are needed', async () => {
    const moves: MoveRecord[] = []
    const { shard } = await queued().then(async (probe) => {
      await setWanted(directory, probe.id, 'cancel', 'ann')
      return { shard: probe.target.shard }
    })
    while (moves.length < 3) {
      const move = await queued()
      if (move.target.shard === shard) moves.push(move)
      else await setWanted(directory, move.id, 'cancel', 'ann')
    }
    const [first, second, third] = moves as [MoveRecord, MoveRecord, MoveRecord]
    const { events } = await running(settings({ atOnce: 1, windows: 2 }))
    expect([await stateOf(first), await stateOf(second), await stateOf(third)]).toEqual([
      'done',
      'settled',
      'settled',
    ])
    expect(events.filter(({ kind }) => kind === 'window given up')).toMatchObject([
      { move: { id: first.id }, gives: { id: third.id } },
    ])
  })

  it('let go of a tenant that a lost runner has left held', async () => {
    const move = await queued()
    await running(settings())
    await claimMove(directory, move.id, 'lost', 0)
    await running(settings())
    const [row] = await directory.query(
      `select count(*) as n from directory.operation where state = 'running'`,
    )
    expect([row?.n, await stateOf(move)]).toEqual(['0', 'settled'])
  })
})

describe('the choice of what to do', () => {
  const room = { atOnce: 10, perShard: 10, windows: 10 }
  const all = () => true

  it('never leaves a tenant whose writes are held, whatever was wanted of its move or how often it has failed', async () => {
    const move = await queued()
    for (const state of ['frozen', 'relocated', 'return-frozen', 'returned']) {
      await directory.query(
        `update directory.move set state = '${state}', wanted = 'pause', memory = '{"failures": 99}',
           changed_at = changed_at - interval '1 hour' where id = ${move.id}`,
      )
      expect(chooseWork(await readQueue(directory), new Set(), room, all), state).toMatchObject([
        { kind: 'run' },
      ])
    }
  })

  it('gives no second window up for a move while the first one is going', async () => {
    const moves = [await queued(), await queued(), await queued(), await queued()]
    await directory.query(
      `update directory.move set state = 'settled', memory = '{"hasWayBack": true}', to_shard = '${moves[3]?.target.shard}',
         window_until = clock_timestamp() + interval '1 hour'
       where id = any('{${moves.slice(0, 3).map(({ id }) => id)}}'::bigint[])`,
    )
    const choose = async (running: readonly string[]) =>
      chooseWork(await readQueue(directory), new Set(running), { ...room, windows: 3 }, all)
    const oldest = moves[0]?.id ?? ''
    expect(await choose([])).toMatchObject([{ kind: 'complete', move: { id: oldest } }])
    expect(await choose([oldest])).toEqual([])
  })

  it('does not begin what this runner works on already', async () => {
    const move = await queued()
    expect(chooseWork(await readQueue(directory), new Set([move.id]), room, all)).toEqual([])
  })

  it('counts a move on the shard that it leaves and on the one that it goes to', async () => {
    for (const _ of [1, 2, 3]) await queued()
    const chosen = chooseWork(await readQueue(directory), new Set(), { ...room, perShard: 1 }, all)
    expect(chosen).toHaveLength(1)
  })

  it('waits a while after a failure', async () => {
    const move = await claimMove(directory, (await queued()).id, 'lost', 0)
    await keepMoveError(directory, move, 'no')
    expect(chooseWork(await readQueue(directory), new Set(), room, all)).toEqual([])
    await directory.query(`update directory.move set changed_at = changed_at - interval '2 s'`)
    expect(chooseWork(await readQueue(directory), new Set(), room, all)).toHaveLength(1)
  })
})

it('claims no more than there is place for, whoever asks at the same moment', async () => {
  const moves = [await queued(), await queued(), await queued(), await queued()]
  const clients = await Promise.all(moves.map(() => connect(test.directoryUrl)))
  const claims = await Promise.allSettled(
    clients.map((client, i) =>
      claimMove(client, moves[i]!.id, `r${i}`, 60_000, { limits: { atOnce: 9, perShard: 2 } }),
    ),
  )
  await Promise.all(clients.map((client) => client.end()))
  expect(claims.filter(({ status }) => status === 'fulfilled')).toHaveLength(2)
  for (const claim of claims)
    if (claim.status === 'rejected')
      expect(claim.reason).toMatchObject({ code: 'TENANT_BUSY', details: { wait: 'moves.perShard' } })
})
