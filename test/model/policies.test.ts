/** Policies: which expressions hold a table to the tenant, and which only look as if they did. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkSafety, type Finding } from '../../src/model/safety.ts'
import { APP, type IsolatedDatabase, isolatedDatabase } from '../kit/isolation.ts'

let database: IsolatedDatabase

beforeAll(async () => {
  database = await isolatedDatabase()
})
afterAll(() => database?.close())

const check = (schema: string): Promise<Finding[]> =>
  checkSafety(database.admin, {
    column: 'tenant_id',
    schemas: [schema],
    appRole: APP,
  })

describe('what only looks like the tenant', () => {
  const GOOD = 'tenant_id = (select shardgate.current_tenant())'

  /** Checks found on a table with this restrictive policy, after `before`. */
  async function checksOf(using: string, before = ''): Promise<string[]> {
    const { admin } = database
    await admin.query(`begin; create schema look; set local search_path = look, pg_catalog;
      create table t (tenant_id text not null check (tenant_id <> ''), id int, primary key (tenant_id, id));
      alter table t enable row level security; alter table t force row level security;
      create policy rows on t using (true); ${before}`)
    try {
      await admin.query(`create policy p on t as restrictive using (${using})`)
      // Our own questions must not be answered by the impostors of these tests.
      if (before.includes('create operator')) await admin.query('set local search_path = look')
      return (await check('look')).map(({ check }) => check)
    } finally {
      await admin.query('rollback')
    }
  }

  it.each([
    GOOD,
    `(select shardgate.current_tenant()) = tenant_id`,
    `id > 0 and (${GOOD}) and id < 9`,
    `(${GOOD}) or (id = 1 and ${GOOD})`,
    `tenant_id = (select nullif(current_setting('app.current_tenant_id', true), ''))`,
    `tenant_id::varchar = (select shardgate.current_tenant()::varchar)`,
  ])('is right: %s', async (using) => {
    expect(await checksOf(using)).toEqual([])
  })

  it.each([
    'true',
    'tenant_id = tenant_id',
    `tenant_id = current_user`,
    `${GOOD} or true`,
    `${GOOD} is not false`,
    `not (${GOOD})`,
    'tenant_id <> (select shardgate.current_tenant())',
    'tenant_id >= (select shardgate.current_tenant())',
    'tenant_id is not distinct from (select shardgate.current_tenant())',
    'tenant_id = coalesce((select shardgate.current_tenant()), tenant_id)',
    `tenant_id = coalesce(current_setting('app.current_tenant_id', true), 'acme')`,
    `tenant_id = (select current_setting('app.other', true))`,
    'tenant_id::char(1) = (select shardgate.current_tenant())::char(1)',
    'tenant_id::varchar(2) = (select shardgate.current_tenant())::varchar(2)',
    'left(tenant_id, 1) = (select shardgate.current_tenant())',
    'tenant_id = any (array[(select shardgate.current_tenant()), tenant_id])',
    'tenant_id like (select shardgate.current_tenant())',
    'id::text = (select shardgate.current_tenant())',
    `tenant_id = (select shardgate.current_tenant() from pg_class limit 1)`,
    `tenant_id = (select max(tenant_id) from look.t)`,
    `tenant_id = E'\\\\'' or true or ''' and ${GOOD}`,
    `case when ${GOOD} then true else true end`,
    `exists (select 1 where tenant_id = (select shardgate.current_tenant())) or id = 1`,
  ])('is not: %s', async (using) => {
    expect(await checksOf(using)).toContain('tenant-policy')
  })

  it('is not: a function, a setting or an operator of the same name in another schema', async () => {
    const ours = `create function current_tenant() returns text language sql stable as 'select null::text'`
    const setting = `create function current_setting(text, boolean) returns text language sql stable as $$select 'b'$$`
    const equal = `create function same(text, text) returns boolean language sql stable as 'select true';
      create operator = (leftarg = text, rightarg = text, function = same)`

    expect(await checksOf('tenant_id = (select current_tenant())', ours)).toContain('tenant-policy')
    expect(
      await checksOf(`tenant_id = nullif(current_setting('app.current_tenant_id', true), '')`, setting),
    ).toContain('tenant-policy')
    expect(await checksOf(`tenant_id operator(look.=) (select shardgate.current_tenant())`, equal)).toContain(
      'tenant-policy',
    )
  })

  it('a policy for another role does not count', async () => {
    const { admin } = database
    await admin.query(`begin; create schema look;
      create table look.t (tenant_id text not null check (tenant_id <> ''), id int, primary key (tenant_id, id));
      alter table look.t enable row level security; alter table look.t force row level security;
      create policy rows on look.t using (true);
      create policy p on look.t as restrictive to isolation_owner using (${GOOD})`)
    const found = await check('look')
    await admin.query('rollback')

    expect(found.map(({ check }) => check)).toEqual(['tenant-policy'])
  })

  it('a restrictive policy that is about something else is told, with the roles it may be meant for', async () => {
    const { admin } = database
    await admin.query(`begin; create schema look;
      create table look.t (tenant_id text not null check (tenant_id <> ''), id int, primary key (tenant_id, id));
      alter table look.t enable row level security; alter table look.t force row level security;
      grant select on look.t to ${APP}, isolation_mover;
      create policy rows on look.t using (true);
      create policy ours on look.t as restrictive using (${GOOD});
      create policy theirs on look.t as restrictive using (tenant_id = current_user)`)
    const found = await check('look')
    await admin.query('rollback')

    expect(found.map(({ check, severity }) => `${check} ${severity}`)).toEqual(['policy-narrow advice'])
    expect(found[0]?.sql).toBe('alter policy theirs on look.t to isolation_mover, postgres;')
  })

  it('a collation that takes two ids for one is found, and so is a type that does', async () => {
    const { admin } = database
    await admin.query(`begin; create schema look;
      create collation look.loose (provider = icu, locale = 'und-u-ka-shifted', deterministic = false);
      create table look.t (tenant_id text collate look.loose not null check (tenant_id <> ''), id int,
        primary key (tenant_id, id));
      create table look.padded (tenant_id char(9) not null check (tenant_id <> ''), id int,
        primary key (tenant_id, id))`)
    const same = await admin.query(`select 'a-b' = 'ab' collate look.loose as same`)
    const found = await check('look')
    await admin.query('rollback')

    expect(same).toEqual([{ same: 't' }])
    expect(found.map(({ table, check }) => `${table} ${check}`)).toContain('look.t tenant-type')
    expect(found.map(({ table, check }) => `${table} ${check}`)).toContain('look.padded tenant-type')
  })
})
