/** A tenant's life around its moves: what is refused while one is open, what goes on in its window, what comes after. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TenantId } from '../../../src/base/ids.ts'
import { exportTenant } from '../../../src/control/copy/export.ts'
import { renewHomes } from '../../../src/control/homes/renew.ts'
import { purgeTenant } from '../../../src/control/life/purge.ts'
import { changeState } from '../../../src/control/life/state.ts'
import { createTenant } from '../../../src/control/lifecycle.ts'
import { removeSource } from '../../../src/control/move/cleanup.ts'
import { closeFence, openFence } from '../../../src/control/move/fences.ts'
import { prepareTarget } from '../../../src/control/move/prepare.ts'
import type { Fleet } from '../../../src/control/reach.ts'
import { type Client, connect } from '../../../src/db/client.ts'
import { onClaimed, relocated, type TwoShards, twoShards } from '../../kit/claimed-moves.ts'
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

/** As a move leaves a tenant in its window: at shard-b, open. */
async function inWindow(tenant: TenantId): Promise<string> {
  const { id } = await queueMove(fleet, tenant, { shard: 'shard-b', isolation: 'shared' })
  await onClaimed(fleet, id, 'live', async (at) => {
    await prepareTarget(at)
    await relocated(at)
    await closeFence(a, tenant, 1, 2)
    await openFence(b, tenant, 2, 'active')
    await at.directory.query(`update directory.move set state = 'settled', memory = '{"trees": 1}' where id = ${id};
      update directory.operation set state = 'done' where id = ${at.record.operation}`)
  })
  return id
}

async function completed(id: string): Promise<void> {
  await two.world.directory.query(`update directory.move set state = 'cleaning' where id = ${id}`)
  await onClaimed(fleet, id, 'live', async (at) => {
    await removeSource(at)
    await at.directory.query(`update directory.move set state = 'done' where id = ${id};
      update directory.operation set state = 'done' where id = ${at.record.operation}`)
  })
}

describe('in the window of a move', () => {
  it('a tenant is suspended, exported and offboarded as ever, and purged only when the window is closed', async () => {
    const tenant = await two.world.add('windowed')
    const id = await inWindow(tenant)
    await changeState(fleet, 'suspend', tenant)
    expect(await b.query(`select state from shardgate.tenant_fence where tenant_id = 'windowed'`)).toEqual([
      { state: 'suspended' },
    ])
    await changeState(fleet, 'resume', tenant)
    await exportTenant(fleet, tenant)
    await changeState(fleet, 'offboard', tenant)
    const [{ name } = {}] = await two.world.directory.query(
      `select name from directory.tenant where id = 'windowed'`,
    )
    const purge = { name: name ?? '', force: true, reason: 'asked for' }
    await expect(purgeTenant(fleet, tenant, purge)).rejects.toMatchObject({
      code: 'TENANT_BUSY',
      message: expect.stringContaining('rows at two places'),
      hint: expect.stringContaining(`shardgate move complete ${id}`),
    })
    expect((await a.query(`select from app.projects where tenant_id = 'windowed'`)).length).toBe(4)
    await completed(id)
    await purgeTenant(fleet, tenant, purge)
    const [move] = await two.world.directory.query(
      `select tenant_id, memory, state from directory.move where id = ${id}`,
    )
    expect(move).toEqual({ tenant_id: 'windowed', memory: '{}', state: 'done' })
    // Its next life may begin on either shard, the one that it had moved away from included.
    await createTenant(fleet, { id: tenant, shard: 'shard-a' })
    expect(
      await a.query(`select state, epoch from shardgate.tenant_fence where tenant_id = 'windowed'`),
    ).toEqual([{ state: 'active', epoch: '4' }])
  })
})

describe('homes of an earlier release', () => {
  it('are opened to the mover by setup, schemas and databases alike', async () => {
    await two.world.add('old-schema', 'schema')
    const tenant = await two.world.add('old-database', 'database')
    const [{ namespace } = {}] = await two.world.directory.query(
      `select namespace from directory.placement where tenant_id = '${tenant}'`,
    )
    const url = new URL(two.world.test.shards[0]!.superuserUrl)
    url.pathname = `/${namespace}`
    const own = await connect(url.href)
    const earlier = (schema: string): string => `
      revoke update on all tables in schema "${schema}" from shardgate_mover;
      alter default privileges for role shardgate_owner in schema "${schema}" revoke update on tables from shardgate_mover`
    await own.query(earlier('app'))
    await own.query('drop table shardgate.move_progress')
    await a.query(earlier('tenant_old-schema'))
    await renewHomes(fleet)
    for (const [client, schema] of [
      [own, 'app'],
      [a, 'tenant_old-schema'],
    ] as const) {
      await client.query(
        `set role shardgate_owner; create table "${schema}".fresh (id int primary key); reset role`,
      )
      const rows = await client.query(`
        select relname from pg_class where relnamespace = '"${schema}"'::regnamespace and relkind = 'r'
          and not has_table_privilege('shardgate_mover', oid, 'update')`)
      expect(rows).toEqual([])
    }
    expect(
      await own.query(
        `select has_table_privilege('shardgate_mover', 'shardgate.move_progress', 'update') as may`,
      ),
    ).toEqual([{ may: 't' }])
    await own.end()
  })
})
