/** Migrations: whole files, once, in order, by the owner; and what the files must look like. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readMigrations } from '../../src/control/migrate/files.ts'
import { withClient } from '../../src/db/client.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'
import { migrate } from '../kit/migrate.ts'

let fleet: TestFleet
let folder: string
let next = 20260101000000

beforeAll(async () => {
  fleet = await freshFleet({ weights: { 'shard-a': 1 } })
})
afterAll(() => fleet?.drop())
beforeEach(() => {
  if (folder) rmSync(folder, { recursive: true })
  folder = mkdtempSync(join(tmpdir(), 'shardgate-migrations-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, up: string): string {
  const full = `${next++}_${name}.sql`
  writeFileSync(join(folder, full), `-- migrate:up\n${up}\n-- migrate:down\ndrop table nothing_of_this;\n`)
  return full
}
const run = (role: 'owner' | 'app' = 'owner') =>
  migrate({ shard: { key: 'shard-a', url: fleet.shards[0]!.url(role) }, folder, schema: 'app' })
const query = (text: string) => withClient(fleet.shards[0]!.superuserUrl, (db) => db.query(text))
const table = async (name: string) =>
  (await query(`select relowner::regrole::text as owner from pg_class where relname = '${name}'`))[0]?.owner

describe('migrating', () => {
  it('applies what is missing, in order, in the first schema, owned by the owner', async () => {
    const files = [file('one', 'create table one (id int);'), file('two', 'alter table one add two int;')]
    expect(await run()).toEqual({ applied: files, already: 0 })
    expect(await query(`select to_regclass('app.one') as there`)).toEqual([{ there: 'app.one' }])
    expect(await table('one')).toBe('shardgate_owner')
    expect(await run()).toEqual({ applied: [], already: 2 })
    const third = file('three', 'create table three (id int);')
    expect(await run()).toEqual({ applied: [third], already: 2 })
  })

  it('by three at once applies each file once', async () => {
    const files = [1, 2, 3].map((i) => file(`raced_${i}`, `create table raced_${i} (id int);`))
    const results = await Promise.all([run(), run(), run()])
    expect(results.flatMap(({ applied }) => applied).sort()).toEqual(files)
  })

  it('keeps whole files only: the failed one leaves nothing, those before it stay', async () => {
    const good = file('good', 'create table good (id int);')
    file('bad', 'create table bad (id int);\nselect 1;\ninsert into bad values (1, 2);')
    await expect(run()).rejects.toMatchObject({
      code: 'SETUP_FAILED',
      message: expect.stringMatching(/_bad\.sql failed: INSERT has more expressions .* \(42601\), line 3 of/),
    })
    expect([await table('good'), await table('bad')]).toEqual(['shardgate_owner', undefined])
    expect(await query(`select name from shardgate.migration where name in ('good', 'bad')`)).toEqual([
      { name: 'good' },
    ])
    expect(good).toMatch(/good/)
  })

  it('refuses a file that was changed after it had been applied', async () => {
    const name = file('fixed', 'create table fixed (id int);')
    await run()
    writeFileSync(join(folder, name), '-- migrate:up\ncreate table fixed_otherwise (id int);\n')
    await expect(run()).rejects.toMatchObject({ message: expect.stringMatching(/was changed after/) })
    expect(await table('fixed_otherwise')).toBeUndefined()
  })

  it('takes a file with other line ends for the same file', async () => {
    const name = file('ends', 'create table ends (id int);')
    await run()
    writeFileSync(
      join(folder, name),
      '-- migrate:up\r\ncreate table ends (id int);\r\n-- migrate:down\r\ndrop table nothing_of_this;\r\n',
    )
    expect(await run()).toEqual({ applied: [], already: 1 })
  })

  it('says what was kept of a file that ends its transaction', async () => {
    const name = file('commits', 'create table half (id int); commit; create table app.half (id int);')
    await expect(run()).rejects.toMatchObject({
      message: expect.stringMatching(/"half" already exists .* What stands before its "commit" was kept/),
    })
    writeFileSync(join(folder, name), '-- migrate:up\ncreate table app.rest (id int); commit; begin;')
    await expect(run()).rejects.toMatchObject({
      message: expect.stringMatching(/ends its transaction itself/),
    })
    expect(await query(`select name from shardgate.migration where name = 'commits'`)).toEqual([])
  })

  it('F13: finds nothing in public that is missing in the schema', async () => {
    await query(
      'create table if not exists public.only_public (id int); grant all on public.only_public to shardgate_owner',
    )
    file('falls_through', 'insert into only_public values (1);')
    await expect(run()).rejects.toMatchObject({
      message: expect.stringMatching(/"only_public" does not exist/),
    })
  })

  it('is refused to the app role', async () => {
    file('app', 'create table by_app (id int);')
    await expect(run('app')).rejects.toMatchObject({ code: 'SETUP_FAILED' })
  })
})

describe('a folder of migrations', () => {
  const put = (name: string, text: string): void => writeFileSync(join(folder, name), text)
  it.each([
    ['1_short.sql', '-- migrate:up\nselect 1;', /wanted a name like/],
    ['20260101000000_x.sql', 'select 1;', /wanted a line "-- migrate:up"/],
  ])('with %s that holds %j is refused', (name, text, message) => {
    put(name, text)
    expect(() => readMigrations(folder)).toThrow(message)
  })

  it('may not hold a version twice', () => {
    put('20260101000000_a.sql', '-- migrate:up\nselect 1;')
    put('20260101000000_b.sql', '-- migrate:up\nselect 1;')
    expect(() => readMigrations(folder)).toThrow(/another file has 20260101000000 too/)
  })

  it('runs what stands under migrate:up only, to the end of the file if that is where it ends', () => {
    put(
      '20260101000000_a.sql',
      '-- a note\n-- migrate:up\nselect 1;\n\nselect 2;\n-- migrate:down\nselect 3;\n',
    )
    put('20260101000001_b.sql', '-- migrate:up\nselect 4;')
    expect(readMigrations(folder).map(({ up }) => up.trim())).toEqual(['select 1;\n\nselect 2;', 'select 4;'])
  })

  it('that is not there is named', () => {
    expect(() => readMigrations(join(folder, 'nowhere'))).toThrow(/no folder of migrations at .*nowhere/)
  })
})
