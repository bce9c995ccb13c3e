/**
 * The traps of row-level security in rows, helpers and keys, shown on Postgres itself: the careless form
 * leaks, ours does not, and the check of safety tells the two apart.
 */

import { describe, expect, it } from 'vitest'
import { sqlState } from '../../src/db/client.ts'
import { APP } from '../kit/isolation.ts'
import { IDS, OURS, useTrapTables } from '../kit/trap-tables.ts'

const { database, asOwner, fill, asTenant, makeTable, found } = useTrapTables()

describe('F1: the setting of a tenant', () => {
  const BARE = `tenant_id = (select current_setting('app.current_tenant_id', true))`

  it("is '' after a transaction, and a row of the tenant '' is then everybody's", async () => {
    await makeTable('careless', 'id int', BARE, false)
    await fill(`insert into t.careless values ('', 1), ('a', 2)`)
    const see = (): Promise<unknown> => database().app.query('select id from t.careless')

    expect(await see()).toEqual([])
    await asTenant('a', 'select 1')
    expect(await see()).toEqual([{ id: '1' }])
    await database().app.query('discard all')
    expect(await see()).toEqual([{ id: '1' }])
    expect(await found('careless')).toEqual(['policy-empty', 'tenant-not-empty', 'tenant-index'])
  })

  it('is null again by our function, and the check keeps such a row out', async () => {
    await makeTable('unchecked', IDS, OURS, false)
    await makeTable('ours', IDS)
    await fill(`insert into t.unchecked values ('', 1)`)
    await asTenant('a', 'select 1')

    expect(await database().app.query('select shardgate.current_tenant() as tenant')).toEqual([
      { tenant: null },
    ])
    expect(await database().app.query('select id from t.unchecked')).toEqual([])
    expect(await fill(`insert into t.ours values ('', 1)`).catch(sqlState)).toBe('23514')
    expect(await found('unchecked')).toEqual(['tenant-not-empty'])
    expect(await found('ours')).toEqual([])
  })
})

describe('F2: the helper of a policy', () => {
  /** What tenant b gets from a statement that was prepared and run as tenant a before. */
  async function secondTenantGets(name: string): Promise<unknown> {
    await fill(`insert into t.${name} values ('a', 1), ('b', 2)`)
    await database().app.query(
      `set plan_cache_mode = force_generic_plan; prepare q as select id from t.${name}`,
    )
    await asTenant('a', 'execute q')
    return asTenant('b', 'execute q')
  }

  it('that is IMMUTABLE is kept in the plan: the next tenant gets the rows of the one before', async () => {
    await asOwner(`create function t.tenant() returns text language sql immutable
      as $$ select current_setting('app.current_tenant_id', true) $$`)
    await makeTable('careless', IDS, 'tenant_id = t.tenant()')

    expect(await secondTenantGets('careless')).toEqual([{ id: '1' }])
    expect(await found('careless')).toContain('policy-function')
  })

  it('that is IMMUTABLE and lies under a STABLE one does the same', async () => {
    await asOwner(`
      create function t.inner_tenant() returns text language plpgsql immutable
        as $$ begin return current_setting('app.current_tenant_id', true); end $$;
      create function t.tenant() returns text language plpgsql stable
        as $$ begin return t.inner_tenant(); end $$`)
    await makeTable('careless', IDS, 'tenant_id = (select t.tenant())')

    expect(await secondTenantGets('careless')).toEqual([{ id: '1' }])
    expect(await found('careless')).toContain('policy-function')
  })

  it('that is ours does not', async () => {
    await makeTable('ours', IDS)

    expect(await secondTenantGets('ours')).toEqual([{ id: '2' }])
    expect(await found('ours')).toEqual([])
  })
})

describe('F3: TRUNCATE', () => {
  it('looks past policies, so that one tenant empties the table of all', async () => {
    await makeTable('careless', IDS)
    await asOwner(`grant truncate on t.careless to ${APP}`)
    await fill(`insert into t.careless values ('b', 1)`)
    await asTenant('a', 'truncate t.careless')

    expect(await asTenant('b', 'select id from t.careless')).toEqual([])
    expect(await found('careless')).toEqual(['table-rights'])
  })

  it('is refused where the app role has only the rights it needs', async () => {
    await makeTable('ours', IDS)
    await fill(`insert into t.ours values ('b', 1)`)

    expect(await asTenant('a', 'truncate t.ours').catch(sqlState)).toBe('42501')
    expect(await asTenant('b', 'select id from t.ours')).toEqual([{ id: '1' }])
    expect(await found('ours')).toEqual([])
  })
})

describe('F5: keys', () => {
  it('that are unique over all tenants tell one of them what another has', async () => {
    await makeTable('careless', 'id int not null, slug text, primary key (tenant_id, id), unique (slug)')
    await fill(`insert into t.careless values ('b', 1, 'secret')`)
    const taken = `insert into t.careless values ('a', 1, 'secret')`

    expect(await asTenant('a', taken).catch(sqlState)).toBe('23505')
    expect(await asTenant('a', `${taken} on conflict do nothing returning id`)).toEqual([])
    expect(await found('careless')).toEqual(['unique-key'])
  })

  it('that start with the tenant tell nothing', async () => {
    await makeTable(
      'ours',
      'id int not null, slug text, primary key (tenant_id, id), unique (tenant_id, slug)',
    )
    await fill(`insert into t.ours values ('b', 1, 'secret')`)

    expect(await asTenant('a', `insert into t.ours values ('a', 1, 'secret') returning id`)).toEqual([
      { id: '1' },
    ])
    expect(await found('ours')).toEqual([])
  })

  it.each([
    ['tenant_id with <>, room with =', false],
    ['room with =, tenant_id with <>', false],
    ['tenant_id with =, room with =', true],
    ['tenant_id with =, room with =) where (room > 0', true],
    ['tenant_id with =', true],
  ])('that exclude (%s) hold between rows of one tenant or tell of another: safe is %s', async (by, safe) => {
    await fill('create extension if not exists btree_gist')
    await makeTable(
      'rooms',
      `id int not null, room int, primary key (tenant_id, id), exclude using gist (${by})`,
    )
    await fill(`insert into t.rooms values ('b', 1, 7)`)
    const told = await asTenant('a', `insert into t.rooms values ('a', 1, 7) returning id`).catch(sqlState)

    expect(told).toEqual(safe ? [{ id: '1' }] : '23P01')
    expect((await found('rooms')).includes('unique-key')).toBe(!safe)
    await asOwner('drop table t.rooms')
  })

  it("that refer without the tenant hang a row on another tenant's, whose delete takes it along", async () => {
    await makeTable('parents', 'id int primary key')
    await makeTable(
      'careless',
      'id int not null, parent int references t.parents on delete cascade, primary key (tenant_id, id)',
    )
    await fill(`insert into t.parents values ('b', 1)`)
    await asTenant('a', `insert into t.careless values ('a', 1, 1)`)
    await asTenant('b', 'delete from t.parents')

    expect(await asTenant('a', 'select id from t.careless')).toEqual([])
    expect(await found('careless')).toEqual(['foreign-key'])
    expect(await found('parents')).toContain('unique-key')
  })

  it("that refer with the tenant cannot reach another tenant's row", async () => {
    await makeTable('parents', IDS)
    await makeTable(
      'ours',
      `id int not null, parent int, primary key (tenant_id, id),
       foreign key (tenant_id, parent) references t.parents on delete cascade`,
    )
    await fill(`insert into t.parents values ('b', 1)`)

    expect(await asTenant('a', `insert into t.ours values ('a', 1, 1)`).catch(sqlState)).toBe('23503')
    expect(await found('ours')).toEqual([])
    expect(await found('parents')).toEqual([])
  })

  it('that refer with a tenant that may be null are not checked at all', async () => {
    await makeTable('parents', IDS)
    await asOwner(`create table t.careless (tenant_id text check (tenant_id <> ''), parent int,
      foreign key (tenant_id, parent) references t.parents)`)

    await fill('insert into t.careless values (null, 12345)')
    expect(await found('careless')).toContain('tenant-not-null')
  })
})
