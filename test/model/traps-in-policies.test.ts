/**
 * The traps of row-level security in partitions, views, owners and policies: the careless form
 * leaks, ours does not, and the check of safety tells the two apart.
 */

import { describe, expect, it } from 'vitest'
import { sqlState } from '../../src/db/client.ts'
import { checkSafety } from '../../src/model/safety.ts'
import { APP, OWNER } from '../kit/isolation.ts'
import { IDS, OURS, useTrapTables } from '../kit/trap-tables.ts'

const { database, asOwner, fill, asTenant, makeTable, found } = useTrapTables()

describe('F6: a partition, and a child by inheritance', () => {
  const PARTED = 'id int not null, primary key (tenant_id, id)) partition by list (tenant_id'

  it('that is read by its own name is not under the policies of its parent', async () => {
    await makeTable('whole', PARTED)
    await asOwner(
      `create table t.part partition of t.whole for values in ('b'); grant select on t.part to ${APP}`,
    )
    await makeTable('parent', IDS)
    await asOwner(`create table t.child () inherits (t.parent); grant select on t.child to ${APP}`)
    await fill(`insert into t.whole values ('b', 1); insert into t.child values ('b', 2)`)

    expect(await asTenant('a', 'select id from t.whole union all select id from t.parent')).toEqual([])
    expect(await asTenant('a', 'select id from t.part')).toEqual([{ id: '1' }])
    expect(await asTenant('a', 'select id from t.child')).toEqual([{ id: '2' }])
    expect(await found('part')).toContain('row-security')
    expect(await found('child')).toContain('row-security')
  })

  it('that the app role may not name can only be read through its parent', async () => {
    await makeTable('whole', PARTED)
    await asOwner(`create table t.part partition of t.whole for values in ('b')`)
    await fill(`insert into t.whole values ('b', 1)`)

    expect(await asTenant('a', 'select id from t.part').catch(sqlState)).toBe('42501')
    expect(await asTenant('a', 'select id from t.whole')).toEqual([])
    expect(await asTenant('b', 'select id from t.whole')).toEqual([{ id: '1' }])
    expect(await found('part')).toEqual([])
    expect(await found('whole')).toEqual([])
  })
})

describe('F7: a view', () => {
  it("reads with its owner's rights, and a materialized one with nobody's", async () => {
    await makeTable('base', IDS)
    await fill(`insert into t.base values ('b', 1)`)
    await database().admin.query(`create view t.careless as select * from t.base;
      create materialized view t.copied as select * from t.base;
      grant select on t.careless, t.copied to ${APP}`)

    expect(await asTenant('a', 'select id from t.careless')).toEqual([{ id: '1' }])
    expect(await asTenant('a', 'select id from t.copied')).toEqual([{ id: '1' }])
    expect(await found('careless')).toEqual(['view-rights'])
    expect(await found('copied')).toEqual(['materialized-view'])
  })

  it('with security_invoker reads with the rights of whoever asks', async () => {
    await makeTable('base', IDS)
    await fill(`insert into t.base values ('b', 1)`)
    await database().admin.query(`create view t.ours with (security_invoker) as select * from t.base;
      grant select on t.ours to ${APP}`)

    expect(await asTenant('a', 'select id from t.ours')).toEqual([])
    expect(await asTenant('b', 'select id from t.ours')).toEqual([{ id: '1' }])
    expect(await found('ours')).toEqual([])
  })
})

describe('F8: the owner', () => {
  const seen = async (name: string): Promise<unknown> => {
    await database().admin.query(`set role ${OWNER}`)
    const rows = await database().admin.query(`select id from t.${name}`)
    await database().admin.query('reset role')
    return rows
  }

  it('sees every row until row-level security is forced, and a superuser even then', async () => {
    await makeTable('ours', IDS)
    await makeTable('careless', IDS)
    await asOwner('alter table t.careless no force row level security')
    await fill(`insert into t.ours values ('b', 1); insert into t.careless values ('b', 1)`)

    expect(await seen('careless')).toEqual([{ id: '1' }])
    expect(await seen('ours')).toEqual([])
    expect(await database().admin.query('select id from t.ours')).toEqual([{ id: '1' }])
    expect(await found('careless')).toEqual(['row-security-forced'])
    expect(await found('ours')).toEqual([])
  })

  it('can switch it off, so the app role must not be one', async () => {
    await makeTable('ours', IDS)
    const off = 'alter table t.ours disable row level security'
    const asRole = (appRole: string) => ({
      column: 'tenant_id',
      schemas: ['t'],
      appRole,
    })

    expect(await database().app.query(off).catch(sqlState)).toBe('42501')
    await asOwner(off)
    expect(await found('ours')).toContain('row-security')
    const checks = (await checkSafety(database().admin, asRole(OWNER))).map(({ check }) => check)
    expect(checks).toContain('role-owner')
  })
})

describe('F9: several permissive policies', () => {
  it('are OR-ed, so that a later one opens what the first had closed', async () => {
    await asOwner(`create table t.careless (tenant_id text not null check (tenant_id <> ''), ${IDS});
      alter table t.careless enable row level security;
      alter table t.careless force row level security;
      create policy tenant_isolation on t.careless using (${OURS});
      grant select on t.careless to ${APP}`)
    await fill(`insert into t.careless values ('b', 1)`)

    expect(await asTenant('a', 'select id from t.careless')).toEqual([])
    await asOwner('create policy support on t.careless for select using (id < 100)')
    expect(await asTenant('a', 'select id from t.careless')).toEqual([{ id: '1' }])
    expect(await found('careless')).toEqual(['tenant-policy'])
  })

  it('cannot widen a restrictive one', async () => {
    await makeTable('ours', IDS)
    await fill(`insert into t.ours values ('b', 1)`)
    await asOwner('create policy support on t.ours for all using (true) with check (true)')

    expect(await asTenant('a', 'select id from t.ours')).toEqual([])
    expect(await asTenant('a', `insert into t.ours values ('b', 2)`).catch(sqlState)).toBe('42501')
    expect(await asTenant('b', `update t.ours set tenant_id = 'a'`).catch(sqlState)).toBe('42501')
    expect(await found('ours')).toEqual([])
  })

  it('an open WITH CHECK lets a tenant write into another, though it reads nothing', async () => {
    await makeTable('careless', IDS)
    await asOwner('alter policy tenant_isolation on t.careless with check (true)')
    await asTenant('a', `insert into t.careless values ('b', 1)`)

    expect(await asTenant('b', 'select id from t.careless')).toEqual([{ id: '1' }])
    expect(await found('careless')).toEqual(['tenant-policy'])
  })
})

describe('F10: an index', () => {
  async function planOf(name: string, filter: string): Promise<string> {
    await database().app.query('set enable_seqscan = off; set enable_bitmapscan = off')
    const lines = await asTenant('a', `explain (costs off) select id from t.${name} where ${filter}`)
    return lines.map((line) => line['QUERY PLAN']).join('\n')
  }

  it('on numeric only filters under policies, on bigint it searches', async () => {
    await makeTable('careless', `amount numeric, ${IDS}`)
    await makeTable('ours', `cents bigint, ${IDS}`)
    await asOwner(`create index on t.careless (tenant_id, amount); create index on t.ours (tenant_id, cents);
      alter table t.careless drop constraint careless_pkey, alter id drop not null;
      alter table t.ours drop constraint ours_pkey, alter id drop not null`)

    expect(await planOf('careless', 'amount = 5')).toMatch(/Filter: \(amount = /)
    expect(await planOf('ours', 'cents = 5')).toMatch(/Index Cond: .*cents = /)
    expect(await found('careless')).toEqual(['index-unusable'])
    expect(await found('ours')).toEqual([])
  })
})

describe('F11: the tenant in a policy', () => {
  /** How often the function in the policy of t.`name` runs while tenant a counts 50 rows. */
  async function callsFor(name: string): Promise<number> {
    await fill(`insert into t.${name} select 'a', generate_series(1, 50)`)
    const [row] = await asTenant(
      'a',
      `select set_config('enable_indexscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
         set_config('enable_indexonlyscan', 'off', true);
       select count(*) from t.${name};
       select pg_stat_get_xact_function_calls('t.tenant_of_${name}'::regproc) as calls`,
    )
    return Number(row?.calls)
  }

  it('is asked once a row, and once a statement in a subselect', async () => {
    for (const name of ['careless', 'ours']) {
      await asOwner(`create function t.tenant_of_${name}() returns text language plpgsql stable
        as $$ begin return current_setting('app.current_tenant_id', true); end $$`)
    }
    await makeTable('careless', IDS, 'tenant_id = t.tenant_of_careless()')
    await makeTable('ours', IDS, 'tenant_id = (select t.tenant_of_ours())')

    // The planner asks a stable function once or twice more, for its estimate.
    expect(await callsFor('careless')).toBeGreaterThanOrEqual(50)
    expect(await callsFor('ours')).toBeLessThan(5)
  })

  it('gets the advice where it is asked once a row', async () => {
    await makeTable('careless', IDS, 'tenant_id = shardgate.current_tenant()')
    await makeTable('ours', IDS)

    expect(await found('careless')).toEqual(['policy-once'])
    expect(await found('ours')).toEqual([])
  })
})
