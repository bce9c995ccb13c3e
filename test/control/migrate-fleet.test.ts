/** Migrations over targets of all three isolation models: what reaches which of them, and what stops a run. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Failpoint } from '../../src/base/failpoints.ts'
import { tenantId } from '../../src/base/ids.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { planFleet } from '../../src/control/migrate/plan.ts'
import { migrateFleet, type UpOptions, type UpResult } from '../../src/control/migrate/up.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { type TargetWorld, tableSql, targetWorld } from '../kit/migration-folder.ts'

let world: TargetWorld
const ALL = [
  'alone (database on shard-b)',
  'other (schema on shard-b)',
  'own (schema on shard-a)',
  'shared schema of shard-a',
  'shared schema of shard-b',
  'shared schema of shard-c',
]

beforeAll(async () => {
  world = await targetWorld({
    own: ['schema', 'shard-a'],
    other: ['schema', 'shard-b'],
    alone: ['database', 'shard-b'],
  })
})
afterAll(() => world?.stop())

const up = (options?: UpOptions, fleet: Fleet = world.fleet): Promise<UpResult> =>
  migrateFleet(fleet, options)
const doneIn = ({ results }: UpResult): string[] =>
  results.flatMap(({ target, error }) => (error === null ? [target] : [])).sort()

/** Where the column or the table is, of all six places, as 'shard schema'. */
async function placesOf(table: string, column = 'id'): Promise<string[]> {
  const [row] = await world.directory(
    `select namespace as name from directory.placement where isolation = 'database'`,
  )
  const places = [['shard-a'], ['shard-b'], ['shard-c'], ['shard-b', row?.name ?? '']] as const
  const found = await Promise.all(
    places.map(async ([shard, database]) => {
      const rows = await world.sql(
        shard,
        `select table_schema as name from information_schema.columns where table_name = '${table}' and column_name = '${column}'`,
        database,
      )
      return rows.map(({ name }) => `${shard} ${database ? 'alone' : name}`)
    }),
  )
  return found.flat().sort()
}

const EVERYWHERE = [
  'shard-a app',
  'shard-a tenant_own',
  'shard-b alone',
  'shard-b app',
  'shard-b tenant_other',
  'shard-c app',
]

/** The fleet, with nothing behind the URL of a shard. */
function without(shard: string): Fleet {
  const shards = world.fleet.shards.map((one) => {
    const url = one.url.replace(/:\d+\//, ':1/')
    return one.key === shard ? { ...one, url } : one
  })
  return { ...world.fleet, shards }
}

/** The fleet, with something that happens at a place in the code. */
function at(place: RegExp, work: () => Promise<void>): Fleet {
  const hit = async (name: Failpoint): Promise<void> => {
    if (place.test(name)) await work()
  }
  return { ...world.fleet, failpoints: { hit } }
}

describe('migrate up', () => {
  it('brings a file to every target, the canary before all others, and says how long each took', async () => {
    const file = world.folder.add('priority', 'alter table notes add priority int')
    const result = await up({ canary: 'other' })
    expect(doneIn(result)).toEqual(ALL)
    expect(result.canary).toBe('other (schema on shard-b): as asked for')
    expect(result.results[0]).toMatchObject({ target: 'other (schema on shard-b)', applied: [file] })
    expect(result.results.every(({ ms, applied }) => ms > 0 && applied.length === 1)).toBe(true)
    expect(await placesOf('notes', 'priority')).toEqual(EVERYWHERE)
  })

  it('takes a file that names the shared schema, and the app role, for the own ones of each target', async () => {
    world.folder.add(
      'named',
      `${tableSql('app.named')}
       create function "app".newest() returns bigint language sql stable
         as $$ select max(id) from app.named where tenant_id = current_setting('app.current_tenant_id') $$;
       revoke delete on app.named from shardgate_app; comment on table app.named is 'in app.named';`,
    )
    expect(doneIn(await up())).toEqual(ALL)
    expect(await placesOf('named')).toEqual(EVERYWHERE)
    const [own] = await world.sql(
      'shard-a',
      `select prosrc as body, obj_description('tenant_own.named'::regclass) as comment,
         (select string_agg(grantee || ' ' || privilege_type, ', ' order by 1) from information_schema.role_table_grants
          where table_schema = 'tenant_own' and table_name = 'named' and grantee not in ('shardgate_owner', 'shardgate_mover')) as rights
       from pg_proc where proname = 'newest' and pronamespace = 'tenant_own'::regnamespace`,
    )
    expect(own?.body).toContain(
      `from "tenant_own".named where tenant_id = current_setting('app.current_tenant_id')`,
    )
    expect(own?.comment).toBe('in app.named')
    expect(own?.rights).toMatch(
      /^shardgate_\w+_own INSERT, shardgate_\w+_own SELECT, shardgate_\w+_own UPDATE$/,
    )
  })

  it('with nothing to do asks no target: not even one that is away', async () => {
    const away = without('shard-a')
    expect(
      await up(
        {},
        {
          ...away,
          shards: away.shards.map((shard) => ({ ...shard, url: 'postgres://nobody@127.0.0.1:1/x' })),
        },
      ),
    ).toMatchObject({
      targets: 6,
      results: [],
    })
  })

  it('refuses a file that was changed after it was applied, before anything runs anywhere', async () => {
    const name = world.folder.add('fixed', tableSql('fixed'))
    await up({ only: ['own'] })
    world.folder.add('after_fixed', 'alter table notes add after_fixed int')
    writeFileSync(join(world.folder.path, name), `-- migrate:up\n${tableSql('fixed', 'other int')}\n`)
    await expect(up()).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringMatching(
        /_fixed\.sql was changed after it had been applied \(own \(schema on shard-a\) has it/,
      ),
    })
    expect(await placesOf('notes', 'after_fixed')).toEqual([])
    expect(await placesOf('fixed')).toEqual(['shard-a tenant_own'])
    writeFileSync(
      join(world.folder.path, name),
      `-- migrate:up \n${tableSql('fixed')}\n-- migrate:down\ndrop table nothing;\n`,
    )
    expect(doneIn(await up())).toEqual(ALL)
  })

  it('stops when the canary fails, whatever the policy: nobody else is touched', async () => {
    await world.sql('shard-a', 'create view tenant_own.taken as select 1 as one')
    world.folder.add('taken', tableSql('taken'))
    const result = await up({ canary: 'own', onFailure: 'continue' })
    expect(result.results).toMatchObject([
      {
        target: 'own (schema on shard-a)',
        applied: [],
        error: expect.stringMatching(/"taken" already exists \(42P07\)/),
      },
    ])
    expect(result.left).toHaveLength(5)
    expect(
      await world.directory(
        `select error is not null as failed, namespace from directory.target where error is not null`,
      ),
    ).toEqual([{ failed: 't', namespace: 'tenant_own' }])
  })

  it('by the policy "continue" leaves out what fails, and a later run finishes exactly that', async () => {
    const result = await up({ canary: 'other', onFailure: 'continue' })
    expect(doneIn(result)).toEqual(ALL.filter((name) => !name.startsWith('own')))
    await world.sql('shard-a', 'drop view tenant_own.taken')
    expect(doneIn(await up())).toEqual(['own (schema on shard-a)'])
    expect(await world.directory('select error from directory.target where error is not null')).toEqual([])
    expect(await placesOf('taken')).toEqual(EVERYWHERE)
  })

  it('with a shard down fails its targets alone, and finishes them when it is back', async () => {
    world.folder.add('later', 'alter table notes add later int')
    const result = await up({ onFailure: 'continue' }, without('shard-b'))
    expect(doneIn(result)).toEqual(ALL.filter((name) => !name.includes('shard-b')))
    const failed = result.results.filter(({ error }) => error !== null)
    expect(failed).toHaveLength(3)
    expect(failed.every(({ error }) => /cannot be reached at shardgate_owner@/.test(error!))).toBe(true)
    expect(doneIn(await up())).toEqual(ALL.filter((name) => name.includes('shard-b')))
    expect(await placesOf('notes', 'later')).toEqual(EVERYWHERE)
  })

  it('refuses a second run, and lets one wait that asked to', async () => {
    world.folder.add('raced', 'alter table notes add raced int')
    const inside = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const first = up(
      {},
      at(/^before migrate /, async () => {
        inside.resolve()
        await goOn.promise
      }),
    )
    await inside.promise
    await expect(up()).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringMatching(/Another run .* is under way/),
    })
    const waits = up({ takeTurns: true })
    goOn.resolve()
    expect(doneIn(await first)).toEqual(ALL)
    expect((await waits).results).toEqual([])
  })

  it.each(['nobody', 'own'])('refuses a canary that lacks nothing: %s', async (canary) => {
    world.folder.add(`for_${canary}`, 'select 1')
    if (canary === 'own') await up({ only: ['own'] })
    await expect(up({ canary })).rejects.toMatchObject({ code: 'REFUSED' })
    await up()
  })

  it.each([
    ['no_such', 'USAGE'],
    ['no-such', 'REFUSED'],
  ])('refuses --only with the unknown name %s', async (name, code) => {
    world.folder.add('only', 'select 1')
    await expect(up({ only: [name] })).rejects.toMatchObject({ code })
    await up()
  })
})

describe('a file that contracts', () => {
  it('waits for --contract, and --contract for every target to have what comes before', async () => {
    const before = world.folder.add('expand', 'alter table notes add renamed text')
    const contract = world.folder.add('contract', 'alter table notes drop priority', 'phase:contract')
    const after = world.folder.add('after_contract', 'alter table notes add afterwards int')
    await up({ only: ['shard-a'] })
    await expect(up({ contract: true })).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringMatching(
        /_contract\.sql removes what gateways may use, and 4 targets lack files before it/,
      ),
    })
    const result = await up()
    expect(result.results.every(({ applied }) => applied.length === 1 && applied[0] === before)).toBe(true)
    expect(result.held).toEqual([contract])
    expect(await up()).toMatchObject({ results: [], held: [contract] })
    expect((await planFleet(world.fleet)).files).toMatchObject([
      { file: contract, held: true, kind: 'contract', warnings: [] },
      { file: after, held: true },
    ])
    const last = await up({ contract: true })
    expect(last.results.every(({ applied }) => applied.join() === [contract, after].join())).toBe(true)
    expect(await placesOf('notes', 'priority')).toEqual([])
  })
})

describe('migrate plan', () => {
  it('folds targets that lack the same files, and tells what these hold up and remove', async () => {
    const one = world.folder.add(
      'one',
      'create index notes_title on notes (title);\nalter table notes drop column title;',
    )
    await up({ only: ['shard-c'] })
    const two = world.folder.add('two', `${tableSql('fresh')} create index on fresh (title);`)
    const plan = await planFleet(world.fleet)
    const group = { lacks: [one, two], strange: [], unreachable: null }
    expect(plan.groups).toEqual([
      { shard: 'shard-a', isolation: 'shared', targets: 1, example: 'app', ...group },
      { shard: 'shard-a', isolation: 'schema', targets: 1, example: 'own', ...group },
      { shard: 'shard-b', isolation: 'shared', targets: 1, example: 'app', ...group },
      { shard: 'shard-b', isolation: 'schema', targets: 1, example: 'other', ...group },
      { shard: 'shard-b', isolation: 'database', targets: 1, example: 'alone', ...group },
      { shard: 'shard-c', isolation: 'shared', targets: 1, example: 'app', ...group, lacks: [two] },
    ])
    expect(plan.files).toMatchObject([
      {
        file: one,
        targets: 5,
        locks: [
          {
            line: 1,
            text: expect.stringMatching(/^stops writes of notes while the index is built: create index/),
          },
          { line: 2, text: expect.stringMatching(/^stops all requests of notes for a moment: alter table/) },
        ],
        warnings: [{ line: 2, text: expect.stringMatching(/^drops a column of notes/) }],
      },
      { file: two, targets: 6, locks: [], warnings: [] },
    ])
    await up()
  })
})

describe('a tenant whose home is made while a run is under way', () => {
  it('is migrated by the same run', async () => {
    world.folder.add('meanwhile', 'alter table notes add meanwhile int')
    let made: Promise<unknown> | undefined
    const fleet = at(/^before migrate /, async () => {
      made ??= createTenant(world.fleet, { id: tenantId('newcomer'), isolation: 'schema', shard: 'shard-c' })
      await made
    })
    const result = await up({}, fleet)
    expect(doneIn(result)).toEqual(['newcomer (schema on shard-c)', ...ALL].sort())
    expect(await placesOf('notes', 'meanwhile')).toEqual([...EVERYWHERE, 'shard-c tenant_newcomer'])
  })
})
