/** `tenant advise`: the decision matrix as a table of cases, and the figures that go into it on real Postgres. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { runCommand } from '../../src/commands/program.ts'
import { advise, sizeText, type TenantFacts } from '../../src/control/advise.ts'
import { adviseFleet, adviseTenant, wishesIn } from '../../src/control/advise-tenants.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { withClient } from '../../src/db/client.ts'
import type { Isolation } from '../../src/directory/types.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'
import { migrate } from '../kit/migrate.ts'

const KB = 1024
const MB = 1024 * KB
const GB = 1024 * MB

type Case = Partial<Omit<TenantFacts, 'wishes'>> & { wishes?: Partial<TenantFacts['wishes']> }

function factsOf({ wishes, ...more }: Case): TenantFacts {
  return {
    tenant: 'acme',
    shard: 'shard-a',
    isolation: 'shared',
    plan: 'standard',
    rows: 1_000,
    bytes: MB,
    shardBytes: GB,
    schemas: 0,
    databases: 0,
    ...more,
    wishes: { compliance: false, customTables: false, growth: 1, ...wishes },
  }
}

/** Hours of database time: its own, and of all on its shard. */
const load = (own: number, all: number) => ({ ms: own * 3_600_000, shardMs: all * 3_600_000 })

describe('the matrix', () => {
  it.each<[string, Case, Isolation]>([
    ['a small tenant stays among shared tables', {}, 'shared'],
    ['an empty one too', { rows: 0, bytes: 0, shardBytes: 0 }, 'shared'],
    ['one of 100 MB, to which a database costs little, stays too', { bytes: 100 * MB }, 'shared'],
    ['one that is large on a large shard stays', { bytes: 2 * GB, shardBytes: 100 * GB }, 'shared'],
    ['one that is a quarter of its shard gets a database', { bytes: 2 * GB, shardBytes: 8 * GB }, 'database'],
    ['so does one that is half of a large one', { bytes: 20 * GB, shardBytes: 30 * GB }, 'database'],
    ['and one that will be', { bytes: GB, shardBytes: 8 * GB, wishes: { growth: 4 } }, 'database'],
    ['rules that ask for data apart mean a database', { wishes: { compliance: true } }, 'database'],
    ['tables of its own mean a schema for a small one', { wishes: { customTables: true } }, 'schema'],
    ['and a database for one of 100 MB', { bytes: 100 * MB, wishes: { customTables: true } }, 'database'],
    [
      'one that takes a third of the database time gets one',
      { bytes: 100 * MB, load: load(2, 6) },
      'database',
    ],
    ['one that takes most of next to none does not', { bytes: 100 * MB, load: load(0.4, 0.5) }, 'shared'],
    ['nor one that takes much of a busy shard', { bytes: 100 * MB, load: load(20, 200) }, 'shared'],
    ['a region alone moves nobody', { wishes: { region: 'eu' } }, 'shared'],
    ['the plan is a promise', { promised: 'schema' }, 'schema'],
    ['the strongest too', { promised: 'database' }, 'database'],
    ['a promise of shared tables promises nothing', { promised: 'shared' }, 'shared'],
    [
      'a small one in a database costs more than it is worth',
      { isolation: 'database', databases: 1 },
      'shared',
    ],
    [
      'one of 100 MB in a database stays there',
      { isolation: 'database', databases: 1, bytes: 100 * MB },
      'database',
    ],
    [
      'where there are 60 databases already, a schema has to do',
      { bytes: 100 * MB, databases: 60, wishes: { customTables: true } },
      'schema',
    ],
  ])('%s', (_, facts, wanted) => {
    expect(advise(factsOf(facts)).advice).toBe(wanted)
  })

  it('says what a tenant takes of the database time, where it is metered', () => {
    const reasons = (facts: Case) => advise(factsOf(facts)).reasons.join('\n')
    expect(reasons({ load: load(2.5, 5) })).toContain(
      'In 7 days it took 2.5 hours of database time, 50 % of what all on shard-a took.\nThat is a fifth or more, and 1 hour or more',
    )
    expect(reasons({ load: load(0, 5) })).toMatch(/it took 0 hours of database time, 0 % of/)
    expect(reasons({})).not.toContain('database time')
  })

  it('never advises what is unfit, however many points it has', () => {
    for (const model of ['schema', 'database'] as const) {
      for (const bytes of [0, KB, MB, GB, 100 * GB]) {
        for (const [schemas, databases] of [
          [0, 0],
          [5_000, 0],
          [0, 500],
          [5_000, 500],
        ] as const) {
          const found = advise(factsOf({ promised: model, bytes, schemas, databases }))
          const best = found.scores.find((score) => score.model === found.advice)
          expect(best?.unfit).toBeUndefined()
        }
      }
    }
  })

  it('says why, with the figures', () => {
    const { reasons } = advise(
      factsOf({
        rows: 150_500,
        bytes: 24.5 * MB,
        shardBytes: 49 * MB,
        schemas: 3,
        wishes: { compliance: true, growth: 2 },
      }),
    )
    expect(reasons).toEqual([
      'It has 150,500 rows and 24.5 MB, 50 % of what shard-a holds.',
      'In a year it is expected to have 49 MB.',
      'Its neighbours hardly feel it.',
      'Before its first row a schema of its own takes 0.3 MB (1.3 % of its data), a database 8 MB (32.7 % of its data).',
      'shard-a has 3 schemas and 0 databases of tenants: each is a target of every migration, and each database has connections of its own.',
      'Not shared tables: its rules ask for data apart.',
      expect.stringMatching(/^So a database of its own, with \d+ points; it is in shared tables now\.$/),
    ])
  })

  it('takes from settings what has the right kind, and nothing else', () => {
    const hosting = { compliance: true, customTables: 'yes', region: 'eu', growth: 3 }
    expect(wishesIn({ hosting })).toEqual({ compliance: true, customTables: false, region: 'eu', growth: 3 })
    const nothing = { compliance: false, customTables: false, growth: 1 }
    for (const odd of [null, 'compliance', [true], { growth: -1, region: 7 }])
      expect(wishesIn({ hosting: odd })).toEqual(nothing)
  })

  it('writes sizes as people do', () => {
    expect([0, 500 * KB, 24.5 * MB, 3 * GB].map(sizeText)).toEqual(['0 kB', '0.5 MB', '24.5 MB', '3 GB'])
  })
})

describe('on real tables', () => {
  let test: TestFleet
  const ids = ['big', 'big-2', 'none'].map(tenantId)

  beforeAll(async () => {
    test = await freshFleet({ weights: { 'shard-a': 1 } })
    const [shard] = test.shards
    for (const id of ids) await createTenant(test.fleet, { id, ...(id === 'big-2' && { plan: 'gold' }) })
    await migrate({
      shard: { key: shard!.key, url: shard!.url('owner') },
      folder: 'test/kit/world',
      schema: 'app',
    })
    await withClient(shard!.superuserUrl, async (db) => {
      await db.query(`
        insert into app.projects (tenant_id, id, name)
        select t, n, 'project ' || n from (values ('big', 900), ('big-2', 100)) as v (t, many), generate_series(1, many) n`)
      await db.query('vacuum analyze app.projects')
    })
  })
  afterAll(() => test.drop())

  it('counts rows exactly, of this tenant alone, and takes its part of the bytes', async () => {
    const [big, twin, none] = await Promise.all(ids.map((id) => adviseTenant(test.fleet, id)))
    expect(big!.facts).toMatchObject({ rows: 900, isolation: 'shared', schemas: 0, databases: 0 })
    expect(twin!.facts).toMatchObject({ rows: 100 })
    expect(none!.facts).toMatchObject({ rows: 0, bytes: 0 })
    expect(big!.tables).toEqual([{ table: 'app.projects', rows: 900, bytes: big!.facts.bytes }])
    expect(big!.facts.bytes / twin!.facts.bytes).toBeCloseTo(9, 1)
    expect(big!.facts.shardBytes).toBeGreaterThan(big!.facts.bytes)
    expect(big!.advice).toBe('shared')
  })

  it('of all tenants tells those that would be better off elsewhere', async () => {
    expect(await adviseFleet(test.fleet)).toEqual([])
    const seen: number[] = []
    const plans = { gold: { isolation: 'database' } } as const
    const found = await adviseFleet({ ...test.fleet, plans }, {}, (done) => seen.push(done))
    expect(found.map(({ facts, advice }) => [facts.tenant, advice])).toEqual([['big-2', 'database']])
    expect(seen).toEqual([1, 2, 3])
  })

  it('follows what settings say, and what the operator says before that', async () => {
    await withClient(test.directoryUrl, (db) =>
      db.query(
        `update directory.tenant set settings = '{"hosting": {"customTables": true, "growth": 2}}' where id = 'none'`,
      ),
    )
    const asSet = await adviseTenant(test.fleet, ids[2]!)
    expect([asSet.advice, asSet.facts.wishes.growth]).toEqual(['schema', 2])
    expect((await adviseTenant(test.fleet, ids[2]!, { customTables: false, growth: 1 })).advice).toBe(
      'shared',
    )
  })

  it('says that there is no such tenant', async () => {
    await expect(adviseTenant(test.fleet, tenantId('nobody'))).rejects.toThrow('There is no tenant "nobody".')
  })
})

describe('the command', () => {
  const run = async (...args: string[]) => {
    const printed: string[] = []
    const write = (text: string): void => void printed.push(text)
    const status = await runCommand(['tenant', 'advise', ...args], () => Promise.reject(), {
      out: write,
      err: write,
      colour: false,
    })
    return [status, printed.join('')] as const
  }

  it.each([
    [[], 'Wanted one tenant or --all; neither came.'],
    [['acme', '--all'], 'Wanted one tenant or --all; both came.'],
    [['ACME'], 'ACME'],
    [['acme', '--growth', '-1'], 'above 0'],
    [['acme', '--growth', '0'], 'above 0'],
  ])('refuses %j', async (args, sentence) => {
    const [status, printed] = await run(...args)
    expect(status).toBe(2)
    expect(printed).toContain(sentence)
  })
})
