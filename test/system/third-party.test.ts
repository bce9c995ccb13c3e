/**
 * A schema that somebody else wrote: the tables of Logto, from its npm package to a served API, with what an
 * operator has to do on the way and nothing else. Needs the network once; later runs use the copy.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openConfiguredApi, type WorldApi } from '../kit/api.ts'
import { OPERATIONS_MS } from '../kit/generated-operations.ts'
import { logtoWorld } from '../kit/worlds/fixture-worlds.ts'
import type { ForeignWorld } from '../kit/worlds/foreign-world.ts'
import { expectSameAnswers, expectSameEffects } from '../kit/worlds/lanes-checks.ts'
import { fetchLogto } from '../kit/worlds/logto.ts'
import { expectNothingTold, expectSoundOperations } from '../kit/worlds/served-checks.ts'

const folder = await fetchLogto()

/** A database user of the product's own, as its policies know one for each tenant. */
const OWN_USER = 'user-of-acme'

describe.skipIf(folder === undefined)('the tables of Logto', () => {
  let world: ForeignWorld
  let api: WorldApi

  beforeAll(async () => {
    world = await logtoWorld(folder!)
    await world.setUp()
  })
  afterAll(async () => {
    api?.end()
    await world?.stop()
  })

  const unsafeChecks = async (): Promise<string[]> => {
    const found = (await world.findings()).filter(({ severity }) => severity === 'unsafe')
    return [...new Set(found.map(({ check }) => check))].sort()
  }

  /** Rows of a table that the product's own user sees. */
  async function seenByOwnUser(table: string): Promise<unknown> {
    const [row] = await world.sql(
      'shard-a',
      `do $$ begin create role "${OWN_USER}" in role logto_tenant_logto;
        exception when duplicate_object or unique_violation then null; end $$;
       set role "${OWN_USER}"; select count(*) as n, min(tenant_id) as tenant from public.${table}`,
    )
    return row
  }

  it('are not served as they are, and the doctor says of what kind the reasons are', async () => {
    await expect(openConfiguredApi(world)).rejects.toMatchObject({ code: 'SETUP_FAILED' })
    expect(await unsafeChecks()).toEqual([
      'foreign-key',
      'row-security',
      'row-security-forced',
      'tenant-not-empty',
      'tenant-policy',
      'unique-key',
    ])
  })

  it('are made safe by what adopt writes, and the product itself sees what it saw', async () => {
    const before = await seenByOwnUser('users')
    expect(before).toEqual({ n: '3', tenant: 'acme' })
    expect(await world.adopt()).toMatchObject({ byHand: 0, orphaned: [] })
    expect(await unsafeChecks()).toEqual([])
    expect(await seenByOwnUser('users')).toEqual(before)
  })

  it('have policies by the database user, which the doctor tells of; named roles are what they need', async () => {
    const narrow = (await world.findings()).filter(({ check }) => check === 'policy-narrow')
    expect(narrow.length).toBeGreaterThan(70 * world.shards.length)
    for (const { where, sql } of narrow) await world.sql(where, sql!)
    expect((await world.findings()).filter(({ check }) => check === 'policy-narrow')).toEqual([])
    expect(await seenByOwnUser('users')).toEqual({ n: '3', tenant: 'acme' })
  })

  it('are served: each tenant reads all of its rows and nobody else a single one', async () => {
    api = await openConfiguredApi(world)
    const left = ['public.systems', 'public.tenants']
    expect(api.model.tables.length).toBeGreaterThanOrEqual(75)
    expect(api.model.tables.filter(({ id }) => left.includes(id))).toEqual([])
    const lists = api.model.tables.map(({ manyField, columns }) => {
      const texts = columns
        .filter(({ type }) => type.kind === 'text' && !type.array)
        .map(({ field }) => field)
      return `${manyField} { totalCount nodes { ${texts.join(' ') || '__typename'} } }`
    })
    for (const tenant of world.tenants) {
      const data: Record<string, { totalCount: number }> = await api.data(tenant, `{ ${lists.join(' ')} }`)
      expect(Object.values(data).filter(({ totalCount }) => totalCount === 0)).toEqual([])
      expect(world.scanner.scan(tenant.id, JSON.stringify(data))).toEqual([])
    }
  })

  it('are written through their own triggers and checks', async () => {
    const [acme, globex] = world.tenants as [ForeignWorld['tenants'][number], ForeignWorld['tenants'][number]]
    const create = `mutation ($role: String!) { createUsersRole(input: { rowId: "a-role", userId: "1x1xusers_id", roleId: $role }) {
      ... on UsersRole { user { username } role { type } } ... on ConstraintError { kind constraint } } }`
    const ofMachines = acme.canary.text('2-roles-id').slice(0, 21)
    const ofUsers = acme.canary.text('3-roles-id').slice(0, 21)
    const foreign = globex.canary.text('3-roles-id').slice(0, 21)
    const run = async (role: string) => (await api.data(acme, create, { role })).createUsersRole

    expect(await run(ofMachines)).toMatchObject({ kind: 'CHECK' })
    expect(await run(foreign)).toEqual(await run('no-such-role'))
    expect(await run(ofUsers)).toMatchObject({ user: {}, role: { type: 'USER' } })
    const rename = `mutation { updateUser(id: "${await idOf(acme)}", patch: { name: "new" }) { ... on User { name createdAt updatedAt } } }`
    const { updateUser } = await api.data(acme, rename)
    expect(updateUser.name).toBe('new')
    expect(updateUser.updatedAt > '2026').toBe(true)
  })

  it('tell a tenant nothing of another', () => expectNothingTold(world, api, 'logto'), OPERATIONS_MS)

  it(
    'answer whatever operation their schema allows',
    () => expectSoundOperations(world, api, 'logto'),
    OPERATIONS_MS,
  )

  it('have one meaning in both lanes', async () => {
    const lanes = { ...world, api }
    await expectSameAnswers(lanes, 'logto', 500)
    await expectSameEffects(lanes, 'logto', 30)
  })

  async function idOf(tenant: ForeignWorld['tenants'][number]): Promise<string> {
    const { users } = await api.data(tenant, '{ users(first: 1) { nodes { id } } }')
    return users.nodes[0].id
  }
})
