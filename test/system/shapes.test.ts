/** One gateway for tables that differ: three models behind one API, and two versions while a migration is rolled out. */

import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/base/config.ts'
import { migrateFleet, type UpOptions } from '../../src/control/migrate/up.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { withClient } from '../../src/db/client.ts'
import { type Gateway, logged, reconfigure, startGateway, worldToken } from '../kit/gateway.ts'
import { WORLD_FOLDER } from '../kit/homes.ts'
import { type Load, startLoad } from '../kit/load.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

const POLL = { timeout: 60_000, interval: 100 }
const MODELS = ['shared', 'schema', 'database'] as const
// Two gateways would be one too many for two cores, and the resolvers read all columns of a table.
const RESOLVERS = { http: { compiledLane: false } }

let world: World
let gateway: Gateway
let folder: string
let tokens: ReadonlyMap<string, string>

beforeAll(async () => {
  world = await startWorld({ tenants: 6, shards: 2, isolations: MODELS }, RESOLVERS)
  folder = mkdtempSync(join(tmpdir(), 'shardgate-shapes-'))
  cpSync(WORLD_FOLDER, folder, { recursive: true })
  for (const isolation of ['schema', 'database'] as const) await addTable(withNotes(isolation))
  await up()
  gateway = await startGateway(world)
  tokens = new Map(
    await Promise.all(
      world.tenants.map(async (tenant) => [tenant.id, await worldToken(world, tenant)] as const),
    ),
  )
})
afterAll(async () => {
  await gateway?.stop()
  await world?.stop()
  rmSync(folder, { recursive: true })
})

function up(options: UpOptions = {}): ReturnType<typeof migrateFleet> {
  const { tenancy, directory } = loadConfig(world.configFile, {})
  const fleet: Fleet = {
    directoryUrl: directory.url,
    strategy: 'modulo',
    shards: world.shards.map(({ key, ownerUrl, appUrl }) => ({ key, weight: 1, url: ownerUrl, appUrl })),
    tenancy,
    migrations: folder,
  }
  return migrateFleet(fleet, options)
}

const write = (version: string, up: string): void =>
  writeFileSync(join(folder, `${version}.sql`), `-- migrate:up\n\n${up}\n`)

/** Data, or the code of the first error. */
async function ask(tenant: WorldTenant, query: string, at = gateway): Promise<unknown> {
  const response = await fetch(at.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${tokens.get(tenant.id)}` },
    body: JSON.stringify({ query }),
  })
  const { data, errors } = (await response.json()) as {
    data?: unknown
    errors?: { extensions: { code: string } }[]
  }
  return errors?.[0]?.extensions.code ?? data
}

const of = (isolation: WorldTenant['isolation']): WorldTenant =>
  world.tenants.find((tenant) => tenant.isolation === isolation)!

/** The second tenant of a model has a table that nobody else has, without the tenant column. */
const withNotes = (isolation: WorldTenant['isolation']): WorldTenant =>
  world.tenants.findLast((tenant) => tenant.isolation === isolation)!

async function addTable(tenant: WorldTenant): Promise<void> {
  const { superuserUrl, schema } = world.homeOf(tenant)
  await withClient(superuserUrl, async (client) => {
    const [row] = await client.query(`
      select pg_get_userbyid(grantee) as role from pg_class, aclexplode(relacl)
      where oid = '"${schema}".tasks'::regclass and privilege_type = 'INSERT' and grantee <> relowner
        and pg_get_userbyid(grantee) !~ 'mover'`)
    await client.query(`
      create table "${schema}".notes (id int primary key, body text);
      insert into "${schema}".notes values (1, 'of ${tenant.id}');
      alter table "${schema}".notes owner to shardgate_owner;
      grant select, insert, update, delete on "${schema}".notes to "${row?.role}"`)
  })
  // What is written down of it would be that of the others: a table that comes by hand is drift until a migration.
  await world.sql('directory', `delete from directory.target where tenant_id = '${tenant.id}'`)
}

describe('three models behind one gateway', () => {
  it('are one API: nobody can tell them apart', async () => {
    const ids =
      '{ tasks(first: 2) { totalCount nodes { title } } __schema { types { name fields { name } } } }'
    const plain = MODELS.map(of)
    const answers = (await Promise.all(plain.map((tenant) => ask(tenant, ids)))) as {
      tasks: { totalCount: number }
      __schema: object
    }[]
    expect(new Set(answers.map((answer) => JSON.stringify(answer.__schema))).size).toBe(1)
    expect(answers.map(({ tasks }) => tasks.totalCount)).toEqual([8, 8, 8])
    // Of those with notes too the gateway learns, sooner or later.
    const own = plain.filter(({ isolation }) => isolation !== 'shared')
    const namespaces = own.map((tenant) => world.homeOf(tenant).namespace)
    const served = () =>
      logged(gateway, 'place.served').filter(({ namespace }) => namespaces.includes(namespace))
    await expect.poll(() => new Set(served().map(({ namespace }) => namespace)).size, POLL).toBe(2)
    expect(new Set(served().map(({ shape }) => shape)).size).toBe(1)
  })

  it('D12: a table that one tenant has alone is served to it alone, also for the document of all others', async () => {
    const notes = '{ notes { nodes { id body } } }'
    for (const compiledLane of [true, false]) {
      await reconfigure(world, gateway, { http: { compiledLane } })
      for (let i = 0; i < 2; i++) {
        for (const model of MODELS) expect(await ask(of(model), notes)).toBe('GRAPHQL_VALIDATION_FAILED')
        for (const model of ['schema', 'database'] as const) {
          const tenant = withNotes(model)
          const nodes = [{ id: expect.anything(), body: `of ${tenant.id}` }]
          expect(await ask(tenant, notes)).toEqual({ notes: { nodes } })
        }
      }
    }
    const lanes = () => logged(gateway, 'request.done').map(({ lane }) => lane)
    await expect.poll(lanes).toEqual(expect.arrayContaining(['compiled', 'resolver']))
  })
})

describe('a rollout under load', () => {
  const NEW = '{ tasks(first: 1) { nodes { urgency } } }'
  const OLD = '{ projects(first: 1) { nodes { logo } } }'
  let load: Load | undefined
  afterEach(() => load?.stop())

  it('serves both versions side by side, each tenant by its own, and fails no request', async () => {
    const callers = world.tenants.map((tenant) => ({ tenant, token: tokens.get(tenant.id)! }))
    load = await startLoad(gateway.url, callers)
    write('20990101000000_urgency', 'alter table tasks add column urgency int;')
    const first = of('schema')
    const others = world.tenants.filter((tenant) => tenant !== first)

    expect((await up({ only: [first.id] })).left).toEqual([])
    await expect.poll(() => ask(first, NEW), POLL).toEqual({ tasks: { nodes: [{ urgency: null }] } })
    for (const tenant of others) expect(await ask(tenant, NEW)).toBe('GRAPHQL_VALIDATION_FAILED')
    await up()
    for (const tenant of others) {
      await expect.poll(() => ask(tenant, NEW), POLL).toEqual({ tasks: { nodes: [{ urgency: null }] } })
    }

    write('20990102000000_no_logo', 'alter table projects drop column logo;')
    await up({ contract: true })
    for (const tenant of world.tenants) {
      await expect.poll(() => ask(tenant, OLD), POLL).toBe('GRAPHQL_VALIDATION_FAILED')
    }
    const before = new Map(world.tenants.map((tenant) => [tenant, load!.counts(tenant).ok ?? 0]))
    await load.until(() => [...before].every(([tenant, ok]) => (load!.counts(tenant).ok ?? 0) > ok + 3))
    await load.stop()
    expect(Object.keys(load.sum(world.tenants))).toEqual(['ok'])
    expect(logged(gateway, 'request.failed')).toEqual([])
  })
})

describe('a column that is dropped behind the back of everybody', () => {
  const create = 'mutation { createProject(input: { rowId: 990001, name: "once" }) { __typename } }'
  const created = '{ projects(filter: { name: { eq: "once" } }) { totalCount } }'

  it.each(['schema', 'database'] as const)(
    'fails nothing that does not ask for it: %s',
    async (isolation) => {
      const tenant = of(isolation)
      const { superuserUrl, schema } = world.homeOf(tenant)
      const drop = (column: string) =>
        withClient(superuserUrl, (client) =>
          client.query(`alter table "${schema}".projects drop column ${column}`),
        )
      await drop('notes')
      expect(await ask(tenant, '{ projects(first: 1) { nodes { __typename } } }')).toEqual({
        projects: { nodes: [{ __typename: 'Project' }] },
      })
      await drop('aliases')
      expect(await ask(tenant, create)).toEqual({ createProject: { __typename: 'Project' } })
      expect(await ask(tenant, created)).toEqual({ projects: { totalCount: 1 } })
      await drop('share')
      expect(await ask(tenant, '{ projects(first: 1) { nodes { share } } }')).toBe(
        'GRAPHQL_VALIDATION_FAILED',
      )
      expect(logged(gateway, 'request.failed')).toEqual([])
    },
  )
})

describe('a start while shards differ', () => {
  const lastOn = (shard: string): WorldTenant =>
    world.tenants.find((tenant) => tenant.shard === shard && tenant.isolation === 'shared')!
  const later = '{ tasks(first: 1) { nodes { later } } }'
  const title = '{ tasks(first: 1) { nodes { __typename } } }'
  const served = { tasks: { nodes: [{ __typename: 'Task' }] } }
  let other: Gateway | undefined
  afterEach(() => other?.stop())

  it('refuses a shard that nobody has migrated', async () => {
    const [a, b] = ['shard-a', 'shard-b'].map(lastOn) as [WorldTenant, WorldTenant]
    const alter = (what: string) => withClient(world.homeOf(b).superuserUrl, (client) => client.query(what))
    await alter('alter table app.tasks add column drifted int')
    try {
      other = await startGateway(world)
      expect(await ask(a, title, other)).toEqual(served)
      expect(await ask(b, title, other)).toBe('SHARD_UNAVAILABLE')
      expect(logged(other, 'shard.refused')).toMatchObject([{ shard: 'shard-b' }])
    } finally {
      await alter('alter table app.tasks drop column drifted')
    }
  })

  it('serves each shard as the migrations have left it', async () => {
    write('20990103000000_later', 'alter table tasks add column later int;')
    await up({ only: ['shard-a'] })
    other = await startGateway(world)
    const [a, b] = ['shard-a', 'shard-b'].map(lastOn) as [WorldTenant, WorldTenant]
    expect(await ask(a, later, other)).toEqual({ tasks: { nodes: [{ later: null }] } })
    expect(await ask(b, later, other)).toBe('GRAPHQL_VALIDATION_FAILED')
    expect(await ask(b, title, other)).toEqual(served)
    await up()
    await expect.poll(() => ask(b, later, other), POLL).toEqual({ tasks: { nodes: [{ later: null }] } })
  })
})
