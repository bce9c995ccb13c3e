/** `shardgate usage`: what is printed for people and for programs, and what is refused. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { runCommand } from '../../src/commands/program.ts'
import { csvLine, numberText } from '../../src/commands/usage-text.ts'
import { installQueue } from '../../src/control/jobs/install.ts'
import { addUsage, rollUpUsage, type UsageCount } from '../../src/directory/usage.ts'
import { spanOf } from '../../src/directory/usage-periods.ts'
import { type LifeWorld, lifeWorld } from '../kit/life.ts'
import { printing } from '../kit/terminal.ts'

let world: LifeWorld

beforeAll(async () => {
  world = await lifeWorld()
  const [acme, globex] = [await world.add('acme', 'schema', 3), await world.add('globex')]
  await use(
    count(acme, '2025-10-30T23', {
      requests: 12_345,
      operations: 12_000,
      cost: 40,
      databaseMs: 61_000,
      bytesOut: 5_000_000,
    }),
    count(acme, '2025-10-31T00', { requests: 5, users: ['0123456789abcde'] }),
    count(globex, '2025-10-31T00', { requests: 7, databaseMs: 99_000 }),
    count(acme, '2025-11-01T00', { requests: 1 }),
  )
})
afterAll(() => world?.drop())

function count(tenant: TenantId, hour: string, more: Partial<UsageCount>): UsageCount {
  const none = { requests: 0, operations: 0, errors: 0, cost: 0, databaseMs: 0, rows: 0 }
  return {
    ...none,
    bytesIn: 0,
    bytesOut: 0,
    cacheHits: 0,
    users: [],
    tenant,
    hour: spanOf(hour)!.from,
    ...more,
  }
}

const use = (...counts: UsageCount[]) =>
  addUsage(world.directory, { gateway: crypto.randomUUID(), flush: 1, counts })

async function cli(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const { terminal, printed } = printing()
  const noGateway = () => Promise.reject(new Error('no gateway'))
  const status = await runCommand(['usage', ...args, '-c', world.configFile], noGateway, terminal)
  return { status, ...printed }
}

const october = ['--from', '2025-10', '--to', '2025-10']

describe('show', () => {
  it('prints a line a day and the sum, says that it is UTC, and leaves other months out', async () => {
    const { status, out } = await cli('show', 'acme', ...october)
    expect(status).toBe(0)
    expect(out).toMatch(/^acme, 2025-10-01 00:00 to 2025-11-01 00:00, by day, in UTC\nDAY +REQUESTS/)
    expect(out).toMatch(/\n2025-10-30 +12\.3 k +12 k +0 +40 +1 min 1 s +0 +0 kB +4\.8 MB/)
    expect(out).toMatch(/\n2025-10-31 +5 /)
    expect(out).toMatch(/\ntotal +12\.3 k /)
    expect(out).not.toMatch(/\n2025-11-01 /)
  })

  it('gives exact figures as JSON', async () => {
    const { out } = await cli('show', 'acme', ...october, '--by', 'month', '-o', 'json')
    expect(JSON.parse(out)).toMatchObject({
      tenant: 'acme',
      by: 'month',
      from: '2025-10-01T00:00:00.000Z',
      to: '2025-11-01T00:00:00.000Z',
      periods: [
        { period: '2025-10', requests: 12_350, operations: 12_000, databaseMs: 61_000, activeUsers: 1 },
      ],
      total: { requests: 12_350 },
    })
  })

  it('prints what the tenant holds, once it was measured', async () => {
    expect((await cli('show', 'acme')).out).not.toContain('It holds')
    const measured = await cli('measure')
    expect([measured.status, measured.out]).toEqual([0, expect.stringMatching(/shard-a +2 /)])
    expect((await cli('show', 'acme')).out).toMatch(
      /It holds .* \(schema\), measured .*:\nTABLE +ROWS +SIZE\napp\.\w+ +3 /,
    )
  })

  it('refuses a schedule that is none, and measures nothing then', async () => {
    await installQueue(world.fleet.directoryUrl)
    const { status, out, err } = await cli('measure', '--schedule', 'daily')
    expect([status, out, err]).toEqual([
      expect.any(Number),
      '',
      expect.stringContaining('the schedule {"cron":"daily"} is none'),
    ])
    expect(status).not.toBe(0)
  })
})

it('top ranks, within bounds', async () => {
  const ids = async (...args: string[]) => {
    const { out } = await cli('top', ...october, ...args)
    return out
      .split('\n')
      .slice(2, -1)
      .map((line) => line.split(' ')[0])
  }
  expect(await ids()).toEqual(['globex', 'acme'])
  expect(await ids('--by', 'requests')).toEqual(['acme', 'globex'])
  expect(await ids('--by', 'requests', '--limit', '1')).toEqual(['acme'])
  expect((await cli('top', '--from', '2024-01', '--to', '2024-01')).out).toBe(
    '2024-01-01 00:00 to 2024-02-01 00:00, in UTC\nNobody has used anything.\n',
  )
})

describe('export', () => {
  const HEAD =
    'tenant,plan,period,requests,operations,errors,cost,database_ms,rows,bytes_in,bytes_out,cache_hits,active_users,storage_bytes'

  it('has the same lines before hours were moved into months and after', async () => {
    const lines = [
      HEAD,
      'acme,standard,2025-10,12350,12000,0,40,61000,0,0,5000000,0,1,0',
      'globex,standard,2025-10,7,0,0,0,99000,0,0,0,0,0,0',
      '',
    ]
    expect((await cli('export', '--csv', ...october)).out.split('\n')).toEqual(lines)
    await rollUpUsage(world.directory, 30)
    expect((await cli('export', '--csv', ...october)).out.split('\n')).toEqual(lines)
    expect((await cli('show', 'acme', ...october)).out).toContain('known by month alone: 2025-10')
    expect(JSON.parse((await cli('export', ...october, '-o', 'json')).out)).toHaveLength(2)
  })

  it('quotes what a line or a spreadsheet could take for something else', () => {
    const { hour: _, users: __, ...figures } = count(tenantId('acme'), '2025-10-31T00', {})
    const line = (plan: string) =>
      csvLine({ ...figures, plan, period: '2025-10', activeUsers: 0, storageBytes: 0 })
    expect(line('a "b", c')).toMatch(/^acme,"a ""b"", c",2025-10,/)
    expect(line('=1+1')).toMatch(/^acme,'=1\+1,/)
  })
})

it.each([
  [2, /Wanted a month .*; "last week" came/, ['show', 'acme', '--from', 'last week']],
  [2, /Wanted a month .*; "2025-02-30" came/, ['top', '--to', '2025-02-30']],
  [2, /a beginning before the end/, ['export', '--from', '2025-03', '--to', '2025-01']],
  [2, /Allowed choices are hour, day, month/, ['show', 'acme', '--by', 'week']],
  [2, /Allowed choices are cost, requests/, ['top', '--by', 'height']],
  [2, /A tenant id is 1 to 40/, ['show', 'Acme']],
  [3, /There is no tenant "nobody"/, ['show', 'nobody']],
])('exit status %i: %s', async (status, sentence, args) => {
  const { err, ...ended } = await cli(...args)
  expect([ended.status, ended.out]).toEqual([status, ''])
  expect(err).toMatch(sentence)
})

it('figures are as long as a person reads them', () => {
  const texts = [0, 9_999, 10_000, 12_345, 999_949, 1_500_000, 2e9].map(numberText)
  expect(texts).toEqual(['0', '9,999', '10 k', '12.3 k', '999.9 k', '1.5 M', '2 G'])
})
