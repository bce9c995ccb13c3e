/** F40: jobs of a tenant that is moved: they go along, run at the new place, and what they did at the old one is not done again. */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { findJob } from '../../../src/control/jobs/operate.ts'
import type { Extension } from '../../../src/graphql/extension.ts'
import { openWorldJobs, sentJob, type WorldJobs } from '../../kit/jobs.ts'
import { fleetOfWorld, moveTo } from '../../kit/move-world.ts'
import { startWorld, type World, type WorldTenant } from '../../kit/shard-fixture.ts'

let world: World
let jobs: WorldJobs
let tenant: WorldTenant

const EXTENSION: Extension = {
  jobs: {
    write: {
      async run({ data, table, context }) {
        await table('Project').insert({ rowId: data.rowId, name: data.name }, context)
      },
    },
  },
}

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 2, isolations: ['shared'] })
  tenant = world.tenants[0]!
  jobs = await openWorldJobs(world, [EXTENSION])
})
afterAll(async () => {
  await jobs.end()
  await world.stop()
})

const written = (shard: string, name: string) =>
  world.sql(shard, 'select id from app.projects where tenant_id = $1 and name = $2', [tenant.id, name])

it('F40: a job that was noted, and one that was done without the queue having heard, are where their tenant is', async () => {
  const noted = randomUUID()
  const note = `insert into shardgate.idempotency (tenant_id, key, request_hash, answer) values ($1, $2, 'job', $3)`
  const job = { name: 'write', data: JSON.stringify({ rowId: '7001', name: 'noted' }), notBefore: null }
  await jobs.gate.ask(tenant.id, note, [tenant.id, `job·${noted}`, JSON.stringify(job)], 'write')
  const done = randomUUID()
  await jobs.queue.send([sentJob(tenant, done, { name: 'write', data: { rowId: '7002', name: 'done' } })])
  const dying = jobs.work({ queue: { ...jobs.queue, done: () => Promise.reject(new Error('killed')) } })
  await jobs.ended({ id: done, end: 'done' })
  await dying.stop(0)

  const to = world.shards[1]!.key
  expect((await moveTo(fleetOfWorld(world), tenant.id, { shard: to, isolation: 'shared' })).error).toBeNull()
  await world.sql('directory', `update pgboss.job set state = 'retry'`)
  await jobs.forwarder.forwardNow(tenant.id)
  const worker = jobs.work()
  await jobs.ended({ id: done, end: 'repeated' })
  await jobs.ended({ id: noted, end: 'done', attempt: 1 })
  await worker.stop(1_000)
  expect(await written(to, 'done')).toHaveLength(1)
  expect(await written(to, 'noted')).toHaveLength(1)
  expect(await written(tenant.shard, 'noted')).toEqual([])
  expect((await findJob(jobs.queue, noted)).state).toBe('done')
})
