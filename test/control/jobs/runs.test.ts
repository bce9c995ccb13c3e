/** Jobs of extensions, from the mutation that asks for them to their end: what is kept, and how often. */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createForwarder } from '../../../src/control/jobs/forwarder.ts'
import { findJob, listJobs } from '../../../src/control/jobs/operate.ts'
import { type Extension, enqueue, type JobRun } from '../../../src/graphql/extension.ts'
import { jobsOfExtensions } from '../../../src/graphql/jobs/rules.ts'
import { openWorldJobs, sentJob, type WorldJobs } from '../../kit/jobs.ts'
import { startWorld, type World, type WorldTenant } from '../../kit/shard-fixture.ts'

let world: World
let jobs: WorldJobs
let tenant: WorldTenant
let other: WorldTenant

/** What the next runs of `write` do after they have written. */
const next: ((job: JobRun) => Promise<void> | void)[] = []

const EXTENSION: Extension = {
  hooks: () => ({
    Project: {
      async afterCreate({ rowId, name }, context) {
        if (/^with job [^,]*$/.test(String(name))) await enqueue(context, 'write', { rowId, name })
      },
    },
  }),
  jobs: {
    write: {
      retries: 1,
      backoff: { firstS: 1, maxS: 1 },
      deadlineMs: 5_000,
      async run(job) {
        const { rowId, name } = job.data
        await job
          .table('Project')
          .insert({ rowId: String(Number(rowId) + 1), name: `${name}, done` }, job.context)
        await next.shift()?.(job)
      },
    },
  },
}

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1 })
  ;[tenant, other] = world.tenants as [WorldTenant, WorldTenant]
  jobs = await openWorldJobs(world, [EXTENSION])
})
afterAll(async () => {
  await jobs.end()
  await world.stop()
})
beforeEach(async () => {
  next.length = 0
  jobs.events.length = 0
  await world.sql('directory', 'delete from pgboss.job')
})

let row = 5_000
const create = (name: string, more = '') => {
  row += 10
  return `mutation { createProject(input: { rowId: "${row}", name: ${JSON.stringify(name)} }) { __typename } ${more} }`
}
const names = async (like: string): Promise<string[]> => {
  const text = 'select name from app.projects where tenant_id = $1 and name like $2 order by name'
  return (await world.sql(tenant.shard, text, [tenant.id, like])).map(({ name }) => String(name))
}
const noted = async (): Promise<number> => {
  const text = `select count(*)::int as n from shardgate.idempotency
    where tenant_id = $1 and request_hash = 'job' and answer is not null`
  return Number((await world.sql(tenant.shard, text, [tenant.id]))[0]!.n)
}
const dueNow = () => world.sql('directory', 'update pgboss.job set start_after = now()')
/** Put `write` into the queue as if a mutation had. */
const send = async (name: string): Promise<string> => {
  const id = randomUUID()
  row += 10
  const rule = { retries: 1, backoff: { firstS: 1, maxS: 1 }, deadlineMs: 5_000 }
  await jobs.queue.send([sentJob(tenant, id, { name: 'write', data: { rowId: row, name }, rule })])
  return id
}

describe('a job that a mutation asks for', () => {
  it('is run when the mutation was kept, and leaves no note behind', async () => {
    const worker = jobs.work()
    expect((await jobs.mutate(tenant, create('with job 1'))).errors).toBeUndefined()
    await jobs.ended({ end: 'done', tenant: tenant.id, attempt: 1 })
    expect(await names('with job 1%')).toEqual(['with job 1', 'with job 1, done'])
    await worker.stop(1_000)
    await jobs.forwarder.forwardNow(tenant.id)
    expect(await noted()).toBe(0)
  })

  it('is never run when the mutation was rolled back', async () => {
    const sameKey = `b: createProject(input: { rowId: "${row + 10}", name: "same key" }) { __typename }`
    const { data } = await jobs.mutate(tenant, create('with job rolled back', sameKey))
    expect(data?.createProject).toBeNull()
    await jobs.forwarder.forwardNow(tenant.id)
    expect(await listJobs(jobs.queue, { limit: 10 })).toEqual([])
    expect(await noted()).toBe(0)
  })

  it('waits on its shard while the queue is away, and comes when it is back, once', async () => {
    let refusals = 2
    const queue = {
      send: async (list: Parameters<typeof jobs.queue.send>[0]) => {
        if (refusals-- > 0) throw new Error('away')
        await jobs.queue.send(list)
      },
    }
    const { rules } = jobsOfExtensions([EXTENSION])
    const { promise: sent, resolve: onSent } = Promise.withResolvers<void>()
    const forwarder = createForwarder({ door: jobs.gate.door, queue, rules, onSent })
    await jobs.gate.ask(
      tenant.id,
      `insert into shardgate.idempotency (tenant_id, key, request_hash, answer) values ($1, $2, 'job', $3)`,
      [tenant.id, `job·${randomUUID()}`, JSON.stringify({ name: 'write', data: '{}', notBefore: null })],
      'write',
    )
    forwarder.forward(tenant.id)
    forwarder.forward(tenant.id)
    await sent
    await forwarder.end(5_000)
    expect(await listJobs(jobs.queue, { limit: 10 })).toHaveLength(1)
    expect(await noted()).toBe(0)
  })
})

describe('what a job writes', () => {
  it('F69: is kept once, when its worker dies between the effect and the acknowledgement', async () => {
    const id = await send('acknowledgement lost')
    const dying = { ...jobs.queue, done: () => Promise.reject(new Error('killed')) }
    const worker = jobs.work({ queue: dying })
    await jobs.ended({ id, end: 'done' })
    await worker.stop(0)
    expect((await findJob(jobs.queue, id)).state).toBe('running')
    await world.sql('directory', `update pgboss.job set state = 'retry'`)
    const second = jobs.work()
    await jobs.ended({ id, end: 'repeated', attempt: 2 })
    await second.stop(0)
    expect(await names('acknowledgement lost%')).toEqual(['acknowledgement lost, done'])
    expect((await findJob(jobs.queue, id)).state).toBe('done')
  })

  it('F69: is kept once, when two workers run it at the same time', async () => {
    const id = await send('run twice')
    const both = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    next.push(() => {
      reached.resolve()
      return both.promise
    })
    const first = jobs.work()
    await reached.promise
    await world.sql('directory', `update pgboss.job set state = 'retry'`)
    const second = jobs.work()
    const waits = `select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%shardgate.idempotency%'`
    while ((await world.sql(tenant.shard, waits)).length === 0);
    both.resolve()
    await jobs.ended({ id, end: 'done' })
    await jobs.ended({ id, end: 'repeated' })
    await Promise.all([first.stop(0), second.stop(0)])
    expect(await names('run twice%')).toEqual(['run twice, done'])
  })

  it('is rolled back when it fails, and when a statement of it has failed that it forgives', async () => {
    const worker = jobs.work()
    const id = await send('fails')
    next.push(() => {
      throw new Error('on purpose')
    })
    next.push(async ({ context, sql, statement }) => {
      await context.scope.run([statement(sql`select 1 / 0`)]).catch(() => {})
    })
    await jobs.ended({ id, end: 'failed' })
    expect(await names('fails%')).toEqual([])
    await dueNow()
    await jobs.ended({ id, end: 'dead', attempt: 2 })
    await worker.stop(0)
    expect(await names('fails%')).toEqual([])
    expect(await findJob(jobs.queue, id)).toMatchObject({ state: 'dead', attempts: 2 })
  })

  it('is rolled back at the deadline of a job that hears nothing', async () => {
    const id = randomUUID()
    const rule = { retries: 0, backoff: { firstS: 1, maxS: 1 }, deadlineMs: 300 }
    await jobs.queue.send([
      sentJob(tenant, id, { name: 'write', data: { rowId: 4_000, name: 'deaf' }, rule }),
    ])
    next.push(() => new Promise(() => {}))
    const rules = new Map([
      ['write', { ...jobsOfExtensions([EXTENSION]).rules.get('write')!, deadlineMs: 300 }],
    ])
    const worker = jobs.work({ rules })
    expect((await jobs.ended({ id })).end).toBe('dead')
    await worker.stop(0)
    expect(await names('deaf%')).toEqual([])
  })

  it('is about its own tenant alone, whatever its statements say', async () => {
    const worker = jobs.work()
    const id = await send('curious')
    const seen: unknown[] = []
    next.push(async ({ context, sql, statement }) => {
      const theirs = sql`select count(*) from app.projects where tenant_id = ${sql.value(other.id)}`
      seen.push((await context.scope.run([statement(theirs)]))[0]?.[0]?.[0])
    })
    await jobs.ended({ id, end: 'done' })
    await worker.stop(0)
    expect(seen).toEqual(['0'])
  })
})

describe('a job that cannot be run now', () => {
  it('F40: whose tenant was closed since is given back without having counted', async () => {
    const fence = (state: string) =>
      world.sql(tenant.shard, 'update shardgate.tenant_fence set state = $2 where tenant_id = $1', [
        tenant.id,
        state,
      ])
    await fence('suspended')
    const worker = jobs.work()
    const id = await send('closed')
    await jobs.ended({ id, end: 'put-off', attempt: 1 })
    await fence('active')
    await dueNow()
    await jobs.ended({ id, end: 'done', attempt: 1 })
    await worker.stop(0)
    expect(await names('closed%')).toEqual(['closed, done'])
  })

  it('when the process stops is waited for, then told, then given back; what it had written is not kept', async () => {
    const id = await send('stopped')
    const heard = Promise.withResolvers<void>()
    next.push(({ signal }) => {
      heard.resolve()
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    const worker = jobs.work()
    await heard.promise
    await worker.stop(10)
    expect(await jobs.ended({ id })).toMatchObject({ end: 'put-off', attempt: 1 })
    expect(await findJob(jobs.queue, id)).toMatchObject({ state: 'waiting', attempts: 0 })
    expect(await names('stopped%')).toEqual([])
  })
})
