/** Deleting a tenant's rows from shared tables of any shape, and of nobody else. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { deleteRows } from '../../src/control/life/delete-rows.ts'
import { requireDeletable } from '../../src/control/life/purge-walls.ts'
import { tenantTables } from '../../src/control/life/tables.ts'
import { type Client, connect, withClient } from '../../src/db/client.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'

let test: TestFleet
let superuser: Client
let owner: Client

const TENANTS = ['7', '77', 'acme', 'acme-2', 'acm']

/** Tables that hang on each other in every way that Postgres has; all that can be refused is refused on delete. */
const TABLES = `
  create table app.people (tenant_id text, id int, boss int, primary key (tenant_id, id),
    foreign key (tenant_id, boss) references app.people (tenant_id, id));
  create table app.eggs (tenant_id text, id int, hen int not null, primary key (tenant_id, id));
  create table app.hens (tenant_id text, id int, egg int not null, primary key (tenant_id, id),
    foreign key (tenant_id, egg) references app.eggs (tenant_id, id) on delete restrict
      deferrable initially deferred);
  alter table app.eggs add foreign key (tenant_id, hen) references app.hens (tenant_id, id) on delete restrict
    deferrable initially deferred;
  create table app.events (tenant_id text, id int, day int, person int not null, primary key (tenant_id, id, day),
    foreign key (tenant_id, person) references app.people (tenant_id, id) on delete restrict)
    partition by range (day);
  create table app.events_1 partition of app.events for values from (0) to (10);
  create table app.events_2 partition of app.events for values from (10) to (20);
  create table app.notes (tenant_id text, id int, event int, day int,
    foreign key (tenant_id, event, day) references app.events (tenant_id, id, day));
  create table app.numbers (tenant_id int not null, id int);
  create table app.trail (tenant_id text, what text);
  create function app.trace() returns trigger language plpgsql as $$
    begin insert into app.trail values (old.tenant_id, 'deleted ' || old.id); return old; end $$;
  create trigger trace after delete on app.events for each row execute function app.trace();`

const POLICIES = `
  do $$ declare found regclass; begin
    for found in select oid::regclass from pg_class
      where relnamespace = 'app'::regnamespace and relkind in ('r', 'p') and relname <> 'numbers' loop
      execute format('alter table %s owner to shardgate_owner', found);
      execute format('alter table %s enable row level security', found);
      execute format('alter table %s force row level security', found);
      execute format('create policy rows on %s using (true)', found);
      execute format('create policy own on %s as restrictive using (tenant_id = (select shardgate.current_tenant()))', found);
    end loop;
  end $$;
  alter table app.numbers owner to shardgate_owner`

/** People in three chains and one circle, hens and eggs in circles, events in both partitions at the same places. */
const rowsOf = (tenant: string): string => `
  insert into app.people select '${tenant}', n, nullif(n / 3, 0) from generate_series(1, 40) n;
  update app.people set boss = 40 where tenant_id = '${tenant}' and id = 1;
  begin;
  insert into app.eggs select '${tenant}', n, n from generate_series(1, 9) n;
  insert into app.hens select '${tenant}', n, n % 9 + 1 from generate_series(1, 9) n;
  commit;
  insert into app.events select '${tenant}', n, n % 20, n % 40 + 1 from generate_series(1, 60) n;
  insert into app.notes select '${tenant}', n, n, n % 20 from generate_series(1, 60) n;
  ${/^\d+$/.test(tenant) ? `insert into app.numbers values (${tenant}, 1), (${tenant}, 2);` : ''}`

/** Rows by table and tenant: 'app.people acme 40'. */
async function counts(): Promise<string[]> {
  const tables = await tenantTables(superuser, { column: 'tenant_id', schemas: ['app'] })
  const counted = tables.map(({ schema, name }) => {
    return `select '${schema}.${name} ' || tenant_id || ' ' || count(*) as line from ${schema}.${name} group by tenant_id`
  })
  const rows = await superuser.query(
    `select line from (${counted.join(' union all ')}) all_rows order by line`,
  )
  return rows.map(({ line }) => line ?? '')
}

const served = async () =>
  (await tenantTables(owner, { column: 'tenant_id', schemas: ['app'] })).filter((table) => table.served)

beforeAll(async () => {
  test = await freshFleet({ weights: { 'shard-a': 1 } })
  superuser = await connect(test.shards[0]!.superuserUrl)
  owner = await connect(test.shards[0]!.url('owner'))
  await superuser.query(TABLES)
  for (const tenant of TENANTS) await superuser.query(rowsOf(tenant))
  await superuser.query(POLICIES)
})
afterAll(async () => {
  await owner.end()
  await superuser.end()
  await test.drop()
})

describe('deleting the rows of a tenant', () => {
  it.each([
    ['acme', 7],
    ['7', 2_000],
  ])(
    'takes all of %s, %i at a time, circles and partitions and what triggers write, and nobody else',
    async (id, batch) => {
      const before = await counts()
      const others = before.filter((line) => line.split(' ')[1] !== id)
      expect(before.length - others.length).toBe(id === '7' ? 6 : 5)
      const tables = await served()
      requireDeletable(tables)
      let told = 0
      const gone = await deleteRows(owner, tables, tenantId(id), { batch, report: (rows) => (told = rows) })
      expect(told).toBe(gone)
      expect(gone).toBeGreaterThan(178)
      expect(await counts()).toEqual(others)
      expect(await deleteRows(owner, tables, tenantId(id))).toBe(0)
    },
  )

  it('goes on while a neighbour whose id begins alike writes into the same tables', async () => {
    const stop = new AbortController()
    let written = 0
    const load = withClient(test.shards[0]!.superuserUrl, async (client) => {
      while (!stop.signal.aborted) {
        await client.query(`insert into app.people values ('acme-2', ${1_000 + ++written}, 1)`)
      }
    })
    await deleteRows(owner, await served(), tenantId('acm'), { batch: 5 })
    stop.abort()
    await load
    const left = await counts()
    expect(left.filter((line) => / acm /.test(line))).toEqual([])
    expect(left).toContain(`app.people acme-2 ${40 + written}`)
  })

  it('F5: does not begin where a key without the tenant column would take rows of others along', async () => {
    await superuser.query(`
      create table app.boxes (tenant_id text, id int primary key);
      create table app.things (tenant_id text, id int, box int constraint in_box references app.boxes on delete cascade)`)
    const tables = await tenantTables(superuser, { column: 'tenant_id', schemas: ['app'] })
    const sentence =
      'Foreign keys without the tenant column could take rows of other tenants along: in_box of app.things.'
    expect(() => requireDeletable(tables)).toThrow(sentence)
    await superuser.query('drop table app.things, app.boxes')
  })

  it('does not begin where rows may not be deleted, and says what to type', async () => {
    await superuser.query('create table app.foreign_rows (tenant_id text)')
    const tables = await served()
    expect(() => requireDeletable(tables)).toThrow('grant delete on app.foreign_rows to shardgate_owner;')
    await superuser.query('drop table app.foreign_rows')
  })

  it('gives up, with the name of the table, where rows stay whatever is done', async () => {
    await superuser.query(`
      create function app.keep() returns trigger language plpgsql as $$ begin return null; end $$;
      create trigger keep before delete on app.numbers for each row execute function app.keep()`)
    await expect(deleteRows(owner, await served(), tenantId('77'))).rejects.toThrow(
      'Rows of 77 stay in app.numbers, though they were deleted.',
    )
  })
})
