/** `move doctor`: finds all that moves can leave, removes it, and touches nothing that lives or goes on. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TenantId } from '../../../src/base/ids.ts'
import { cleanLeftovers, findLeftovers } from '../../../src/control/move/move-doctor.ts'
import { slotName } from '../../../src/control/move/names.ts'
import { preparePublication, prepareTarget } from '../../../src/control/move/prepare.ts'
import type { Moving } from '../../../src/control/move/types.ts'
import type { Fleet } from '../../../src/control/reach.ts'
import { type Client, connect } from '../../../src/db/client.ts'
import { createSlot } from '../../../src/db/replication.ts'
import type { Isolation } from '../../../src/directory/types.ts'
import { onClaimed, type TwoShards, twoShards } from '../../kit/claimed-moves.ts'
import { queueMove } from '../../kit/move-world.ts'

let two: TwoShards
let fleet: Fleet
let a: Client
let b: Client

beforeAll(async () => {
  two = await twoShards()
  ;({ fleet, a, b } = two)
}, 120_000)
afterAll(() => two?.drop())

/** A move of a tenant that was stopped somewhere, and then is said to have ended. */
async function stopped(
  tenant: TenantId,
  isolation: Isolation,
  work: (moving: Moving) => Promise<unknown>,
  state = 'aborted',
): Promise<string> {
  const { id } = await queueMove(fleet, tenant, { shard: 'shard-b', isolation })
  await onClaimed(fleet, id, 'live', work)
  await enter(id, state)
  return id
}

const enter = (id: string, state: string): Promise<unknown> =>
  two.world.directory.query(`update directory.move set state = '${state}', lease_until = null where id = ${id};
    update directory.operation set state = 'aborted'
    where state = 'running' and id = (select operation from directory.move where id = ${id})`)

const found = async (): Promise<string[]> => {
  const { findings, unreached } = await findLeftovers(fleet)
  expect(unreached).toEqual([])
  return findings.map(({ kind, place, name, tenant }) => `${kind} ${place.shard} ${name} ${tenant}`).sort()
}

/** Everything on both shards that doctor may touch. */
async function state(): Promise<string[]> {
  const all = []
  for (const client of [a, b]) {
    const rows = await client.query(`
      select 'fence ' || f::text as line from shardgate.tenant_fence f
      union all select 'row ' || p::text from app.projects p union all select 'key ' || i::text from shardgate.idempotency i
      union all select 'schema ' || nspname from pg_namespace
      union all select 'database ' || datname from pg_database where datname like '%' || (select left(id::text, 8) from shardgate.identity) || '%'
        and datname not like '%template%'
      union all select 'publication ' || pubname from pg_publication
      union all select 'slot ' || slot_name from pg_replication_slots where database = current_database()
      union all select 'progress ' || move from shardgate.move_progress order by 1`)
    all.push(...rows.map(({ line }) => line ?? ''))
  }
  return all
}

describe('what moves have left', () => {
  it('is nothing in a fleet at rest, with moves that go on', async () => {
    const tenant = await two.world.add('moving')
    const { id } = await queueMove(fleet, tenant, { shard: 'shard-b', isolation: 'schema' })
    await onClaimed(fleet, id, 'live', async (at) => {
      await prepareTarget(at)
      await preparePublication(at, 'forward')
      const slot = await createSlot(at.source.shard.moverUrl!, slotName(id, 'forward', at.source))
      await slot.end()
      await b.query(`insert into shardgate.move_progress values (${id}, 'forward', '0/1')`)
    })
    // Nobody runs it now, and it can be resumed all the same; in its window it can be rolled back.
    for (const now of ['prepared', 'settled']) {
      await two.world.directory.query(
        `update directory.move set state = '${now}', lease_until = null where id = ${id}`,
      )
      const before = await state()
      expect(await found()).toEqual([])
      expect(await cleanLeftovers(fleet)).toEqual({ removed: [], left: [], unreached: [] })
      expect(await state()).toEqual(before)
    }
    await enter(id, 'aborted')
    expect((await found()).filter((line) => line.startsWith('record'))).not.toEqual([])
    expect((await cleanLeftovers(fleet)).left).toEqual([])
    expect(await found()).toEqual([])
  })

  it.each(['shared', 'schema', 'database'] as const)(
    'is found and removed of a move to %s that was forgotten',
    async (isolation) => {
      const tenant = await two.world.add(`lost-${isolation}`)
      const twin = await two.world.add(`lost-${isolation}-2`)
      const before = await state()
      const id = await stopped(tenant, isolation, async (at) => {
        await prepareTarget(at)
        await preparePublication(at, 'forward')
        const slot = await createSlot(at.source.shard.moverUrl!, slotName(at.record.id, 'forward', at.source))
        await slot.end()
        if (isolation === 'shared')
          await b.query(
            `insert into app.projects (tenant_id, id, name) values ('${tenant}', 1, 'x'), ('${twin}', 1, 'x')`,
          )
        // As a directory that was restored from before the move began.
        await at.directory.query(`delete from directory.leftover where move = ${at.record.id}`)
      })
      const lines = await found()
      expect(lines).toContainEqual(expect.stringContaining(`slot shard-a shardgate_move_${id}`))
      expect(lines).toContain(`publication shard-a shardgate_move_${id} ${tenant}`)
      if (isolation === 'shared') expect(lines).toContain(`rows shard-b app.projects ${tenant}`)
      if (isolation !== 'shared') expect(lines).toContainEqual(expect.stringMatching(/^home shard-b/))
      if (isolation !== 'database') expect(lines).toContainEqual(`fence shard-b frozen, epoch 2 ${tenant}`)
      const { left, removed } = await cleanLeftovers(fleet)
      expect(left).toEqual([])
      expect(removed).toHaveLength(lines.length)
      const ours = (all: string[]): string[] =>
        all.filter((line) => !line.includes(`(${tenant},moved`) && !line.includes(`(${twin},1,`))
      expect(ours(await state())).toEqual(ours(before))
      expect((await b.query(`select from app.projects where tenant_id = '${twin}'`)).length).toBe(
        isolation === 'shared' ? 1 : 0,
      )
      expect(await cleanLeftovers(fleet)).toEqual({ removed: [], left: [], unreached: [] })
    },
  )

  it('fault 38: is rows that a refused move has met', async () => {
    const tenant = await two.world.add('met')
    await b.query(`insert into app.projects (tenant_id, id, name) values ('met', 1, 'x')`)
    await stopped(tenant, 'shared', async () => {})
    expect(await found()).toEqual(['rows shard-b app.projects met'])
    expect((await cleanLeftovers(fleet)).left).toEqual([])
    expect(await found()).toEqual([])
    const [row] = await a.query(`select count(*) as n from app.projects where tenant_id = 'met'`)
    expect(row?.n).toBe('4')
  })

  it('is not what a runner holds still, nor the home that a tenant came back to', async () => {
    const tenant = await two.world.add('back')
    const id = await stopped(tenant, 'shared', prepareTarget)
    await two.world.directory.query(
      `update directory.move set lease_until = clock_timestamp() + interval '1 hour' where id = ${id}`,
    )
    expect(await found()).toEqual([])
    await two.world.directory.query(`update directory.move set lease_until = null where id = ${id};
      update directory.placement set shard = 'shard-b' where tenant_id = 'back';
      update directory.tenant set epoch = 2 where id = 'back'`)
    await b.query(`update shardgate.tenant_fence set state = 'active' where tenant_id = 'back';
      insert into app.projects (tenant_id, id, name) values ('back', 1, 'alive')`)
    await a.query(`update shardgate.tenant_fence set state = 'moved', epoch = 2 where tenant_id = 'back'`)
    // Its rows on shard-a are left over now; its records say that shard-b has to be emptied, and must not be believed.
    await cleanLeftovers(fleet)
    expect(await found()).toEqual([])
    expect((await b.query(`select from app.projects where tenant_id = 'back'`)).length).toBe(1)
    expect((await a.query(`select from app.projects where tenant_id = 'back'`)).length).toBe(0)
    expect(await b.query(`select state from shardgate.tenant_fence where tenant_id = 'back'`)).toEqual([
      { state: 'active' },
    ])
  })

  it('is a slot that no directory knows, once nobody follows it', async () => {
    const mover = fleet.shards[0]!.moverUrl!
    const follower = await connect(mover)
    await follower.query(
      `select pg_create_logical_replication_slot('shardgate_back_99999', 'pgoutput', true)`,
    )
    const { findings } = await findLeftovers(fleet)
    expect(findings).toMatchObject([
      { kind: 'slot', tenant: null, held: expect.stringMatching(/^process \d+ follows it/) },
    ])
    expect((await cleanLeftovers(fleet)).left).toMatchObject([{ why: expect.stringContaining('follows it') }])
    await follower.end()
    const slot = await createSlot(mover, 'shardgate_back_99998')
    await slot.end()
    expect((await cleanLeftovers(fleet)).left.filter(({ name }) => name.endsWith('8'))).toEqual([])
    expect((await state()).filter((line) => line.includes('99998'))).toEqual([])
  })

  it('says which shard it could not look at', async () => {
    const url = 'postgres://shardgate_owner@127.0.0.1:1/x'
    const shards = fleet.shards.map((shard) => (shard.key === 'shard-b' ? { ...shard, url } : shard))
    const { unreached } = await findLeftovers({ ...fleet, shards })
    expect(unreached).toEqual([expect.stringMatching(/^shard-b cannot be reached/)])
  })
})
