/**
 * Adoption: the file that it writes is run by the real runner on tables of strangers, while they are written to.
 * Afterwards nothing is unsafe, no row and no statement was lost, and what hung on the keys hangs on them still.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adoptionSql } from '../../src/control/adopt.ts'
import { draftAdoption } from '../../src/control/adopt-survey.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { checkSafety, type Finding } from '../../src/model/safety.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'
import { migrate } from '../kit/migrate.ts'

const TABLES = readFileSync(new URL('../fixtures/to-adopt.sql', import.meta.url), 'utf8')
const QUESTION = { column: 'organization_id', schemas: ['app'], appRole: 'shardgate_app' }

interface Place {
  readonly admin: Client
  readonly url: (role: 'owner' | 'app') => string
  /** Put a migration into the folder and apply what is there. */
  apply(name: string, text: string): Promise<unknown>
  apply(): Promise<unknown>
  forget(name: string): void
  query(text: string): Promise<Record<string, string | null>[]>
  findings(): Promise<Finding[]>
  unsafe(): Promise<string[]>
  close(): Promise<void>
}

async function place(tables: string): Promise<Place> {
  const fleet: TestFleet = await freshFleet({ weights: { 'shard-a': 1 } })
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-adopt-'))
  const [shard] = fleet.shards
  const admin = await connect(shard!.superuserUrl)
  let next = 20260101000000
  const apply = (name?: string, text?: string): Promise<unknown> => {
    if (name !== undefined) writeFileSync(join(folder, `${next++}_${name}.sql`), text ?? '')
    return migrate({ shard: { key: 'shard-a', url: shard!.url('owner') }, folder, schema: 'app' })
  }
  const findings = (): Promise<Finding[]> => checkSafety(admin, QUESTION)
  await apply('make', `-- migrate:up\n${tables}`)
  return {
    admin,
    url: shard!.url,
    apply,
    forget: (name) =>
      readdirSync(folder)
        .filter((file) => file.includes(name))
        .forEach((file) => {
          unlinkSync(join(folder, file))
        }),
    query: (text) => admin.query(text),
    findings,
    unsafe: async () =>
      (await findings()).flatMap(({ severity, table, check, reason }) =>
        severity === 'unsafe' ? [`${table} ${check}: ${reason}`] : [],
      ),
    close: async () => {
      await admin.end()
      await fleet.drop()
      rmSync(folder, { recursive: true })
    },
  }
}

/** Keys, foreign keys and indexes as Postgres prints them, without what may differ. */
const SHAPE = `
  select conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
    || coalesce(' -- ' || obj_description(oid, 'pg_constraint'), '') as line
  from pg_constraint
  where connamespace = 'app'::regnamespace and contype in ('p', 'u', 'f', 'c') and conparentid = 0
  union all
  select pg_get_indexdef(indexrelid) || case when indisvalid then '' else ' INVALID' end from pg_index
  join pg_class c on c.oid = indexrelid where relnamespace = 'app'::regnamespace
  union all
  select attrelid::regclass || ' ' || attname from pg_attribute
  where attnotnull and attrelid in (select oid from pg_class where relnamespace = 'app'::regnamespace and relkind in ('r', 'p'))
  union all
  select polrelid::regclass || ' ' || polname from pg_policy
  order by 1`

describe.each([
  ['uuid', 'uuid', '00000000-0000-4000-8000-00000000000'],
  ['int', 'int', ''],
  ['bigint', 'bigint', ''],
  ['text', 'int', ''],
])('tables whose tenant is of type %s, and whose keys are %s', (tenant, id, prefix) => {
  let shard: Place
  let text: string

  const tenantOf = (n: number): string =>
    `'${tenant === 'uuid' ? `${prefix}${n % 3}` : n % 3 || 'x'}'`.replace(
      "'x'",
      tenant === 'text' ? "'x'" : "'9'",
    )
  const keyOf = (n: number): string =>
    id === 'uuid' ? `'00000000-0000-4000-8000-${String(n).padStart(12, '0')}'` : String(n)

  beforeAll(async () => {
    shard = await place(TABLES.replaceAll('TENANT', tenant).replace(/\bID\b/g, id))
    for (let n = 1; n <= 30; n++) await write(shard.admin, n)
  })
  afterAll(() => shard?.close())

  /** Rows of one tenant in tables that lean on each other: a transaction from child to parent. */
  async function write(db: Client, n: number): Promise<void> {
    const [own, key] = [tenantOf(n), keyOf(n)]
    await db.query(`
      begin;
      insert into app.people (organization_id, id, mail) values (${own}, ${key}, 'mail ${n}');
      insert into app.teams values (${own}, ${key}, ${key});
      update app.people set team_id = ${key}, boss_id = ${key} where id = ${key};
      insert into app.events values (${own}, ${key}, '2026-0${1 + (n % 9)}-01', ${key}, 'code ${n}');
      insert into app.notes values (${own}, ${key}, ${key}, '2026-0${1 + (n % 9)}-01');
      insert into app.marks values (${own}, ${key}, ${key}, '2026-0${1 + (n % 9)}-01');
      update app.people set mail = 'changed ${n}' where id = ${key};
      commit`)
  }

  it('are safe after one run, and their writer has noticed nothing', async () => {
    text = adoptionSql(await shard.findings(), { column: 'organization_id' })
    const writer = await connect(shard.url('owner'))
    const failures: unknown[] = []
    let [n, running] = [1_000, true]
    const writing = (async () => {
      for (; running && failures.length === 0; n++)
        await write(writer, n).catch((error) => failures.push(`${n}: ${error.message}`))
    })()
    await shard.apply('adopt', text)
    running = false
    await writing
    await writer.end()

    expect(failures).toEqual([])
    expect(await shard.unsafe()).toEqual([])
    const counts = ['people', 'teams', 'events', 'notes', 'marks'].map(
      (name) => `(select count(*) from app.${name})`,
    )
    const [row] = await shard.query(`select concat_ws(' ', ${counts.join(', ')}) as rows`)
    expect(row?.rows).toBe(
      Array(5)
        .fill(n - 1_000 + 30)
        .join(' '),
    )
  })

  it('keep the names, comments, actions and timing of their keys', async () => {
    const shape = (await shard.query(SHAPE)).map(({ line }) => line)
    expect(shape).toEqual(expect.arrayContaining(KEPT))
    expect(shape.filter((line) => line?.includes('INVALID') || line?.includes('NOT VALID'))).toEqual([])
    expect(text).toContain('ATTENTION: log_person_id_fkey of app.log is dropped')
  })

  it('are left as they are by a second run', async () => {
    const before = await shard.query(SHAPE)
    await shard.query(`delete from shardgate.migration where name = 'adopt'`)
    await shard.apply()
    expect(await shard.query(SHAPE)).toEqual(before)
    expect(await shard.unsafe()).toEqual([])
  })
})

const KEPT = [
  'app.people people_pkey PRIMARY KEY (organization_id, id) -- the key',
  'app.people people_boss FOREIGN KEY (organization_id, boss_id) REFERENCES app.people(organization_id, id) ON DELETE SET NULL (boss_id) -- @name boss',
  'app.teams teams_lead_id_fkey FOREIGN KEY (organization_id, lead_id) REFERENCES app.people(organization_id, id) ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED',
  'app.documents documents_pkey PRIMARY KEY (organization_id, id, part)',
  'app.pages pages_slug_fkey FOREIGN KEY (organization_id, slug) REFERENCES app.documents(organization_id, slug) ON DELETE CASCADE',
  'app.pages pages_part_document_id_fkey FOREIGN KEY (organization_id, part, document_id) REFERENCES app.documents(organization_id, part, id) ON DELETE SET DEFAULT (part, document_id)',
  'app.labels labels_pkey PRIMARY KEY (organization_id, id)',
  'app.labelled labelled_label_id_organization_id_fkey FOREIGN KEY (organization_id, label_id) REFERENCES app.labels(organization_id, id) ON DELETE CASCADE',
  'app.events events_pkey PRIMARY KEY (organization_id, id, at)',
  'app.events events_person_id_fkey FOREIGN KEY (organization_id, person_id) REFERENCES app.people(organization_id, id)',
  'app.marks marks_event_id_event_at_fkey FOREIGN KEY (organization_id, event_id, event_at) REFERENCES app.events(organization_id, id, at)',
  'CREATE UNIQUE INDEX events_code ON ONLY app.events USING btree (organization_id, code, at)',
  "CREATE UNIQUE INDEX people_lower ON app.people USING btree (organization_id, lower(mail)) INCLUDE (id) WHERE (mail <> ''::text)",
]

describe('a run that was stopped', () => {
  const own = (n: number): string => `'tenant-${n}'`
  let shard: Place

  beforeAll(async () => {
    shard = await place(`
      create table parents (organization_id text, id int primary key);
      create table children (organization_id text not null, id int primary key, parent_id int references parents);`)
    await shard.query(`
      insert into app.parents values (${own(1)}, 1), (${own(1)}, 2), (null, 3);
      insert into app.children values (${own(1)}, 1, 1), (${own(2)}, 2, 1)`)
  })
  afterAll(() => shard?.close())

  const draft = () => draftAdoption([{ key: 'shard-a', url: shard.url('owner') }], QUESTION)

  it('by rows without a tenant has said so before, and changed nothing else', async () => {
    const { text, orphaned, byHand } = await draft()
    expect({ orphaned, byHand }).toEqual({ orphaned: ['app.parents'], byHand: 0 })
    expect(text).toContain(
      '-- app.parents: 1 row has no tenant, and the file stops at the first. Give them one, or remove them:\n' +
        '--   update app.parents set organization_id = … where organization_id is null;\n' +
        '--   delete from app.parents where organization_id is null;\n',
    )
    await expect(shard.apply('adopt', text ?? '')).rejects.toMatchObject({
      code: 'SETUP_FAILED',
      message: expect.stringMatching(
        /_adopt\.sql failed at line \d+ .*"parents_organization_id_not_null".*\(23514\), in "do \$adopt\$/,
      ),
    })
    expect((await shard.query(SHAPE)).filter(({ line }) => line?.includes('_pkey'))).toHaveLength(4)
  })

  it('by rows that hang on another tenant goes on when they are mended', async () => {
    await shard.query('delete from app.parents where organization_id is null')
    await expect(shard.apply()).rejects.toMatchObject({
      message: expect.stringMatching(/violates foreign key constraint "children_parent_id_fkey" \(23503\)/),
    })
    expect((await shard.findings()).map(({ check }) => check)).toContain('foreign-key-valid')
    await shard.query(`update app.children set parent_id = null where organization_id = ${own(2)}`)
    await shard.apply()
    expect(await shard.unsafe()).toEqual([])
    expect(await draft()).toMatchObject({ orphaned: [], byHand: 0 })
  })

  it('half-way through an index builds it anew', async () => {
    await shard.query('alter table app.parents add slug text unique; update app.parents set slug = id')
    const { text } = await draft()
    await shard.query(`
      create unique index parents_slug_key_shardgate on app.parents (organization_id, (slug || 'half built'));
      update pg_index set indisvalid = false where indexrelid = 'app.parents_slug_key_shardgate'::regclass`)
    await shard.apply('again', text ?? '')
    expect((await shard.query(SHAPE)).map(({ line }) => line)).toContain(
      'app.parents parents_slug_key UNIQUE (organization_id, slug)',
    )
    expect(await shard.unsafe()).toEqual([])
  })
})

describe('tables whose policies hide rows from their owner', () => {
  const PROTECTED = ['parents', 'children']
    .map(
      (name) => `
      alter table ${name} enable row level security;
      alter table ${name} force row level security;
      create policy tenant_rows on ${name} using (true);
      create policy tenant_isolation on ${name} as restrictive
        using (organization_id = (select shardgate.current_tenant()));`,
    )
    .join('')
  let shard: Place

  beforeAll(async () => {
    shard = await place(`
      create table parents (organization_id text not null check (organization_id <> ''), id int primary key);
      create table children (
        organization_id text not null check (organization_id <> ''), id int,
        parent_id int references parents, primary key (organization_id, id));
      ${PROTECTED}`)
    await shard.query(`insert into app.parents values ('a', 1); insert into app.children values ('b', 1, 1)`)
  })
  afterAll(() => shard?.close())

  it('have a foreign key checked by a superuser: the owner would see no row, and find nothing wrong', async () => {
    const text = adoptionSql(await shard.findings(), { column: 'organization_id' })
    expect(text).toMatch(/-- For a superuser: .*\n-- +alter table app\.children validate constraint/)
    await shard.apply('adopt', text)
    expect(await shard.unsafe()).toEqual([])
    expect((await shard.findings()).map(({ check }) => check)).toEqual(['foreign-key-valid'])
    await expect(
      shard.query('alter table app.children validate constraint children_parent_id_fkey'),
    ).rejects.toMatchObject({ code: '23503' })
  })
})

describe('the table of the tenants themselves', () => {
  let shard: Place

  beforeAll(async () => {
    shard = await place(`
      create table organizations (id int primary key, name text not null);
      create table people (
        organization_id int not null references organizations on delete cascade, id int primary key);
      create table guests (
        organization_id int not null references organizations on delete set null on update cascade, id int primary key);
      insert into organizations values (1, 'one'), (2, 'two');
      insert into people values (1, 1), (2, 2);
      insert into guests values (1, 1)`)
    await shard.apply('adopt', adoptionSql(await shard.findings(), { column: 'organization_id' }))
    await shard.apply(
      'tenant',
      `-- migrate:up
      alter table organizations add organization_id int not null generated always as (id) stored`,
    )
  })
  afterAll(() => shard?.close())

  it('is safe after a run, and what points to it from all other tables goes on doing so', async () => {
    await shard.apply('again', adoptionSql(await shard.findings(), { column: 'organization_id' }))
    expect(await shard.unsafe()).toEqual([])
    const keys = await shard.query(
      `select pg_get_constraintdef(oid) line from pg_constraint where confrelid = 'app.organizations'::regclass order by 1`,
    )
    const twice =
      'FOREIGN KEY (organization_id, organization_id) REFERENCES app.organizations(organization_id, id)'
    // A tenant is never null: what would set it so always failed, and still does.
    expect(keys.map(({ line }) => line)).toEqual([`${twice} ON DELETE CASCADE`, `${twice} ON UPDATE CASCADE`])
    await expect(shard.query('insert into app.people values (3, 3)')).rejects.toMatchObject({ code: '23503' })
    await shard.query('delete from app.organizations where id = 2')
    expect(await shard.query('select id::text from app.people')).toEqual([{ id: '1' }])
    await expect(shard.query('delete from app.organizations')).rejects.toMatchObject({ code: '23503' })
  })

  it('needs no second run', async () => {
    const drafted = await draftAdoption([{ key: 'shard-a', url: shard.url('owner') }], QUESTION)
    expect(drafted.text).toBeUndefined()
  })
})
