/** Erasing tenants: nothing of one is left anywhere, nothing of anybody else is touched, wherever it is killed. */

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { PURGE, previewPurge, purgeTenant } from '../../src/control/life/purge.ts'
import { listReceipts, sealOf } from '../../src/control/life/receipts.ts'
import { changeState } from '../../src/control/life/state.ts'
import { findTombstone } from '../../src/control/life/tombstones.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { abortOperation, resumeOperation } from '../../src/control/operations/unfinished.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { withClient } from '../../src/db/client.ts'
import { verifyAudit } from '../../src/directory/audit.ts'
import { findPlacement } from '../../src/directory/placements.ts'
import { ISOLATIONS, type Isolation } from '../../src/directory/types.ts'
import { canary } from '../kit/canary.ts'
import { openWorldDoor } from '../kit/door.ts'
import { dyingAt, type LifeWorld, lifeWorld, refusal } from '../kit/life.ts'

let world: LifeWorld
const BYSTANDERS: readonly [string, Isolation][] = [
  ['acme', 'shared'],
  ['acme-2', 'shared'],
  ['acm', 'schema'],
  ['acme-2-b', 'database'],
]
let before: Map<string, string>

beforeAll(async () => {
  world = await lifeWorld()
  for (const [id, isolation] of BYSTANDERS) await world.add(id, isolation)
  before = await bystanders()
}, 120_000)
afterAll(() => world?.drop())

const nameOf = (tenant: TenantId): string => canary(tenant).text('name')

async function bystanders(): Promise<Map<string, string>> {
  const hashes = new Map<string, string>()
  for (const [id] of BYSTANDERS) hashes.set(id, await world.hashOf(tenantId(id)))
  return hashes
}

const offboard = (tenant: TenantId, days = 0) => changeState(world.fleet, 'offboard', tenant, { days })
const purge = (tenant: TenantId, fleet: Fleet = world.fleet) =>
  purgeTenant(fleet, tenant, { name: nameOf(tenant) })

async function expectGone(tenant: TenantId): Promise<void> {
  expect(await world.traces(tenant)).toEqual([])
  expect(await findPlacement(world.directory, tenant)).toBe(null)
  expect(await world.fence(tenant)).toMatch(/^purged \d+$/)
  expect(await bystanders()).toEqual(before)
}

describe.each(ISOLATIONS)('a tenant in the model %s', (isolation) => {
  it('leaves nothing behind but tombstone, receipt and audit, and the others untouched', async () => {
    const tenant = await world.add(`acme-${isolation}`, isolation, 30)
    const folder = await world.addExport(tenant)
    await world.addExport(tenant, 'another-host')
    const hash = await world.hashOf(tenant)
    expect((await world.traces(tenant)).length).toBeGreaterThan(5)
    await offboard(tenant)
    const { receipt, sha256, rows } = await purge(tenant)
    expect(rows).toBe(150)
    expect(existsSync(folder)).toBe(false)
    const [kept] = await listReceipts(world.directory, tenant)
    expect(kept).toMatchObject({ id: receipt, hash: sha256, kind: 'tenant.purge' })
    expect(createHash('sha256').update(kept!.body).digest('hex')).toBe(sha256)
    expect(JSON.parse(kept!.body)).toMatchObject({
      tenant,
      isolation,
      erased: { rows: 150, contentHash: hash },
      exports: { removed: [folder], elsewhere: [expect.stringContaining('another-host:')] },
      lookedThrough: { left: [], elsewhere: [], unread: [] },
    })
    expect(await sealOf(world.directory, sha256)).toMatchObject({ tenant, operator: 'test' })
    expect(await verifyAudit(world.directory)).toMatchObject({ kind: 'intact' })
    expect(await findTombstone(world.directory, tenant)).toMatchObject({ epoch: 2, isolation, receipt })
    // On another host nobody removes a folder; the receipt names it.
    expect(
      (await world.traces(tenant)).map((trace) => trace.replace(/^file .*another-host.*/, 'elsewhere')),
    ).toEqual(['elsewhere'])
  })
})

const PLACES = PURGE.steps.flatMap(({ name }) => [
  `before tenant.purge ${name}`,
  `after tenant.purge ${name}`,
])

describe('a purge that is killed', () => {
  // One tenant dies at every step in turn: each run goes on where the one before was killed.
  it.each(ISOLATIONS)(
    'at every step goes on there, in the model %s, and its receipt comes last',
    async (isolation) => {
      const tenant = await world.add(`dying-${isolation}`, isolation)
      const hash = await world.hashOf(tenant)
      await world.addExport(tenant)
      await offboard(tenant)
      for (const place of PLACES) {
        expect(await listReceipts(world.directory, tenant)).toEqual([])
        await expect(purge(tenant, dyingAt(world.fleet, place))).rejects.toThrow(`killed ${place}`)
        const isOpen = PLACES.indexOf(place) < PLACES.indexOf('after tenant.purge close')
        const seen = await findPlacement(world.directory, tenant)
        expect(seen?.state ?? 'unseen').toBe(isOpen ? 'offboarded' : 'unseen')
      }
      const { rows, receipt } = await purge(tenant)
      const [kept, ...others] = await listReceipts(world.directory, tenant)
      expect(others).toEqual([])
      expect(JSON.parse(kept!.body)).toMatchObject({ erased: { rows, contentHash: hash } })
      expect([rows, receipt]).toEqual([20, kept!.id])
      await expectGone(tenant)
    },
  )

  it('can be undone until it has closed the tenant for good, and not after', async () => {
    const tenant = await world.add('undone', 'schema', 2)
    const hash = await world.hashOf(tenant)
    await offboard(tenant)
    const dead = { fleet: dyingAt(world.fleet, 'after tenant.purge close') }
    await expect(purge(tenant, dead.fleet)).rejects.toThrow('killed')
    await abortOperation(world.fleet, await running(tenant))
    expect(await changeState(world.fleet, 'restore', tenant)).toMatchObject({ to: 'active' })
    expect(await world.hashOf(tenant)).toBe(hash)
    await offboard(tenant)
    const later = dyingAt(world.fleet, 'before tenant.purge delete rows')
    await expect(purge(tenant, later)).rejects.toThrow('killed')
    const id = await running(tenant)
    expect(await refusal(abortOperation(world.fleet, id))).toMatchObject({
      code: 'REFUSED',
      message: 'Rows of undone may be gone by now, so its purge cannot be undone, only finished.',
    })
    expect(await refusal(changeState(world.fleet, 'restore', tenant))).toMatchObject({ code: 'TENANT_BUSY' })
    await resumeOperation(world.fleet, id)
    await expectGone(tenant)
  })
})

describe('rows that a policy hides from the owner', () => {
  it('keep the receipt from being written, until they can be seen and go', async () => {
    const tenant = await world.add('hidden', 'shared')
    await offboard(tenant)
    const asSuperuser = (text: string) =>
      withClient(world.test.shards[0]!.superuserUrl, (client) => client.query(text))
    await asSuperuser(
      `create policy hiding on app.projects as restrictive using (name not like '%-project-1')`,
    )
    expect(await refusal(purge(tenant))).toMatchObject({
      code: 'TABLE_UNSAFE',
      message: 'Of hidden there is something left: app.projects (1).',
    })
    expect(await listReceipts(world.directory, tenant)).toEqual([])
    await asSuperuser('drop policy hiding on app.projects')
    await purge(tenant)
    await expectGone(tenant)
  })
})

async function running(tenant: TenantId): Promise<string> {
  const [row] = await world.directory.query({
    text: `select id from directory.operation where tenant_id = $1 and state = 'running'`,
    values: [tenant],
  })
  return row?.id ?? ''
}

describe('a purge that cannot be', () => {
  let tenant: TenantId
  beforeAll(async () => {
    tenant = await world.add('staying', 'shared')
  })
  const name = (): string => nameOf(tenant)

  it('is refused with a sentence, and changes nothing', async () => {
    const hash = await world.hashOf(tenant)
    const tried = (request: Parameters<typeof purgeTenant>[2], id = tenant) =>
      refusal(purgeTenant(world.fleet, id, request))
    expect(await tried({ name: name() })).toMatchObject({
      code: 'REFUSED',
      message: 'staying is active; a tenant is purged from its quarantine.',
    })
    await changeState(world.fleet, 'suspend', tenant)
    expect(await tried({ name: name(), force: true, reason: 'x' })).toMatchObject({ code: 'REFUSED' })
    await offboard(tenant, 3)
    expect((await tried({ name: name() })).message).toMatch(/^The quarantine of staying lasts until 20/)
    const wrong = await tried({ name: 'staying', force: true, reason: 'x' })
    expect(wrong).toMatchObject({ code: 'REFUSED', message: 'That is not the name of tenant staying.' })
    expect(JSON.stringify(wrong)).not.toContain(name())
    expect(await tried({ name: name(), force: true })).toMatchObject({ code: 'USAGE' })
    expect(await tried({ name: name() }, tenantId('stay'))).toMatchObject({ code: 'TENANT_UNKNOWN' })
    expect(await running(tenant)).toBe('')
    expect(await world.hashOf(tenant)).toBe(hash)
  })

  it('tells with --dry-run what would go, and takes nothing', async () => {
    const hash = await world.hashOf(tenant)
    const preview = await previewPurge(world.fleet, tenant)
    expect(preview).toMatchObject({ state: 'offboarded', isolation: 'shared', rows: 20 })
    expect(preview.tables.map(({ table, rows }) => `${table} ${rows}`)).toEqual([
      'app.invoices 4',
      'app.labels 8',
      'app.projects 4',
      'app.tasks 4',
    ])
    expect(await world.hashOf(tenant)).toBe(hash)
  })

  it('may be forced with a reason, which the receipt keeps; the same once more is told when it was', async () => {
    const reason = 'erasure asked for'
    await purgeTenant(world.fleet, tenant, { name: name(), force: true, reason })
    const [kept] = await listReceipts(world.directory, tenant)
    expect(JSON.parse(kept!.body)).toMatchObject({ forced: true, reason, begunBy: 'test' })
    await expectGone(tenant)
    const again = await refusal(purgeTenant(world.fleet, tenant, { name: name() }))
    expect(again).toMatchObject({
      code: 'TENANT_UNKNOWN',
      message: expect.stringMatching(/^staying was purged at 20/),
    })
  })
})

describe('a tenant that comes back under a purged id', () => {
  it.each(ISOLATIONS)(
    'begins a life of its own in the model %s, also on a gateway that knew the old one',
    async (isolation) => {
      const tenant = await world.add(`twice-${isolation}`, isolation)
      const door = await openWorldDoor({ ...world, directoryUrl: world.test.directoryUrl })
      const titles = () => door.ask(tenant, 'select title from "app".tasks where tenant_id = $1', [tenant])
      const claim = `select state, answer from shardgate.claim_key($1, 'a-key', 'a-request')`
      expect(await titles()).toHaveLength(4)
      expect(await door.ask(tenant, claim, [tenant], 'write')).toEqual([
        ['done', canary(tenant).text('answer')],
      ])
      await offboard(tenant)
      expect(await refusal(titles())).toMatchObject({ code: 'TENANT_SUSPENDED' })
      await purge(tenant)
      // Of a database that is gone nobody says why it is; the others say that they do not know the tenant.
      expect((await refusal(titles())).code).toMatch(/^(TENANT_UNKNOWN|SHARD_UNAVAILABLE)$/)
      const made = await createTenant(world.fleet, { id: tenant, isolation, shard: 'shard-a' })
      expect(made.tenant).toMatchObject({ epoch: 3, name: tenant, settings: {}, state: 'active' })
      await door.placements.refresh(tenant)
      // A database that was not there is tried again after a moment.
      expect(await vi.waitFor(titles, 5_000)).toEqual([])
      expect(await door.ask(tenant, claim, [tenant], 'write')).toEqual([['claimed', null]])
      door.end()
      expect(await world.traces(tenant)).toEqual([])
      await offboard(tenant)
      await purgeTenant(world.fleet, tenant, { name: tenant })
      expect(await findTombstone(world.directory, tenant)).toMatchObject({ epoch: 4 })
      expect(await listReceipts(world.directory, tenant)).toHaveLength(2)
    },
  )
})
