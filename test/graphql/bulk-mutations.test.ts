/** Mutations of several rows: all of them or none, never more than `atMost`, in the order that was asked. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deadlineIn } from '../../src/base/time.ts'
import { prepared } from '../../src/db/sql.ts'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant
let other: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1 })
  tenant = world.tenants[0]!
  other = world.tenants[1]!
  api = await openWorldApi(world, [], { rows: 50 })
})
afterAll(async () => {
  api.end()
  await world.stop()
})

const CHANGES = `__typename
  ... on ProjectChanges { count nodes { rowId name budgetCents aliases share tasks { totalCount } } }
  ... on ConstraintError { kind columns path }`
const CREATE = `mutation($input: [CreateProjectInput!]!) { createProjects(input: $input) { ${CHANGES} } }`
const UPDATE = `mutation($filter: ProjectFilter!, $patch: ProjectPatch!, $atMost: Int = 1) {
  updateProjects(filter: $filter, patch: $patch, atMost: $atMost) { ${CHANGES} } }`
const DELETE = `mutation($filter: ProjectFilter!, $atMost: Int = 1) {
  deleteProjects(filter: $filter, atMost: $atMost) { ${CHANGES} } }`
const names = (rows: Data[]): string[] => rows.map(({ name }) => name)
const fault = async (source: string, variables: object) => {
  const { data, errors } = await api.run(tenant, source, variables)
  const { code, message, details }: Data = errors?.[0]?.originalError ?? {}
  return { data, code, message, details }
}

describe('creating several', () => {
  it('returns them in the order of the input, whichever columns each gives, with defaults for the others', async () => {
    const input = [
      { rowId: '101', name: 'both', budgetCents: '5', aliases: ['a,b', null, '"c"'] },
      { rowId: '102', name: 'bare' },
      { rowId: '103', name: 'both too', budgetCents: '6', aliases: [] },
      { rowId: '104', name: 'nothing in it', share: null },
      { rowId: '105', name: 'bare too' },
    ]
    const { createProjects } = await api.data(tenant, CREATE, { input })
    expect(createProjects.count).toBe(5)
    expect(createProjects.nodes).toEqual(
      input.map(({ rowId, name, budgetCents = '0', aliases = [] }) => ({
        ...{ rowId, name, budgetCents, aliases, share: null, tasks: { totalCount: 0 } },
      })),
    )
  })

  it('keeps every value as a single create does: JSON, bytes, times and text with everything in it', async () => {
    const value = {
      notes: { a: [1, null, { 'b"': '\\' }] },
      logo: '\\x00ff10',
      createdAt: '2026-03-29T01:59:59.123456Z',
      share: '12345678901234567.89',
      name: 'Ünïcode ☂ {"x",NULL} \\ and more',
    }
    const FIELDS = 'notes logo createdAt share name'
    const { one, many } = await api.data(
      tenant,
      `mutation($one: CreateProjectInput!, $many: [CreateProjectInput!]!) {
        one: createProject(input: $one) { ... on Project { ${FIELDS} } }
        many: createProjects(input: $many) { ... on ProjectChanges { nodes { ${FIELDS} } } } }`,
      {
        one: { rowId: '110', ...value },
        many: [
          { rowId: '111', ...value, name: `${value.name}2` },
          { rowId: '112', ...value, name: `${value.name}3` },
        ],
      },
    )
    expect(many.nodes).toEqual([2, 3].map((n) => ({ ...one, name: one.name + n })))
  })

  it('of which one breaks a constraint keeps none', async () => {
    const before = await world.contents(tenant)
    const input = [
      { rowId: '120', name: 'fresh' },
      { rowId: '121', name: 'fresh' },
    ]
    const { createProjects } = await api.data(tenant, CREATE, { input })
    expect(createProjects).toEqual({
      __typename: 'ConstraintError',
      kind: 'UNIQUE',
      columns: ['name'],
      path: [],
    })
    expect(await world.contents(tenant)).toBe(before)
  })

  it('is refused beyond the rows of an operation, over all its fields, and changes nothing', async () => {
    const before = await world.contents(tenant)
    const rows = (from: number, count: number) =>
      Array.from({ length: count }, (_, i) => ({ rowId: `${from + i}`, name: `many ${from + i}` }))
    const source = `mutation($a: [CreateProjectInput!]!, $b: [CreateProjectInput!]!) {
      a: createProjects(input: $a) { __typename } b: createProjects(input: $b) { __typename } }`
    const { code, details } = await fault(source, { a: rows(200, 30), b: rows(300, 21) })
    expect([code, details]).toEqual(['QUERY_TOO_COMPLEX', { limit: 'writtenRows', allowed: 50 }])
    expect(await world.contents(tenant)).toBe(before)
    expect((await api.data(tenant, CREATE, { input: [] })).createProjects).toMatchObject({ count: 0 })
  })
})

describe('updating several', () => {
  it('changes all rows that match and returns them in the order of their key', async () => {
    const input = [5, 3, 4].map((n) => ({ rowId: `${400 + n}`, name: `u${n}` }))
    await api.data(tenant, CREATE, { input })
    const variables = { filter: { name: { in: ['u3', 'u4', 'u5'] } }, patch: { share: 7 }, atMost: 3 }
    const { updateProjects } = await api.data(tenant, UPDATE, variables)
    expect(names(updateProjects.nodes)).toEqual(['u3', 'u4', 'u5'])
    expect(updateProjects.nodes.map(({ share }: Data) => share)).toEqual(['7.00', '7.00', '7.00'])
    const none = await api.data(tenant, UPDATE, { filter: { name: { eq: 'nobody' } }, patch: { share: 1 } })
    expect(none.updateProjects).toMatchObject({ count: 0, nodes: [] })
  })

  it.each([
    ['matches one more than allowed', { name: { in: ['u3', 'u4', 'u5'] } }, 2, 3],
    ['is empty, and so matches every row', {}, 1, 2],
    ['matches one, where none is allowed', { name: { eq: 'u3' } }, 0, 1],
  ])('is refused when the filter %s', async (_, filter, atMost, matched) => {
    const before = await world.contents(tenant)
    expect(await fault(UPDATE, { filter, patch: { share: 1 }, atMost })).toEqual({
      data: { updateProjects: null },
      code: 'AT_MOST_EXCEEDED',
      message: `The filter matches at least ${matched} projects; "atMost" allows ${atMost}. Nothing was changed.`,
      details: { matched, allowed: atMost },
    })
    expect(await fault(DELETE, { filter, atMost })).toMatchObject({ code: 'AT_MOST_EXCEEDED' })
    expect(await world.contents(tenant)).toBe(before)
  })

  it('wants an "atMost" that an operation may write, and a patch', async () => {
    const codes = [51, -1].map((atMost) => fault(UPDATE, { filter: {}, patch: { share: 1 }, atMost }))
    for (const { message } of await Promise.all(codes)) {
      expect(message).toMatch('"atMost" wants a number from 0 to 50')
    }
    const { message } = await fault(UPDATE, { filter: {}, patch: {} })
    expect(message).toBe('"patch" is empty; name a column to change.')
  })

  it('never reaches rows of another tenant, whatever the filter says', async () => {
    const before = await world.contents(other)
    const [theirs] = await world.sql(other.shard, 'select name from app.projects where tenant_id = $1', [
      other.id,
    ])
    const answers = [theirs?.name, 'nobody has this name'].map((name) =>
      api.run(tenant, UPDATE, { filter: { name: { eq: name } }, patch: { share: 9 } }),
    )
    const [foreign, missing] = await Promise.all(answers)
    expect(JSON.stringify(foreign)).toBe(JSON.stringify(missing))
    expect(await world.contents(other)).toBe(before)
  })
})

describe('deleting several', () => {
  it('returns them as they were; their relations are read when they are gone', async () => {
    await api.data(tenant, CREATE, {
      input: [{ rowId: '501', name: 'd1', tasks: [{ rowId: 801, title: 't' }] }],
    })
    const { deleteProjects } = await api.data(tenant, DELETE, { filter: { name: { eq: 'd1' } } })
    expect(deleteProjects).toMatchObject({ count: 1, nodes: [{ name: 'd1', tasks: { totalCount: 0 } }] })
    const gone = await api.data(tenant, DELETE, { filter: { name: { eq: 'd1' } } })
    expect(gone.deleteProjects).toMatchObject({ count: 0 })
  })

  it('works for a role that may delete and not update', async () => {
    await api.data(tenant, CREATE, { input: [{ rowId: '502', name: 'd2' }] })
    await world.sql(tenant.shard, 'revoke update on app.projects from shardgate_app')
    const fewer = await openWorldApi(world)
    try {
      const { deleteProjects } = await fewer.data(tenant, DELETE, { filter: { name: { eq: 'd2' } } })
      expect(names(deleteProjects.nodes)).toEqual(['d2'])
    } finally {
      fewer.end()
      await world.sql(tenant.shard, 'grant update on app.projects to shardgate_app')
    }
  })
})

describe('two bulk updates of the same rows at once', () => {
  it('take their locks in one order, so that one waits and none is a deadlock', async () => {
    const input = Array.from({ length: 20 }, (_, i) => ({ rowId: `${700 + i}`, name: `l${i}` }))
    await api.data(tenant, CREATE, { input })
    const lists = [input, input.toReversed()].map((list) => list.map(({ name }) => name))
    const rounds = Array.from({ length: 6 }, (_, i) =>
      api.run(tenant, UPDATE, { filter: { name: { in: lists[i % 2] } }, patch: { share: i }, atMost: 20 }),
    )
    for (const { errors, data } of await Promise.all(rounds)) {
      expect([errors, data?.updateProjects.count]).toEqual([undefined, 20])
    }
  })

  it('that do meet in a deadlock are told to come again', async () => {
    const lock = (id: string) =>
      prepared(`update app.projects set share = 1 where tenant_id = $1 and id = ${id}`, [tenant.id])
    const both = (first: string, second: string, met: Promise<void>, arrive: () => void) =>
      api.gate.door.withTenant(tenant.id, 'write', deadlineIn(5_000), async (session) => {
        await session.run(lock(first))
        arrive()
        await met
        await session.run(lock(second))
        return { keep: true, value: undefined }
      })
    const [here, there] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const results = await Promise.allSettled([
      both('700', '701', there.promise, here.resolve),
      both('701', '700', here.promise, there.resolve),
    ])
    expect(
      results.map((result) => (result.status === 'rejected' ? result.reason.code : 'kept')).sort(),
    ).toEqual(['CONFLICT', 'kept'])
  })
})
