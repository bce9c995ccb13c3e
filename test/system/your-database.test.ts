/**
 * docs/your-database.md, walked: its configuration, its commands in its order and its query, on a database that
 * somebody else has made and goes on using.
 */

import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withClient } from '../../src/db/client.ts'
import { endCommands, shardgate } from '../kit/command.ts'
import { bareFleet, type TestFleet } from '../kit/fleet.ts'

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/your-database.md'), 'utf8')
/** The page's command lines, without what npm and the shell do. */
const COMMANDS = [...PAGE.matchAll(/npm run -s shardgate -- ([^)\n]+)/g)].map(([, line = '']) =>
  line.split(/\s+/),
)
const CONFIG = /```json\n([\s\S]*?)```/.exec(PAGE)?.[1] ?? ''
const QUERY = /-d '(\{"query".*\})'/.exec(PAGE)?.[1] ?? ''

const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
const legacy = `shop_${randomUUID().slice(0, 8)}`

// What a shop has written: keys of one column, no row-level security, an owner of its own.
const TABLES = `
  create schema shop;
  create table shop.users (
    id uuid primary key default gen_random_uuid(), organization_id uuid not null, email text not null unique);
  create table shop.orders (
    id uuid primary key default gen_random_uuid(), organization_id uuid not null,
    user_id uuid references shop.users, status text not null, created_at timestamptz not null default now());
  create table shop.order_lines (
    id serial primary key, organization_id uuid not null, order_id uuid not null references shop.orders on delete cascade,
    sku text, price numeric);
  create table shop.secrets (id int primary key, secret text);
  insert into shop.users (organization_id, email)
    select ('00000000-0000-4000-8000-' || lpad((i % 3)::text, 12, '0'))::uuid, 'u' || i || '@shop' from generate_series(1, 30) i;
  insert into shop.orders (organization_id, user_id, status, created_at)
    select organization_id, id, 'open', now() - make_interval(secs => i) from shop.users, generate_series(1, 100) i;
  insert into shop.order_lines (organization_id, order_id, sku) select organization_id, id, 'x' from shop.orders;`

let fleet: TestFleet
let folder: string
let env: Record<string, string>

beforeAll(async () => {
  fleet = await bareFleet({ weights: { main: 1 } })
  folder = mkdtempSync(join(tmpdir(), 'shardgate-yours-'))
  mkdirSync(join(folder, 'migrations'))
  writeFileSync(join(folder, 'my.config.json'), CONFIG)
  const [shard] = fleet.shards
  env = {
    CONTROL_DATABASE_URL: fleet.directoryUrl,
    SHARD_URL: shard!.url('app'),
    SHARD_OWNER_URL: shard!.url('owner'),
    JWT_SECRET: 'a-secret-of-thirty-two-bytes-or-more',
    SHARDGATE_ADMIN_PASSWORD: new URL(shard!.superuserUrl).password,
    SHARDGATE_DATA: join(folder, 'data'),
    LOG_LEVEL: 'info',
    PORT: '0',
    ADMIN_PORT: '0',
  }
  await superuser(`create role ${legacy} login password 'test'`)
  await superuser(`grant create on database ${new URL(shard!.superuserUrl).pathname.slice(1)} to ${legacy}`)
  await shop(TABLES)
})
afterAll(async () => {
  await endCommands()
  await fleet?.drop()
  if (folder) rmSync(folder, { recursive: true })
})

const superuser = (text: string) => withClient(fleet.shards[0]!.superuserUrl, (db) => db.query(text))
/** As the program that uses the database today. */
const shop = (text: string) => {
  const url = Object.assign(new URL(fleet.shards[0]!.superuserUrl), { username: legacy, password: 'test' })
  return withClient(url.href, (db) => db.query(text))
}
const run = (args: readonly string[], more: Record<string, string> = {}) =>
  shardgate(args, { ...env, ...more }, folder).ended

/** The n-th command of the page that begins with these words. */
function command(words: string, n = 0): string[] {
  const found = COMMANDS.filter((args) => args.join(' ').startsWith(words))[n]
  expect(found, words).toBeDefined()
  return found!
}

describe('the walk of docs/your-database.md', () => {
  it('names eight commands, and all of them are walked here', () => {
    expect(COMMANDS.map(([verb]) => verb)).toEqual([
      'setup',
      'doctor',
      'adopt',
      'setup',
      'doctor',
      'tenant',
      'serve',
      'token',
    ])
  })

  it('each command before the set-up says what to type', async () => {
    for (const words of ['serve', 'tenant register', 'doctor']) {
      const { status, out, err } = await run(command(words))
      expect(status, words).not.toBe(0)
      expect(out + err, words).toMatch(/shardgate setup/)
    }
    const wrong = { SHARD_OWNER_URL: env.SHARD_OWNER_URL!.replace('test-owner', 'wrong') }
    const { status, err } = await run(command('setup', 1), wrong)
    expect([status, err]).toEqual([
      1,
      expect.stringMatching(/password authentication failed[\s\S]*setup --admin-user/),
    ])
  })

  it('2: setup makes roles and rights; the shop notices nothing', async () => {
    const { status, err } = await run(command('setup'))
    expect([status, err]).toEqual([0, 'The directory is ready.\nmain is ready.\n'])
    await shop(`insert into shop.users (organization_id, email) values ('${uuid(1)}', 'late@shop')`)
    const app = withClient(env.SHARD_URL!, (db) => db.query('select * from shop.secrets'))
    await expect(app).rejects.toMatchObject({ code: '42501' })
  })

  it('3: doctor finds much, adopt mends it, and the shop still sees everything', async () => {
    expect((await run(command('doctor'))).status).toBe(3)
    const serve = await run(command('serve'))
    expect([serve.status, serve.err]).toEqual([
      1,
      expect.stringContaining('All 3 tables in shop are unsafe to serve'),
    ])
    expect((await run(command('adopt'))).status).toBe(0)
    const setup = await run(command('setup', 1))
    expect([setup.status, setup.err]).toEqual([0, expect.not.stringContaining('failed')])
    const { status, out } = await run(command('doctor', 1))
    expect([status, out]).toEqual([0, expect.not.stringContaining('unsafe')])
    expect(await shop('select count(*) from shop.orders')).toEqual([{ count: '3000' }])
  })

  it('4: the tenants that are there are found, without a superuser', async () => {
    const { SHARDGATE_ADMIN_PASSWORD: _, ...without } = env
    const { status, out } = await shardgate([...command('tenant register'), '-o', 'json'], without, folder)
      .ended
    const result = JSON.parse(out) as { tenants: { id: string; outcome: string }[] }
    expect(status).toBe(0)
    expect(result.tenants.map(({ id, outcome }) => [id, outcome])).toEqual(
      [0, 1, 2].map((n) => [uuid(n), 'registered']),
    )
  })

  it('5: the query of the page is answered with the rows of one tenant, and written rows arrive', async () => {
    const gateway = shardgate(command('serve'), env, folder)
    const [, port = ''] = await gateway.prints(/"kind":"gateway\.listening","port":(\d+)/)
    const { out } = await run(command('token'))
    const ask = async (query: string) => {
      const answer = await fetch(`http://127.0.0.1:${port}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${out.trim()}` },
        body: query,
      })
      return answer.json()
    }
    for (let i = 0; i < 12; i++) {
      const { data } = await ask(QUERY)
      expect(data.orders).toMatchObject({ totalCount: 1000, nodes: [{ status: 'open' }, { status: 'open' }] })
    }
    const made = await ask(
      JSON.stringify({
        query: 'mutation { createUser(input: { email: "new@shop" }) { ... on User { email } } }',
      }),
    )
    expect(made).toEqual({ data: { createUser: { email: 'new@shop' } } })
    expect(await shop(`select organization_id from shop.users where email = 'new@shop'`)).toEqual([
      { organization_id: uuid(1) },
    ])
    gateway.signal('SIGTERM')
    expect((await gateway.ended).status).toBe(0)
  })

  it('6: doctor advises the index that this list lacks, by what the gateway has written at its end', async () => {
    const { status, out } = await run([...command('doctor'), '-o', 'json'])
    const findings = JSON.parse(out) as { check: string; table?: string; sql?: string }[]
    const advised = findings.filter(({ check }) => check === 'index-order')
    expect([status, advised]).toEqual([
      0,
      [
        expect.objectContaining({
          table: 'shop.orders',
          check: 'index-order',
          sql: expect.stringMatching(/ on shop\.orders \(organization_id, created_at desc, id\);$/),
        }),
      ],
    ])
    await withClient(env.SHARD_OWNER_URL!, (db) => db.query(advised[0]!.sql!))
    expect((await run(command('doctor'))).out).not.toMatch(/index-order/)
  })
})
