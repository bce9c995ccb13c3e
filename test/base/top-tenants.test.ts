/** The contracts of base/top-tenants.ts and base/active-tenants.ts: few series, none of which ever goes back. */

import { describe, expect, it } from 'vitest'
import { ActiveTenants } from '../../src/base/active-tenants.ts'
import { TopTenants } from '../../src/base/top-tenants.ts'
import { manualClock } from '../kit/clock.ts'
import { seededRandom } from '../kit/random.ts'

const MINUTE = 60_000

function tenantsOf(places: number) {
  const clock = manualClock()
  const top = new TopTenants(places, clock)
  const ask = (tenant: string, times = 1): void => {
    for (let i = 0; i < times; i++) top.count(tenant, 0.5)
  }
  const minute = (): void => {
    clock.advance(MINUTE)
    ask('tick') // Places change hands with the next request.
  }
  const requests = (): Record<string, number> =>
    Object.fromEntries([...top.totals()].map(([tenant, totals]) => [tenant, totals.requests]))
  return { clock, top, ask, minute, requests }
}

describe('the busiest tenants', () => {
  it('are counted apart, and all others together', () => {
    const { ask, requests, top } = tenantsOf(2)
    for (const tenant of ['a', 'b', 'c', 'd', 'a']) ask(tenant)
    expect(requests()).toEqual({ a: 2, b: 1, other: 2 })
    expect(Object.fromEntries(top.totals()).a?.seconds).toBe(1)
  })

  it('are those of the last minutes: who was first makes room for who asks more', () => {
    const { ask, minute, requests } = tenantsOf(2)
    for (const tenant of ['early', 'bird']) ask(tenant, 3)
    ask('busy', 50)
    ask('busier', 60)
    minute()
    ask('busy')
    expect(Object.keys(requests()).sort()).toEqual(['busier', 'busy', 'other'])
  })

  it('take no place from one that is about as busy', () => {
    const { ask, minute, requests } = tenantsOf(1)
    for (let i = 0; i < 20; i++) {
      ask('first', 100)
      ask('second', 120)
      minute()
    }
    expect(Object.keys(requests())).toEqual(['first', 'other'])
    for (let i = 0; i < 5; i++) {
      ask('first', 100)
      ask('second', 200)
      minute()
    }
    expect(Object.keys(requests())).toEqual(['second', 'other'])
  })

  it('keep their place while they are idle and nobody wants it', () => {
    const { ask, minute, requests } = tenantsOf(3)
    ask('idle')
    for (let i = 0; i < 10; i++) minute()
    expect(requests()).toMatchObject({ idle: 1 })
  })

  it('never include one that is called as the others are', () => {
    const { ask, minute, requests } = tenantsOf(2)
    ask('other', 100)
    ask('a', 3)
    minute()
    expect(requests()).toEqual({ a: 3, tick: 1, other: 100 })
  })

  it('are found among more tenants than are watched', () => {
    const { ask, minute, requests } = tenantsOf(3)
    for (let i = 0; i < 30_000; i++) ask(i % 3 === 0 ? `busy-${i % 9}` : `once-${i}`)
    minute()
    ask('busy-0')
    expect(Object.keys(requests()).sort()).toEqual(['busy-0', 'busy-3', 'busy-6', 'other'])
  })

  // rate() takes a counter that falls for one that began anew at 0, and counts all of it again.
  it('have counters that never fall while they are there, and count each request once', () => {
    const chance = seededRandom('7')
    const { clock, top, ask } = tenantsOf(5)
    let last = new Map<string, number>()
    let [asked, counted, changes] = [0, 0, 0]
    for (let scrape = 0; scrape < 400; scrape++) {
      for (let i = 0; i < 50; i++) {
        ask(`t${Math.floor(chance.unit() ** 2 * 20 + scrape / 20)}`)
        asked += 1
      }
      clock.advance(15_000)
      const now = new Map([...top.totals()].map(([tenant, { requests }]) => [tenant, requests]))
      for (const [tenant, requests] of now) {
        const before = last.get(tenant) ?? 0
        expect(requests).toBeGreaterThanOrEqual(before)
        counted += requests - before
      }
      changes += [...last.keys()].filter((tenant) => !now.has(tenant)).length
      expect(now.size).toBeLessThanOrEqual(6)
      last = now
    }
    expect(changes).toBeGreaterThan(10)
    expect(counted).toBe(asked)
  })
})

describe('active tenants', () => {
  it('are those of the last five minutes', () => {
    const clock = manualClock()
    const active = new ActiveTenants(clock)
    for (const tenant of ['a', 'b', 'a']) active.saw(tenant)
    expect(active.count).toBe(2)
    clock.advance(4 * MINUTE)
    active.saw('b')
    clock.advance(2 * MINUTE)
    expect(active.count).toBe(1)
  })

  it('are remembered within bounds', () => {
    const clock = manualClock()
    const active = new ActiveTenants(clock)
    for (let i = 0; i < 120_000; i++) active.saw(`t${i}`)
    expect(active.count).toBe(100_000)
    clock.advance(6 * MINUTE)
    active.saw('late')
    active.saw('late')
    expect(active.count).toBe(1)
  })
})
