/** Plans on real servers: tenants and their buckets get where the file wants them, and bad input changes nothing. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TenantId } from '../../../src/base/ids.ts'
import { tenantId } from '../../../src/base/ids.ts'
import { createTenant } from '../../../src/control/lifecycle.ts'
import type { MovesEvent } from '../../../src/control/move/runner.ts'
import { listMoves } from '../../../src/control/move/store.ts'
import type { Fleet } from '../../../src/control/reach.ts'
import { applyPlan, cancelPlan } from '../../../src/control/rebalance/apply.ts'
import { isEmpty, type MovePlan, sealed } from '../../../src/control/rebalance/document.ts'
import { makePlan } from '../../../src/control/rebalance/plan.ts'
import type { Desired, DesiredShard } from '../../../src/control/rebalance/types.ts'
import { type Client, connect } from '../../../src/db/client.ts'
import { bucketOf } from '../../../src/directory/buckets.ts'
import { fleetOfWorld, hashOf } from '../../kit/move-world.ts'
import { startWorld, type World } from '../../kit/shard-fixture.ts'
import { desired, shard } from './random-fleet.ts'

let world: World
let fleet: Fleet
let directory: Client

beforeAll(async () => {
  world = await startWorld({ tenants: 6, shards: 3, rows: 2, isolations: ['shared', 'schema'] })
  fleet = fleetOfWorld(world, { stillMs: 10_000, windowMinutes: 0, atOnce: 4, perShard: 4 })
  directory = await connect(world.directoryUrl)
}, 120_000)
afterAll(async () => {
  await directory?.end()
  await world?.stop()
})

const keys = ['shard-a', 'shard-b', 'shard-c']

/** The file, with something edited in it. */
function wanted(edits: Record<string, Partial<DesiredShard>> = {}, more: Partial<Desired> = {}): Desired {
  return desired(
    keys.map((key) => shard(key, edits[key])),
    more,
  )
}

/** All that decides where tenants are, and what is planned. */
async function placesNow(): Promise<string> {
  const found: unknown[] = []
  for (const name of ['setting', 'bucket', 'placement', 'plan', 'move']) {
    found.push(await directory.query(`select t::text from directory.${name} t order by 1`))
  }
  found.push(await directory.query('select id, bucket, epoch, state from directory.tenant order by 1'))
  return JSON.stringify(found)
}

async function whereAll(): Promise<Record<string, string>> {
  const rows = await directory.query(`
    select tenant.id, coalesce(placement.shard, bucket.shard) || case when placement is null then '' else ' own' end as at
    from directory.tenant join directory.bucket on bucket.no = tenant.bucket
    left join directory.placement on placement.tenant_id = tenant.id order by 1`)
  return Object.fromEntries(rows.map(({ id, at }) => [id, at ?? '']))
}

/** A plan without a look at what is in the way of its moves. */
const quickly = (file: Desired): Promise<MovePlan> => makePlan(fleet, file, { isQuick: true })
const hashes = (): Promise<string[]> => Promise.all(world.tenants.map(({ id }) => hashOf(fleet, id)))
const countOn = async (key: string): Promise<number> => {
  const rows = await directory.query(`select no from directory.bucket where shard = '${key}'`)
  return rows.length
}
const followers = (key: string): TenantId[] =>
  world.tenants.filter((one) => one.shard === key && one.isolation === 'shared').map(({ id }) => id)

describe('a plan that is applied', () => {
  it('changes nothing while it is only made', async () => {
    const before = await placesNow()
    const plan = await makePlan(fleet, wanted({ 'shard-c': { drain: true } }))
    expect(plan.problems).toEqual([])
    expect(plan.moves.map(({ tenant }) => tenant).sort()).toEqual(
      world.tenants.flatMap((one) => (one.shard === 'shard-c' ? [one.id] : [])).sort(),
    )
    expect(plan.moves.every(({ rows, bytes }) => rows > 0 && bytes > 0)).toBe(true)
    expect(await placesNow()).toBe(before)
  })

  it('empties a shard: rows whole, buckets behind their tenants, rows of placements gone with them', async () => {
    const before = await hashes()
    const plan = await makePlan(fleet, wanted({ 'shard-c': { drain: true } }))
    const seen: string[] = []
    const applied = await applyPlan(fleet, plan, { onEvent: (event) => seen.push(nameOf(event)) })
    expect(applied).toMatchObject({ was: 'new', state: 'done', bucketsLeft: 0 })
    expect(applied.summary).toMatchObject({ undone: [], failed: [], open: [], paused: [] })
    expect(seen.filter((text) => text === 'settled')).toHaveLength(plan.moves.length)
    expect(await countOn('shard-c')).toBe(0)
    const where = await whereAll()
    for (const { id, isolation, shard: key } of world.tenants) {
      if (key !== 'shard-c') continue
      expect(where[id]).toMatch(isolation === 'shared' ? /^shard-[ab]$/ : /^shard-[ab] own$/)
    }
    expect(await hashes()).toEqual(before)
    expect(isEmpty(await makePlan(fleet, wanted({ 'shard-c': { drain: true } })))).toBe(true)
    expect(await applyPlan(fleet, plan)).toMatchObject({ id: applied.id, was: 'ended before', state: 'done' })
  }, 60_000)

  it('goes on where it was left, and refuses another one meanwhile', async () => {
    const stop = new AbortController()
    const onEvent = (event: MovesEvent): void => {
      if (event.kind === 'state' && event.move.state === 'settled') stop.abort()
    }
    const slow = { ...fleet, moves: { ...fleet.moves!, atOnce: 1 } }
    const plan = await quickly(wanted({ 'shard-a': { drain: true } }))
    expect(plan.moves.length).toBeGreaterThan(1)
    const first = await applyPlan(slow, plan, { signal: stop.signal, onEvent })
    expect(first).toMatchObject({ was: 'new', state: 'running' })
    expect(first.summary?.open.length).toBeGreaterThan(0)
    const before = await placesNow()
    const other = await quickly(wanted({ 'shard-b': { drain: true } }))
    await expect(applyPlan(fleet, other)).rejects.toThrow(
      /^Plan \d+, which ann began at .* is not finished\.$/,
    )
    expect(await placesNow()).toBe(before)
    const second = await applyPlan(fleet, plan)
    expect(second).toMatchObject({ id: first.id, was: 'begun before', state: 'done' })
    const moves = await listMoves(directory, { all: true, plan: first.id })
    expect(moves.map(({ tenant }) => tenant).sort()).toEqual(plan.moves.map(({ tenant }) => tenant).sort())
    expect(isEmpty(await makePlan(fleet, wanted({ 'shard-a': { drain: true } })))).toBe(true)
  }, 60_000)

  it('is given up: who has moved stays, whose move was queued is free, and no bucket has run ahead', async () => {
    const plan = await quickly(wanted({ 'shard-b': { drain: true } }))
    await applyPlan(fleet, plan, { isQueueOnly: true })
    const before = await whereAll()
    expect(await cancelPlan(fleet)).toMatchObject({ cancelled: plan.moves.length })
    expect(await whereAll()).toEqual(before)
    expect(await cancelPlan(fleet)).toBeNull()
    const again = await quickly(wanted({ 'shard-b': { drain: true } }))
    expect(again.moves.map(({ tenant }) => tenant)).toEqual(plan.moves.map(({ tenant }) => tenant))
  }, 60_000)

  it('leaves a tenant that was made meanwhile where it was made', async () => {
    const plan = await quickly(wanted({ 'shard-b': { weight: 0 } }))
    await applyPlan(fleet, plan, { isQueueOnly: true })
    const taken = new Set(plan.moves.map(({ bucket }) => bucket))
    let late: TenantId | undefined
    for (let i = 0; late === undefined; i++) {
      const id = tenantId(`late-${i}`)
      const { tenant } = await createTenant(fleet, { id })
      if (tenant.shard === 'shard-b' && taken.has(tenant.bucket)) late = id
    }
    const before = await whereAll()
    expect(before[late]).toBe('shard-b')
    expect(await applyPlan(fleet, plan)).toMatchObject({ was: 'begun before', state: 'done', bucketsLeft: 0 })
    expect((await whereAll())[late]).toBe('shard-b own')
    expect(await countOn('shard-b')).toBe(0)
  }, 60_000)

  it('gives the directory another number of buckets, re-routing nobody', async () => {
    const whereNow = async () =>
      Object.entries(await whereAll()).map(([id, at]) => `${id} ${at.replace(' own', '')}`)
    const plan = await quickly(wanted({}, { buckets: 50 }))
    const before = await whereNow()
    await applyPlan(fleet, plan, { isQueueOnly: true })
    expect(await whereNow()).toEqual(before)
    expect(await directory.query(`select value from directory.setting where key = 'buckets'`)).toEqual([
      { value: '50' },
    ])
    const rows = await directory.query('select id, bucket from directory.tenant')
    expect(rows.every(({ id, bucket }) => Number(bucket) === bucketOf(tenantId(id), 50))).toBe(true)
    await cancelPlan(fleet)
    expect(await whereNow()).toEqual(before)
  }, 60_000)
})

/** Without those that are only taken up again. */
const nameOf = (event: MovesEvent): string =>
  event.kind === 'state' && event.from !== null ? event.move.state : event.kind

describe('a plan that is refused', () => {
  const fifty = (edits: Record<string, Partial<DesiredShard>> = {}): Desired => wanted(edits, { buckets: 50 })
  let plan: MovePlan
  let before: string
  beforeAll(async () => {
    plan = await quickly(fifty({ 'shard-a': { drain: true } }))
    before = await placesNow()
  })

  const refused = async (what: MovePlan, sentence: RegExp): Promise<void> => {
    const now = await placesNow()
    await expect(applyPlan(fleet, what)).rejects.toThrow(sentence)
    expect(await placesNow()).toBe(now)
  }

  it('because a tenant of it has another epoch', async () => {
    const [{ tenant }] = plan.moves as [MovePlan['moves'][number]]
    await directory.query(`update directory.tenant set epoch = epoch + 1 where id = '${tenant}'`)
    await refused(
      plan,
      new RegExp(`^The directory has changed.*\\n  ${tenant} had the epoch \\d+ and has \\d+$`),
    )
    await directory.query(`update directory.tenant set epoch = epoch - 1 where id = '${tenant}'`)
    expect(await placesNow()).toBe(before)
  })

  it('because a bucket was dealt elsewhere', async () => {
    const [{ no, from }] = plan.buckets as [MovePlan['buckets'][number]]
    await directory.query(`update directory.bucket set shard = 'shard-c' where no = ${no}`)
    await refused(plan, new RegExp(`bucket ${no} was on ${from} and is on shard-c`))
    await directory.query(`update directory.bucket set shard = '${from}' where no = ${no}`)
  })

  it('because a tenant was given a place of its own', async () => {
    const { tenant, from } = plan.moves.find(({ follows }) => follows)!
    await directory.query(
      `insert into directory.placement values ('${tenant}', '${from.shard}', 'shared', 'app')`,
    )
    await refused(plan, /the placements or the buckets are not those that it was made from$/)
    await directory.query(`delete from directory.placement where tenant_id = '${tenant}'`)
  })

  it('because it names a shard that is not there, or a tenant', async () => {
    const [first, ...rest] = plan.moves as [MovePlan['moves'][number]]
    const { hash: _, ...unsealed } = plan
    const elsewhere = { ...first, to: { ...first.to, shard: 'shard-x' } }
    await refused(
      sealed({ ...unsealed, moves: [elsewhere, ...rest] }),
      /moves to shard-x, which the configuration/,
    )
    const nobody = { ...first, tenant: tenantId('nobody') }
    await refused(sealed({ ...unsealed, moves: [nobody, ...rest] }), /nobody is no longer there/)
  })

  it('and is done once the directory is as it was', async () => {
    expect(await placesNow()).toBe(before)
    expect(followers('shard-a').length).toBeGreaterThan(0)
    expect(await applyPlan(fleet, plan, { isQueueOnly: true })).toMatchObject({ was: 'new' })
    await cancelPlan(fleet)
  })
})
