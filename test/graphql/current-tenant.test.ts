/** `currentTenant`: what a tenant may know of itself, to whom, from where, and under which name. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TenantSettings } from '../../src/directory/types.ts'
import type { Extension } from '../../src/graphql/extension.ts'
import { currentTenantOf } from '../../src/graphql/tenant-view.ts'
import type { Role } from '../../src/tenant/types.ts'
import { openWorldApi, type WorldApi } from '../kit/api.ts'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { placementOf } from '../kit/placements.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'
import { openTableApi } from '../kit/table-api.ts'

const ALL = '{ currentTenant { __typename id name subdomain plan settings features } }'
const SETTINGS = {
  branding: { colour: '#123456' },
  features: ['early-ratings', 'beta'],
}

let world: World
let api: WorldApi
let seen: unknown

const extension: Extension = {
  permissions: { 'Query.seen': 'viewer' },
  extend({ builder }) {
    builder.queryField('seen', (t) =>
      t.boolean({
        resolve: (_root, _args, { scope }) => {
          seen = scope.tenant
          return scope.hasFeature('beta')
        },
      }),
    )
  },
}

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1, rows: 1 })
  const [tenant] = world.tenants
  await world.sql('directory', `update directory.tenant set plan = 'gold', settings = $2 where id = $1`, [
    tenant!.id,
    JSON.stringify(SETTINGS),
  ])
  api = await openWorldApi(world, [extension])
})
afterAll(async () => {
  api.end()
  await world.stop()
})

describe('currentTenant', () => {
  it('gives names, plan, settings and features of the tenant that asks, and of no other', async () => {
    const [first, second] = world.tenants
    const { settings, ...names } = (await api.data(first!, ALL)).currentTenant
    expect(names).toEqual({
      __typename: 'CurrentTenant',
      id: first!.id,
      name: first!.id,
      subdomain: first!.id,
      plan: 'gold',
      features: ['early-ratings', 'beta'],
    })
    expect(settings).toMatchObject({ branding: { colour: '#123456' } })
    const other = (await api.data(second!, ALL)).currentTenant
    expect(other).toMatchObject({ id: second!.id, plan: 'standard', settings: {}, features: [] })
  })

  it('asks no shard', async () => {
    const { ran } = await api.record(() => api.data(world.tenants[0]!, ALL))
    expect(ran).toEqual([])
  })

  it('sends its operation to the resolver lane, with the rows that it asks for beside it', async () => {
    const [tenant] = world.tenants
    expect(await api.compiled(tenant!, ALL)).toBeNull()
    expect(await api.compiled(tenant!, '{ currentTenant { id } tasks { nodes { id } } }')).toBeNull()
    expect(await api.compiled(tenant!, '{ tasks { nodes { id } } }')).toMatch(/"nodes"/)
  })

  it('tells extensions, frozen', async () => {
    expect(await api.data(world.tenants[0]!, '{ seen }')).toEqual({ seen: true })
    expect(seen).toMatchObject({ id: world.tenants[0]!.id, features: SETTINGS.features })
    const { settings } = seen as { settings: { branding: object } }
    expect([seen, settings, settings.branding].every(Object.isFrozen)).toBe(true)
    expect(await api.data(world.tenants[1]!, '{ seen }')).toEqual({ seen: false })
  })

  it('switches nothing on by settings that hold no list of names', () => {
    const featuresOf = (features: unknown) =>
      currentTenantOf(placementOf('acme', { settings: { features } as TenantSettings })).features
    expect(featuresOf('beta')).toEqual([])
    expect(featuresOf({ beta: true })).toEqual([])
    expect(featuresOf([1, 'beta', null])).toEqual(['beta'])
  })
})

describe('on the public port', () => {
  let gateway: Gateway
  const USAGE = `query ($month: String) { currentTenant {
    usage(month: $month) { requests operations errors cost databaseMs rows bytesIn bytesOut cacheHits activeUsers storageBytes }
    limits { requestsPerMinute costPerMonth depth rows } } }`
  beforeAll(async () => {
    const suspend = `update directory.tenant set state = 'suspended' where id = $1`
    await world.sql('directory', suspend, [world.tenants[1]!.id])
    await world.sql('directory', `update directory.tenant set limits = '{"depth": 9}' where id = $1`, [
      world.tenants[0]!.id,
    ])
    gateway = await startGateway(world)
  })
  afterAll(() => gateway.stop())

  async function ask(tenant: WorldTenant, roles: Role[], query = ALL, variables = {}) {
    const authorization = `Bearer ${await worldToken(world, tenant, roles)}`
    const headers = { authorization, 'content-type': 'application/json' }
    const body = JSON.stringify({ query, variables })
    const answer = await fetch(gateway.url, { method: 'POST', headers, body })
    return (await answer.json()) as { data?: unknown; errors?: { extensions: { code: string } }[] }
  }

  it('tells the admins of a tenant what it has used in a month, and its limits', async () => {
    const [tenant] = world.tenants
    await world.sql(
      'directory',
      `insert into directory.usage_hour (tenant_id, hour, requests, cost, rows, bytes_out, users)
       values ($1, '2025-10-31 23:00Z', 5000000000, 1.5, 7, 12, '{1,2}'), ($1, '2025-11-01 00:00Z', 1, 0, 0, 0, '{}'),
         ($2, '2025-10-31 23:00Z', 99, 0, 0, 0, '{}')`,
      [tenant!.id, world.tenants[1]!.id],
    )
    const october = {
      requests: '5000000000',
      cost: 1.5,
      rows: '7',
      bytesOut: '12',
      activeUsers: '2',
      errors: '0',
    }
    const limits = { requestsPerMinute: null, costPerMonth: null, depth: 9, rows: null }
    expect(await ask(tenant!, ['admin'], USAGE, { month: '2025-10' })).toMatchObject({
      data: { currentTenant: { usage: october, limits } },
    })
    const none = { currentTenant: { usage: { requests: '0', databaseMs: 0 } } }
    expect(await ask(tenant!, ['admin'], USAGE, { month: '2024-10' })).toMatchObject({ data: none })
    const { data } = await ask(tenant!, ['admin'], USAGE)
    expect(data).toMatchObject({ currentTenant: { usage: { requests: expect.stringMatching(/^\d+$/) } } })
  })

  it.each(['2025-13', '2025', '2025-10-01', 'now', "'"])('%s is no month', async (month) => {
    const { data, errors } = await ask(world.tenants[0]!, ['admin'], USAGE, { month })
    expect([data, errors?.[0]?.extensions.code]).toMatchObject([
      { currentTenant: { usage: null } },
      'BAD_USER_INPUT',
    ])
  })

  it('tells nobody else what it has used, and everybody its limits', async () => {
    for (const role of ['viewer', 'member'] as const) {
      const { data, errors } = await ask(world.tenants[0]!, [role], USAGE)
      expect([data, errors?.[0]?.extensions.code]).toMatchObject([undefined, 'FORBIDDEN'])
      const limits = await ask(world.tenants[0]!, [role], '{ currentTenant { limits { depth } } }')
      expect(limits).toEqual({ data: { currentTenant: { limits: { depth: 9 } } } })
    }
  })

  it('every role of the tenant may ask; an operator may not, nor may a suspended tenant', async () => {
    const [tenant, other] = world.tenants
    for (const role of ['viewer', 'member', 'admin'] as const) {
      expect(await ask(tenant!, [role])).toMatchObject({ data: { currentTenant: { id: tenant!.id } } })
    }
    expect((await ask(tenant!, ['operator'])).errors?.[0]?.extensions.code).toBe('FORBIDDEN')
    expect((await ask(other!, ['admin'])).errors?.[0]?.extensions.code).toBe('TENANT_SUSPENDED')
  })
})

it('a table that wants the name is told so, with what to type', async () => {
  const wants = (name: string) =>
    openTableApi(`create table app.${name} (tenant_id text not null, id int, primary key (tenant_id, id))`)
  await expect(wants('current_tenants')).rejects.toThrow(
    /the API itself and the table app\.current_tenants both want the GraphQL type CurrentTenant\. To mend it: comment on table app\.current_tenants is '@name …'/,
  )
})
