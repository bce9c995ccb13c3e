/** `node` and `nodes`: any row by its id, and no other text. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant
let other: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1 })
  tenant = world.tenants[0]!
  other = world.tenants[1]!
  api = await openWorldApi(world)
})
afterAll(async () => {
  api?.end()
  await world?.stop()
})

describe('node and nodes', () => {
  it('take as many ids as a page has rows, and no more', async () => {
    const { projects } = await api.data(tenant, '{ projects(first: 1) { nodes { id } } }')
    const ask = (count: number) =>
      api.run(tenant, 'query($ids: [ID!]!) { nodes(ids: $ids) { id } }', {
        ids: Array.from({ length: count }, () => projects.nodes[0].id),
      })
    expect((await ask(100)).data?.nodes).toHaveLength(100)
    expect((await ask(101)).errors?.[0]?.originalError).toMatchObject({
      code: 'BAD_USER_INPUT',
      message: '"ids" wants 100 ids at most; 101 came.',
    })
  })

  it('fetch any row by its id; foreign and unknown ids are null alike', async () => {
    const { projects, tasks } = await api.data(
      tenant,
      '{ projects(first: 1) { nodes { id } } tasks(first: 1) { nodes { id } } }',
    )
    const theirs = await api.data(other, '{ projects(first: 1) { nodes { id } } }')
    const ids = [projects.nodes[0].id, theirs.projects.nodes[0].id, tasks.nodes[0].id]
    const { nodes } = await api.data(tenant, 'query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }', {
      ids,
    })
    expect(nodes).toEqual([{ __typename: 'Project', id: ids[0] }, null, { __typename: 'Task', id: ids[2] }])
  })

  it.each([
    '',
    'x',
    'WyJQcm9qZWN0Il0',
    Buffer.from('["Project","1","2"]').toString('base64url'),
    Buffer.from('["Project","9223372036854775808"]').toString('base64url'),
    Buffer.from('["__proto__","1"]').toString('base64url'),
    'x'.repeat(100_000),
  ])('refuse the id %j', async (id) => {
    const { errors } = await api.run(tenant, 'query($id: ID!) { node(id: $id) { id } }', { id })
    expect(errors).toEqual([
      expect.objectContaining({ message: '"id" is not an id that this API has given out.' }),
    ])
  })
})
