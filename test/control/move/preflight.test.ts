/** Preflight: each thing that keeps a tenant from moving is told, by itself and with all others, and what to type. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TenantId } from '../../../src/base/ids.ts'
import { tenancyOf } from '../../../src/control/copy/subject.ts'
import { namespaceOf } from '../../../src/control/homes/home.ts'
import { accessTo } from '../../../src/control/homes/reach-home.ts'
import { changeState } from '../../../src/control/life/state.ts'
import { requireSubject } from '../../../src/control/life/subject.ts'
import { migrateFleet } from '../../../src/control/migrate/up.ts'
import { type Findings, preflight, preflightFaults } from '../../../src/control/move/preflight.ts'
import { ensureLogical, longTransactions } from '../../../src/control/move/preflight-servers.ts'
import type { End } from '../../../src/control/move/sight.ts'
import { insertMove } from '../../../src/control/move/store.ts'
import { type Fleet, movesOf } from '../../../src/control/reach.ts'
import { type Client, connect, withClient } from '../../../src/db/client.ts'
import type { Isolation } from '../../../src/directory/types.ts'
import { onClaimed } from '../../kit/claimed-moves.ts'
import { type LifeWorld, lifeWorld } from '../../kit/life.ts'
import { queueMove } from '../../kit/move-world.ts'
import { privateServer } from '../../kit/servers.ts'

let world: LifeWorld
let fleet: Fleet
let a: Client
let b: Client
let tenant: TenantId

beforeAll(async () => {
  world = await lifeWorld()
  fleet = { ...world.fleet, moves: { ...movesOf(world.fleet), stillMs: 1 } }
  ;[a, b] = (await Promise.all(world.test.shards.map(({ superuserUrl }) => connect(superuserUrl)))) as [
    Client,
    Client,
  ]
  tenant = await world.add('acme', 'shared', 6)
}, 120_000)
afterAll(async () => {
  await a?.end()
  await b?.end()
  await world?.drop()
})

interface To {
  readonly shard?: string
  readonly isolation?: Isolation
  readonly by?: Fleet
  readonly of?: TenantId
}

/** What a look says of a move that nobody has begun. */
async function look({
  shard = 'shard-b',
  isolation = 'shared',
  by = fleet,
  of = tenant,
}: To = {}): Promise<Findings> {
  const { directory } = world
  const now = await requireSubject(directory, of)
  const [row] = await directory.query(`select id from directory.shard where key = '${shard}'`)
  const namespace = namespaceOf(isolation, { tenant: of, shardId: row?.id ?? '', shared: 'app' })
  const at = (key: string, home: { isolation: Isolation; namespace: string }) => ({
    tenant: of,
    shard: accessTo(by, key),
    home: { isolation: home.isolation, namespace: home.namespace },
    tenancy: tenancyOf(by),
  })
  return preflightFaults({
    fleet: by,
    directory,
    tenant: of,
    source: at(now.shard, now),
    target: at(shard, { isolation, namespace }),
  })
}

const whereOf = (of: TenantId, key: string) => ({
  tenant: of,
  shard: accessTo(fleet, key),
  home: { isolation: 'shared', namespace: 'app' } as const,
  tenancy: tenancyOf(fleet),
})

const sentences = async (to?: To): Promise<string[]> =>
  (await look(to)).faults.map(({ sentence }) => sentence)

/** Plant a fault, look, and mend it. */
async function withFault<T>(client: Client, plant: string, mend: string, work: () => Promise<T>): Promise<T> {
  await client.query(plant)
  try {
    return await work()
  } finally {
    await client.query(mend)
  }
}

/** A fleet that reaches the shards otherwise. */
const reaching = (change: (shard: Fleet['shards'][number]) => Fleet['shards'][number]): Fleet => ({
  ...fleet,
  shards: fleet.shards.map(change),
})

describe('where nothing is wrong', () => {
  it.each(['shared', 'schema', 'database'] as const)('lets a tenant move to %s', async (isolation) => {
    const found = await look({ isolation })
    expect(found).toMatchObject({ faults: [], path: 'live', rows: 6 * 5 + 1 })
    expect(found.bytes).toBeGreaterThan(1_000)
    expect(found.predictedCopyMs).toBeGreaterThan(0)
  })

  it('lets one move between models within its shard', async () => {
    expect(await sentences({ shard: 'shard-a', isolation: 'schema' })).toEqual([])
    expect(await sentences({ shard: 'shard-a', isolation: 'database' })).toEqual([])
  })

  it('chooses the still path where the copy is predicted to fit', async () => {
    const by = { ...fleet, moves: { ...movesOf(fleet), stillMs: 1_000 } }
    expect((await look({ by })).path).toBe('still')
    const tight = { ...fleet, moves: { ...movesOf(fleet), stillMs: 1_000, pauseMs: 1 } }
    expect((await look({ by: tight })).path).toBe('live')
  })

  it('lets tenants move that are read-only or suspended', async () => {
    const other = await world.add('quiet')
    for (const change of ['read-only', 'suspend'] as const) {
      await changeState(fleet, change, other)
      expect(await sentences({ of: other })).toEqual([])
    }
  })
})

describe('what the directory says', () => {
  it('refuses a target that is the source', async () => {
    expect(await sentences({ shard: 'shard-a' })).toContain(
      'acme is on shard-a (shared) already: there is nothing to move.',
    )
  })

  it('refuses a tenant in quarantine', async () => {
    const gone = await world.add('gone')
    await changeState(fleet, 'offboard', gone)
    expect(await sentences({ of: gone })).toEqual([
      'gone is in quarantine. Restore it first: shardgate tenant restore gone',
    ])
  })

  it('refuses a shard that takes no tenants, and one that the directory does not know', async () => {
    const drained = reaching((shard) => (shard.key === 'shard-b' ? { ...shard, weight: 0 } : shard))
    expect(await sentences({ by: drained })).toEqual([expect.stringMatching(/^shard-b takes no tenants/)])
    const more: Fleet = { ...fleet, shards: [...fleet.shards, { ...fleet.shards[1]!, key: 'shard-z' }] }
    expect((await sentences({ by: more, shard: 'shard-z' }))[0]).toMatch(
      /^The directory does not know shard-z/,
    )
  })

  it('refuses while an operation on the tenant is not finished', async () => {
    const begin = `insert into directory.operation (kind, tenant_id, input, operator) values ('tenant.export', 'acme', '{}', 'ann')`
    const end = `delete from directory.operation where kind = 'tenant.export'`
    const found = await withFault(world.directory, begin, end, () => look())
    expect(found.faults).toEqual([
      { code: 'TENANT_BUSY', sentence: expect.stringMatching(/tenant.export of acme.*operation resume/) },
    ])
  })

  it('fault 37: refuses while migrations run, and they are refused while a move is open', async () => {
    const busy = await connect(world.test.directoryUrl)
    await busy.query('select pg_advisory_lock(5349, 4)')
    expect(await sentences()).toEqual(['Migrations are under way. Wait for them: shardgate migrate status'])
    await busy.end()
  })
})

describe('what the servers say', () => {
  it('refuses a shard that cannot be reached, once and in words', async () => {
    const lost = reaching((shard) =>
      shard.key === 'shard-b'
        ? {
            ...shard,
            url: 'postgres://shardgate_owner@127.0.0.1:1/x',
            moverUrl: 'postgres://shardgate_mover@127.0.0.1:1/x',
          }
        : shard,
    )
    const { faults } = await look({ by: lost })
    expect(faults).toEqual([
      {
        code: 'SHARD_UNAVAILABLE',
        sentence: expect.stringMatching(/^shard-b cannot be reached at shardgate_owner@/),
      },
    ])
  })

  it('refuses a swapped shard', async () => {
    const { url, moverUrl } = fleet.shards[0]!
    const swapped = reaching((shard) =>
      shard.key === 'shard-b' ? { ...shard, url, moverUrl: moverUrl! } : shard,
    )
    expect(await sentences({ by: swapped })).toContainEqual(
      expect.stringMatching(/^The database behind shard-b carries the identity/),
    )
  })

  it('refuses a mover without a log-in', async () => {
    const without = reaching(({ moverUrl: _, ...shard }) => shard)
    expect(await sentences({ by: without })).toEqual([
      expect.stringMatching(/written to shard-a by the role shardgate_mover.*shards.shard-a.moverUrl/),
      expect.stringMatching(/written to shard-b by the role shardgate_mover/),
    ])
  })

  it('refuses a mover that may too little, with what a superuser types', async () => {
    const weak = `test_weak_${process.pid}`
    await b.query(`create role ${weak} login password 'x'`)
    const url = new URL(fleet.shards[1]!.moverUrl!)
    url.username = weak
    url.password = 'x'
    const by = reaching((shard) => (shard.key === 'shard-b' ? { ...shard, moverUrl: url.href } : shard))
    const [database] = await b.query('select current_database() as name')
    await b.query(`grant connect on database ${database?.name} to ${weak}; grant usage on schema shardgate, app to ${weak};
      grant execute on all functions in schema shardgate to ${weak}`)
    const found = await sentences({ by })
    await b.query(`drop owned by ${weak}; drop role ${weak}`)
    expect(found).toEqual([
      `On shard-b the mover is held back by policies. A superuser has to type: alter role ${weak} bypassrls;`,
      expect.stringContaining(`grant set on parameter session_replication_role to ${weak};`),
      'On shard-b the mover may not read and write app.invoices, app.labels, app.projects, app.tasks, shardgate.idempotency. Type: shardgate setup',
      `On shard-b the mover may not follow changes. A superuser has to type: alter role ${weak} replication;`,
    ])
  })

  it('refuses to follow changes on a server that keeps none, or has nothing free for them', async () => {
    const server = await privateServer({
      wal_level: 'replica',
      max_replication_slots: '1',
      max_wal_senders: '1',
    })
    const bare = await connect(server.superuserUrl())
    const at = (key: string, client: Client): End => ({
      name: 'source',
      where: whereOf(tenant, key),
      owner: client,
      mover: client,
    })
    const sight = {
      fleet,
      directory: world.directory,
      tenant,
      source: whereOf(tenant, 'shard-a'),
      target: whereOf(tenant, 'shard-b'),
    }
    const faults = await ensureLogical({ ...sight, from: at('shard-a', bare), to: at('shard-b', bare) })
    await bare.end()
    await server.remove()
    expect(faults.map(({ sentence }) => sentence)).toEqual(
      ['shard-a', 'shard-b'].flatMap((key) => [
        `${key} has wal_level = replica, so changes cannot be followed there. Type: alter system set wal_level = logical; and restart its server.`,
        // Both ends on one server want one for each way.
        expect.stringMatching(
          `The server of ${key} has 1 free of max_replication_slots, and the move wants 2`,
        ),
        expect.stringMatching(`The server of ${key} has 1 free of max_wal_senders, and the move wants 2`),
      ]),
    )
  })

  it('refuses a fence of another life at either end', async () => {
    const lay = `insert into shardgate.tenant_fence (tenant_id, state, epoch) values ('acme', 'frozen', 9)`
    const lift = `delete from shardgate.tenant_fence where tenant_id = 'acme'`
    const found = await withFault(b, lay, lift, () => sentences())
    expect(found).toEqual([
      'shard-b has a fence of acme: frozen, epoch 9. An earlier move has left it. Type: shardgate move doctor --clean',
    ])
    const move = `update shardgate.tenant_fence set epoch = 9 where tenant_id = 'acme'`
    const back = `update shardgate.tenant_fence set epoch = 1 where tenant_id = 'acme'`
    expect(await withFault(a, move, back, () => sentences())).toEqual([
      expect.stringMatching(
        /^The fence of acme on shard-a is not the one of the directory \(active, epoch 1\)/,
      ),
    ])
  })

  it('warns of long transactions, and of slots without a limit', async () => {
    const shard = fleet.shards[0]!
    const long = await connect(shard.url)
    const [me] = await long.query('begin; select pg_backend_pid() as pid')
    const found = await longTransactions(shard, 0)
    await long.end()
    expect(found.filter((text) => text.includes(`process ${me?.pid})`))).toEqual([
      expect.stringMatching(
        /^a transaction of shardgate_owner .* has been open for \d+ s; copying waits for its end/,
      ),
    ])
    const { faults, warnings } = await look()
    expect(faults).toEqual([])
    expect(warnings).toContainEqual(expect.stringMatching(/^shard-b has max_slot_wal_keep_size = -1/))
  })
})

describe('what the tables say', () => {
  it('fault 36: refuses a column, a type, a constraint that differs', async () => {
    for (const [plant, mend, word] of [
      ['add column extra int', 'drop column extra', 'extra'],
      ['alter column cents type numeric', 'alter column cents type bigint', 'numeric'],
      ['add constraint cheap check (cents < 9e18)', 'drop constraint cheap', 'cheap'],
    ] as const) {
      const found = await withFault(
        b,
        `alter table app.invoices ${plant}`,
        `alter table app.invoices ${mend}`,
        () => sentences(),
      )
      expect(found).toEqual([expect.stringMatching(/^The tables of shard-b differ/)])
      expect(found[0]).toContain(word)
    }
  })

  it('refuses another version', async () => {
    const file = `insert into shardgate.migration (version, name, checksum) values ('99999999999999', 'x', 'x')`
    const gone = `delete from shardgate.migration where name = 'x'`
    expect(await withFault(a, file, gone, () => sentences())).toContainEqual(
      expect.stringMatching(/^The rows are of tables at migration 99999999999999, and shard-b is at/),
    )
  })

  it('refuses tables that shared tables cannot hold, empty or not', async () => {
    const own = await world.add('owner', 'schema')
    const make = `set role shardgate_owner; create table tenant_owner.plans (id int primary key); reset role`
    const found = await withFault(a, make, 'drop table tenant_owner.plans', () => sentences({ of: own }))
    expect(found).toContainEqual(
      'app.plans of owner has no column tenant_id, so shared tables cannot hold it. Choose another isolation, or migrate the table.',
    )
  })

  it('refuses to follow tables that could not be changed any more while they are published', async () => {
    for (const [plant, mend, word] of [
      ['replica identity nothing', 'replica identity default', 'has no replica identity'],
      ['set unlogged', 'set logged', 'is unlogged'],
    ] as const) {
      for (const client of [a, b]) {
        const found = await withFault(
          client,
          `alter table app.labels ${plant}`,
          `alter table app.labels ${mend}`,
          () => sentences(),
        )
        expect(found.filter((text) => text.includes(word))).toHaveLength(1)
        expect(found.join()).toContain('alter table app.labels')
      }
    }
    const aside = `create unique index aside on app.projects (id); alter table app.projects replica identity using index aside`
    const back = `alter table app.projects replica identity default; drop index app.aside`
    const found = await withFault(a, aside, back, () => sentences())
    expect(found).toContainEqual(
      expect.stringMatching(/^The replica identity of app.projects does not hold the tenant column/),
    )
  })

  it('refuses to follow tables with a generated column in their replica identity', async () => {
    const computed = 'add column twice int generated always as (task_id * 2) stored not null'
    const key = 'drop constraint labels_pkey, add primary key (tenant_id, task_id, word'
    for (const [plant, mend] of [
      [`${computed}, ${key}, twice)`, `${key}), drop column twice`],
      [`${computed}, replica identity full`, 'drop column twice, replica identity default'],
    ]) {
      const on = (change: string | undefined): string =>
        (change ?? '')
          .split(/, (?=replica)/)
          .map((one) => `alter table app.labels ${one}`)
          .join(';')
      const both = () => withFault(b, on(plant), on(mend), () => sentences())
      expect(await withFault(a, on(plant), on(mend), both)).toEqual([
        expect.stringMatching(/^The replica identity of app.labels has a generated column/),
        expect.stringMatching(
          /^On shard-b, for the way back: The replica identity of app.labels has a generated/,
        ),
      ])
    }
    // What a key only includes is no part of it.
    const aside = (change: string): string => `alter table app.labels ${change}`
    const included = aside(`${computed}, ${key}) include (twice)`)
    const both = () => withFault(b, included, aside(`${key}), drop column twice`), () => sentences())
    expect(await withFault(a, included, aside(`${key}), drop column twice`), both)).toEqual([])
  })

  it('lets a small tenant move whose tables cannot be followed', async () => {
    const by = { ...fleet, moves: { ...movesOf(fleet), stillMs: 1_000 } }
    const plant = 'alter table app.labels replica identity nothing'
    const mend = 'alter table app.labels replica identity default'
    const both = () => withFault(b, plant, mend, () => sentences({ by }))
    expect(await withFault(a, plant, mend, both)).toEqual([])
  })

  it('fault 38: refuses rows, a schema and a database that are there already', async () => {
    const row = `insert into app.projects (tenant_id, id, name) values ('acme', 1, 'left')`
    const gone = `delete from app.projects where tenant_id = 'acme'`
    expect(await withFault(b, row, gone, () => sentences())).toEqual([
      'shard-b has rows of acme in app.projects already. An earlier move has left them, or a hand. See and remove them: shardgate move doctor --clean',
    ])
    // Twins whose ids begin alike are nobody's concern.
    const twin = row.replace("'acme'", "'acme-2'")
    const away = gone.replace("'acme'", "'acme-2'")
    expect(await withFault(b, twin, away, () => sentences())).toEqual([])
    expect(
      await withFault(b, 'create schema tenant_acme', 'drop schema tenant_acme', () =>
        sentences({ isolation: 'schema' }),
      ),
    ).toEqual([expect.stringMatching(/^shard-b has the schema tenant_acme already/)])
    const key = `insert into shardgate.idempotency (tenant_id, key, request_hash) values ('acme', 'k', 'h')`
    const unkey = `delete from shardgate.idempotency where tenant_id = 'acme'`
    expect(await withFault(b, key, unkey, () => sentences({ isolation: 'schema' }))).toEqual([
      expect.stringMatching(/^shard-b has rows of acme in shardgate.idempotency/),
    ])
  })
})

describe('all together', () => {
  let id = ''
  beforeAll(async () => {
    const queued = await queueMove(fleet, tenant, { shard: 'shard-b', isolation: 'shared' })
    id = queued.id
  })
  const inState = (state: string): Promise<unknown> =>
    world.directory.query(`update directory.move set state = '${state}' where id = ${id}`)

  it('tells everything that is wrong in one error, and begins once it is mended', async () => {
    const plant = `insert into app.projects (tenant_id, id, name) values ('acme', 1, 'left');
      alter table app.invoices add column extra int; alter table app.labels replica identity nothing`
    const mend = `delete from app.projects where tenant_id = 'acme';
      alter table app.invoices drop column extra; alter table app.labels replica identity default`
    await onClaimed(fleet, id, 'live', async (moving) => {
      const refused = withFault(b, plant, mend, () => preflight(moving))
      await expect(refused).rejects.toMatchObject({
        code: 'REFUSED',
        message: expect.stringMatching(
          /^Move \d+ of acme cannot begin:\n {2}The tables of shard-b differ[\s\S]*rows of acme in app.projects[\s\S]*app.labels has no replica identity/,
        ),
      })
      await expect(preflight(moving)).resolves.toEqual({
        path: 'live',
        rows: 31,
        bytes: expect.any(Number),
        predictedCopyMs: expect.any(Number),
        predictedPauseMs: expect.any(Number),
      })
    })
  })

  it('fault 37: no migration begins while a move is open, in its window too', async () => {
    for (const [state, way] of [
      ['claimed', /move watch/],
      ['settled', /move complete \d+/],
    ] as const) {
      await inState(state)
      await expect(migrateFleet(fleet)).rejects.toMatchObject({
        code: 'TENANT_BUSY',
        message: expect.stringMatching(way),
      })
    }
  })

  it('names another move of the tenant, and what ends it', async () => {
    await inState('settled')
    const now = await requireSubject(world.directory, tenant)
    await expect(
      insertMove(world.directory, {
        tenant,
        source: now,
        target: { ...now, shard: 'shard-b' },
        operator: 'ann',
      }),
    ).rejects.toMatchObject({ code: 'TENANT_BUSY' })
    expect(await sentences()).toContainEqual(
      expect.stringMatching(/^Move \d+ of acme is settled. Type "shardgate move complete/),
    )
  })

  it('writes to no server', async () => {
    const look = (): Promise<string> =>
      withClient(world.test.shards[1]!.superuserUrl, async (client) => {
        const [row] = await client.query(`
          select (select json_agg(f order by tenant_id) from shardgate.tenant_fence f)::text || (select count(*) from pg_class)
            || (select count(*) from pg_publication) || (select count(*) from app.projects) as all`)
        return row?.all ?? ''
      })
    const before = await look()
    await sentences({ isolation: 'database' })
    expect(await look()).toBe(before)
  })
})
