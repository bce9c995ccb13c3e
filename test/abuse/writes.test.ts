/** Writes that are meant to hurt: too many, too large, and refused by what the user has put into the tables. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1 })
  tenant = world.tenants[0]!
  api = await openWorldApi(world)
})
afterAll(async () => {
  api.end()
  await world.stop()
})

const CREATE = `mutation($input: CreateProjectInput!) { createProject(input: $input) {
  __typename ... on Project { tasks { totalCount } } } }`
const many = (count: number, task = 50_000): object => ({
  ...{ rowId: '8000', name: 'many' },
  tasks: [{ rowId: task, title: 't', labels: Array.from({ length: count }, (_, i) => ({ word: `w${i}` })) }],
})
const codeOf = async (source: string, variables: object) => {
  const { errors } = await api.run(tenant, source, variables)
  return (errors?.[0]?.originalError as Data)?.code
}

describe('ten thousand children', () => {
  it('are three statements, as many as there are tables', async () => {
    const { value, ran } = await api.record(() => api.run(tenant, CREATE, { input: many(9_998) }))
    expect(value.errors).toBe(undefined)
    const inserts = ran.filter(({ text }) => text.startsWith('insert'))
    expect(inserts).toHaveLength(3)
    const [counted] = await world.sql(tenant.shard, 'select count(*) from app.labels where task_id = 50000')
    expect(counted?.count).toBe('9998')
  })

  it('and one more are refused, and nothing is kept', async () => {
    const before = await world.contents(tenant)
    expect(await codeOf(CREATE, { input: { ...many(9_999, 60_000), rowId: '8001', name: 'more' } })).toBe(
      'QUERY_TOO_COMPLEX',
    )
    expect(await world.contents(tenant)).toBe(before)
  })

  it('of one statement fail as one, and are not told apart row by row', async () => {
    const before = await world.contents(tenant)
    const input: Data = { ...many(5_000, 70_000), rowId: '8002', name: 'twice' }
    input.tasks[0].labels.push({ word: 'w0' })
    const { data } = await api.run(
      tenant,
      CREATE.replace('... on P', '... on ConstraintError { path kind } ... on P'),
      { input },
    )
    expect(data?.createProject).toEqual({
      __typename: 'ConstraintError',
      path: ['tasks', 'labels'],
      kind: 'UNIQUE',
    })
    expect(await world.contents(tenant)).toBe(before)
  })
})

describe('a bulk over every row', () => {
  it('is all or nothing at the limit of an operation', async () => {
    const source = `mutation($atMost: Int!) { deleteLabels(filter: { taskId: { eq: 50000 } }, atMost: $atMost) {
      ... on LabelChanges { count } } }`
    expect(await codeOf(source, { atMost: 9_997 })).toBe('AT_MOST_EXCEEDED')
    expect(await codeOf(source, { atMost: 10_001 })).toBe('BAD_USER_INPUT')
    expect(await api.data(tenant, source, { atMost: 10_000 })).toEqual({ deleteLabels: { count: 9_998 } })
  })
})

describe('a value too large for an index', () => {
  it('is the fault of the value, and says nothing of the index', async () => {
    const name = Array.from({ length: 4_000 }, (_, i) => ((i * 7_919) % 100_003).toString(36)).join('')
    const { errors } = await api.run(tenant, CREATE, { input: { rowId: '8100', name } })
    expect(errors?.[0]?.originalError).toMatchObject({ code: 'BAD_USER_INPUT' })
    expect(errors?.[0]?.message).toBe('A value does not fit its column (SQLSTATE 54000).')
  })
})

describe('a policy of the user that refuses the row', () => {
  it('is told as forbidden, and not as our fault', async () => {
    await world.sql(
      tenant.shard,
      `create policy no_secrets on app.projects as restrictive for all using (true) with check (name <> 'secret')`,
    )
    try {
      expect(await codeOf(CREATE, { input: { rowId: '8200', name: 'secret' } })).toBe('FORBIDDEN')
      expect(await codeOf(CREATE, { input: { rowId: '8200', name: 'public' } })).toBe(undefined)
    } finally {
      await world.sql(tenant.shard, 'drop policy no_secrets on app.projects')
    }
  })
})
