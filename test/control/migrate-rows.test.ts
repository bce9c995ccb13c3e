/** Migrations of rows: for each tenant through the door, in batches, gone on with where a run was killed. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/base/config.ts'
import { tenantId } from '../../src/base/ids.ts'
import { doorOf } from '../../src/commands/rows-door.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { migrateFleet, type UpOptions, type UpResult } from '../../src/control/migrate/up.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { type TargetWorld, targetWorld } from '../kit/migration-folder.ts'

let world: TargetWorld
let options: UpOptions

const ROWS = 25

beforeAll(async () => {
  world = await targetWorld(
    {
      own: ['schema', 'shard-a'],
      alone: ['database', 'shard-a'],
      first: ['shared', 'shard-a'],
      second: ['shared', 'shard-a'],
      asleep: ['shared', 'shard-a'],
    },
    { weights: { 'shard-a': 1 } },
  )
  const config = join(world.folder.path, 'shards.config.json')
  const [{ url, appUrl } = { url: '', appUrl: '' }] = world.fleet.shards
  writeFileSync(
    config,
    JSON.stringify({
      tenancy: { column: 'tenant_id', schemas: ['app'] },
      directory: { url: world.fleet.directoryUrl },
      router: { strategy: 'modulo', buckets: 64 },
      shards: { 'shard-a': { url: appUrl, ownerUrl: url } },
      tokens: [
        {
          issuer: 'x',
          audience: 'x',
          algorithms: ['HS256'],
          secrets: ['a secret of this test alone, long enough'],
        },
      ],
    }),
  )
  options = { door: doorOf(loadConfig(config, {})) }
  for (const [tenant, table, database] of await homes()) {
    await world.sql(
      'shard-a',
      `insert into ${table} (tenant_id, id, title) select '${tenant}', n, 'Title ' || n from generate_series(1, ${ROWS}) n`,
      database,
    )
  }
  await world.directory(`update directory.tenant set state = 'suspended' where id = 'asleep'`)
  await world.sql(
    'shard-a',
    `update shardgate.tenant_fence set state = 'suspended' where tenant_id = 'asleep'`,
  )
})
afterAll(() => world?.stop())

async function homes(): Promise<[string, string, string | undefined][]> {
  const [row] = await world.directory(
    `select namespace from directory.placement where isolation = 'database'`,
  )
  return [
    ['own', 'tenant_own.notes', undefined],
    ['alone', 'app.notes', row?.namespace ?? ''],
    ['first', 'app.notes', undefined],
    ['second', 'app.notes', undefined],
    ['asleep', 'app.notes', undefined],
  ]
}

/** What `expression` is of the rows of each tenant. */
async function eachTenant(expression: string): Promise<Record<string, string | null>> {
  const found = (await homes()).map(async ([tenant, table, database]) => {
    const [row] = await world.sql(
      'shard-a',
      `select ${expression} as it from ${table} where tenant_id = '${tenant}'`,
      database,
    )
    return [tenant, row?.it ?? null] as const
  })
  return Object.fromEntries(await Promise.all(found))
}

const TENANTS = ['own', 'alone', 'first', 'second', 'asleep']
const forAll = (value: string) => Object.fromEntries(TENANTS.map((tenant) => [tenant, value]))
const up = (fleet: Fleet = world.fleet): Promise<UpResult> => migrateFleet(fleet, options)
const errorsOf = ({ results }: UpResult): (string | null)[] => results.map(({ error }) => error)

const LOWER = `
  update notes set title = lower(title)
  where (tenant_id, id) in (select tenant_id, id from notes where title <> lower(title) order by id limit 10)`

describe('rows changed by SQL', () => {
  it('are changed for each tenant of every model, a suspended one too, until none is left', async () => {
    world.folder.add('lower', LOWER, 'per:tenant')
    expect(errorsOf(await up())).toEqual([null, null, null])
    expect(await eachTenant('count(*) filter (where title = lower(title))')).toEqual(forAll(String(ROWS)))
    expect(
      await world.directory(
        'select tenant_id, batches, finished_at is not null as done from directory.data_migration order by 1',
      ),
    ).toEqual(TENANTS.toSorted().map((tenant_id) => ({ tenant_id, batches: '4', done: 't' })))
  })

  it('by statements that never find an end is refused in words', async () => {
    const file = world.folder.add('endless', `update notes set title = title || ''`, 'per:tenant')
    const { results } = await up()
    expect(results[0]?.error).toMatch(/_endless\.sql changes the same 25 rows of \w+ again and again/)
    writeFileSync(join(world.folder.path, file), '-- migrate:up per:tenant\nselect 1;\n')
    expect(errorsOf(await up())).toEqual([null, null, null])
  })
})

describe('rows changed by TypeScript', () => {
  const code = (set: string) => `
    export default async function (session, { cursor }) {
      const rows = await session.run({
        text: 'update notes set ${set} where id in (select id from notes where id > $1 order by id limit 10) returning id',
        values: [cursor ?? 0],
      })
      return rows.length === 0 ? null : { cursor: Math.max(...rows.map(([id]) => Number(id))) }
    }`

  it('go on at the cursor of the last batch after a kill, and no batch that was written down runs twice', async () => {
    world.folder.addCode('counted', code('title = title || $$+$$'))
    let batches = 0
    const hit = async (name: string): Promise<void> => {
      // After the second batch was written down, and before the third begins to count.
      if (name.startsWith('after rows') && ++batches === 3) throw new Error('killed')
    }
    const dead = { ...world.fleet, failpoints: { hit } }
    await migrateFleet(dead, { ...options, canary: 'own' })
    const [before] = await world.directory(
      `select cursor::text as cursor, batches from directory.data_migration where tenant_id = 'own' and finished_at is null`,
    )
    expect(before).toEqual({ cursor: '20', batches: '2' })
    // What the third has done was kept, and was not written down: it is done again.
    expect(errorsOf(await up())).toEqual([null, null, null])
    const marks = await eachTenant(`string_agg(distinct right(title, -length(rtrim(title, '+'))), ' ')`)
    expect(marks).toEqual({ ...forAll('+'), own: '+ ++' })
  })

  it('that fails names the tenant’s target, and the others wait', async () => {
    world.folder.addCode('fails', `export default async () => { throw new Error('no such thing') }`)
    const result = await up()
    expect(errorsOf(result)).toEqual(['no such thing.'])
    expect(result.left).toHaveLength(2)
  })
})

describe('a tenant that is made later', () => {
  it('has nothing to do: its tables are born with the files', async () => {
    const files = await import('node:fs').then(({ readdirSync, rmSync }) => {
      for (const name of readdirSync(world.folder.path))
        if (name.endsWith('fails.ts')) rmSync(join(world.folder.path, name))
      return readdirSync(world.folder.path).filter((name) => /\.(sql|ts)$/.test(name)).length
    })
    await createTenant(world.fleet, { id: tenantId('newcomer'), isolation: 'schema', shard: 'shard-a' })
    expect(
      await world.sql(
        'shard-a',
        `select count(*) as n from shardgate.migration where namespace = 'tenant_newcomer'`,
      ),
    ).toEqual([{ n: String(files) }])
    expect((await up()).results).toEqual([])
  })
})
