/** The receipt of a move: of the very moment of the cutover, proven by the audit log, and compared with what is there now. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TenantId } from '../../../src/base/ids.ts'
import { tenancyOf } from '../../../src/control/copy/subject.ts'
import { listReceipts } from '../../../src/control/life/receipts.ts'
import {
  barrierProof,
  hashMoment,
  keepMoment,
  MOVE_RECEIPT,
  makeReceipt,
} from '../../../src/control/move/receipt.ts'
import { checkReceipt, receiptSentences } from '../../../src/control/move/receipt-check.ts'
import { withSides } from '../../../src/control/move/sides.ts'
import { insertMove } from '../../../src/control/move/store.ts'
import type { MoveRecord, Moving } from '../../../src/control/move/types.ts'
import { verifyFrozen } from '../../../src/control/move/verify.ts'
import { onHome } from '../../../src/control/reach.ts'
import { withClient } from '../../../src/db/client.ts'
import { verifyAudit } from '../../../src/directory/audit.ts'
import { findTenant } from '../../../src/directory/tenants.ts'
import { type LifeWorld, lifeWorld } from '../../kit/life.ts'

let world: LifeWorld

beforeAll(async () => {
  world = await lifeWorld()
})
afterAll(() => world?.drop())

const onShardA = (sql: string) =>
  withClient(world.test.shards[0]!.superuserUrl, (client) => client.query(sql))

/** A tenant that has come to where it is by a move, as far as a receipt can tell. */
async function arrived(
  name: string,
  { meanwhile = '', isLost = false } = {},
): Promise<{ tenant: TenantId; receipt: string; record: MoveRecord }> {
  const tenant = await world.add(name)
  const here = (await findTenant(world.directory, tenant))!
  const side = { shard: here.shard, isolation: here.isolation, namespace: here.namespace, epoch: here.epoch }
  const queued = await insertMove(world.directory, {
    tenant,
    source: { ...side, shard: 'shard-b' },
    target: side,
    operator: 'ann',
  })
  const record: MoveRecord = {
    ...queued,
    path: 'live',
    pauseMs: 12.5,
    target: { ...queued.target, epoch: side.epoch },
  }
  const shard = world.fleet.shards[0]!
  const where = { tenant, shard, home: side, tenancy: tenancyOf(world.fleet) }
  const moving: Moving = {
    fleet: world.fleet,
    directory: world.directory,
    tenant,
    record,
    source: where,
    target: where,
    report: () => {},
    signal: new AbortController().signal,
  }
  const receipt = await withSides(moving, async (sides) => {
    const trees = await verifyFrozen(moving, sides)
    await keepMoment(moving, sides)
    if (meanwhile) await onShardA(meanwhile)
    const proof = isLost ? null : await hashMoment(moving, sides, 'a-mark')
    const barrier = barrierProof({ trees, mark: 'a-mark' })
    const lasting: Moving = { ...moving, record: { ...record, memory: { barrier } } }
    return onHome(shard, side, (home) => makeReceipt(world.directory, lasting, home, proof))
  })
  return { tenant, receipt, record }
}

const insertTasks = (tenant: string, rows: number): string => `
  insert into app.tasks select (jsonb_populate_record(t, jsonb_build_object('id', 1000 + i))).*
  from app.tasks t, generate_series(1, ${rows}) i
  where t.ctid = (select min(ctid) from app.tasks where tenant_id = '${tenant}')`

describe('the receipt of a move', () => {
  it('holds what was there at the cutover, and not what was written while it was hashed', async () => {
    const { receipt, tenant } = await arrived('exact', { meanwhile: insertTasks('exact', 2) })
    const check = await checkReceipt(world.fleet, receipt)
    expect(check).toMatchObject({ isIntact: true, standing: 'there', seal: { operator: 'ann', tenant } })
    expect(check.tables.find(({ table }) => table === 'app.tasks')).toMatchObject({ rows: 4, rowsNow: 6 })
    const { document } = check
    expect(document).toMatchObject({
      tenant,
      askedBy: 'ann',
      path: 'live',
      pauseMs: 12.5,
      from: { shard: 'shard-b' },
    })
    expect(document.versions.migration).toBe('20260101000000')
    expect(document.contents).toMatchObject({ moment: 'cutover', mark: 'a-mark', rows: 4 + 4 + 4 + 8 })
    expect(await verifyAudit(world.directory)).toMatchObject({ kind: 'intact' })
  })

  it('says of each table whether it is as it was, and how much of it is not', async () => {
    const { receipt } = await arrived('living')
    const unchanged = await checkReceipt(world.fleet, receipt)
    expect(unchanged.tables.map(({ leaves }) => leaves)).toEqual(unchanged.tables.map(() => 0))
    await onShardA(insertTasks('living', 3))
    await onShardA(
      `update app.projects set name = name || ' ' where id = (select min(id) from app.projects where tenant_id = 'living')`,
    )
    const { tables, ...check } = await checkReceipt(world.fleet, receipt)
    const changed = tables.filter(({ leaves }) => leaves > 0)
    expect(changed).toMatchObject([
      { table: 'app.projects', rows: 4, rowsNow: 4, leaves: 1, of: 16 },
      { table: 'app.tasks', rows: 4, rowsNow: 7 },
    ])
    expect(receiptSentences({ ...check, tables }).join('\n')).toContain(
      'app.projects: changed since, 4 rows as before; 1 of 16 leaves differ.',
    )
  })

  it('is written once, and has no value of the tenant in it', async () => {
    const { receipt, tenant, record } = await arrived('quiet')
    const [kept, ...others] = await listReceipts(world.directory, tenant, MOVE_RECEIPT)
    expect(others).toEqual([])
    expect(await listReceipts(world.directory, tenant)).toEqual([])
    const names = await onShardA(`select name from app.projects where tenant_id = 'quiet'`)
    expect(names).toHaveLength(4)
    for (const { name } of names) expect(kept!.body).not.toContain(name!)
    const moving = { record: { ...record, receipt }, tenant } as Moving
    expect(await makeReceipt(world.directory, moving, world.directory, null)).toBe(receipt)
  })

  it('that was altered is found out, also by whoever has altered its hash with it', async () => {
    const { receipt } = await arrived('forged')
    const alter = (set: string) =>
      world.directory.query(`update directory.receipt set ${set} where id = ${receipt}`)
    await alter(`body = replace(body, '12.5', '1.25')`)
    expect(await checkReceipt(world.fleet, receipt)).toMatchObject({ isIntact: false, seal: null })
    await alter(`hash = encode(sha256(convert_to(body, 'UTF8')), 'hex')`)
    const check = await checkReceipt(world.fleet, receipt)
    expect(check).toMatchObject({ isIntact: true, seal: null })
    expect(receiptSentences(check)[0]).toContain('NOT as it was written')
  })

  it('says that the tenant has moved on, and compares where it is now', async () => {
    const { receipt, tenant } = await arrived('further')
    await world.directory.query(`
      insert into directory.placement (tenant_id, shard, isolation, namespace) values ('${tenant}', 'shard-b', 'shared', 'app')
      on conflict (tenant_id) do update set shard = excluded.shard`)
    const check = await checkReceipt(world.fleet, receipt)
    expect(check).toMatchObject({ standing: 'elsewhere', at: { shard: 'shard-b' } })
    expect(check.tables.map(({ rowsNow }) => rowsNow)).toEqual(check.tables.map(() => 0))
  })

  it('of a move whose runner was lost behind the cutover holds what was there at the last barrier', async () => {
    const { receipt } = await arrived('lost', { isLost: true })
    const check = await checkReceipt(world.fleet, receipt)
    expect(check.document.contents).toMatchObject({ moment: 'barrier', mark: 'a-mark', rows: 20 })
    expect(check.tables.map(({ leaves }) => leaves)).toEqual([0, 0, 0, 0])
    await onShardA(`update app.projects set name = name || ' ' where tenant_id = 'lost'`)
    const { tables } = await checkReceipt(world.fleet, receipt)
    expect(tables.filter(({ leaves }) => leaves > 0)).toMatchObject([{ table: 'app.projects', of: 1 }])
  })

  it('outlives the tenant', async () => {
    const { receipt, tenant } = await arrived('purged')
    await world.directory.query(`
      delete from directory.move where tenant_id = '${tenant}'; delete from directory.tenant where id = '${tenant}';
      insert into directory.tombstone (tenant_id, epoch, shard, isolation, namespace) values ('${tenant}', 9, 'shard-a', 'shared', 'app')`)
    expect(await checkReceipt(world.fleet, receipt)).toMatchObject({
      isIntact: true,
      standing: 'purged',
      tables: [],
    })
  })

  it('of nothing is refused', async () => {
    await expect(checkReceipt(world.fleet, '4711')).rejects.toThrow('There is no receipt "4711" of a move.')
    await expect(checkReceipt(world.fleet, `1'; --`)).rejects.toThrow('There is no receipt')
  })
})
