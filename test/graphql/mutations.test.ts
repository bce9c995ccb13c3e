/** Mutations: kept together or not at all, with broken constraints as answers. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Extension } from '../../src/graphql/extension.ts'
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
  api = await openWorldApi(world, [FRAGILE])
})
afterAll(async () => {
  api.end()
  await world.stop()
})

/** A field of a row that fails, and may be null. */
const FRAGILE: Extension = {
  extend({ builder, type }) {
    builder.objectField(type('Project'), 'fragile', (t) =>
      t.string({
        resolve: () => {
          throw new Error('out of order')
        },
      }),
    )
  },
}

const CREATE = `mutation($input: CreateProjectInput!) {
  createProject(input: $input) {
    __typename
    ... on Project { id rowId name budgetCents share notes aliases logo createdAt tasks { totalCount } }
    ... on ConstraintError { kind message constraint columns sqlState }
  }
}`
const create = async (input: object): Promise<Data> =>
  (await api.data(tenant, CREATE, { input })).createProject
const names = async (owner: WorldTenant) =>
  (
    await world.sql(owner.shard, 'select name from app.projects where tenant_id = $1 order by name', [
      owner.id,
    ])
  ).map(({ name }) => name)

describe('create', () => {
  it('returns the row as Postgres keeps it, exact to the last digit', async () => {
    const made = await create({
      rowId: '9007199254740993',
      name: 'Ünïcode ☂ "quoted" \\ and more',
      budgetCents: '9223372036854775807',
      share: '12345678901234567.89',
      notes: { a: [1, { b: null }], 'c"': 'd' },
      aliases: ['one', 'two, with comma', 'NULL', '', '{"}'],
      logo: '\\x00ff10',
      createdAt: '2026-03-29T01:59:59.123456Z',
    })
    expect(made).toMatchObject({
      rowId: '9007199254740993',
      name: 'Ünïcode ☂ "quoted" \\ and more',
      budgetCents: '9223372036854775807',
      share: '12345678901234567.89',
      notes: { a: [1, { b: null }], 'c"': 'd' },
      aliases: ['one', 'two, with comma', 'NULL', '', '{"}'],
      logo: '\\x00ff10',
      createdAt: '2026-03-29 01:59:59.123456+00',
      tasks: { totalCount: 0 },
    })
    const { project } = await api.data(tenant, 'query($id: ID!) { project(id: $id) { name } }', {
      id: made.id,
    })
    expect(project.name).toBe('Ünïcode ☂ "quoted" \\ and more')
  })

  it('answers a broken constraint with what a form needs', async () => {
    const [name] = await names(tenant)
    expect(await create({ rowId: '5', name })).toEqual({
      __typename: 'ConstraintError',
      kind: 'UNIQUE',
      message: 'Another Project has the same name.',
      constraint: 'projects_tenant_id_name_key',
      columns: ['name'],
      sqlState: '23505',
    })
  })

  it("F5: cannot learn which names another tenant has, nor point at another tenant's row", async () => {
    const [foreign] = await names(other)
    expect((await create({ rowId: '77', name: foreign })).__typename).toBe('Project')
    const point = (projectId: string) =>
      api.run(
        tenant,
        `mutation($projectId: BigInt!) { createTask(input: { rowId: 900, projectId: $projectId, title: "x" }) {
          ... on ConstraintError { kind message columns constraint } } }`,
        { projectId },
      )
    const [theirs] = await world.sql(
      other.shard,
      'select id from app.projects where tenant_id = $1 limit 1',
      [other.id],
    )
    const answers = await Promise.all([point(String(theirs?.id)), point('123456789')])
    expect(JSON.stringify(answers[0])).toBe(JSON.stringify(answers[1]))
    expect(answers[0]?.data?.createTask).toMatchObject({ kind: 'FOREIGN_KEY', columns: ['projectId'] })
  })

  it.each([
    [{ rowId: '6', name: 'a\u0000b' }, 'BAD_USER_INPUT'],
    [{ rowId: '6', name: 'x', share: '1e999' }, 'BAD_USER_INPUT'],
    [{ rowId: '6', name: 'x', createdAt: '2026-13-45' }, 'BAD_USER_INPUT'],
  ])('of %j is refused, and changes nothing', async (input, code) => {
    const before = await world.contents(tenant)
    const { data, errors } = await api.run(tenant, CREATE, { input })
    expect([data?.createProject, errors?.[0]?.originalError]).toMatchObject([null, { code }])
    expect(await world.contents(tenant)).toBe(before)
  })
})

describe('update and delete', () => {
  const UPDATE = `mutation($id: ID!, $patch: ProjectPatch!) {
    updateProject(id: $id, patch: $patch) { __typename ... on Project { name share } ... on ConstraintError { kind } } }`
  const DELETE = `mutation($id: ID!) { deleteProject(id: $id) { __typename ... on Project { name } } }`

  it('change what the patch names, a null included, and nothing else', async () => {
    const { id } = await create({ rowId: '200', name: 'patched', share: '1.50', budgetCents: '7' })
    expect(await api.data(tenant, UPDATE, { id, patch: { share: null } })).toEqual({
      updateProject: { __typename: 'Project', name: 'patched', share: null },
    })
    const { project } = await api.data(tenant, 'query($id: ID!) { project(id: $id) { budgetCents } }', { id })
    expect(project.budgetCents).toBe('7')
    expect((await api.data(tenant, DELETE, { id })).deleteProject).toEqual({
      __typename: 'Project',
      name: 'patched',
    })
    expect((await api.data(tenant, DELETE, { id })).deleteProject).toBe(null)
  })

  it("of another tenant's row answer as for a row that does not exist, and leave it alone", async () => {
    const { projects } = await api.data(other, '{ projects(first: 1) { nodes { id } } }')
    const missing = Buffer.from(JSON.stringify(['Project', '424242'])).toString('base64url')
    const before = await world.contents(other)
    for (const [source, variables] of [
      [UPDATE, { patch: { name: 'taken over' } }],
      [DELETE, {}],
    ] as const) {
      const [foreign, none] = await Promise.all(
        [projects.nodes[0].id, missing].map((id) => api.run(tenant, source, { ...variables, id })),
      )
      expect(JSON.stringify(foreign)).toBe(JSON.stringify(none))
    }
    expect(await world.contents(other)).toBe(before)
  })

  it('refuse an empty patch and an id of another type', async () => {
    const { projects, tasks } = await api.data(
      tenant,
      '{ projects(first: 1) { nodes { id } } tasks(first: 1) { nodes { id } } }',
    )
    const faults = await Promise.all([
      api.run(tenant, UPDATE, { id: projects.nodes[0].id, patch: {} }),
      api.run(tenant, UPDATE, { id: tasks.nodes[0].id, patch: { name: 'x' } }),
    ])
    expect(faults.map(({ errors }) => errors?.[0]?.message)).toEqual([
      '"patch" is empty; name a column to change.',
      '"id" is not an id that this API has given out for the type Project.',
    ])
  })
})

describe('several mutations in one operation', () => {
  const BOTH = `mutation($first: String!, $second: String!) {
    one: createProject(input: { rowId: 301, name: $first }) { ... on Project { name } ... on ConstraintError { kind } }
    two: createProject(input: { rowId: 302, name: $second }) { ... on Project { name } ... on ConstraintError { kind } }
    three: createProject(input: { rowId: 303, name: "third" }) { ... on Project { name } ... on ConstraintError { kind } }
  }`

  it('see each other and are kept together', async () => {
    const { data, errors } = await api.run(tenant, BOTH, { first: 'first', second: 'second' })
    expect([data, errors]).toEqual([
      { one: { name: 'first' }, two: { name: 'second' }, three: { name: 'third' } },
      undefined,
    ])
    expect(await names(tenant)).toEqual(expect.arrayContaining(['first', 'second', 'third']))
  })

  it('are none of them kept when one breaks a constraint, and only that one has an answer', async () => {
    const before = await world.contents(tenant)
    const [taken] = await names(tenant)
    const { data, errors } = await api.run(tenant, BOTH.replaceAll('30', '40').replace('third', 'fourth'), {
      first: 'new',
      second: taken,
    })
    expect(data).toEqual({ one: null, two: { kind: 'UNIQUE' }, three: null })
    expect(errors?.map(({ path, originalError }) => [path, (originalError as Data).code]).sort()).toEqual([
      [['one'], 'ROLLED_BACK'],
      [['three'], 'ROLLED_BACK'],
    ])
    expect(await world.contents(tenant)).toBe(before)
  })

  it('never read as done when a field deep in an answer failed, and __typename stays true', async () => {
    const before = await world.contents(tenant)
    const source = `mutation { __typename made: createProject(input: { rowId: 601, name: "fragile" }) {
      __typename ... on Project { rowId name fragile } } }`
    const { data, errors } = await api.run(tenant, source)
    expect(data).toEqual({ __typename: 'Mutation', made: null })
    expect(errors?.map(({ path }) => path)).toEqual([['made', 'fragile'], ['made']])
    expect(await world.contents(tenant)).toBe(before)
  })

  it('are none of them kept when one ends in an error', async () => {
    const before = await world.contents(tenant)
    const variables = { first: 'new', second: 'a\u0000b' }
    const { data } = await api.run(tenant, BOTH.replaceAll('30', '50').replace('third', 'fifth'), variables)
    expect(data).toEqual({ one: null, two: null, three: null })
    expect(await world.contents(tenant)).toBe(before)
  })
})

describe('what a mutation selects', () => {
  it('is read anew: a list that an earlier field has read shows what came between', async () => {
    const { projects } = await api.data(tenant, '{ projects(first: 1) { nodes { id rowId } } }')
    const [{ id, rowId }] = projects.nodes
    const data = await api.data(
      tenant,
      `mutation($id: ID!, $rowId: BigInt!) {
        before: updateProject(id: $id, patch: { share: 1 }) { ...Read }
        createTask(input: { rowId: 950, projectId: $rowId, title: "in between" }) { __typename }
        after: updateProject(id: $id, patch: { share: 2 }) { ...Read }
      }
      fragment Read on Project { tasks { totalCount nodes { rowId } } }`,
      { id, rowId },
    )
    const read = ({ tasks }: Data) => [tasks.totalCount, tasks.nodes.map(({ rowId }: Data) => rowId)]
    const [count, rows] = read(data.before)
    expect(read(data.after)).toEqual([count + 1, [...rows, 950]])
  })
})

describe('two selections on their way at once', () => {
  it('of which the first fails: the second is told that it was rolled back, not that we are at fault', async () => {
    const child = '{ tasks(first: 1, filter: { parentId: { isNull: false } }) { nodes { id } } }'
    const { tasks } = await api.data(tenant, child)
    await world.sql(tenant.shard, 'revoke select on app.projects from shardgate_app')
    try {
      const { errors } = await api.run(
        tenant,
        `mutation($id: ID!) { updateTask(id: $id, patch: { effort: 3 }) {
          ... on Task { project { name } parent { title } } } }`,
        { id: tasks.nodes[0].id },
      )
      const codes = errors?.map(({ path, originalError }) => [path?.at(-1), (originalError as Data).code])
      expect(codes).toEqual(
        expect.arrayContaining([
          ['project', '42501'],
          ['parent', 'ROLLED_BACK'],
        ]),
      )
    } finally {
      await world.sql(tenant.shard, 'grant select on app.projects to shardgate_app')
    }
  })
})

describe('a deferred constraint', () => {
  const KEY = 'tasks_tenant_id_project_id_fkey'
  const defer = (how: string) =>
    world.sql(tenant.shard, `alter table app.tasks alter constraint ${KEY} ${how}`)

  it('that COMMIT finds broken is told in a sentence, and nothing is kept', async () => {
    const before = await world.contents(tenant)
    await defer('deferrable initially deferred')
    try {
      const kept = api.run(
        tenant,
        `mutation { createTask(input: { rowId: 960, projectId: "123456789", title: "x" }) { __typename } }`,
      )
      const message = `The changes break the constraint ${KEY}; nothing was kept.`
      await expect(kept).rejects.toMatchObject({ code: 'BAD_USER_INPUT', message })
    } finally {
      await defer('not deferrable')
    }
    expect(await world.contents(tenant)).toBe(before)
  })
})
