/** Migrations that run statement by statement: what is kept, what is tried again, and what two runs do at once. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connect, withClient } from '../../src/db/client.ts'
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
  folder = mkdtempSync(join(tmpdir(), 'shardgate-steps-'))
  return () => rmSync(folder, { recursive: true })
})

function file(name: string, up: string): string {
  const full = `${next++}_${name}.sql`
  writeFileSync(
    join(folder, full),
    `-- migrate:up transaction:false\n${up}\n-- migrate:down\ndrop table nothing;\n`,
  )
  return full
}
const url = (): string => fleet.shards[0]!.superuserUrl
const run = () =>
  migrate({ shard: { key: 'shard-a', url: fleet.shards[0]!.url('owner') }, folder, schema: 'app' })
const query = (text: string) => withClient(url(), (db) => db.query(text))
const there = async (name: string) => (await query(`select to_regclass('app.${name}') as it`))[0]?.it
const recorded = async (name: string) =>
  (await query(`select name from shardgate.migration where name = '${name}'`)).length === 1

describe('a file that asks for it', () => {
  it('runs statement by statement in the first schema, by the owner, once', async () => {
    const name = file(
      'plain',
      `create table plain (id int); -- a comment; with a semicolon
       create index concurrently plain_id on plain (id);
       do $$ begin insert into plain values (1); end $$;
       begin; insert into plain values (2); commit;`,
    )
    expect(await run()).toEqual({ applied: [name], already: 0 })
    expect(
      await query(
        'select count(*) as n, max(relowner::regrole::text) as by from app.plain, pg_class where relname = $$plain$$',
      ),
    ).toEqual([{ n: '2', by: 'shardgate_owner' }])
    expect(await run()).toEqual({ applied: [], already: 1 })
  })

  it('that fails names the statement, keeps those before it, and is run again from the start', async () => {
    file(
      'stops',
      'create table if not exists stops (id int);\n\nselect 1 / (select count(*) from never_made);\n',
    )
    await expect(run()).rejects.toMatchObject({
      code: 'SETUP_FAILED',
      message: expect.stringMatching(
        /_stops\.sql failed at line 3 of its statements: relation "never_made" does not exist \(42P01\), in "select 1 \/ \(select/,
      ),
    })
    expect([await there('stops'), await recorded('stops')]).toEqual(['app.stops', false])
    await query(
      'create table app.never_made (id int); grant select on app.never_made to shardgate_owner; insert into app.never_made values (1)',
    )
    await run()
    expect(await recorded('stops')).toBe(true)
  })

  it('that leaves a transaction open is not kept', async () => {
    file('open', 'begin;\ncreate table left_open (id int);')
    await expect(run()).rejects.toMatchObject({ message: expect.stringMatching(/leaves a transaction open/) })
    expect([await there('left_open'), await recorded('open')]).toEqual([null, false])
  })

  it('leaves no setting of its own to the file after it', async () => {
    file('sets', `set search_path = public; set lock_timeout = 0; set role none;`)
    writeFileSync(join(folder, `${next++}_after.sql`), '-- migrate:up\ncreate table after_sets (id int);')
    await run()
    expect(await there('after_sets')).toBe('app.after_sets')
    expect(
      await query(`select relowner::regrole::text as by from pg_class where relname = 'after_sets'`),
    ).toEqual([{ by: 'shardgate_owner' }])
  })

  it('tries a statement again that does not get its lock', async () => {
    await query('create table app.busy (id int); alter table app.busy owner to shardgate_owner')
    const other = await connect(url())
    await other.query('begin; lock table app.busy in access share mode')
    file('waits', `do $$ begin set local lock_timeout = '20ms'; alter table busy add later int; end $$;`)
    const running = run()
    const failures = `select xact_rollback as n from pg_stat_database where datname = current_database()`
    const before = Number((await query(failures))[0]?.n)
    await expect
      .poll(async () => Number((await query(failures))[0]?.n), { timeout: 20_000 })
      .toBeGreaterThan(before)
    await other.query('commit')
    await other.end()
    expect((await running).applied).toHaveLength(1)
  })

  it('by three at once is applied once, and nobody waits in a snapshot for an index that waits for them', async () => {
    await query('create table app.raced (id int); alter table app.raced owner to shardgate_owner')
    const name = file('raced', 'create index concurrently raced_id on raced (id);')
    const results = await Promise.all([run(), run(), run()])
    expect(results.flatMap(({ applied }) => applied)).toEqual([name])
  })
})
