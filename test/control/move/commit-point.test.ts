/** The commit point of a move beside others who change the same tenant: they wait for each other, and never both. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { tenantId } from '../../../src/base/ids.ts'
import { runMove } from '../../../src/control/move/run.ts'
import { startMove } from '../../../src/control/move/start.ts'
import { onDirectory } from '../../../src/control/reach.ts'
import { type Client, connect } from '../../../src/db/client.ts'
import { appendAudit } from '../../../src/directory/audit.ts'
import { type LifeWorld, lifeWorld } from '../../kit/life.ts'

let world: LifeWorld
let beside: Client
const acme = tenantId('acme')

beforeAll(async () => {
  world = await lifeWorld()
  await world.add(acme)
  beside = await connect(world.test.directoryUrl)
})
afterAll(async () => {
  await beside?.end()
  await world?.drop()
})

it('waits for a change of the tenant that is written down at the same moment, without a deadlock', async () => {
  const { id } = await startMove(world.fleet, { tenant: acme, shard: 'shard-b' })
  // What "tenant set" does: the tenant's row first, then the audit log.
  await beside.query('begin')
  await beside.query(`update directory.tenant set name = 'Acme' where id = 'acme'`)
  const moved = runMove(world.fleet, id, {})
  await waitingForRow()
  await appendAudit(beside, { operator: 'ben', action: 'tenant.set', tenant: acme, details: {} })
  await beside.query('commit')
  expect(['settled', 'done']).toContain((await moved).state)
  const [row] = await world.directory.query(`select name, epoch from directory.tenant where id = 'acme'`)
  expect(row).toEqual({ name: 'Acme', epoch: '2' })
})

/** Until the move's commit point wants what `beside` has locked. */
async function waitingForRow(): Promise<void> {
  const blocked = `select from pg_stat_activity where wait_event_type = 'Lock' and application_name like 'shardgate move %'`
  for (;;) {
    const rows = await onDirectory(world.test.directoryUrl, (directory) => directory.query(blocked))
    if (rows.length > 0) return
  }
}
