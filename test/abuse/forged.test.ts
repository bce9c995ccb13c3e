/** Cursors, ids and keys that this API did not give out, or not with these values in them. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1, rows: 3 })
  tenant = world.tenants[0]!
  api = await openWorldApi(world)
})
afterAll(async () => {
  api?.end()
  await world?.stop()
})

const opaque = (list: unknown) => Buffer.from(JSON.stringify(list)).toString('base64url')

describe('a cursor with the mark of its list', () => {
  const LIST = `query($after: String) {
    tasks(first: 1, orderBy: [{ title: ASC }], after: $after) { nodes { rowId } pageInfo { endCursor } } }`
  const mark = async (): Promise<string> => {
    const { tasks } = await api.data(tenant, LIST)
    return JSON.parse(Buffer.from(tasks.pageInfo.endCursor, 'base64url').toString())[0]
  }

  it.each([
    ['too few values', ['a']],
    ['too many', ['a', '1', '2']],
    ['a number', ['a', 1]],
    ['a list', [['a'], '1']],
    ['an object', [{}, '1']],
    ['a truth', [true, '1']],
    ['more than fits', ['a'.repeat(60_000), '1']],
  ])('is refused with %s in it', async (_what, values) => {
    const { errors } = await api.run(tenant, LIST, { after: opaque([await mark(), ...values]) })
    expect(errors?.[0]?.originalError).toMatchObject({
      code: 'BAD_USER_INPUT',
      message: expect.stringContaining('"after" is not a cursor of this list'),
    })
  })

  it.each([['not a number'], ['a\0b'], ['1; drop table tasks'], ['99999999999999999999']])(
    'says so when Postgres cannot read %j in it',
    async (value) => {
      const { errors } = await api.run(tenant, LIST, { after: opaque([await mark(), 'a', value]) })
      expect(errors?.[0]?.originalError).toMatchObject({ code: 'BAD_USER_INPUT' })
    },
  )
})

describe('what is asked for beside a key that no row can have', () => {
  it('is found: ids of a text with U+0000', async () => {
    const { labels } = await api.data(tenant, '{ labels(first: 1) { nodes { id } } }')
    const ids = [labels.nodes[0].id, opaque(['Label', '1', 'a\0b'])]
    const source = `query($a: ID!, $b: ID!) { good: label(id: $a) { id } bad: label(id: $b) { id } }`
    const { data, errors } = await api.run(tenant, source, { a: ids[0], b: ids[1] })
    expect(data).toEqual({ good: { id: ids[0] }, bad: null })
    expect(errors?.map(({ path }) => path)).toEqual([['bad']])
  })

  it('is found: keys of a text with U+0000', async () => {
    const { projects } = await api.data(tenant, '{ projects(first: 1) { nodes { name } } }')
    const { name } = projects.nodes[0]
    const source = `query($a: String!, $b: String!) {
      good: projectBy(by: { name: $a }) { name } bad: projectBy(by: { name: $b }) { name } }`
    const { data, errors } = await api.run(tenant, source, { a: name, b: 'a\0b' })
    expect(data).toEqual({ good: { name }, bad: null })
    expect(errors?.map(({ path }) => path)).toEqual([['bad']])
  })
})

describe('a filter too large in a way of its own', () => {
  const times = (count: number, item: Data): Data[] => Array.from({ length: count }, () => item)

  it.each([
    ['operators', '200 conditions', { or: times(70, { effort: { gt: '1', lt: '5', neq: '3' } }) }],
    ['operators of one having', '200 conditions', null],
  ])('is refused: %s', async (_what, message, filter) => {
    const having = { or: times(70, { count: { gt: 1, lt: 5, neq: 3 } }) }
    const source = filter
      ? 'query($filter: TaskFilter) { tasks(filter: $filter) { totalCount } }'
      : 'query($having: TaskHaving) { tasks { groups(by: [{ state: VALUE }], having: $having) { count } } }'
    const { errors } = await api.run(tenant, source, filter ? { filter } : { having })
    expect(errors?.[0]?.originalError).toMatchObject({
      code: 'QUERY_TOO_COMPLEX',
      message: expect.stringContaining(message),
    })
  })

  it('is refused: places in JSON', async () => {
    const filter = { notes: { at: times(201, { path: ['a'], exists: true }) } }
    const source = 'query($filter: ProjectFilter) { projects(filter: $filter) { totalCount } }'
    const { errors } = await api.run(tenant, source, { filter })
    expect(errors?.[0]?.originalError).toMatchObject({ code: 'QUERY_TOO_COMPLEX' })
  })
})
