/** The meter: nothing is counted twice or lost, whatever becomes of an answer or of the directory. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { configFile } from '../../src/base/config-schema.ts'
import type { Event } from '../../src/base/events.ts'
import { withClient } from '../../src/db/client.ts'
import { directoryLedger, type Ledger, type UsageMeter, usageMeter } from '../../src/directory/meter.ts'
import { addUsage, type UsageFlush } from '../../src/directory/usage.ts'
import { manualClock } from '../kit/clock.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'
import { doneRequest, doneStatement } from '../kit/usage-events.ts'
import { wireProxy } from '../kit/wire-proxy.ts'

let world: World
const meters: UsageMeter[] = []
const events: Event[] = []

beforeAll(async () => {
  world = await startWorld({ tenants: 3, shards: 1, rows: 1 })
})
afterAll(() => world?.stop())
beforeEach(async () => {
  for (const meter of meters.splice(0)) meter.end()
  events.length = 0
  await world.sql('directory', 'truncate directory.usage_hour, directory.usage_flush')
})

const settings = configFile.shape.usage.parse({ flushMs: 60_000 })

function meterOf(ledger: Ledger = directoryLedger(world.directoryUrl), countsMax = 1_000): UsageMeter {
  const emit = (event: Event): void => void events.push(event)
  const meter = usageMeter({ settings, ledger, emit, clock: manualClock(), countsMax })
  meters.push(meter)
  return meter
}

/** A ledger in which each flush goes through `way`. */
function ledgerBy(way: (add: () => Promise<void>, flush: UsageFlush) => Promise<void>): Ledger {
  const real = directoryLedger(world.directoryUrl)
  return { ...real, add: (flush) => way(() => real.add(flush), flush) }
}

const [a, b] = [() => world.tenants[0]!.id, () => world.tenants[1]!.id]

async function written(): Promise<Record<string, number>> {
  const rows = await world.sql(
    'directory',
    'select tenant_id, sum(requests)::int as requests from directory.usage_hour group by 1',
  )
  return Object.fromEntries(rows.map(({ tenant_id, requests }) => [tenant_id, requests]))
}

const kinds = () => events.map(({ kind }) => kind)

describe('a flush', () => {
  it('adds what was counted, over flushes and over gateways that write at once', async () => {
    const gateways = Array.from({ length: 4 }, () => meterOf())
    for (let round = 0; round < 5; round++) {
      for (const { listener } of gateways) {
        for (const tenant of [b(), a(), a()]) listener(doneRequest(tenant, { cost: 2, bytesIn: 3 }))
        listener(doneStatement(a(), { databaseMs: 0.5, rows: 4 }))
      }
      await Promise.all(gateways.map((meter) => meter.flush()))
    }
    expect(await written()).toEqual({ [a()]: 40, [b()]: 20 })
    const [row] = await world.sql(
      'directory',
      `select cost, bytes_in::int, database_ms, rows::int from directory.usage_hour where tenant_id = $1`,
      [a()],
    )
    expect(row).toEqual({ cost: 80, bytes_in: 120, database_ms: 10, rows: 80 })
  })

  it('whose answer was lost is sent again and counted once', async () => {
    let answers = 0
    const meter = meterOf(
      ledgerBy(async (add) => {
        await add()
        if (++answers < 3) throw new Error('the answer was lost')
      }),
    )
    meter.listener(doneRequest(a()))
    await meter.flush()
    meter.listener(doneRequest(a()))
    await meter.flush()
    meter.listener(doneRequest(b()))
    await meter.flush()
    expect([answers, await written()]).toEqual([4, { [a()]: 2, [b()]: 1 }])
    expect(kinds()).toEqual(['usage.late', 'usage.written'])
  })

  it('that is still being written when it is sent again is counted once', async () => {
    const count = { tenant: a(), hour: 0, requests: 7, operations: 0, errors: 0, cost: 0, databaseMs: 0 }
    const more = { rows: 0, bytesIn: 0, bytesOut: 0, cacheHits: 0, users: [] }
    const flush = { gateway: crypto.randomUUID(), flush: 1, counts: [{ ...count, ...more }] }
    const add = () => withClient(world.directoryUrl, (client) => addUsage(client, flush))
    await Promise.all([add(), add(), add(), add()])
    expect(await written()).toEqual({ [a()]: 7 })
  })

  it('leaves out tenants that are gone, and writes the others', async () => {
    const meter = meterOf()
    for (const tenant of ['gone-by-now', a()]) meter.listener(doneRequest(tenant))
    await meter.flush()
    expect([kinds(), await written()]).toEqual([[], { [a()]: 1 }])
  })

  it('takes what cannot be a number for nothing, and does not stop the others', async () => {
    const meter = meterOf()
    meter.listener(doneRequest(a(), { cost: Number.NaN }))
    meter.listener(doneRequest(b(), { cost: 2 }))
    await meter.flush()
    expect([kinds(), await written()]).toEqual([[], { [a()]: 1, [b()]: 1 }])
  })
})

describe('a directory that is away', () => {
  it('costs no figure: what was counted is kept and written when it is back', async () => {
    const proxy = await wireProxy(Number(new URL(world.directoryUrl).port))
    try {
      const meter = meterOf(directoryLedger(proxy.url(world.directoryUrl)))
      await proxy.refuse()
      for (let i = 0; i < 3; i++) {
        meter.listener(doneRequest(a()))
        await meter.flush()
      }
      expect([kinds(), await written()]).toEqual([['usage.late'], {}])
      await proxy.restore()
      const lost = proxy.on(
        ({ type, text }) => type === 'CommandComplete' && text?.startsWith('INSERT') === true,
        'cut',
        {
          times: 1,
        },
      )
      await meter.flush()
      await lost.hit
      await meter.flush()
      expect([kinds(), await written()]).toEqual([['usage.late', 'usage.written'], { [a()]: 3 }])
    } finally {
      await proxy.close()
    }
  })

  it('fills the memory up to a bound, and what is lost is told as a number', async () => {
    let isAway = true
    const ledger = ledgerBy((add) => (isAway ? Promise.reject(new Error('it is away')) : add()))
    const meter = meterOf(ledger, 2)
    meter.listener(doneRequest(a()))
    await meter.flush()
    for (const tenant of ['x-1', 'x-2', 'x-3', b(), b()]) meter.listener(doneRequest(tenant))
    await meter.flush()
    expect(events.at(-1)).toEqual({ kind: 'usage.lost', requests: 3 })
    isAway = false
    await meter.flush()
    expect(await written()).toEqual({ [a()]: 1 })
  })

  it('is what a stop tells of: the requests that are in no ledger', async () => {
    const meter = meterOf(ledgerBy(() => Promise.reject(new Error('it is away'))))
    meter.listener(doneRequest(a()))
    await meter.flush()
    meter.listener(doneRequest(a()))
    meter.listener(doneRequest(b()))
    meter.end()
    expect(events.at(-1)).toEqual({ kind: 'usage.lost', requests: 3 })
  })
})

it('a stop after a flush has lost nothing', async () => {
  const meter = meterOf()
  meter.listener(doneRequest(a()))
  await meter.flush()
  meter.end()
  expect([kinds(), await written()]).toEqual([[], { [a()]: 1 }])
})
