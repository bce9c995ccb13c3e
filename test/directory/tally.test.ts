/** The tally: what is counted of each event, in which hour, and where it ends. */

import { describe, expect, it } from 'vitest'
import type { Event } from '../../src/base/events.ts'
import { Tally } from '../../src/directory/tally.ts'
import { USERS_KEPT } from '../../src/directory/usage.ts'
import { manualClock } from '../kit/clock.ts'
import { doneRequest, doneStatement } from '../kit/usage-events.ts'

const HOUR = 3_600_000
const ALL = Number.POSITIVE_INFINITY

function tallyOf(events: readonly Event[], clock = manualClock()): Tally {
  const tally = new Tally(clock)
  for (const event of events) tally.count(event)
  return tally
}

describe('what is counted', () => {
  it('are requests, what ran of them, their errors, cost and bytes, and the work of their statements', () => {
    const taken = tallyOf([
      doneRequest('acme', { lane: 'compiled', cost: 3, bytesIn: 10, bytesOut: 100, cache: 'miss' }),
      doneRequest('acme', { cache: 'hit', cost: 1, bytesIn: 10, bytesOut: 100 }),
      doneRequest('acme', { lane: 'resolver', errors: 4, code: 'NOT_FOUND', bytesIn: 5 }),
      doneRequest('acme', { errors: 1, code: 'FORBIDDEN' }),
      doneStatement('acme', { databaseMs: 1.5, rows: 7 }),
      doneStatement('globex', { databaseMs: 2, rows: 1 }),
    ]).take(ALL)
    const nothing = { requests: 0, operations: 0, errors: 0, cost: 0, bytesIn: 0, bytesOut: 0, cacheHits: 0 }
    const hour = Date.UTC(2026, 0, 1)
    expect(taken).toEqual([
      {
        ...{ tenant: 'acme', hour, requests: 4, operations: 3, errors: 2, cost: 4, databaseMs: 1.5, rows: 7 },
        ...{ bytesIn: 25, bytesOut: 200, cacheHits: 1, users: [] },
      },
      { ...nothing, tenant: 'globex', hour, databaseMs: 2, rows: 1, users: [] },
    ])
  })

  it('is nothing of those whom nobody knows', () => {
    const { tenant: _, ...nobody } = doneRequest('acme')
    const unknown = doneRequest('invented', { code: 'TENANT_UNKNOWN', errors: 1 })
    expect(tallyOf([nobody, unknown, { kind: 'gateway.stopped' }]).take(ALL)).toEqual([])
  })

  it('is forgotten once it is taken, in parts too', () => {
    const tally = tallyOf(['a', 'b', 'c', 'a'].map((tenant) => doneRequest(tenant)))
    expect(tally.size).toBe(3)
    expect(tally.take(2).map(({ tenant, requests }) => [tenant, requests])).toEqual([
      ['a', 2],
      ['b', 1],
    ])
    tally.count(doneRequest('a'))
    const rest = tally.take(ALL).map(({ tenant, requests }) => [tenant, requests])
    expect(rest.sort()).toEqual([
      ['a', 1],
      ['c', 1],
    ])
    expect([tally.size, tally.take(ALL)]).toEqual([0, []])
  })

  it('has an end, beyond which requests are lost and counted as that; who is in goes on', () => {
    const tally = new Tally(manualClock(), 2)
    for (const tenant of ['a', 'b', 'c', 'd', 'c', 'a']) tally.count(doneRequest(tenant))
    expect(tally.takeLost()).toBe(3)
    expect(tally.takeLost()).toBe(0)
    expect(tally.take(ALL).map(({ requests }) => requests)).toEqual([2, 1])
  })
})

describe('the hour', () => {
  it('is that of UTC in which a request ended, at the end of a month and of a year too', () => {
    const clock = manualClock(Date.UTC(2026, 1, 28, 23, 59, 59, 999))
    const tally = new Tally(clock)
    tally.count(doneRequest('acme'))
    clock.advance(1)
    tally.count(doneRequest('acme'))
    clock.jump(Date.UTC(2026, 11, 31, 23, 59, 59, 999) - clock.now())
    tally.count(doneRequest('acme'))
    clock.advance(1)
    tally.count(doneRequest('acme'))
    const hours = tally.take(ALL).map(({ hour, requests }) => `${new Date(hour).toISOString()} ${requests}`)
    expect(hours).toEqual([
      '2026-02-28T23:00:00.000Z 1',
      '2026-03-01T00:00:00.000Z 1',
      '2026-12-31T23:00:00.000Z 1',
      '2027-01-01T00:00:00.000Z 1',
    ])
  })

  it('is one, however often the clock is set back and forth over its end', () => {
    const clock = manualClock(Date.UTC(2026, 0, 31, 23, 30))
    const tally = new Tally(clock)
    for (let i = 0; i < 10; i++) {
      tally.count(doneRequest('acme', { subject: 'aaaaaaaaaaaaaaaa' }))
      clock.jump(i % 2 === 0 ? HOUR : -HOUR)
    }
    const taken = tally.take(ALL)
    expect(taken.map(({ requests, users }) => [requests, users.length])).toEqual([
      [5, 1],
      [5, 1],
    ])
  })
})

describe('users', () => {
  const user = (i: number) => i.toString(16).padStart(16, '0')

  it('are counted once an hour, whatever was taken meanwhile, and again in the next', () => {
    const clock = manualClock()
    const tally = new Tally(clock)
    const ask = (i: number) => tally.count(doneRequest('acme', { subject: user(i << 4) }))
    for (const i of [1, 2, 1, 2, 1]) ask(i)
    expect(tally.take(ALL)[0]!.users).toEqual(['000000000000001', '000000000000002'])
    ask(1)
    ask(3)
    expect(tally.take(ALL)[0]!.users).toEqual(['000000000000003'])
    clock.advance(HOUR)
    ask(1)
    expect(tally.take(ALL)[0]!.users).toEqual(['000000000000001'])
  })

  it('are the smallest that there are, where there are too many to keep', () => {
    const tally = new Tally(manualClock())
    for (let i = 20_000; i > 0; i--) tally.count(doneRequest('acme', { subject: user(i << 4) }))
    const [{ users, requests }] = tally.take(ALL) as [ReturnType<Tally['take']>[number]]
    expect([requests, users.length, users[0]]).toEqual([20_000, USERS_KEPT, '000000000000001'])
    expect(users.at(-1)).toBe(USERS_KEPT.toString(16).padStart(15, '0'))
  })
})
