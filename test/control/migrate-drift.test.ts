/** What each target really has: drift as a readable diff, and summaries that are late or lost. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Failpoint } from '../../src/base/failpoints.ts'
import { fleetStatus } from '../../src/control/migrate/status.ts'
import { migrateFleet } from '../../src/control/migrate/up.ts'
import { type Verdict, verifyFleet } from '../../src/control/migrate/verify.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { type TargetWorld, targetWorld } from '../kit/migration-folder.ts'

let world: TargetWorld

beforeAll(async () => {
  world = await targetWorld(
    { own: ['schema', 'shard-a'], alone: ['database', 'shard-a'] },
    { weights: { 'shard-a': 1, 'shard-b': 1 } },
  )
})
afterAll(() => world?.stop())

const kinds = (verdicts: readonly Verdict[]) =>
  Object.fromEntries(verdicts.map(({ target, kind }) => [target, kind]))

/** Fails at a place in the code, as if the process had been killed there. */
function killedAt(place: RegExp): Fleet {
  const hit = async (name: Failpoint): Promise<void> => {
    if (place.test(name)) throw new Error(`killed ${name}`)
  }
  return { ...world.fleet, failpoints: { hit } }
}

describe('migrate verify', () => {
  it('finds targets of all three models as expected after their migrations', async () => {
    expect(kinds(await verifyFleet(world.fleet))).toEqual({
      'shared schema of shard-a': 'as expected',
      'shared schema of shard-b': 'as expected',
      'own (schema on shard-a)': 'as expected',
      'alone (database on shard-a)': 'as expected',
    })
  })

  it('shows what was changed by hand, line by line, and nothing of the other targets', async () => {
    await world.sql(
      'shard-a',
      `alter table tenant_own.notes add by_hand int default 7, alter title set not null;
       drop policy tenant_rows on tenant_own.notes;`,
    )
    const verdicts = await verifyFleet(world.fleet)
    const own = verdicts.find(({ target }) => target.startsWith('own'))
    expect(own).toMatchObject({
      kind: 'drift',
      because: 'expected is what 4 of 4 targets with the same files had after their migration',
    })
    expect(own?.differences.map(({ sign, line }) => `${sign} ${line}`)).toEqual([
      '+ column notes.by_hand integer default 7',
      '- column notes.title text',
      '+ column notes.title text not null',
      '- policy notes.tenant_rows permissive for all to public using (true) with check (true)',
    ])
    expect(verdicts.filter(({ kind }) => kind === 'as expected')).toHaveLength(3)
    await world.sql(
      'shard-a',
      `alter table tenant_own.notes drop by_hand, alter title drop not null;
       create policy tenant_rows on tenant_own.notes using (true) with check (true);`,
    )
    expect((await verifyFleet(world.fleet)).every(({ kind }) => kind === 'as expected')).toBe(true)
  })

  it('says of a target that cannot be asked that it could not be asked', async () => {
    const shards = world.fleet.shards.map((one) =>
      one.key === 'shard-b' ? { ...one, url: one.url.replace(/:\d+\//, ':1/') } : one,
    )
    expect(kinds(await verifyFleet({ ...world.fleet, shards }))).toMatchObject({
      'shared schema of shard-a': 'as expected',
      'shared schema of shard-b': 'away',
    })
  })
})

describe('the summary in the directory', () => {
  it('that a kill has left behind is written again from the book, and no file runs twice', async () => {
    const file = world.folder.add('counted', 'create table counted (id int); insert into counted values (1);')
    const killed = await migrateFleet(killedAt(/^before record own/), { canary: 'own' })
    expect(killed.results).toMatchObject([
      { applied: [file], error: 'killed before record own (schema on shard-a).' },
    ])
    expect(await fleetStatus(world.fleet)).toContainEqual(
      expect.objectContaining({ tenant: 'own', pending: 1, error: expect.stringMatching(/^killed/) }),
    )
    const { results } = await migrateFleet(world.fleet)
    expect(results.find(({ tenant }) => tenant === 'own')).toMatchObject({ applied: [], error: null })
    expect(await world.sql('shard-a', 'select count(*) as n from tenant_own.counted')).toEqual([{ n: '1' }])
    expect((await fleetStatus(world.fleet)).map(({ pending, error }) => [pending, error])).toEqual(
      Array(4).fill([0, null]),
    )
  })

  it('keeps nothing of a file that was killed before its commit', async () => {
    const file = world.folder.add('half', 'create table half (id int);')
    await migrateFleet(killedAt(/^before commit/), { canary: 'own' })
    expect(await world.sql('shard-a', `select to_regclass('tenant_own.half') as it`)).toEqual([{ it: null }])
    expect((await migrateFleet(world.fleet)).results.map(({ applied }) => applied)).toEqual(
      Array(4).fill([file]),
    )
  })

  it('that is lost altogether is made again without running anything', async () => {
    await world.directory('delete from directory.target')
    const { results, canary } = await migrateFleet(world.fleet)
    expect(canary).toBeNull()
    expect(results.map(({ applied, error }) => [applied, error])).toEqual(Array(4).fill([[], null]))
    expect((await fleetStatus(world.fleet)).map(({ pending, drift }) => [pending, drift])).toEqual(
      Array(4).fill([0, false]),
    )
  })

  it('shows drift that a migration has met: the target that had something of its own before', async () => {
    await world.sql('shard-b', 'alter table app.notes add stray int')
    world.folder.add('over_drift', 'alter table notes add over_drift int')
    await migrateFleet(world.fleet)
    const drifting = (await fleetStatus(world.fleet)).filter(({ drift }) => drift)
    expect(drifting).toMatchObject([{ shard: 'shard-b', isolation: 'shared' }])
  })
})
