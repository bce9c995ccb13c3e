/** Installing: once, again, by two at once, after a failure; and never on a database that is another's. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { install } from '../../src/control/install.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { connect, withClient } from '../../src/db/client.ts'
import { listShards } from '../../src/directory/shards.ts'
import { bareFleet, freshFleet, type TestFleet } from '../kit/fleet.ts'

const fleets: TestFleet[] = []
const bare: typeof bareFleet = async (options) => {
  const fleet = await bareFleet(options)
  fleets.push(fleet)
  return fleet
}
const ready: typeof freshFleet = async (options) => {
  const fleet = await freshFleet(options)
  fleets.push(fleet)
  return fleet
}
afterAll(() => Promise.all(fleets.map((fleet) => fleet.drop())))

/** Everything that an installation has made, as text that can be compared. */
async function picture(fleet: TestFleet): Promise<unknown[]> {
  const directory = await withClient(fleet.directoryUrl, async (db) => [
    await db.query('select key, value from directory.setting order by key'),
    await db.query('select key, id from directory.shard order by key'),
    await db.query('select no, shard from directory.bucket order by no'),
    await db.query('select version, checksum, applied_at from directory.migration'),
  ])
  const shards = fleet.shards.map((shard) =>
    withClient(shard.superuserUrl, async (db) => [
      await db.query('select id, version from shardgate.identity'),
      await db.query(`
        select nspname, nspowner::regrole::text as owner, nspacl::text from pg_namespace
        where nspname in ('app', 'shardgate')`),
      await db.query('select defaclobjtype, defaclacl::text from pg_default_acl order by 1'),
      await db.query(`
        select relname, relowner::regrole::text as owner, relacl::text
        from pg_class where relnamespace = 'shardgate'::regnamespace order by 1`),
    ]),
  )
  return [directory, ...(await Promise.all(shards))]
}

describe('an installation', () => {
  let fleet: TestFleet
  beforeAll(async () => {
    fleet = await ready({ weights: { 'shard-a': 1, 'shard-b': 3 }, buckets: 64 })
  })

  it('deals the buckets by weight and registers each shard by the identity it carries', async () => {
    const known = await withClient(fleet.directoryUrl, listShards)
    expect(known.map(({ key, buckets }) => [key, buckets])).toEqual([
      ['shard-a', 16],
      ['shard-b', 48],
    ])
    for (const shard of known) {
      const { superuserUrl } = fleet.shards.find(({ key }) => key === shard.key)!
      const rows = await withClient(superuserUrl, (db) => db.query('select id from shardgate.identity'))
      expect(rows).toEqual([{ id: shard.id }])
    }
  })

  it('again changes nothing, be it by two at once', async () => {
    const before = await picture(fleet)
    await install(fleet.installation)
    await Promise.all([install(fleet.installation), install(fleet.installation)])
    expect(await picture(fleet)).toEqual(before)
  })

  it('for the first time by three at once is one installation', async () => {
    const raced = await bare()
    await Promise.all([1, 2, 3].map(() => install(raced.installation)))
    expect((await withClient(raced.directoryUrl, listShards)).map(({ key }) => key)).toEqual([
      'shard-a',
      'shard-b',
      'shard-c',
    ])
  })

  it('can be repeated by the owner role alone', async () => {
    const before = await picture(fleet)
    const shards = fleet.shards.map((shard) => ({ ...shard, url: shard.url('owner') }))
    await install({ ...fleet.installation, shards })
    expect(await picture(fleet)).toEqual(before)
  })

  it('that dies between making a shard and registering it is finished by the next one', async () => {
    const broken = await bare({ weights: { 'shard-a': 1 } })
    const failpoints = {
      hit: async () => {
        throw new Error('the power went')
      },
    }
    await expect(install({ ...broken.installation, failpoints })).rejects.toThrow('the power went')
    expect(await withClient(broken.directoryUrl, listShards)).toEqual([])
    const identity = (db: { query: (text: string) => Promise<unknown> }) =>
      db.query('select id from shardgate.identity')
    const made = await withClient(broken.shards[0]!.superuserUrl, identity)
    await install(broken.installation)
    expect(await withClient(broken.shards[0]!.superuserUrl, identity)).toEqual(made)
    expect(await withClient(broken.directoryUrl, listShards)).toHaveLength(1)
  })
})

describe('the roles', () => {
  let fleet: TestFleet
  beforeAll(async () => {
    fleet = await ready({ weights: { 'shard-a': 1 } })
    await withClient(fleet.shards[0]!.url('owner'), (db) =>
      db.query('create table app.note (id int generated always as identity primary key, body text)'),
    )
  })
  const as = async (role: 'owner' | 'app' | 'mover', statement: string) => {
    const client = await connect(fleet.shards[0]!.url(role))
    return client.query(statement).finally(() => client.end())
  }

  it('F8: the app role owns nothing, is no superuser and cannot pass over row-level security', async () => {
    expect(
      await as(
        'app',
        `select rolsuper, rolbypassrls, rolinherit, rolcreaterole, rolcreatedb, rolreplication,
          (select count(*) from pg_class where relowner = pg_roles.oid) as owned,
          (select count(*) from pg_auth_members m join pg_roles g on g.oid = m.roleid
           where m.member = pg_roles.oid and g.rolname !~ '^shardgate_[0-9a-f]{8}_') as groups -- but of tenants
        from pg_roles where rolname = current_user`,
      ),
    ).toEqual([
      {
        rolsuper: 'f',
        rolbypassrls: 'f',
        rolinherit: 'f',
        rolcreaterole: 'f',
        rolcreatedb: 'f',
        rolreplication: 'f',
        owned: '0',
        groups: '0',
      },
    ])
  })

  it('F3: the app role reads and writes rows of later tables, and nothing else', async () => {
    await as('app', `insert into app.note (body) values ('x')`)
    await as('app', 'update app.note set body = body')
    expect(await as('app', 'select body from app.note')).toEqual([{ body: 'x' }])
    await as('app', 'delete from app.note')
    for (const refused of [
      'truncate app.note',
      'create table app.mine (id int)',
      'create schema mine',
      'create temporary table mine (id int)',
      'alter table app.note disable row level security',
      'create table app.child (id int references app.note)',
      `insert into shardgate.tenant_fence values ('x', 'active', 1)`,
      `update shardgate.identity set version = 2`,
      'set role shardgate_owner',
    ]) {
      await expect(as('app', refused), refused).rejects.toMatchObject({ code: '42501' })
    }
  })

  it('cannot even connect to the directory', async () => {
    const url = new URL(fleet.directoryUrl)
    const app = new URL(fleet.shards[0]!.url('app'))
    url.username = app.username
    url.password = app.password
    await expect(connect(url.href)).rejects.toMatchObject({ code: '42501' })
  })

  it('what a migration has revoked on purpose stays revoked', async () => {
    await as('owner', 'create table app.secret (id int); revoke all on app.secret from shardgate_app')
    await install(fleet.installation)
    await expect(as('app', 'select from app.secret')).rejects.toMatchObject({ code: '42501' })
  })

  it('without the right to make them one is told what a superuser has to type', async () => {
    await withClient(fleet.shards[0]!.superuserUrl, (db) =>
      db.query(`do $$ begin create role test_plain login password 'test-plain';
        exception when duplicate_object or unique_violation then null; end $$`),
    )
    const other = await bare({ weights: { 'shard-a': 1 } })
    const url = new URL(other.shards[0]!.superuserUrl)
    url.username = 'test_plain'
    url.password = 'test-plain'
    const shards = [{ ...other.installation.shards[0]!, url: url.href }]
    await expect(install({ ...other.installation, shards })).rejects.toMatchObject({
      code: 'SETUP_FAILED',
      message: 'The ownerUrl must name the role shardgate_owner, a superuser, or a role with CREATEROLE.',
    })
    url.username = 'shardgate_owner'
    url.password = 'test-owner'
    shards[0]!.url = url.href
    await expect(install({ ...other.installation, shards })).rejects.toMatchObject({
      message: expect.stringMatching(/grant create on database test_\w+ to shardgate_owner;/),
    })
  })
})

describe('a database that is not what the directory knows', () => {
  let fleet: TestFleet
  beforeAll(async () => {
    fleet = await ready({ weights: { 'shard-a': 1, 'shard-b': 1 } })
  })
  const refusal = async (work: Promise<unknown>): Promise<string> => {
    const before = await picture(fleet)
    const error = await work.then(
      () => null,
      (reason: Error & { code?: string }) => reason,
    )
    expect(error?.code).toBe('SHARD_UNSAFE')
    expect(await picture(fleet)).toEqual(before)
    return error!.message
  }

  it('fault 25: two URLs swapped are refused, and nothing is changed', async () => {
    const [a, b] = fleet.installation.shards
    const swapped = [
      { ...a!, url: b!.url },
      { ...b!, url: a!.url },
    ]
    const message = await refusal(install({ ...fleet.installation, shards: swapped }))
    expect(message).toMatch(/The database behind shard-[ab] carries the identity .*leads to another database/)
  })

  it('an empty database in the place of a shard is refused', async () => {
    const other = await bare({ weights: { 'shard-a': 1 } })
    const shards = [
      { ...fleet.installation.shards[0]!, url: other.shards[0]!.superuserUrl },
      fleet.installation.shards[1]!,
    ]
    const message = await refusal(install({ ...fleet.installation, shards }))
    expect(message).toContain('has never been a shard')
    const made = await withClient(other.shards[0]!.superuserUrl, (db) =>
      db.query(`select to_regnamespace('shardgate') as schema`),
    )
    expect(made).toEqual([{ schema: null }])
  })

  it('one database under two keys is refused', async () => {
    const twice = await bare({ weights: { 'shard-a': 1, 'shard-b': 1 } })
    const shards = twice.installation.shards.map((shard) => ({
      ...shard,
      url: twice.installation.shards[0]!.url,
    }))
    await expect(install({ ...twice.installation, shards })).rejects.toMatchObject({ code: 'SHARD_UNSAFE' })
  })

  it('a shard with tenants of another directory is refused', async () => {
    await createTenant(fleet.fleet, { id: tenantId('acme') })
    const stranger = await bare({ weights: { 'shard-a': 1, 'shard-b': 1 } })
    const message = await refusal(install({ ...stranger.installation, shards: fleet.installation.shards }))
    expect(message).toContain('holds tenants of another directory')
  })
})

describe('an edit of the configuration', () => {
  let fleet: TestFleet
  beforeAll(async () => {
    fleet = await ready({ weights: { 'shard-a': 1, 'shard-b': 1 } })
  })

  it('may change the number of buckets while there are no tenants', async () => {
    await install({ ...fleet.installation, buckets: 32 })
    const known = await withClient(fleet.directoryUrl, listShards)
    expect(known.map(({ buckets }) => buckets)).toEqual([16, 16])
    await install(fleet.installation)
  })

  it('that changes it with tenants, or the schema, or takes a shard away, is refused', async () => {
    await createTenant(fleet.fleet, { id: tenantId('acme') })
    const before = await picture(fleet)
    const edits = [
      [{ buckets: 32 }, /router.buckets: wanted 64, .* 32 came/],
      [{ schemas: ['other', 'app'] }, /tenancy.schemas: wanted "app" first/],
      [
        { shards: fleet.installation.shards.slice(1) },
        /shards.shard-a: it holds [01] tenants and 32 buckets/,
      ],
    ] as const
    for (const [edit, message] of edits) {
      await expect(install({ ...fleet.installation, ...edit })).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(message),
      })
    }
    expect(await picture(fleet)).toEqual(before)
  })

  it('that adds a shard moves nobody: buckets that have a shard keep it', async () => {
    const third = await bare({ weights: { 'shard-c': 1 } })
    const shards = [...fleet.installation.shards, ...third.installation.shards]
    await install({ ...fleet.installation, shards })
    const known = await withClient(fleet.directoryUrl, listShards)
    expect(known.map(({ key, buckets }) => [key, buckets])).toEqual([
      ['shard-a', 32],
      ['shard-b', 32],
      ['shard-c', 0],
    ])
  })
})
