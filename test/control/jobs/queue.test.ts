/** The queue of jobs on a real directory: whose turn it is, what waits, what is tried again, and what is dead. */

import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { jobRuleOf } from '../../../src/base/job-rules.ts'
import { eraseJobs } from '../../../src/control/jobs/erase.ts'
import { installQueue } from '../../../src/control/jobs/install.ts'
import { cancelJob, findJob, listJobs, retryJob } from '../../../src/control/jobs/operate.ts'
import { type JobQueue, openQueue, type TakenJob } from '../../../src/control/jobs/queue.ts'
import {
  askForRound,
  dropRounds,
  hourlyRound,
  keepRounds,
  scheduleRounds,
} from '../../../src/control/jobs/rounds.ts'
import { withClient } from '../../../src/db/client.ts'
import { runOut, sentJob } from '../../kit/jobs.ts'
import { startWorld, type World, type WorldTenant } from '../../kit/shard-fixture.ts'

let world: World
let queue: JobQueue
let [noisy, quiet, third]: WorldTenant[] = []

beforeAll(async () => {
  world = await startWorld({ tenants: 3, shards: 1, isolations: ['shared'] })
  ;[noisy, quiet, third] = world.tenants as [WorldTenant, WorldTenant, WorldTenant]
  await Promise.all([installQueue(world.directoryUrl), installQueue(world.directoryUrl)])
  queue = await openQueue({ url: world.directoryUrl, keeps: false, keepDays: 7, emit: () => {} })
})
afterAll(async () => {
  await queue.end()
  await world.stop()
})
afterEach(async () => {
  await world.sql('directory', 'delete from pgboss.job')
  await world.sql('directory', 'delete from directory.job_turn')
  await world.sql('directory', `update directory.tenant set state = 'active', plan = 'standard'`)
})

const of = (tenant: WorldTenant | undefined): WorldTenant => tenant!
const send = (tenant: WorldTenant | undefined, count: number, name = 'count') =>
  queue.send(Array.from({ length: count }, () => sentJob(of(tenant), randomUUID(), { name })))
const take = (count = 1, more: object = {}): Promise<TakenJob[]> =>
  queue.take({ room: { count: 100 }, count, shares: {}, ...more })
const tenantsOf = (taken: readonly TakenJob[]) => taken.map(({ tenant }) => tenant)
const one = async (): Promise<TakenJob> => (await take())[0]!
const stateOf = async (id: string) => (await findJob(queue, id)).state

describe('turns', () => {
  it("one tenant's 10,000 jobs do not hold up another's one", async () => {
    await send(noisy, 10_000)
    expect(tenantsOf(await take(3))).toEqual([of(noisy).id, of(noisy).id, of(noisy).id])
    await send(quiet, 1)
    expect(tenantsOf(await take(1))).toEqual([of(quiet).id])
  })

  it('come by share, and nobody is owed for a time without jobs', async () => {
    await world.sql('directory', `update directory.tenant set plan = 'large' where id = $1`, [of(noisy).id])
    await send(noisy, 60)
    await send(quiet, 60)
    const taken: TakenJob[] = []
    for (let i = 0; i < 10; i++) taken.push(...(await take(4, { shares: { large: 3 } })))
    const large = tenantsOf(taken).filter((tenant) => tenant === of(noisy).id).length
    expect(large).toBeGreaterThanOrEqual(29)
    expect(large).toBeLessThanOrEqual(31)
    await send(third, 60)
    const later = tenantsOf(await take(14, { shares: { large: 3 } }))
    expect(later.filter((tenant) => tenant === of(third).id).length).toBeLessThanOrEqual(4)
  })

  it('are given when jobs fall due: those of one moment are mixed as well', async () => {
    const soon = Date.now() + 60_000
    const later = Array.from({ length: 50 }, () => sentJob(of(noisy), randomUUID(), { notBefore: soon }))
    await queue.send(later)
    await send(quiet, 1)
    expect(tenantsOf(await take(5))).toEqual([of(quiet).id])
    await world.sql('directory', 'update pgboss.job set start_after = now()')
    await send(third, 2)
    expect(tenantsOf(await take(4)).sort()).toEqual(
      [of(noisy).id, of(noisy).id, of(third).id, of(third).id].sort(),
    )
  })

  it('are told apart by job: one that has no room is passed over', async () => {
    await send(noisy, 5)
    await send(noisy, 5, 'other')
    const room = { count: 1, other: 2 }
    const names = (await take(10, { room })).map(({ name }) => name).sort()
    expect(names).toEqual(['count', 'other', 'other'])
    expect(await take(10, { room: { unheardOf: 5 } })).toEqual([])
  })

  it('are taken by many at once, each job by one of them', async () => {
    await send(noisy, 30)
    await send(quiet, 30)
    const other = await openQueue({ url: world.directoryUrl, keeps: false, keepDays: 7, emit: () => {} })
    const wanted = { room: { count: 100 }, count: 3, shares: {} }
    const all = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? queue : other).take(wanted)))
    await other.end()
    const ids = all.flat().map(({ id }) => id)
    expect(new Set(ids).size).toBe(60)
    expect(ids.length).toBe(60)
  })
})

describe('a job', () => {
  it('that is sent twice is there once', async () => {
    const job = sentJob(of(quiet), randomUUID())
    await queue.send([job])
    await queue.send([job])
    expect(await listJobs(queue, { limit: 10 })).toHaveLength(1)
  })

  it('that fails is tried again as often as its rule says, and is dead then; an operator has it run once more', async () => {
    await send(quiet, 1)
    const first = await one()
    expect(first).toMatchObject({ attempt: 1, isLast: false })
    await queue.failed(first, 'the first time')
    expect(await take()).toEqual([])
    expect(await findJob(queue, first.id)).toMatchObject({
      state: 'again',
      attempts: 1,
      reason: 'the first time',
    })
    await world.sql('directory', 'update pgboss.job set start_after = now()')
    const second = await one()
    expect(second).toMatchObject({ id: first.id, attempt: 2, isLast: true })
    await queue.failed(second, 'the second time')
    expect(await findJob(queue, first.id)).toMatchObject({ state: 'dead', reason: 'the second time' })
    expect(await retryJob(queue, first.id)).toMatchObject({ state: 'again' })
    await world.sql('directory', 'update pgboss.job set start_after = now()')
    const third = await one()
    expect(third).toMatchObject({ id: first.id, attempt: 3 })
    await queue.done(third)
    expect(await stateOf(first.id)).toBe('done')
    await expect(retryJob(queue, first.id)).rejects.toMatchObject({ code: 'REFUSED' })
  })

  it('that is given back has lost no attempt, at its first run and later', async () => {
    await send(quiet, 1)
    const first = await one()
    await queue.giveBack(first, 0)
    const again = await one()
    expect(again).toMatchObject({ id: first.id, attempt: 1, isLast: false })
    await queue.failed(again, 'x')
    await world.sql('directory', 'update pgboss.job set start_after = now()')
    await queue.giveBack(await one(), 0)
    expect(await one()).toMatchObject({ id: first.id, attempt: 2, isLast: true })
  })

  it('that is said to be dead is, whatever attempts it had left', async () => {
    await send(quiet, 1)
    const job = await one()
    await queue.dead(job, 'for a reason')
    expect(await findJob(queue, job.id)).toMatchObject({ state: 'dead', reason: 'for a reason' })
  })

  it('F69: whose worker is gone is run again when its time is over, and counts that run', async () => {
    await send(quiet, 1)
    const first = await one()
    const { id } = first
    await queue.boss.supervise()
    expect(await stateOf(id)).toBe('running')
    await runOut(world, queue)
    expect(await stateOf(id)).toBe('again')
    const second = await one()
    expect(second).toMatchObject({ id, attempt: 2 })
    await queue.done(first)
    await queue.giveBack(first, 0)
    expect(await stateOf(id)).toBe('running')
    await queue.done(second)
    expect(await stateOf(id)).toBe('done')
  })

  it('that is called off is not run', async () => {
    await send(quiet, 1)
    const [job] = await listJobs(queue, { tenant: of(quiet).id, limit: 1 })
    expect(await cancelJob(queue, job!.id)).toMatchObject({ state: 'cancelled' })
    expect(await take()).toEqual([])
    await expect(cancelJob(queue, job!.id)).rejects.toMatchObject({ code: 'REFUSED' })
    await expect(findJob(queue, randomUUID())).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(findJob(queue, 'x')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('a tenant', () => {
  it.each(['suspended', 'read-only', 'offboarded'])('that is %s keeps its jobs waiting', async (state) => {
    await send(quiet, 1)
    const quarantine =
      state === 'offboarded' ? `, state_before = 'active', offboarded_at = now(), purge_after = now()` : ''
    const set = (to: string, more: string) =>
      world.sql('directory', `update directory.tenant set state = '${to}'${more} where id = $1`, [
        of(quiet).id,
      ])
    await set(state, quarantine)
    expect(await take()).toEqual([])
    await set('active', `, state_before = null, offboarded_at = null, purge_after = null`)
    expect(await take()).toHaveLength(1)
  })

  it('that was purged has dead jobs with the reason, and nothing of what they were given', async () => {
    const gone = { ...of(quiet), id: 'gone' as WorldTenant['id'] }
    await queue.send([sentJob(gone, randomUUID(), { data: { secret: 1 } })])
    await send(quiet, 1)
    await withClient(world.directoryUrl, (directory) => eraseJobs(directory, gone.id))
    const [dead] = await listJobs(queue, { state: 'dead', limit: 10 })
    expect(dead).toMatchObject({ tenant: 'gone', data: null, reason: 'The tenant was purged.' })
    await expect(retryJob(queue, dead!.id)).rejects.toMatchObject({ code: 'REFUSED' })
    expect(await take()).toHaveLength(1)
  })
})

describe('rounds', () => {
  it('are kept by their schedule and done by one of all processes; one that is no schedule is refused', async () => {
    const other = await openQueue({ url: world.directoryUrl, keeps: false, keepDays: 7, emit: () => {} })
    const first = Promise.withResolvers<void>()
    let done = 0
    const run = async (): Promise<void> => {
      done += 1
      first.resolve()
    }
    const round = { name: 'probe', schedule: { cron: '0 6 * * *', timeZone: 'Europe/Berlin' }, run }
    await Promise.all([keepRounds(queue, [round]), keepRounds(other, [round])])
    const kept = () => world.sql('directory', 'select cron, timezone from pgboss.schedule')
    expect(await kept()).toEqual([{ cron: '0 6 * * *', timezone: 'Europe/Berlin' }])
    await askForRound(queue, 'probe')
    await first.promise
    await Promise.all([queue, other].map(({ boss }) => boss.offWork('round-probe')))
    expect(done).toBe(1)
    await dropRounds(queue, ['probe'])
    expect(await kept()).toEqual([])
    const bad = { ...round, schedule: { cron: 'every morning' } }
    await expect(keepRounds(other, [bad])).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    await other.end()
  })

  it('send a job to every active tenant once, however often an occurrence is done', async () => {
    await world.sql('directory', `update directory.tenant set state = 'suspended' where id = $1`, [
      of(third).id,
    ])
    const rule = jobRuleOf('count', { schedule: { cron: '0 6 * * *' } })
    const [round] = scheduleRounds(queue, new Map([['count', rule]]))
    await round!.run('first')
    await round!.run('first')
    expect((await listJobs(queue, { limit: 10 })).map(({ tenant }) => tenant).sort()).toEqual(
      [of(noisy).id, of(quiet).id].sort(),
    )
    await round!.run('second')
    expect(await listJobs(queue, { limit: 10 })).toHaveLength(4)
  })

  it('ask every active tenant for what was noted and never sent, whichever of them is away', async () => {
    const asked: string[] = []
    const forwardNow = async (tenant: string): Promise<void> => {
      asked.push(tenant)
      if (tenant === of(noisy).id) throw new Error('away')
    }
    await hourlyRound(queue, { forward: () => {}, end: async () => {}, forwardNow }).run('now')
    expect(asked.sort()).toEqual(world.tenants.map(({ id }) => id).sort())
  })
})
