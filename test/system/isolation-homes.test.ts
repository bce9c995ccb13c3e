/**
 * What one tenant can learn of another by SQL, wherever the two have their tables: in shared ones, in a schema or in a
 * database of their own, next to each other on one shard. The same questions for every pair of homes.
 */

import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deadlineIn } from '../../src/base/time.ts'
import { withClient } from '../../src/db/client.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import { prepared } from '../../src/db/sql.ts'
import { ISOLATIONS, type Isolation } from '../../src/directory/types.ts'
import { introspect } from '../../src/model/introspect.ts'
import type { Table } from '../../src/model/types.ts'
import { openWorldDoor, type WorldDoor } from '../kit/door.ts'
import { trySql } from '../kit/isolation-sql.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let gate: WorldDoor
let tables: readonly Table[]
/** Rows of those who are asked about, before anybody has tried anything. */
let before: string[]

beforeAll(async () => {
  world = await startWorld({ tenants: 6, shards: 1, isolations: ISOLATIONS })
  gate = await openWorldDoor(world)
  const tenancy = { column: 'tenant_id', schemas: ['app'] }
  tables = (await withClient(world.shards[0]!.ownerUrl, (client) => introspect(client, tenancy))).tables
  before = await Promise.all(ISOLATIONS.map((isolation) => world.contents(owner(isolation))))
})
afterAll(async () => {
  gate?.end()
  await world?.stop()
})

/** Two tenants of each home: one that asks, and one that is asked about. */
const asker = (isolation: Isolation): WorldTenant =>
  world.tenants.find((tenant) => tenant.isolation === isolation)!
const owner = (isolation: Isolation): WorldTenant =>
  world.tenants.findLast((tenant) => tenant.isolation === isolation)!
const PAIRS = ISOLATIONS.flatMap((a) => ISOLATIONS.map((b) => [a, b] as const))

describe.each(PAIRS)('a tenant in %s tables, of one in %s tables', (from, of) => {
  it('learns nothing by values of its rows', async () => {
    const [one, other] = [asker(from), owner(of)]
    const setup = { ...world.homeOf(one), asker: one, owner: other, theirs: world.homeOf(other) }
    const counts = await trySql(setup, tables)
    expect(counts.differences).toEqual([])
    expect(counts.asked).toBe(tables.length * 8)
  })

  it('reaches nothing by SQL that names what is not its own', async () => {
    expect(await reachedBy(asker(from), owner(of))).toEqual([])
  })
})

/** What of the other's values SQL of `one` is answered with. */
async function reachedBy(one: WorldTenant, other: WorldTenant): Promise<string[]> {
  const reached: string[] = []
  for (const [what, text] of attacksOn(other)) {
    const told = await gate.door
      .withTenant(one.id, 'write', deadlineIn(5_000), async ({ run }) => {
        const answers: string[] = []
        for (const statement of [text].flat()) answers.push(JSON.stringify(await run(prepared(statement))))
        return { keep: true, value: answers.join('\n') }
      })
      .catch(({ code, message }) => `${code} ${message}`)
    reached.push(...world.scanner.scan(one.id, told).map(({ value }) => `${what}: ${value}`))
  }
  return reached
}

/** Statements that would show or change rows of `other` if anything let them. Those of one list share a transaction. */
function attacksOn(
  other: WorldTenant,
): readonly (readonly [what: string, text: string | readonly string[]])[] {
  const { namespace, schema } = world.homeOf(other)
  // Spelt so that the door does not take it for the name of the asker's tables.
  const theirs = `u&"${schema}"`
  return [
    ['their table', `select * from ${theirs}.projects`],
    ['all rows of the name', 'select * from app.projects'],
    ['their rows by the tenant', `select * from ${theirs}.tasks where tenant_id = '${other.id}'`],
    ['an update', `update ${theirs}.projects set name = 'taken'`],
    ['a delete', `delete from ${theirs}.labels`],
    ['a truncate', `truncate ${theirs}.labels`],
    ['search_path', [`set local search_path = "${schema}", app, public`, 'select * from projects']],
    ['search_path alone', [`set local search_path = "${schema}"`, 'delete from labels']],
    ['row security off', ['set local row_security = off', `select * from ${theirs}.projects`]],
    ['the role of the session', ['reset role', `select * from ${theirs}.projects`]],
    ['no role', ['set local role none', 'select * from app.projects', `delete from ${theirs}.labels`]],
    ['the owner', 'set local role shardgate_owner'],
    ['the mover', 'set local role shardgate_mover'],
    ['another session', 'set session authorization shardgate_owner'],
    ['another policy', `create policy mine on ${theirs}.projects using (true)`],
    ['no policy', `alter table ${theirs}.projects disable row level security`],
    ['a function', `create function ${theirs}.f() returns int language sql as 'select 1'`],
    ['a view', `create view ${theirs}.v as select * from ${theirs}.projects`],
    ['a temporary table', 'create temporary table projects (id int)'],
    ['a schema', 'create schema mine'],
    ['an extension', 'create extension dblink'],
    ['a file', `copy ${theirs}.projects to '/tmp/shardgate-rows'`],
    ['a program', `copy ${theirs}.projects to program 'cat'`],
    ['what is known of columns', 'select * from pg_stats'],
    ['what others run', 'select query from pg_stat_activity'],
    ['answers that are kept', 'select * from shardgate.idempotency'],
    ['the fence', `update shardgate.tenant_fence set state = 'active'`],
    ['another database', `select * from "${namespace}".app.projects`],
    ['their database', `alter database "${namespace}" rename to mine`],
  ]
}

it('no row of those who were asked about has changed by all this', async () => {
  const after = await Promise.all(ISOLATIONS.map((isolation) => world.contents(owner(isolation))))
  expect(after).toEqual(before)
  expect(before.every((rows) => rows.length > 1_000)).toBe(true)
})

it('one grant too many on a table without its policies is enough for these tests to notice', async () => {
  const { schema } = world.homeOf(owner('schema'))
  const shard = world.shards[0]!.superuserUrl
  const run = (text: string) => withClient(shard, (client) => client.query(text))
  await run(`grant usage on schema "${schema}" to shardgate_tenant;
    grant select on "${schema}".projects to shardgate_tenant;
    alter table "${schema}".projects disable row level security`)
  try {
    expect((await reachedBy(asker('schema'), owner('schema')))[0]).toMatch(/^their table: /)
    expect(await reachedBy(asker('shared'), owner('schema'))).toEqual([])
  } finally {
    await run(`revoke all on schema "${schema}" from shardgate_tenant;
      revoke all on "${schema}".projects from shardgate_tenant;
      alter table "${schema}".projects enable row level security`)
  }
})

describe('what Postgres answers', () => {
  it.each<[Isolation, Isolation, string]>([
    ['schema', 'shared', '42501'],
    ['schema', 'schema', '42501'],
    ['shared', 'schema', '42501'],
    ['database', 'schema', '42P01'],
    ['shared', 'database', '0A000'],
  ])('a tenant in %s tables who names a table of one in %s tables: %s', async (from, of, code) => {
    const { namespace, schema } = world.homeOf(owner(of))
    const name = of === 'database' ? `"${namespace}".app.projects` : `u&"${schema}".projects`
    await expect(gate.ask(asker(from).id, `select * from ${name}`)).rejects.toMatchObject({ code })
  })
})

describe('F12: code of an extension, which is the operator’s own,', () => {
  it('can take another tenant’s role and name, because the app role may; nothing else here can', async () => {
    const other = owner('schema')
    const { schema } = world.homeOf(other)
    const [row] = await world.sql('shard-a', 'select role from shardgate.tenant_fence where tenant_id = $1', [
      other.id,
    ])
    const taken = (texts: readonly string[]) =>
      gate.door.withTenant(asker('schema').id, 'read', deadlineIn(5_000), async ({ run }) => {
        for (const text of texts) await run(prepared(text))
        return {
          keep: false,
          value: (await run(prepared(`select tenant_id from "${schema}".projects`))).length,
        }
      })
    const role = `set local role "${row?.role}"`
    const name = `select set_config('app.current_tenant_id', '${other.id}', true)`
    await expect(taken([name])).rejects.toMatchObject({ code: '42501' })
    expect(await taken([role])).toBe(0)
    expect(await taken([role, name])).toBe(8)
  })
})

describe('F13: a table that a tenant’s home lacks', () => {
  it('is not there, and neither the shared one nor one of the same name in public takes its place', async () => {
    const shard = world.shards[0]!.superuserUrl
    for (const isolation of ['schema', 'database'] as const) {
      const { superuserUrl, schema } = world.homeOf(owner(isolation))
      const bait = `create table if not exists public.labels as select 'bait' as word;
        grant select on public.labels to public; grant usage on schema public to public`
      await withClient(shard, (client) => client.query(bait))
      await withClient(superuserUrl, (client) =>
        client.query(`${bait}; alter table "${schema}".labels rename to gone`),
      )
      try {
        await expect(gate.ask(owner(isolation).id, 'select word from app.labels')).rejects.toMatchObject({
          code: '42P01',
        })
      } finally {
        await withClient(superuserUrl, (client) =>
          client.query(`alter table "${schema}".gone rename to labels; drop table public.labels`),
        )
      }
      expect(await gate.ask(owner(isolation).id, 'select word from app.labels')).not.toEqual([])
      await withClient(shard, (client) => client.query('drop table if exists public.labels'))
    }
  })
})

describe('who may connect to which database', () => {
  const enters = async (url: string, database: string): Promise<string> => {
    const client = new pg.Client(databaseUrl(url, database))
    try {
      await client.connect()
      return 'enters'
    } catch (error) {
      return String((error as pg.DatabaseError).code)
    } finally {
      await client.end().catch(() => {})
    }
  }
  const as = (user: string, password: string): string =>
    Object.assign(new URL(world.shards[0]!.superuserUrl), { username: user, password }).href

  it('nobody but Shardgate, to the shard or to a tenant’s own', async () => {
    const stranger = `stranger_${process.pid}`
    const names = [asker('shared'), asker('database'), owner('database')].map((tenant) =>
      new URL(world.homeOf(tenant).superuserUrl).pathname.slice(1),
    )
    const role = (
      await world.sql('shard-a', `select role from shardgate.tenant_fence where role is not null`)
    )[0]
    await world.sql('shard-a', `create role ${stranger} login password 's'`)
    try {
      for (const name of names) {
        expect(await enters(as(stranger, 's'), name), name).toBe('42501')
        expect(await enters(as(String(role?.role), 's'), name), name).toMatch(/^28/)
        expect(await enters(world.shards[0]!.appUrl, name), name).toBe('enters')
      }
    } finally {
      await world.sql('shard-a', `drop role ${stranger}`)
    }
  })
})
