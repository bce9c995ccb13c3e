/** Files that would let tenants see each other are refused in their own transaction, in each isolation model. */

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { migrateFleet, type UpResult } from '../../src/control/migrate/up.ts'
import { type TargetWorld, tableSql, targetWorld } from '../kit/migration-folder.ts'

let world: TargetWorld

beforeAll(async () => {
  world = await targetWorld(
    { own: ['schema', 'shard-a'], alone: ['database', 'shard-a'] },
    { weights: { 'shard-a': 1 } },
  )
})
afterAll(() => world?.stop())

const MODELS = [
  ['shared', 'shard-a'],
  ['schema', 'own'],
  ['database', 'alone'],
] as const

/** Run the folder on the target of one model, as its canary, and take the file out again. */
async function refused(
  model: string,
  canary: string,
  up: string,
  marks = '',
): Promise<UpResult['results'][number]> {
  const file = world.folder.add('unsafe', up, marks)
  try {
    const { results } = await migrateFleet(world.fleet, { canary })
    expect(results).toHaveLength(1)
    expect(results[0]?.isolation).toBe(model)
    return results[0]!
  } finally {
    rmSync(join(world.folder.path, file))
  }
}

const UNSAFE = [
  [
    'a table without row-level security',
    `create table bare (tenant_id text not null check (tenant_id <> ''), id bigint, primary key (tenant_id, id));`,
    /bare: .*row-level security.* To mend it: alter table bare enable row level security/s,
  ],
  [
    'F6: a partition that is read past the policies of its parent',
    `create table parted (tenant_id text not null check (tenant_id <> ''), id bigint, primary key (tenant_id, id))
       partition by hash (tenant_id);
     create table parted_0 partition of parted for values with (modulus 1, remainder 0);
     alter table parted enable row level security; alter table parted force row level security;
     create policy tenant_rows on parted using (true) with check (true);
     create policy tenant_isolation on parted as restrictive
       using (tenant_id = (select shardgate.current_tenant()))
       with check (tenant_id = (select shardgate.current_tenant()));`,
    /parted_0: /,
  ],
  [
    'F7: a view that reads with the rights of its owner',
    'create view all_notes as select * from notes;',
    /all_notes: .*security_invoker/s,
  ],
  [
    'a function that runs with the rights of its owner',
    `create function all_titles() returns setof text language sql security definer stable
       as $$ select title from notes $$;`,
    /all_titles/,
  ],
  ['row-level security that is switched off', 'alter table notes disable row level security;', /notes: /],
] as const

describe.each(MODELS)('in a target of the model %s', (model, canary) => {
  it.each(UNSAFE)('%s is refused with what mends it, and nothing of it is kept', async (_, up, reason) => {
    const { error, applied } = await refused(model, canary, up)
    expect(error).toMatch(/_unsafe\.sql would break the isolation of tenants in .*; nothing of it was kept/)
    expect(error).toMatch(reason)
    expect(applied).toEqual([])
    const left = await world.sql(
      'shard-a',
      `select c.relname as name from pg_class c where relname in ('bare', 'parted', 'all_notes')
       union all select proname from pg_proc where proname = 'all_titles'
       union all select c.relname from pg_class c where relname = 'notes' and not relrowsecurity`,
    )
    expect(left).toEqual([])
  })

  it('a file without a transaction is kept, and what it leaves is told', async () => {
    const open = 'create view open_notes as select * from notes;'
    const { error, applied } = await refused(model, canary, open, 'transaction:false')
    expect(error).toMatch(/_unsafe\.sql, which was kept: .*open_notes: /)
    expect(applied).toHaveLength(1)
    await world.sql('shard-a', `delete from shardgate.migration where name = 'unsafe'`)
    const [database] = await world.directory(
      `select namespace from directory.placement where isolation = 'database'`,
    )
    const schema = model === 'schema' ? 'tenant_own' : 'app'
    const where = model === 'database' ? (database?.namespace ?? '') : undefined
    await world.sql(
      'shard-a',
      `drop view ${schema}.open_notes; delete from shardgate.migration where name = 'unsafe'`,
      where,
    )
  })
})

describe('the judgement', () => {
  it('refuses a right on a tenant’s own table for whoever logs in as the gateway', async () => {
    const { error } = await refused('schema', 'own', 'grant select on notes to public;')
    expect(error).toMatch(
      /tenant_own\.notes: shardgate_app has rights on it, .*To mend it: revoke all on notes from public;/s,
    )
  })

  it('lets a file through that has nothing to do with what was unsafe before it', async () => {
    await world.sql(
      'shard-a',
      `set role shardgate_owner; create view app.before_us as select * from app.notes; reset role`,
    )
    world.folder.add('harmless', tableSql('harmless'))
    const { results } = await migrateFleet(world.fleet, { canary: 'shard-a' })
    expect(results.map(({ error }) => error)).toEqual([null, null, null])
    await world.sql('shard-a', 'drop view app.before_us')
  })

  it.each([
    ['schema', 'own'],
    ['database', 'alone'],
  ])(
    'in a %s of its own refuses a view with its owner’s rights also over tables without the column',
    async (model, canary) => {
      const up = 'create table words (id int primary key); create view all_words as select * from words;'
      expect((await refused(model, canary, up)).error).toMatch(/all_words: .*security_invoker/s)
    },
  )

  it('has no objection to tables without the tenant column, which only own homes serve', async () => {
    world.folder.add('countries', 'create table countries (code text primary key, name text);')
    const { results } = await migrateFleet(world.fleet)
    expect(results.map(({ error }) => error)).toEqual([null, null, null])
  })
})
