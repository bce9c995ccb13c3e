/** The check of safety beside tables: global ones, what views read, definer functions, our own, and moves. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { checkSafety, type Finding } from '../../src/model/safety.ts'
import { APP, type IsolatedDatabase, isolatedDatabase } from '../kit/isolation.ts'

let database: IsolatedDatabase

beforeAll(async () => {
  database = await isolatedDatabase('careful')
})
afterAll(() => database?.close())
beforeEach(() => database.admin.query('begin'))
afterEach(() => database.admin.query('rollback'))

const check = (global: readonly string[] = []): Promise<Finding[]> =>
  checkSafety(database.admin, { column: 'tenant_id', schemas: ['good'], appRole: APP, global })
const made = async (statements: string, global?: readonly string[]): Promise<string[]> => {
  await database.admin.query(statements)
  return (await check(global)).map(({ table, check, severity }) => `${table ?? '-'} ${check} ${severity}`)
}

describe('a global table', () => {
  const GLOBAL = ['good.currencies']

  it('that the app role may only read is fine', async () => {
    expect(await made(`grant select on good.currencies to ${APP}`, GLOBAL)).toEqual([])
  })

  it.each([
    `insert on good.currencies to ${APP}`,
    'update on good.currencies to public',
    `update (code) on good.currencies to ${APP}`,
    `truncate, trigger on good.currencies to ${APP}`,
  ])('with %s is unsafe, and its SQL mends it', async (right) => {
    expect(await made(`grant ${right}`, GLOBAL)).toEqual(['good.currencies global-rights unsafe'])
    for (const { sql } of await check(GLOBAL)) await database.admin.query(sql ?? '')
    expect(await check(GLOBAL)).toEqual([])
  })

  it('that is not listed is none', async () => {
    expect(await made(`grant insert on good.currencies to ${APP}`)).toEqual([])
  })
})

describe('F7: a view with the rights of its caller', () => {
  const view = (query: string): string =>
    `create view good.seen with (security_invoker = true) as ${query}; grant select on good.seen to ${APP}`
  const MIXED = 'select t.tenant_id, c.code from good.tickets t, good.currencies c'

  it('over safe tables is fine, and so is one over a global table', async () => {
    expect(await made(view('select * from good.tickets'))).toEqual([])
    await database.admin.query(`drop view good.seen; grant select on good.currencies to ${APP}`)
    expect(await made(view(MIXED), ['good.currencies'])).toEqual([])
  })

  it('over a table that is neither is unsafe, if the app role may read that', async () => {
    expect(await made(view(MIXED))).toEqual([])
    expect(await made(`grant select on good.currencies to ${APP}`)).toEqual(['good.seen view-source unsafe'])
  })

  it('over no table of tenants at all is unsafe, when it has the column of one', async () => {
    await database.admin.query(`grant select on good.currencies to ${APP}`)
    expect(await made(view(`select code as tenant_id from good.currencies`))).toEqual([
      'good.seen view-source unsafe',
    ])
  })

  it('of a view of an unsafe table is unsafe with it', async () => {
    await database.admin.query(view('select * from good.tickets'))
    const found = await made(`
      create view good.of_seen with (security_invoker = true) as select tenant_id from good.seen;
      grant select on good.of_seen to ${APP};
      alter table good.tickets no force row level security`)
    expect(found).toEqual([
      'good.tickets row-security-forced unsafe',
      'good.of_seen view-reads unsafe',
      'good.open_tickets view-reads unsafe',
      'good.seen view-reads unsafe',
    ])
  })
})

describe('a definer function', () => {
  const definer = (body: string, more = 'language sql'): string =>
    `create function good.f() returns text ${more} security definer as $f$ ${body} $f$`

  it.each([
    ['reads a table of tenants', definer('select mail from good.people')],
    ['names it in quotes', definer('select mail from "good"."people"')],
    ['names it in capitals', definer('select mail from GOOD.PEOPLE')],
    ['reads a view of one', definer('select tenant_id from good.open_tickets')],
    ['puts its SQL together', definer('begin execute $$ select 1 $$; return 1; end', 'language plpgsql')],
    ['has it run by Postgres', definer(`select query_to_xml('select 1', true, true, '')::text`)],
    ['spells it in escapes', definer('select mail from good.u&"peopl\\0065"')],
    [
      'calls one that reads it',
      `create function good.inner_f() returns text language sql as 'select mail from good.people';
       revoke execute on function good.inner_f() from public; ${definer('select good.inner_f()')}`,
    ],
    [
      'was parsed',
      'create function good.f() returns text language sql security definer return (select max(mail) from good.people)',
    ],
  ])('that %s is unsafe', async (_, statements) => {
    expect(await made(statements)).toEqual(['- function-definer unsafe'])
  })

  it.each([
    ['reads no table of tenants', definer('select code from good.currencies')],
    ['reads none at all', definer('begin return 1; end', 'language plpgsql')],
    [
      'only a trigger can call',
      `create function good.f() returns trigger language plpgsql security definer
         as $f$ begin delete from good.people; return null; end $f$`,
    ],
    [
      'the app role may not call',
      `${definer('select mail from good.people')}; revoke execute on function good.f() from public`,
    ],
  ])('that %s is left alone', async (_, statements) => {
    expect(await made(statements)).toEqual([])
  })
})

describe('our own functions', () => {
  it.each([
    [
      'F15: begin_tenant that is not volatile',
      'alter function shardgate.begin_tenant(text, bigint, text, int, int) stable',
    ],
    ['F2: current_tenant that is immutable', 'alter function shardgate.current_tenant immutable'],
  ])('%s is unsafe for the whole shard', async (_, statement) => {
    expect(await made(statement)).toContain('- own-functions unsafe')
  })
})

describe('F9: a restrictive policy for the app role alone', () => {
  const own = (role: string): string => `
    drop policy tenant_isolation on good.people;
    create policy tenant_isolation on good.people as restrictive to ${role}
      using (tenant_id = (select shardgate.current_tenant()))`

  it('is enough', async () => {
    expect(await made(own(APP))).toEqual([])
  })

  it('is not when the app role may become another that reads the table', async () => {
    const role = `other_${database.name}`
    const found = await made(`create role ${role}; grant ${role} to ${APP}; ${own(APP)}`)
    expect(found).toEqual([])
    expect(await made(`grant select on good.people to ${role}`)).toEqual(['good.people tenant-policy unsafe'])
  })
})

describe('for moves', () => {
  it('a table without a key that holds the tenant is told, with what makes its rows found again', async () => {
    await database.admin.query(`
      create table good.keyless (like good.people including constraints);
      alter table good.keyless enable row level security, force row level security;
      create policy rows on good.keyless using (true);
      create policy ours on good.keyless as restrictive using (tenant_id = (select shardgate.current_tenant()));
      create index on good.keyless (tenant_id)`)
    const told = async () => (await check()).map(({ check, sql }) => [check, sql])
    expect(await told()).toEqual([
      ['move-replica-identity', 'alter table good.keyless replica identity full;'],
    ])
    await database.admin.query('create unique index keyless_key on good.keyless (tenant_id, mail)')
    const [[, sql] = []] = await told()
    expect(sql).toBe('alter table good.keyless replica identity using index keyless_key;')
    await database.admin.query(sql ?? '')
    expect(await told()).toEqual([])
  })

  it('a key that a sequence counts is told', async () => {
    await database.admin.query('alter table good.people alter id add generated always as identity')
    expect((await check()).map(({ table, check }) => `${table} ${check}`)).toEqual([
      'good.people move-sequence',
    ])
  })
})
