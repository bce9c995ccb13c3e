/** Plans that were made before a tenant came do not outlive its coming. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { connect } from '../../../src/db/client.ts'
import { fleetOfWorld, moveTo } from '../../kit/move-world.ts'
import { startWorld, type World } from '../../kit/shard-fixture.ts'

let world: World

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 2, rows: 3, isolations: ['shared'] })
}, 180_000)
afterAll(() => world?.stop())

it('a look-up that read the whole of an almost empty table goes by its key once many rows have come', async () => {
  const { id } = world.tenants.find(({ shard }) => shard === 'shard-a')!
  await world.sql(
    'shard-a',
    `insert into app.tasks (tenant_id, id, project_id, title)
    select '${id}', 100000 + i, (select min(id) from app.projects where tenant_id = '${id}'), 'grown'
    from generate_series(1, 3000) i`,
  )
  const gateway = await connect(world.shards.find(({ key }) => key === 'shard-b')!.superuserUrl)
  try {
    await gateway.query(`set plan_cache_mode = force_generic_plan;
      prepare one (text, bigint) as select title from app.tasks where tenant_id = $1 and id = $2`)
    const plan = () => gateway.query("explain execute one ('nobody', 1)")
    expect(JSON.stringify(await plan())).toContain('Seq Scan')

    await moveTo(fleetOfWorld(world, { stillMs: 0, windowMinutes: 0 }), id, {
      shard: 'shard-b',
      isolation: 'shared',
    })

    expect(JSON.stringify(await plan())).toContain('Index')
    expect(JSON.stringify(await plan())).not.toContain('Seq Scan')
  } finally {
    await gateway.end()
  }
})
