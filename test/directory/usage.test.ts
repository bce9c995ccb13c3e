/** The ledger: hours into months without a figure twice, users in any grouping, and what its readers are told. */

import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Client, connect, withClient } from '../../src/db/client.ts'
import {
  addUsage,
  type Measure,
  rollUpUsage,
  setStorage,
  USERS_KEPT,
  type UsageCount,
} from '../../src/directory/usage.ts'
import { monthsOf, type Span, spanBetween, spanOf } from '../../src/directory/usage-periods.ts'
import {
  exportUsage,
  readLoads,
  readStorage,
  readUsage,
  topUsage,
} from '../../src/directory/usage-reports.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

let world: World
let directory: Client
let flushes = 0
const gateway = crypto.randomUUID()

beforeAll(async () => {
  world = await startWorld({ tenants: 3, shards: 1, rows: 1 })
  directory = await connect(world.directoryUrl)
})
afterAll(async () => {
  await directory?.end()
  await world?.stop()
})
beforeEach(() =>
  world.sql('directory', 'truncate directory.usage_hour, directory.usage_month, directory.usage_storage'),
)

const NONE: Readonly<Record<Measure, number>> = {
  ...{ requests: 0, operations: 0, errors: 0, cost: 0, databaseMs: 0 },
  ...{ rows: 0, bytesIn: 0, bytesOut: 0, cacheHits: 0 },
}
const [a, b, c] = [0, 1, 2].map((i) => () => world.tenants[i]!.id) as [Id, Id, Id]
type Id = () => World['tenants'][number]['id']

const span = (text: string): Span => spanOf(text)!
const count = (tenant: Id, hour: string, more: Partial<UsageCount> = {}): UsageCount => ({
  ...NONE,
  requests: 1,
  users: [],
  tenant: tenant(),
  hour: span(hour).from,
  ...more,
})
const add = (...counts: UsageCount[]) => addUsage(directory, { gateway, flush: ++flushes, counts })
const rollUp = (db = directory) => rollUpUsage(db, 30)
const months = async (tenant: Id, from = '2025-01', to = '2025-12') => {
  const asked = { span: { from: span(from).from, to: span(to).to }, by: 'month' } as const
  const { periods, total } = await readUsage(directory, tenant(), asked)
  return {
    ...Object.fromEntries(periods.map(({ period, requests }) => [period, requests])),
    all: total.requests,
  }
}
const user = (i: number) => i.toString(16).padStart(15, '0')

describe('months', () => {
  it('begin and end by UTC, leap days and years included, before hours are moved and after', async () => {
    const hours = [
      '2024-02-29T23',
      '2024-03-01T00',
      '2024-12-31T23',
      '2025-01-01T00',
      '2025-01-31T23',
      '2025-02-01T00',
    ]
    await add(...hours.map((hour, i) => count(a, hour, { requests: 10 ** i })))
    const expected = {
      '2024-02': 1,
      '2024-03': 10,
      '2024-12': 100,
      '2025-01': 11_000,
      '2025-02': 100_000,
      all: 111_111,
    }
    expect(await months(a, '2024-01')).toEqual(expected)
    // Whoever set the zone of the server, or of the session, changes no month.
    await withClient(world.directoryUrl, async (client) => {
      await client.query(`set time zone 'Pacific/Kiritimati'`)
      expect(await rollUp(client)).toBe(6)
    })
    expect(await months(a, '2024-01')).toEqual(expected)
    expect(await world.sql('directory', 'select 1 from directory.usage_hour')).toEqual([])
  })

  it('hold each hour once, however often and on however many processes at once they are rolled up', async () => {
    const hours = Array.from({ length: 300 }, (_, i) =>
      new Date(Date.UTC(2025, 0, 25, i)).toISOString().slice(0, 13),
    )
    await add(...hours.flatMap((hour) => [count(a, hour), count(b, hour, { requests: 2 })]))
    const before = [await months(a), await months(b)]
    const clients = await Promise.all(Array.from({ length: 4 }, () => connect(world.directoryUrl)))
    const [moved] = await Promise.all([
      Promise.all(clients.map((client) => rollUp(client))),
      // Figures that come late, into hours that are just being moved.
      ...Array.from({ length: 5 }, (_, i) =>
        withClient(world.directoryUrl, (client) =>
          addUsage(client, { gateway: crypto.randomUUID(), flush: 1, counts: [count(a, hours[i * 50]!)] }),
        ),
      ),
    ])
    await Promise.all(clients.map((client) => client.end()))
    expect(moved.reduce((sum, hours) => sum + hours, 0)).toBeGreaterThanOrEqual(600)
    expect(before.map(({ all }) => all)).toEqual([300, 600])
    const after = async () => [(await months(a)).all, (await months(b)).all]
    expect(await after()).toEqual([305, 600])
    await rollUp()
    expect(await rollUp()).toBe(0)
    expect(await after()).toEqual([305, 600])
  })

  it('take what comes late after they were rolled up', async () => {
    await add(count(a, '2025-01-31T23'))
    await rollUp()
    await add(count(a, '2025-01-31T23'))
    expect(await months(a)).toEqual({ '2025-01': 2, all: 2 })
    await rollUp()
    expect(await months(a)).toEqual({ '2025-01': 2, all: 2 })
  })

  it('leave hours alone that are not old yet', async () => {
    const now = new Date().toISOString().slice(0, 13)
    await add(count(a, now))
    expect(await rollUp()).toBe(0)
    expect(await world.sql('directory', 'select requests::int from directory.usage_hour')).toEqual([
      { requests: 1 },
    ])
  })
})

describe('users', () => {
  const usersIn = async (tenant: Id, text: string, by: 'hour' | 'day' | 'month' = 'month') =>
    (await readUsage(directory, tenant(), { span: span(text), by })).total.activeUsers

  it('are different ones, of any hours together, moved or not', async () => {
    await add(
      count(a, '2025-05-01T10', { users: [3, 1].map(user) }),
      count(a, '2025-05-01T11', { users: [2, 3].map(user) }),
    )
    await add(
      count(a, '2025-05-01T10', { users: [3, 4].map(user) }),
      count(a, '2025-05-02T00', { users: [9].map(user) }),
    )
    expect(await usersIn(a, '2025-05-01T10', 'hour')).toBe(3)
    expect(await usersIn(a, '2025-05-01', 'day')).toBe(4)
    expect(await usersIn(a, '2025-05')).toBe(5)
    await rollUp()
    await add(count(a, '2025-05-03T00', { users: [9, 10].map(user) }))
    // Nobody knows any more whether those are among the five.
    expect(await usersIn(a, '2025-05')).toBe(5)
  })

  it('are counted exactly up to 1,023 and within 10 % beyond', async () => {
    const hashOf = (i: number) => createHash('sha256').update(`user ${i}`).digest('hex').slice(0, 15)
    const spread = Array.from({ length: 20_000 }, (_, i) => hashOf(i))
    const some = spread.slice(0, USERS_KEPT - 1)
    await add(count(a, '2025-06-01T00', { users: some }))
    expect(await usersIn(a, '2025-06')).toBe(new Set(some).size)
    for (let at = 0; at < spread.length; at += 1_000)
      await add(count(b, '2025-06-01T00', { users: spread.slice(at, at + 1_000) }))
    const found = await usersIn(b, '2025-06')
    expect(Math.abs(found - 20_000)).toBeLessThan(2_000)
    const [row] = await world.sql(
      'directory',
      'select max(cardinality(users)) as most from directory.usage_hour',
    )
    expect(row).toEqual({ most: USERS_KEPT })
  })

  it('of a month that is over are forgotten, and how many they were is not', async () => {
    await add(count(a, '2025-05-01T10', { users: [1, 2, 3].map(user) }))
    await rollUp()
    expect(
      await world.sql('directory', 'select users, active_users::int from directory.usage_month'),
    ).toEqual([{ users: [], active_users: 3 }])
    await add(count(a, '2025-05-01T10', { users: [3].map(user) }))
    await rollUp()
    expect(await usersIn(a, '2025-05')).toBe(3)
  })
})

describe('reports', () => {
  beforeEach(async () => {
    await add(
      count(a, '2025-03-31T23', { requests: 5, cost: 1.5, databaseMs: 9 }),
      count(a, '2025-04-01T00', { requests: 7, cost: 2, databaseMs: 1 }),
      count(a, '2025-04-02T00', { requests: 1, databaseMs: 1 }),
      count(b, '2025-04-01T12', { requests: 3, databaseMs: 100, users: [1, 2].map(user) }),
      count(c, '2025-04-30T23', { requests: 4, databaseMs: 0.5 }),
    )
  })

  it('are by hour, day and month of what is asked, with the sum of it', async () => {
    const april = span('2025-04')
    const periods = async (by: 'hour' | 'day' | 'month') => {
      const used = await readUsage(directory, a(), { span: april, by })
      return [...used.periods.map(({ period, requests }) => `${period} ${requests}`), used.total.requests]
    }
    expect(await periods('hour')).toEqual(['2025-04-01T00:00Z 7', '2025-04-02T00:00Z 1', 8])
    expect(await periods('day')).toEqual(['2025-04-01 7', '2025-04-02 1', 8])
    expect(await periods('month')).toEqual(['2025-04 8', 8])
    const both = await readUsage(directory, a(), {
      span: { from: span('2025-03-31').from, to: april.to },
      by: 'day',
    })
    expect(both.total).toMatchObject({ requests: 13, cost: 3.5, databaseMs: 11 })
  })

  it('say which months they have to leave out', async () => {
    await rollUp()
    const asked = { span: { from: span('2025-03').from, to: span('2025-04').to } }
    const byDay = await readUsage(directory, a(), { ...asked, by: 'day' })
    expect(byDay).toMatchObject({ periods: [], onlyByMonth: ['2025-03', '2025-04'], total: { requests: 0 } })
    expect(await readUsage(directory, a(), { ...asked, by: 'month' })).toMatchObject({
      onlyByMonth: [],
      total: { requests: 13 },
    })
  })

  it('rank tenants by any figure, moved or not', async () => {
    const top = async (by: Parameters<typeof topUsage>[1]['by'], limit = 10) =>
      (await topUsage(directory, { span: span('2025-04'), by, limit })).map(({ tenant }) => tenant)
    for (const _ of ['by hour', 'by month']) {
      expect(await top('requests')).toEqual([a(), c(), b()])
      expect(await top('databaseMs', 2)).toEqual([b(), a()])
      expect((await top('activeUsers', 1))[0]).toBe(b())
      await rollUp()
    }
  })

  it('export every tenant and period once', async () => {
    const all = []
    for await (const page of exportUsage(directory, { span: span('2025-04'), by: 'month' })) all.push(...page)
    const lines = all.map(({ tenant, plan, period, requests }) => [tenant, plan, period, requests])
    expect(lines.sort()).toEqual(
      [
        [a(), 'standard', '2025-04', 8],
        [b(), 'standard', '2025-04', 3],
        [c(), 'standard', '2025-04', 4],
      ].sort(),
    )
  })

  it('tell the load of the last days alone', async () => {
    expect(await readLoads(directory)).toEqual(new Map())
    const now = new Date().toISOString().slice(0, 13)
    await add(count(a, now, { databaseMs: 12 }), count(b, now))
    expect(await readLoads(directory)).toEqual(new Map([[a(), 12]]))
  })
})

it('storage is what was measured last, and the most of a month stays with it', async () => {
  const tables = (bytes: number) => [
    { table: 'app.tasks', rows: 3, bytes },
    { table: 'app.projects', rows: 1, bytes: 10 },
  ]
  const measure = (bytes: number, only = 2) =>
    setStorage(directory, [{ tenant: a(), isolation: 'schema', tables: tables(bytes).slice(0, only) }])
  await measure(100)
  await Promise.all([
    measure(50),
    withClient(world.directoryUrl, (client) =>
      setStorage(client, [{ tenant: a(), isolation: 'schema', tables: tables(50) }]),
    ),
  ])
  await measure(40, 1)
  const stored = await readStorage(directory, a())
  expect(stored.map(({ table, isolation, bytes }) => [table, isolation, bytes])).toEqual([
    ['app.tasks', 'schema', 40],
  ])
  const now = Date.now()
  const { total } = await readUsage(directory, a(), {
    span: monthsOf({ from: now, to: now + 1 }),
    by: 'month',
  })
  expect(total.storageBytes).toBe(110)
})

describe('spans', () => {
  const iso = (found: Span | undefined) =>
    found && [found.from, found.to].map((ms) => new Date(ms).toISOString())

  it('are a month, a day or an hour as people write them', () => {
    expect(iso(spanOf('2024-02'))).toEqual(['2024-02-01T00:00:00.000Z', '2024-03-01T00:00:00.000Z'])
    expect(iso(spanOf('2024-12-31'))).toEqual(['2024-12-31T00:00:00.000Z', '2025-01-01T00:00:00.000Z'])
    expect(iso(spanOf('2024-12-31T23'))).toEqual(['2024-12-31T23:00:00.000Z', '2025-01-01T00:00:00.000Z'])
    expect(iso(spanOf('2024-12-31T23:00Z'))).toEqual(iso(spanOf('2024-12-31T23')))
  })

  it('are nothing else', () => {
    const none = [
      '',
      '2024',
      '2024-13',
      '2024-00',
      '2023-02-29',
      '2024-02-30',
      '2024-01-01T24',
      '24-01',
      '2024-1-1',
      'now',
    ]
    for (const text of [...none, '2024-01-01T10:30', ' 2024-01', '2024-01-01T10:00+02']) {
      expect(spanOf(text), text).toBeUndefined()
    }
  })

  it('between two of them hold the last one, and end now when nothing is said', () => {
    const now = Date.UTC(2026, 2, 1, 0, 0, 0, 5)
    const between = (from?: string, to?: string) => spanBetween({ from, to }, now)
    expect(iso(between() as Span)).toEqual(['2026-03-01T00:00:00.000Z', '2026-03-01T00:00:00.006Z'])
    expect(iso(between('2026-01', '2026-02') as Span)).toEqual([
      '2026-01-01T00:00:00.000Z',
      '2026-03-01T00:00:00.000Z',
    ])
    expect(iso(between(undefined, '2026-02-10') as Span)).toEqual([
      '2026-02-01T00:00:00.000Z',
      '2026-02-11T00:00:00.000Z',
    ])
    expect(between('2026-03', '2026-01')).toMatch(/a beginning before the end/)
    expect(between('yesterday')).toMatch(/Wanted a month .*"yesterday" came/)
  })
})
