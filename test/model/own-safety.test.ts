/**
 * The check of a tenant's own schema or database: tables without the tenant column are safe there, keys need not begin
 * with it, and all that is about tables with the column, and about views that read with their owner's rights, stays.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkSafety, type Finding } from '../../src/model/safety.ts'
import { APP, type IsolatedDatabase, isolatedDatabase, OWNER } from '../kit/isolation.ts'

const tickets = (schema: string): string => `
  create table ${schema}.tickets (tenant_id text not null check (tenant_id <> ''), id int not null, mail text unique,
    note_id int references ${schema}.notes, primary key (id));
  alter table ${schema}.tickets enable row level security;
  alter table ${schema}.tickets force row level security;
  create policy rows on ${schema}.tickets using (true) with check (true);
  create policy tenant_isolation on ${schema}.tickets as restrictive to ${APP}
    using (tenant_id = (select shardgate.current_tenant())) with check (tenant_id = (select shardgate.current_tenant()));`
const TABLES = `
  set role ${OWNER};
  create schema home; create schema elsewhere;
  grant usage on schema home, elsewhere to ${APP};
  create table home.countries (code text primary key);
  create table home.notes (id int primary key, body text unique);
  ${tickets('home')}
  create table home.marks (tenant_id text not null check (tenant_id <> ''), ticket_id int references home.tickets (id));
  create view home.long_notes with (security_invoker) as select * from home.notes where length(body) > 80;
  grant select, insert, update, delete on home.notes, home.tickets, home.long_notes to ${APP};
  grant select on home.countries to ${APP};
  create table elsewhere.everybody (tenant_id text, body text);
  reset role`

let database: IsolatedDatabase

beforeAll(async () => {
  database = await isolatedDatabase()
  await database.admin.query(TABLES)
})
afterAll(() => database?.close())

const check = async (own: boolean): Promise<string[]> => {
  const question = { column: 'tenant_id', schemas: ['home'], appRole: APP, global: ['home.countries'], own }
  const found = await checkSafety(database.admin, question)
  return found.map(({ table, check, severity }: Finding) => `${table ?? '-'} ${check} ${severity}`).sort()
}

/** What the check says of the tenant's own schema with `sql` in it, beside what it says without. */
async function added(sql: string): Promise<string[]> {
  const before = await check(true)
  await database.admin.query(`begin; set local role ${OWNER}; ${sql}; reset role`)
  try {
    return (await check(true)).filter((line) => !before.includes(line))
  } finally {
    await database.admin.query('rollback')
  }
}

describe('a tenant’s own schema', () => {
  it('asks for no policies where there is no tenant column, and for all of them where there is', async () => {
    expect(await check(true)).toEqual(
      [
        'home.marks policy-permissive advice',
        'home.marks row-security unsafe',
        'home.marks tenant-policy unsafe',
        'home.marks move-replica-identity advice',
      ].sort(),
    )
  })

  it('F5: has keys that tell nobody anything, which shared tables must not have', async () => {
    const shared = await check(false)
    expect(shared).toContain('home.tickets unique-key unsafe')
    expect(shared).toContain('home.marks foreign-key unsafe')
    expect(shared).toContain('home.marks tenant-index advice')
  })

  it('still tells a foreign key that was never checked', async () => {
    const found = await added(
      'alter table home.marks add constraint late foreign key (ticket_id) references home.tickets (id) not valid',
    )
    expect(found).toEqual(['home.marks foreign-key-valid advice'])
  })

  it('has no global table that can be written', async () => {
    expect(await added(`grant insert on home.countries to ${APP}`)).toEqual([
      'home.countries global-rights unsafe',
    ])
  })
})

describe('views of a tenant’s own schema', () => {
  const grant = (view: string): string => `grant select on home.${view} to ${APP}`

  it('with the rights of their owner are unsafe, also over tables without the tenant column', async () => {
    expect(await added(`create view home.v as select body from home.notes; ${grant('v')}`)).toEqual([
      'home.v view-rights unsafe',
    ])
    expect(await added(`create view home.v as select body from elsewhere.everybody; ${grant('v')}`)).toEqual([
      'home.v view-rights unsafe',
    ])
  })

  it('are as unsafe as the views that they read', async () => {
    const found =
      await added(`create view home.inner_one as select body from elsewhere.everybody; ${grant('inner_one')};
      create view home.v with (security_invoker) as select * from home.inner_one; ${grant('v')}`)
    expect(found).toEqual(['home.inner_one view-rights unsafe', 'home.v view-reads unsafe'])
  })

  it('may not read tables or views outside of it that the app role may read', async () => {
    const opened = `grant select on elsewhere.everybody to ${APP}`
    expect(
      await added(
        `${opened}; create view home.v with (security_invoker) as select body from elsewhere.everybody; ${grant('v')}`,
      ),
    ).toEqual(['home.v view-source unsafe'])
    expect(
      await added(`create view elsewhere.all_of_it as select body from elsewhere.everybody; grant select on elsewhere.all_of_it to ${APP};
        create view home.v with (security_invoker) as select body from elsewhere.all_of_it; ${grant('v')}`),
    ).toContain('home.v view-source unsafe')
  })

  it('over global tables and catalogs alone are nobody’s business', async () => {
    const sql = `create view home.v as select code, now() from home.countries, pg_class; ${grant('v')}`
    expect(await added(sql)).toEqual([])
  })
})
