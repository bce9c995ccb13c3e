/** `shardgate schema`: what a migration does to clients, told before it reaches them, and with an exit status. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withClient } from '../../src/db/client.ts'
import { shardgate } from '../kit/command.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

let world: World
let folder: string
let committed: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shardgate-schema-'))
  committed = join(folder, 'schema.graphql')
  world = await startWorld({ tenants: 1, shards: 1, rows: 1 })
  expect(await schema('print', '-f', committed)).toMatchObject({ status: 0, err: '' })
})
afterAll(async () => {
  await world?.stop()
  rmSync(folder, { recursive: true })
})

const schema = (...args: string[]) =>
  shardgate(['schema', ...args, '--config', world.configFile], {}, folder).ended

describe('schema check', () => {
  it('of tables that nobody has touched finds no change', async () => {
    expect(await schema('check')).toEqual({ status: 0, signal: null, out: 'No change.\n', err: '' })
  })

  describe('after a migration', () => {
    beforeAll(async () => {
      await world.sql('shard-a', 'alter table app.projects add column motto text')
      await world.sql('shard-a', `alter type app.task_state add value if not exists 'waiting'`)
    })

    it('tells what is new as safe and as dangerous, a new type without its fields, and ends with 0', async () => {
      await world.sql(
        'shard-a',
        `create table app.odds (tenant_id text not null check (tenant_id <> ''), id int, note text,
           primary key (tenant_id, id));
         alter table app.odds enable row level security;
         alter table app.odds force row level security;
         create policy tenant on app.odds as restrictive using (tenant_id = (select shardgate.current_tenant()));
         create policy everybody on app.odds using (true);
         grant select on app.odds to shardgate_app`,
      )
      const { status, out, err } = await schema('check')
      expect({ status, err }).toEqual({ status: 0, err: '' })
      const [dangerous, safe, counts] = out.split('\n\n')
      expect(dangerous).toMatch(/^dangerous\n {2}Enum value 'WAITING' was added to enum 'TaskState'/)
      expect(safe).toMatch(/^safe\n/)
      expect(safe).toContain(`  Field 'motto' was added to object type 'Project'\n`)
      expect(safe).toContain(`  Type 'Odd' was added\n`)
      expect(safe).not.toContain(`'note'`)
      expect(counts).toMatch(/^0 breaking, 1 dangerous, \d+ safe\.\n$/)
    })

    it('ends with 1 over what is dangerous when told to', async () => {
      const { status, err } = await schema('check', '--fail-on', 'dangerous')
      expect(status).toBe(1)
      expect(err).toMatch(/^0 breaking, 1 dangerous, \d+ safe against schema\.graphql\.\n/)
    })

    it('of a column that is gone ends with 1, and says what to do', async () => {
      await world.sql('shard-a', 'alter table app.projects drop column notes')
      const { status, out, err } = await schema('check')
      expect(status).toBe(1)
      expect(out).toMatch(/^breaking\n/)
      expect(out).toContain(`  Field 'notes' was removed from object type 'Project'\n`)
      expect(err).toMatch(/shardgate schema print -f schema\.graphql\n$/)
      const json = await schema('check', '-o', 'json')
      expect(json.status).toBe(1)
      expect(JSON.parse(json.out).breaking).toContainEqual(
        expect.objectContaining({ path: 'Project.notes', message: expect.any(String) }),
      )
      expect(JSON.parse(json.err)).toMatchObject({ error: { code: 'SCHEMA_BREAKS' } })
    })
  })

  it.each([
    ['a file that is not there', 'nowhere.graphql', /no such file/i, /schema print -f nowhere\.graphql/],
    ['no GraphQL', 'broken.graphql', /Syntax Error/, /schema print -f/],
  ])('against %s is wrong usage', async (_, file, said, hint) => {
    writeFileSync(join(folder, 'broken.graphql'), 'type {')
    const { status, out, err } = await schema('check', '--against', file)
    expect({ status, out }).toEqual({ status: 2, out: '' })
    expect(err).toMatch(said)
    expect(err).toMatch(hint)
    expect(err).not.toMatch(/\bbug\b|^\s+at /m)
  })
})

describe('schema print', () => {
  it('into a folder that is not there says what is missing', async () => {
    const { status, out, err } = await schema('print', '-f', 'nowhere/schema.graphql')
    expect({ status, out }).toEqual({ status: 2, out: '' })
    expect(err).toMatch(/^The schema cannot be written: .*nowhere\/schema\.graphql/)
    expect(err).toMatch(/Name a file in a folder that is there/)
  })
})

describe('schema print --tenant', () => {
  let homes: World

  beforeAll(async () => {
    homes = await startWorld({ tenants: 3, shards: 1, rows: 1, isolations: ['shared', 'schema', 'database'] })
  })
  afterAll(() => homes?.stop())

  const print = (...args: string[]) =>
    shardgate(['schema', 'print', ...args, '--config', homes.configFile], {}, folder).ended

  it('gives the same for tenants of all three models that have the same tables', async () => {
    const { out } = await print()
    expect(out).toContain('type Task ')
    for (const { id } of homes.tenants.slice(1)) {
      expect(await print('--tenant', id)).toEqual({ status: 0, signal: null, out, err: '' })
    }
  })

  it('gives what a tenant has alone', async () => {
    const [, tenant] = homes.tenants
    const { superuserUrl, schema: own } = homes.homeOf(tenant!)
    await withClient(superuserUrl, (client) =>
      client.query(`alter table "${own}".labels add column motto text`),
    )
    expect((await print('--tenant', tenant!.id)).out).toContain('motto')
  })

  it('refuses a tenant that there is not, and what is no id', async () => {
    expect(await print('--tenant', 'nobody')).toMatchObject({
      status: 3,
      err: expect.stringContaining('nobody'),
    })
    expect(await print('--tenant', '*')).toMatchObject({ status: 2, out: '' })
  })
})
