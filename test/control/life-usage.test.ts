/** What a tenant has used goes with it: nothing of it is left after a purge, and the receipt says how much there was. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TenantId } from '../../src/base/ids.ts'
import { installQueue } from '../../src/control/jobs/install.ts'
import { openQueue } from '../../src/control/jobs/queue.ts'
import { askForRound } from '../../src/control/jobs/rounds.ts'
import { purgeTenant } from '../../src/control/life/purge.ts'
import { listReceipts } from '../../src/control/life/receipts.ts'
import { changeState } from '../../src/control/life/state.ts'
import {
  type MeasuredShard,
  measureBySchedule,
  measureStorage,
  STORAGE,
} from '../../src/control/usage/storage.ts'
import { withClient } from '../../src/db/client.ts'
import { addUsage, rollUpUsage } from '../../src/directory/usage.ts'
import { spanOf } from '../../src/directory/usage-periods.ts'
import { readStorage, readUsage } from '../../src/directory/usage-reports.ts'
import { canary } from '../kit/canary.ts'
import { type LifeWorld, lifeWorld } from '../kit/life.ts'

let world: LifeWorld

beforeAll(async () => {
  world = await lifeWorld()
}, 120_000)
afterAll(() => world?.drop())

const HOURS = ['2025-01-31T23', '2025-02-01T00', '2025-02-01T01'].map((text) => spanOf(text)!.from)

function use(...tenants: TenantId[]): Promise<void> {
  const none = {
    operations: 0,
    errors: 0,
    cost: 0,
    databaseMs: 0,
    rows: 0,
    bytesIn: 0,
    bytesOut: 0,
    cacheHits: 0,
  }
  const counts = tenants.flatMap((tenant) =>
    HOURS.map((hour) => ({ ...none, tenant, hour, requests: 1, users: ['0123456789abcde'] })),
  )
  return addUsage(world.directory, { gateway: crypto.randomUUID(), flush: 1, counts })
}

const used = async (tenant: TenantId) => {
  const asked = { span: { from: spanOf('2025-01')!.from, to: spanOf('2025-12')!.to }, by: 'month' } as const
  return (await readUsage(world.directory, tenant, asked)).total.requests
}

it('is removed with its tenant, whatever is written meanwhile, and of nobody else', async () => {
  const [tenant, other] = [await world.add('acme'), await world.add('acme-2')]
  await use(tenant, other)
  await rollUpUsage(world.directory, 30)
  await use(tenant, other)
  await measureStorage(world.fleet)
  expect([await used(tenant), await used(other)]).toEqual([6, 6])
  expect((await readStorage(world.directory, tenant)).length).toBeGreaterThan(0)
  // Suspended or in quarantine it is a tenant like any other to the ledger.
  await changeState(world.fleet, 'offboard', tenant, { days: 0 })
  expect(await used(tenant)).toBe(6)
  const rollUps = Promise.all(
    [1, 2].map(() => withClient(world.test.directoryUrl, (client) => rollUpUsage(client, 30))),
  )
  await purgeTenant(world.fleet, tenant, { name: canary(tenant).text('name') })
  await rollUps
  await use(tenant, other)
  expect(await world.traces(tenant)).toEqual([])
  expect([await used(tenant), await readStorage(world.directory, tenant), await used(other)]).toEqual([
    0,
    [],
    9,
  ])
  const [receipt] = await listReceipts(world.directory, tenant)
  const { usage, lookedThrough } = JSON.parse(receipt!.body)
  expect(usage.hours + usage.months).toBeGreaterThanOrEqual(2)
  expect(lookedThrough.directory).toEqual(
    expect.arrayContaining(['usage_hour', 'usage_month', 'usage_storage']),
  )
})

it('storage is measured as a job: once for all who have the schedule, until they are told to stop', async () => {
  const tenant = await world.add('scheduled')
  const { directoryUrl } = world.fleet
  await installQueue(directoryUrl)
  const stopping = new AbortController()
  const runs: (readonly MeasuredShard[])[] = []
  const cron = '17 3 * * *'
  const keepers = [1, 2].map(() =>
    measureBySchedule(world.fleet, { cron, told: (shards) => runs.push(shards), stop: stopping.signal }),
  )
  const queue = await openQueue({ url: directoryUrl, keeps: false, keepDays: 1, emit: () => {} })
  try {
    // There once one of them has its schedule.
    await expect
      .poll(() =>
        askForRound(queue, STORAGE).then(
          () => true,
          () => false,
        ),
      )
      .toBe(true)
    await expect.poll(() => runs.length, { timeout: 30_000 }).toBe(1)
    expect((await readStorage(world.directory, tenant)).length).toBeGreaterThan(0)
    expect(await queue.boss.getSchedules()).toMatchObject([{ cron, timezone: 'UTC' }])
  } finally {
    stopping.abort()
    await queue.end()
    await Promise.all(keepers)
  }
  expect(runs).toHaveLength(1)
})

it('a schedule that is none is refused', async () => {
  await installQueue(world.fleet.directoryUrl)
  const schedule = { cron: 'daily', told: () => {}, stop: new AbortController().signal }
  await expect(measureBySchedule(world.fleet, schedule)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
})
