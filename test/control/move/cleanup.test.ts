/** What a move makes on servers and what removes it: whole, in part, twice, at nothing, and never where the tenant lives. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TenantId, tenantId } from '../../../src/base/ids.ts'
import { removeSource, removeTarget, removeWay } from '../../../src/control/move/cleanup.ts'
import { closeFence, layFence, openFence } from '../../../src/control/move/fences.ts'
import { listLeftovers } from '../../../src/control/move/leftovers.ts'
import { movedTablesOf } from '../../../src/control/move/moved-tables.ts'
import { slotName } from '../../../src/control/move/names.ts'
import { preparePublication, prepareTarget } from '../../../src/control/move/prepare.ts'
import { removeRows } from '../../../src/control/move/remove-rows.ts'
import type { Moving } from '../../../src/control/move/types.ts'
import type { Fleet } from '../../../src/control/reach.ts'
import { type Client, connect } from '../../../src/db/client.ts'
import { createSlot } from '../../../src/db/replication.ts'
import { sql } from '../../../src/db/sql.ts'
import { ISOLATIONS, type Isolation } from '../../../src/directory/types.ts'
import { onClaimed, relocated, type TwoShards, twoShards } from '../../kit/claimed-moves.ts'
import { queueMove } from '../../kit/move-world.ts'
import { some } from '../../kit/some.ts'

let two: TwoShards
let fleet: Fleet
let a: Client
let b: Client

beforeAll(async () => {
  two = await twoShards()
  ;({ fleet, a, b } = two)
}, 120_000)
afterAll(() => two?.drop())

let made = 0
/** A tenant with rows on shard-a, and its twin whose id begins alike. */
async function tenants(isolation: Isolation = 'shared'): Promise<[TenantId, TenantId]> {
  made += 1
  return [await two.world.add(`one-${made}`, isolation), await two.world.add(`one-${made}-b`)]
}

async function moving<T>(
  tenant: TenantId,
  to: { shard?: string; isolation?: Isolation },
  work: (moving: Moving) => Promise<T>,
): Promise<T> {
  const { id } = await queueMove(fleet, tenant, { shard: 'shard-b', isolation: 'shared', ...to })
  return onClaimed(fleet, id, 'live', work)
}

const ended = ({ directory, record }: Moving, state = 'aborted'): Promise<unknown> =>
  directory.query(`update directory.move set state = '${state}' where id = ${record.id};
    update directory.operation set state = 'aborted' where id = ${record.operation}`)

/** What is on a shard of tenants and of moves, but for their rows. */
async function traces(client: Client): Promise<string[]> {
  const rows = await client.query(`
    select 'fence ' || tenant_id || ' ' || state || ' ' || epoch as line from shardgate.tenant_fence
    union all select 'schema ' || nspname from pg_namespace where nspname like 'tenant\\_%'
    union all select 'database ' || datname from pg_database
      where datname like 'shardgate\\_' || (select left(replace(id::text, '-', ''), 8) from shardgate.identity) || '\\_%'
        and datname not like '%\\_template\\_%'
    union all select 'role ' || rolname from pg_roles
      where rolname like 'shardgate\\_' || (select left(replace(id::text, '-', ''), 8) from shardgate.identity) || '\\_%'
    union all select 'publication ' || pubname from pg_publication
    union all select 'slot ' || slot_name from pg_replication_slots where database = current_database()
    union all select 'progress ' || move from shardgate.move_progress
    union all select 'book ' || namespace from shardgate.migration where namespace <> ''
    order by 1`)
  return rows.map(({ line }) => line ?? '')
}

const rowsOf = async (client: Client, tenant: TenantId): Promise<number> => {
  const [row] = await client.query(`
    select (select count(*) from app.projects where tenant_id = '${tenant}')
      + (select count(*) from app.tasks where tenant_id = '${tenant}')
      + (select count(*) from app.labels where tenant_id = '${tenant}')
      + (select count(*) from shardgate.idempotency where tenant_id = '${tenant}') as n`)
  return Number(row?.n)
}
const WHOLE = 4 + 4 + 8 + 1

const leftovers = ({ directory, record }: Moving) => listLeftovers(directory, record.id)
const row = (tenant: string): string =>
  `insert into app.projects (tenant_id, id, name) values ('${tenant}', 7, 'x')`

describe('preparing a target and giving it up', () => {
  const places = [
    ...ISOLATIONS.map((to) => ['shared', 'shard-b', to] as const),
    ['shared', 'shard-a', 'schema'] as const,
    ['schema', 'shard-a', 'shared'] as const,
    ['schema', 'shard-a', 'database'] as const,
  ]
  it.each(some(3, places))(
    'from %s to %s (%s): makes it frozen, twice the same, and leaves nothing',
    async (from, shard, isolation) => {
      const [tenant] = await tenants(from)
      const before = [await traces(a), await traces(b)]
      await moving(tenant, { shard, isolation }, async (at) => {
        await prepareTarget(at)
        const there = [await traces(a), await traces(b)]
        const target = shard === 'shard-a' ? there[0] : there[1]
        const shares = shard === 'shard-a' && isolation !== 'database'
        if (isolation !== 'database') expect(target?.includes(`fence ${tenant} frozen 2`)).toBe(!shares)
        await prepareTarget(at)
        expect([await traces(a), await traces(b)]).toEqual(there)
        await removeTarget(at)
        expect([await traces(a), await traces(b)]).toEqual(before)
        await removeTarget(at)
        expect(await leftovers(at)).toEqual([])
        const targets = await two.world.directory.query(
          `select isolation from directory.target where tenant_id = '${tenant}'`,
        )
        expect(targets.map((found) => found.isolation)).toEqual(from === 'shared' ? [] : [from])
        await ended(at)
      })
      expect(await rowsOf(a, tenant)).toBe(from === 'shared' ? WHOLE : 1)
    },
  )

  it('removes nothing where nothing was made, not even rows that were there', async () => {
    const [tenant] = await tenants()
    await b.query(row(tenant))
    await moving(tenant, {}, async (at) => {
      await removeTarget(at)
      await removeWay(at, 'forward')
      await removeWay(at, 'back')
      await ended(at)
    })
    expect(await rowsOf(b, tenant)).toBe(1)
  })

  it('gives a move up whose target cannot be reached, when nothing was made there', async () => {
    const [tenant] = await tenants()
    await moving(tenant, { isolation: 'schema' }, async (at) => {
      const url = 'postgres://shardgate_owner@127.0.0.1:1/x'
      const shards = at.fleet.shards.map((shard) => (shard.key === 'shard-b' ? { ...shard, url } : shard))
      await removeTarget({ ...at, fleet: { ...at.fleet, shards } })
      await ended(at)
    })
  })

  it('brings back the fence that was there before', async () => {
    const [tenant] = await tenants()
    await b.query(
      `insert into shardgate.tenant_fence (tenant_id, state, epoch) values ('${tenant}', 'moved', 1)`,
    )
    await two.world.directory.query(`update directory.tenant set epoch = 3 where id = '${tenant}'`)
    await a.query(`update shardgate.tenant_fence set epoch = 3 where tenant_id = '${tenant}'`)
    await moving(tenant, {}, async (at) => {
      await prepareTarget(at)
      await prepareTarget(at)
      expect(await traces(b)).toContain(`fence ${tenant} frozen 4`)
      await removeTarget(at)
      expect(await traces(b)).toContain(`fence ${tenant} moved 1`)
      await ended(at)
    })
  })

  it('leaves a fence of another life alone', async () => {
    const [tenant] = await tenants()
    await b.query(
      `insert into shardgate.tenant_fence (tenant_id, state, epoch) values ('${tenant}', 'active', 1)`,
    )
    await moving(tenant, {}, async (at) => {
      await expect(prepareTarget(at)).rejects.toMatchObject({ code: 'SHARD_UNSAFE' })
      await removeTarget(at)
      expect(await traces(b)).toContain(`fence ${tenant} active 1`)
      await ended(at)
    })
  })

  it('removes rows that were copied, and those of nobody else', async () => {
    const [tenant, twin] = await tenants()
    await moving(tenant, {}, async (at) => {
      await prepareTarget(at)
      await b.query(`${row(tenant)}; ${row(twin)}`)
      await removeTarget(at)
      expect([await rowsOf(b, tenant), await rowsOf(b, twin)]).toEqual([0, 1])
      await ended(at)
    })
  })

  it('removes nothing from where the tenant lives by now', async () => {
    const [tenant] = await tenants()
    await moving(tenant, {}, async (at) => {
      await prepareTarget(at)
      await b.query(row(tenant))
      await relocated(at)
      await expect(removeTarget(at)).rejects.toMatchObject({ code: 'REFUSED' })
      // What the directory says may be late; the fence in the statement is not.
      await two.world.directory.query(
        `update directory.placement set shard = 'shard-a' where tenant_id = '${tenant}'`,
      )
      await openFence(b, tenant, 2, 'active')
      await expect(removeTarget(at)).rejects.toMatchObject({
        code: 'REFUSED',
        message: expect.stringContaining('fence'),
      })
      expect(await rowsOf(b, tenant)).toBe(1)
      await ended(at)
    })
  })
})

describe('ways', () => {
  it('publishes the tenant alone, and stops nobody', async () => {
    const [tenant, twin] = await tenants()
    await moving(tenant, {}, async (at) => {
      await prepareTarget(at)
      await preparePublication(at, 'forward')
      await preparePublication(at, 'forward')
      const [found] = await a.query(`
        select puballtables, pubinsert and pubupdate and pubdelete as rows, pubtruncate,
          (select string_agg(distinct rowfilter, '; ') from pg_publication_tables where pubname = p.pubname) as filter,
          (select count(*) from pg_publication_tables where pubname = p.pubname) as tables
        from pg_publication p where pubname = 'shardgate_move_${at.record.id}'`)
      expect(found).toEqual({
        puballtables: 'f',
        rows: 't',
        pubtruncate: 'f',
        filter: `(tenant_id = '${tenant}'::text)`,
        tables: '5',
      })
      for (const id of [tenant, twin]) {
        const [{ n } = {}] = await a.query(
          `with up as (update app.labels set word = word || '!' where tenant_id = '${id}' returning 1) select count(*) as n from up`,
        )
        expect(n).toBe('8')
      }
      await removeWay(at, 'forward')
      expect((await traces(a)).filter((line) => line.startsWith('publication'))).toEqual([])
      await removeTarget(at)
      await ended(at)
    })
  })

  it.each([
    ['replica identity nothing', 'replica identity default'],
    ['drop constraint labels_pkey', 'add primary key (tenant_id, task_id, word)'],
  ])('publishes nothing where "%s" would stop the updates of others', async (plant, mend) => {
    const [tenant, twin] = await tenants()
    await moving(tenant, {}, async (at) => {
      await a.query(`alter table app.labels ${plant}`)
      await expect(preparePublication(at, 'forward')).rejects.toMatchObject({
        code: 'REFUSED',
        message: expect.stringMatching(/app.labels has no replica identity/),
      })
      // With a publication that holds it, this would be an error for everybody.
      await a.query(`update app.labels set word = word || '?' where tenant_id = '${twin}'`)
      await a.query(`alter table app.labels ${mend}`)
      expect((await traces(a)).filter((line) => line.startsWith('publication'))).toEqual([])
      await removeWay(at, 'forward')
      await ended(at)
    })
  })

  it('looks at a table that changes while it is published', async () => {
    const [tenant] = await tenants()
    await moving(tenant, {}, async (at) => {
      const other = await connect(two.world.test.shards[0]!.superuserUrl)
      await other.query('begin; alter table app.labels replica identity nothing')
      const preparing = preparePublication(at, 'forward').catch((error: unknown) => error)
      await waitsForLock(a)
      await other.query('commit')
      expect(await preparing).toMatchObject({ code: 'REFUSED' })
      await other.query('alter table app.labels replica identity default')
      await other.end()
      await removeWay(at, 'forward')
      await ended(at)
    })
  })

  it('publishes tables of a home of its own whole, and no table of others', async () => {
    const [tenant] = await tenants('schema')
    await moving(tenant, { isolation: 'database' }, async (at) => {
      await preparePublication(at, 'forward')
      const rows = await a.query(`
        select schemaname || coalesce(' ' || rowfilter, '') as line from pg_publication_tables
        where pubname = 'shardgate_move_${at.record.id}' group by 1 order by 1`)
      expect(rows.map(({ line }) => line)).toEqual([
        `shardgate (tenant_id = '${tenant}'::text)`,
        `tenant_${tenant}`,
      ])
      await removeWay(at, 'forward')
      await ended(at)
    })
  })

  it('does not publish what both ends have together', async () => {
    const [tenant] = await tenants('schema')
    await moving(tenant, { shard: 'shard-a' }, async (at) => {
      await preparePublication(at, 'forward')
      const rows = await a.query(`select distinct schemaname as s from pg_publication_tables
        where pubname = 'shardgate_move_${at.record.id}'`)
      expect(rows).toEqual([{ s: `tenant_${tenant}` }])
      await removeWay(at, 'forward')
      await ended(at)
    })
  })

  it('removes a way that somebody follows, one that was killed half way, and one twice', async () => {
    const [tenant] = await tenants()
    await moving(tenant, {}, async (at) => {
      await prepareTarget(at)
      const mover = at.source.shard.moverUrl!
      const name = `shardgate_move_${at.record.id}`
      const slotted = slotName(at.record.id, 'forward', at.source)
      for (const kill of ['nothing', 'the slot', 'the publication'] as const) {
        await preparePublication(at, 'forward')
        const slot = kill === 'the slot' ? undefined : await createSlot(mover, slotted)
        await slot?.end()
        const follower = slot && (await connect(mover, { applicationName: 'a follower' }))
        const following = follower
          ?.query(`select count(*) from pg_logical_slot_get_binary_changes('${slotted}', null, null,
            'proto_version', '1', 'publication_names', '${name}') where pg_sleep(600) is null`)
          .catch(() => {})
        if (kill === 'the publication') await a.query(`drop publication ${name}`)
        await b.query(`insert into shardgate.move_progress values (${at.record.id}, 'forward', '0/1')`)
        await removeWay(at, 'forward')
        await following
        await follower?.end()
        for (const client of [a, b]) {
          const left = await traces(client)
          expect(left.filter((line) => /^(slot|publication|progress)/.test(line))).toEqual([])
        }
        await removeWay(at, 'forward')
      }
      await removeTarget(at)
      await ended(at)
    })
  })
})

describe('cleaning the source', () => {
  async function settled(at: Moving): Promise<void> {
    await prepareTarget(at)
    await relocated(at)
    const { tenant, record } = at
    if (record.source.isolation !== 'database') await closeFence(a, tenant, 1, record.target.epoch)
    else {
      const own = await ownDatabase(record.source.namespace)
      await closeFence(own, tenant, 1, record.target.epoch)
      await own.end()
    }
  }
  const ownDatabase = (name: string): Promise<Client> => {
    const url = new URL(two.world.test.shards[0]!.superuserUrl)
    url.pathname = `/${name}`
    return connect(url.href)
  }

  it.each(ISOLATIONS)(
    'removes what is left of a tenant in %s, and nothing of its twin',
    async (isolation) => {
      const [tenant, twin] = await tenants(isolation)
      await moving(tenant, {}, async (at) => {
        await settled(at)
        await removeSource(at)
        await removeSource(at)
        expect(await rowsOf(a, tenant)).toBe(0)
        const left = (await traces(a)).filter((line) => line.includes(`${tenant} `) || line.endsWith(tenant))
        expect(left).toEqual(isolation === 'database' ? [] : [`fence ${tenant} moved 2`])
        expect(await leftovers(at)).toEqual([])
        await ended(at, 'done')
      })
      expect(await rowsOf(a, twin)).toBe(WHOLE)
      const targets = await two.world.directory.query(
        `select from directory.target where tenant_id = '${tenant}'`,
      )
      expect(targets).toEqual([])
    },
  )

  it.each(['shared', 'schema'] as const)(
    'keeps the keys and the fence where %s went to the other home of its shard',
    async (isolation) => {
      const [tenant] = await tenants(isolation)
      const to = isolation === 'shared' ? 'schema' : 'shared'
      await moving(tenant, { shard: 'shard-a', isolation: to }, async (at) => {
        await prepareTarget(at)
        await relocated(at)
        const role = to === 'schema' ? `'x'` : 'null'
        await a.query(
          `update shardgate.tenant_fence set epoch = 2, role = ${role} where tenant_id = '${tenant}'`,
        )
        await removeSource(at)
        expect(await rowsOf(a, tenant)).toBe(1)
        expect(await traces(a)).toContain(`fence ${tenant} active 2`)
        expect((await traces(a)).includes(`schema tenant_${tenant}`)).toBe(to === 'schema')
        await ended(at, 'done')
      })
    },
  )

  it('fault 39: a late cleaning after a move there and back deletes nothing', async () => {
    for (const isolation of ISOLATIONS) {
      const [tenant] = await tenants(isolation)
      await moving(tenant, {}, async (at) => {
        await settled(at)
        await ended(at, 'done')
        const own = isolation === 'database' ? await ownDatabase(at.record.source.namespace) : a
        // It is coming back, and there by now; the directory that the late one asks still says otherwise.
        const role = isolation === 'schema' ? 'x' : null
        await layFence(own, { tenant, epoch: 3, role })
        await expect(removeSource(at)).rejects.toMatchObject({ code: 'REFUSED' })
        await openFence(own, tenant, 3, 'active')
        await expect(removeSource(at)).rejects.toMatchObject({ code: 'REFUSED' })
        const place = at.record.source
        await two.world.directory.query(`
          update directory.placement set shard = '${place.shard}', isolation = '${place.isolation}',
            namespace = '${place.namespace}' where tenant_id = '${tenant}'`)
        await expect(removeSource(at)).rejects.toMatchObject({
          code: 'REFUSED',
          message: expect.stringContaining('lives on shard-a'),
        })
        const [count] = await own.query(
          `select count(*) as n from ${isolation === 'schema' ? `"tenant_${tenant}"` : 'app'}.projects where tenant_id = '${tenant}'`,
        )
        expect(count?.n).toBe('4')
        if (own !== a) await own.end()
      })
    }
  })

  it('removes rows while others read, in batches, and stops when it is told to', async () => {
    const [tenant, twin] = await tenants()
    await a.query(`insert into app.labels select '${tenant}', 1, 'w' || i from generate_series(1, 50) i`)
    await moving(tenant, {}, async (at) => {
      await settled(at)
      const stop = new AbortController()
      const told: number[] = []
      const removing = {
        where: at.source,
        tables: (await movedTablesOf(a, at.source)).filter(({ name }) => name === 'labels'),
        gone: sql`f.state = 'moved'`,
        keys: sql`f.state = 'moved'`,
        batch: 20,
        signal: stop.signal,
        report: (gone: number) => {
          told.push(gone)
          if (gone === 40) stop.abort()
        },
      }
      await expect(removeRows(removing)).rejects.toMatchObject({ code: 'TENANT_BUSY' })
      expect(told).toEqual([20, 40])
      await removeSource(at)
      expect([await rowsOf(a, tenant), await rowsOf(a, twin)]).toEqual([0, WHOLE])
      await ended(at, 'done')
    })
  })

  it('runs no trigger and takes no row of others along', async () => {
    const [tenant, twin] = await tenants()
    await a.query(`
      create table app.trail (tenant_id text not null, id serial, what text, primary key (tenant_id, id));
      alter table app.trail owner to shardgate_owner;
      grant select, insert, update, delete on app.trail to shardgate_mover;
      create function app.trace() returns trigger language plpgsql as $$
        begin insert into app.trail (tenant_id, what) values (old.tenant_id, 'gone'); return old; end $$;
      create trigger trace after delete on app.labels for each row execute function app.trace()`)
    await moving(tenant, {}, async (at) => {
      await settled(at)
      await removeSource(at)
      const [row] = await a.query('select count(*) as n from app.trail')
      expect(row?.n).toBe('0')
      await ended(at, 'done')
    })
    expect(await rowsOf(a, twin)).toBe(WHOLE)
    await a.query('drop table app.trail cascade; drop function app.trace() cascade')
  })

  it('drops a schema that is being read as soon as the reader has gone', async () => {
    const [tenant] = await tenants('schema')
    await moving(tenant, {}, async (at) => {
      await settled(at)
      const reader = await connect(two.world.test.shards[0]!.superuserUrl)
      await reader.query(`begin; select from "tenant_${tenant}".projects`)
      const removing = removeSource(at)
      await waitsForLock(a)
      await reader.query('commit')
      await reader.end()
      await removing
      expect(await traces(a)).not.toContain(`schema tenant_${tenant}`)
      await ended(at, 'done')
    })
  })
})

describe('fences', () => {
  it('are changed for the very epoch alone', async () => {
    const tenant = tenantId('fenced')
    await layFence(a, { tenant, epoch: 5, role: null })
    await expect(openFence(a, tenant, 4, 'active')).rejects.toMatchObject({ code: 'SHARD_UNSAFE' })
    await openFence(a, tenant, 5, 'read-only')
    await expect(layFence(a, { tenant, epoch: 6, role: null })).rejects.toMatchObject({
      code: 'SHARD_UNSAFE',
    })
    await expect(closeFence(a, tenant, 4, 6)).rejects.toMatchObject({ code: 'SHARD_UNSAFE' })
    await closeFence(a, tenant, 5, 6)
    await closeFence(a, tenant, 5, 6)
    await expect(openFence(a, tenant, 6, 'active')).rejects.toMatchObject({ code: 'SHARD_UNSAFE' })
    await expect(layFence(a, { tenant, epoch: 6, role: null })).rejects.toMatchObject({
      code: 'SHARD_UNSAFE',
    })
    await layFence(a, { tenant, epoch: 7, role: 'somebody' })
    expect(await traces(a)).toContain('fence fenced frozen 7')
  })
})

/** Until some session of the database waits for a lock. */
async function waitsForLock(client: Client): Promise<void> {
  for (;;) {
    const waiting = await client.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    )
    if (waiting.length > 0) return
    await client.query('select pg_sleep(0.01)')
  }
}
