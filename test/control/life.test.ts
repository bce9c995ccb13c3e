/** Opening, closing and changing tenants: at the shard at once, killed anywhere, with two operators at it. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { deadlineIn } from '../../src/base/time.ts'
import { setTenant } from '../../src/control/life/set.ts'
import { changeState, STATE_KINDS, type StateChange } from '../../src/control/life/state.ts'
import { findSubject } from '../../src/control/life/subject.ts'
import { abortOperation, resumeOperation } from '../../src/control/operations/unfinished.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { withClient } from '../../src/db/client.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import { prepared } from '../../src/db/sql.ts'
import { readAudit } from '../../src/directory/audit.ts'
import { findPlacement } from '../../src/directory/placements.ts'
import { ISOLATIONS, type Isolation } from '../../src/directory/types.ts'
import { canary } from '../kit/canary.ts'
import { openWorldDoor, type WorldDoor } from '../kit/door.ts'
import { dyingAt, type LifeWorld, lifeWorld, refusal } from '../kit/life.ts'

let world: LifeWorld
const tenants = new Map<Isolation, TenantId>()

beforeAll(async () => {
  world = await lifeWorld()
  for (const isolation of ISOLATIONS)
    tenants.set(isolation, await world.add(`one-${isolation}`, isolation, 2))
})
afterAll(() => world?.drop())

const change = (what: StateChange, tenant: TenantId, fleet: Fleet = world.fleet) =>
  changeState(fleet, what, tenant)
const stateOf = async (tenant: TenantId) => (await findPlacement(world.directory, tenant))?.state

/** What the fence says where the tenant's tables are. */
async function fenceOf(tenant: TenantId): Promise<string | undefined> {
  const subject = await findSubject(world.directory, tenant)
  const { superuserUrl } = world.test.shards[0]!
  const url = subject!.isolation === 'database' ? databaseUrl(superuserUrl, subject!.namespace) : superuserUrl
  const [row] = await withClient(url, (client) =>
    client.query({ text: 'select state from shardgate.tenant_fence where tenant_id = $1', values: [tenant] }),
  )
  return row?.state ?? undefined
}

/** How many operations of a tenant have been begun. */
async function begun(tenant: TenantId): Promise<number> {
  const [row] = await world.directory.query({
    text: 'select count(*) from directory.operation where tenant_id = $1',
    values: [tenant],
  })
  return Number(row?.count)
}

describe.each(ISOLATIONS)('in the model %s', (isolation) => {
  const tenant = (): TenantId => tenants.get(isolation)!

  it('suspend, read-only and resume are known to directory and shard, and told when nothing changes', async () => {
    for (const [what, to] of [
      ['suspend', 'suspended'],
      ['read-only', 'read-only'],
      ['suspend', 'suspended'],
      ['resume', 'active'],
      ['read-only', 'read-only'],
      ['resume', 'active'],
    ] as const) {
      expect(await change(what, tenant())).toMatchObject({ to, changed: true })
      expect([await stateOf(tenant()), await fenceOf(tenant())]).toEqual([to, to])
      const operations = await begun(tenant())
      expect(await change(what, tenant())).toMatchObject({ from: to, to, changed: false })
      expect(await begun(tenant())).toBe(operations)
    }
  })

  it('offboard and restore lead back to what it was, with all its rows', async () => {
    const hash = await world.hashOf(tenant())
    for (const before of ['active', 'suspended', 'read-only'] as const) {
      if (before !== 'active') await change(before === 'suspended' ? 'suspend' : 'read-only', tenant())
      const { purgeAfter } = await changeState(world.fleet, 'offboard', tenant(), { days: 5 })
      expect(purgeAfter).toMatch(/^20/)
      expect([await stateOf(tenant()), await fenceOf(tenant())]).toEqual(['offboarded', 'suspended'])
      expect(await change('restore', tenant())).toMatchObject({
        from: 'offboarded',
        to: before,
        purgeAfter: null,
      })
      expect([await stateOf(tenant()), await fenceOf(tenant())]).toEqual([before, before])
    }
    await change('resume', tenant())
    expect(await world.hashOf(tenant())).toBe(hash)
  })
})

describe('a change that is killed', () => {
  const ways: readonly [StateChange, string, StateChange][] = [
    ['suspend', 'suspended', 'resume'],
    ['resume', 'active', 'suspend'],
    ['offboard', 'offboarded', 'restore'],
    ['restore', 'active', 'offboard'],
  ]
  const atShard = (state: string): string => (state === 'offboarded' ? 'suspended' : state)

  it('at any step goes on, can be undone, and never leaves the shard open where the directory says closed', async () => {
    const tenant = await world.add('killed', 'shared', 1)
    for (const [what, to, back] of ways) {
      const from = (await stateOf(tenant)) ?? ''
      const places = STATE_KINDS[what].steps.flatMap(({ name }) =>
        ['before', 'after'].map((moment) => `${moment} tenant.${what} ${name}`),
      )
      for (const place of places) {
        await expect(change(what, tenant, dyingAt(world.fleet, place))).rejects.toThrow(`killed ${place}`)
        const [said, fence] = [await stateOf(tenant), await fenceOf(tenant)]
        if (said === 'suspended' || said === 'offboarded') expect(fence).toBe('suspended')
      }
      expect(await change(what, tenant)).toMatchObject({ from, to })
      expect([await stateOf(tenant), await fenceOf(tenant)]).toEqual([to, atShard(to)])
      await change(back, tenant)
      for (const place of places.filter((name) => name.startsWith('after'))) {
        await expect(change(what, tenant, dyingAt(world.fleet, place))).rejects.toThrow(`killed ${place}`)
        await abortOperation(world.fleet, await running(tenant))
        expect([await stateOf(tenant), await fenceOf(tenant)]).toEqual([from, atShard(from)])
      }
      await change(what, tenant)
    }
  })
})

/** Whether somebody on the first shard waits for the lock of a tenant. */
async function isWaiting(): Promise<boolean> {
  const rows = await withClient(world.test.shards[0]!.superuserUrl, (client) =>
    client.query(`
      select from pg_locks where locktype = 'advisory' and not granted
        and database = (select oid from pg_database where datname = current_database())`),
  )
  return rows.length > 0
}

async function running(tenant: TenantId): Promise<string> {
  const [row] = await world.directory.query({
    text: `select id from directory.operation where tenant_id = $1 and state = 'running'`,
    values: [tenant],
  })
  return row?.id ?? ''
}

describe('a shard that is down', () => {
  const down = (): Fleet => {
    const shards = world.fleet.shards.map((shard) => ({
      ...shard,
      url: Object.assign(new URL(shard.url), { port: '1' }).href,
    }))
    return { ...world.fleet, shards }
  }

  it('does not keep the directory from closing; the shard is told when it is back', async () => {
    const tenant = tenants.get('schema')!
    const refused = await refusal(change('suspend', tenant, down()))
    expect(refused).toMatchObject({
      code: 'SHARD_UNAVAILABLE',
      hint: expect.stringContaining('operation resume'),
    })
    expect(refused.message).toMatch(
      /^one-schema is suspended in the directory, .* but its shard could not be told\./,
    )
    expect([await stateOf(tenant), await fenceOf(tenant)]).toEqual(['suspended', 'active'])
    expect(await refusal(change('resume', tenant))).toMatchObject({ code: 'TENANT_BUSY' })
    await resumeOperation(world.fleet, await running(tenant))
    expect(await fenceOf(tenant)).toBe('suspended')
    await change('resume', tenant)
  })

  it('keeps a tenant from being opened, and nothing has begun', async () => {
    const tenant = tenants.get('shared')!
    await change('suspend', tenant)
    const operations = await begun(tenant)
    expect(await refusal(change('resume', tenant, down()))).toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    expect([await stateOf(tenant), await begun(tenant)]).toEqual(['suspended', operations])
    await change('resume', tenant)
  })

  it('that is another database than before is not told anything', async () => {
    const [a, b] = world.fleet.shards
    const swapped = {
      ...world.fleet,
      shards: [
        { ...a!, url: b!.url },
        { ...b!, url: a!.url },
      ],
    }
    const tenant = tenants.get('shared')!
    // Of another directory's tenant, say, that has the same id.
    const onOther = (text: string) =>
      withClient(world.test.shards[1]!.superuserUrl, (client) => client.query({ text, values: [tenant] }))
    await onOther(`insert into shardgate.tenant_fence (tenant_id, state, epoch) values ($1, 'active', 1)`)
    const message = expect.stringContaining('carries the identity')
    expect(await refusal(change('suspend', tenant, swapped))).toMatchObject({ code: 'SHARD_UNSAFE', message })
    await abortOperation(world.fleet, await running(tenant))
    expect([await stateOf(tenant), await fenceOf(tenant)]).toEqual(['active', 'active'])
    expect(await onOther('delete from shardgate.tenant_fence where tenant_id = $1 returning state')).toEqual([
      { state: 'active' },
    ])
  })
})

describe('wrong states', () => {
  it('are refused with a sentence, and nothing changes', async () => {
    const tenant = await world.add('odd', 'shared', 1)
    expect(await refusal(change('restore', tenant))).toMatchObject({
      code: 'REFUSED',
      message: 'odd is active; "restore" wants one that is offboarded.',
    })
    await change('offboard', tenant)
    const operations = await begun(tenant)
    for (const what of ['suspend', 'resume', 'read-only'] as const) {
      expect(await refusal(change(what, tenant))).toMatchObject({
        code: 'REFUSED',
        hint: 'Type "shardgate tenant restore odd" first.',
      })
    }
    expect(await refusal(setTenant(world.fleet, tenant, { name: 'x' }))).toMatchObject({ code: 'REFUSED' })
    expect(await begun(tenant)).toBe(operations)
    expect(await change('offboard', tenant)).toMatchObject({ changed: false })
    await change('restore', tenant)
    expect(await refusal(change('suspend', tenantId('od')))).toMatchObject({ code: 'TENANT_UNKNOWN' })
  })
})

describe('two gateways with old copies', () => {
  it('refuse a suspended tenant, and the writes of a read-only one, from the moment that the shard knows', async () => {
    const doors = await Promise.all(
      [1, 2].map(() => openWorldDoor({ ...world, directoryUrl: world.test.directoryUrl })),
    )
    const count = 'select count(*) from app.tasks where tenant_id = $1'
    const write = 'update app.tasks set done = done where tenant_id = $1'
    const said = (door: WorldDoor, tenant: TenantId, mode: 'read' | 'write'): Promise<string | undefined> =>
      refusal(door.ask(tenant, mode === 'read' ? count : write, [tenant], mode)).then(
        ({ code, message }) => code ?? message,
      )
    try {
      for (const tenant of tenants.values()) {
        for (const door of doors) expect(await said(door, tenant, 'write')).toBe('not refused')
        // The directory is told last: what is refused here is refused by the shard alone.
        const early = dyingAt(world.fleet, 'before tenant.suspend write the directory')
        await expect(change('suspend', tenant, early)).rejects.toThrow('killed')
        expect(await stateOf(tenant)).toBe('active')
        for (const door of doors) expect(await said(door, tenant, 'read')).toBe('TENANT_SUSPENDED')
        await abortOperation(world.fleet, await running(tenant))
        await change('read-only', tenant)
        for (const door of doors) {
          expect(await said(door, tenant, 'read')).toBe('not refused')
          expect(await said(door, tenant, 'write')).toBe('TENANT_READ_ONLY')
        }
        await change('resume', tenant)
      }
    } finally {
      for (const door of doors) door.end()
    }
  })

  it('writes that have begun end before a tenant is closed', async () => {
    const tenant = tenants.get('shared')!
    const door = await openWorldDoor({ ...world, directoryUrl: world.test.directoryUrl })
    const written = Promise.withResolvers<void>()
    const order: string[] = []
    const slow = door.door.withTenant(tenant, 'write', deadlineIn(10_000), async ({ run }) => {
      await run(prepared('update app.tasks set title = title where tenant_id = $1', [tenant]))
      written.resolve()
      await closing.promise
      order.push('written')
      return { keep: true, value: null }
    })
    const closing = Promise.withResolvers<void>()
    await written.promise
    const closed = change('suspend', tenant).then(() => order.push('closed'))
    // Released only when the command waits for it, or has not waited.
    while (order.length === 0 && !(await isWaiting())) await new Promise(setImmediate)
    expect(await fenceOf(tenant)).toBe('suspended')
    closing.resolve()
    await Promise.all([slow, closed])
    expect(order).toEqual(['written', 'closed'])
    door.end()
    await change('resume', tenant)
  })
})

describe('two operators at once', () => {
  it('suspend and resume one tenant: one after the other, or one is told to wait', async () => {
    const tenant = tenants.get('database')!
    for (let round = 0; round < 3; round++) {
      const both = await Promise.allSettled([
        change('suspend', tenant),
        change('offboard', tenant),
        change('read-only', tenant),
      ])
      for (const outcome of both) {
        if (outcome.status === 'rejected')
          expect(outcome.reason).toMatchObject({ code: /TENANT_BUSY|REFUSED/ })
      }
      expect(both.some(({ status }) => status === 'fulfilled')).toBe(true)
      const state = await stateOf(tenant)
      expect(await fenceOf(tenant)).toBe(state === 'offboarded' ? 'suspended' : state)
      expect(await running(tenant)).toBe('')
      await change(state === 'offboarded' ? 'restore' : 'resume', tenant)
      if ((await stateOf(tenant)) !== 'active') await change('resume', tenant)
    }
  })

  it('set different things of one tenant, and none is lost', async () => {
    const tenant = tenants.get('shared')!
    const sets = Array.from({ length: 8 }, (_, i) => {
      const features = { on: [`feature-${i}`], off: [] }
      return setTenant(world.fleet, tenant, { features, settings: { [`key-${i}`]: i } })
    })
    await Promise.all([...sets, setTenant(world.fleet, tenant, { plan: 'gold' })])
    const placement = await findPlacement(world.directory, tenant)
    expect(placement?.plan).toBe('gold')
    expect([...placement!.settings.features!].sort()).toEqual(
      Array.from({ length: 8 }, (_, i) => `feature-${i}`),
    )
    expect(placement?.settings).toMatchObject({ 'key-0': 0, 'key-7': 7 })
  })

  it('build on what they have seen: the second of two is refused', async () => {
    const tenant = tenants.get('schema')!
    const { changedAt } = await setTenant(world.fleet, tenant, { plan: 'seen' })
    await setTenant(world.fleet, tenant, { name: 'first', unchangedSince: changedAt })
    const second = await refusal(
      setTenant(world.fleet, tenant, { name: 'second', unchangedSince: changedAt }),
    )
    expect(second).toMatchObject({
      code: 'REFUSED',
      hint: expect.stringContaining('tenant show one-schema'),
    })
    expect(await findPlacement(world.directory, tenant)).toMatchObject({ name: 'first' })
  })
})

describe('setting', () => {
  it('changes what is named, and the audit log knows which keys and no values', async () => {
    const tenant = await world.add('changing', 'shared', 1)
    const motto = canary(tenant).text('changed')
    const changes = {
      name: motto,
      settings: { motto, branding: null },
      features: { on: ['b', 'a'], off: ['c'] },
    }
    expect(await setTenant(world.fleet, tenant, changes)).toMatchObject({ changed: ['name', 'settings'] })
    expect(await findPlacement(world.directory, tenant)).toMatchObject({
      name: motto,
      settings: { motto, features: ['b', 'a'] },
    })
    expect(await setTenant(world.fleet, tenant, changes)).toMatchObject({ changed: [] })
    const entries = await readAudit(world.directory, { tenant, limit: 100 })
    expect(entries.at(-1)).toMatchObject({ action: 'tenant.set', details: { changed: ['name', 'settings'] } })
    expect(entries.filter(({ action }) => action === 'tenant.set')).toHaveLength(1)
    expect(JSON.stringify(entries)).not.toContain(canary(tenant).tag)
  })

  it('takes no subdomain of another tenant, and no settings that are none', async () => {
    const tenant = tenants.get('shared')!
    expect(await refusal(setTenant(world.fleet, tenant, { subdomain: 'one-schema' }))).toMatchObject({
      code: 'TENANT_EXISTS',
      message: 'The subdomain "one-schema" belongs to another tenant.',
    })
    expect(await refusal(setTenant(world.fleet, tenant, { settings: { features: [1] } }))).toMatchObject({
      code: 'USAGE',
    })
    const plans = { gold: { isolation: 'schema' } } as const
    expect(await refusal(setTenant({ ...world.fleet, plans }, tenant, { plan: 'silver' }))).toMatchObject({
      code: 'USAGE',
    })
  })
})
