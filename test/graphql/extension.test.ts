/** Extensions: hooks that every way of writing calls, tables in their hands, and what their errors become. */

import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  type Extension,
  type ExtensionTools,
  type Fields,
  loadExtensions,
  refuse,
  type TableHandle,
} from '../../src/graphql/extension.ts'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant
let other: WorldTenant
/** What the hooks were called with. */
const called: [string, ...Fields[]][] = []

const HOOKED: Extension = {
  hooks: ({ table }) => ({
    Project: {
      beforeCreate(input) {
        called.push(['beforeCreate', input])
        if (input.name === 'refused') refuse('No project may be called that.', { details: { field: 'name' } })
        if (input.name === 'forbidden') refuse('Not for you.', { code: 'FORBIDDEN' })
        if (input.name === 'broken') throw new Error('a secret inside')
        return { ...input, share: '1.25' }
      },
      async afterCreate(project, context) {
        called.push(['afterCreate', project])
        if (project.name === 'with task') {
          const task = { rowId: 777, projectId: project.rowId, title: 'by the hook' }
          await table('Task').insert(task, context)
        }
      },
      beforeUpdate(patch, project) {
        called.push(['beforeUpdate', patch, project])
        if (project.name === 'locked') refuse('It is locked.')
        return project.name === 'odd' ? { ...patch, share: '9' } : undefined
      },
      afterUpdate: (after, before) => void called.push(['afterUpdate', after, before]),
      beforeDelete(project) {
        called.push(['beforeDelete', project])
        if (project.name === 'locked') refuse('It is locked.')
      },
      afterDelete: (project) => void called.push(['afterDelete', project]),
    },
    Task: {
      beforeCreate: (input) => {
        called.push(['task', input])
        return input.title === 'shout' ? { ...input, title: 'SHOUT' } : undefined
      },
    },
  }),
  extend() {},
}

/** Mutations and queries over handles. */
const HANDLES: Extension = {
  extend({ builder, table }) {
    const projects: TableHandle = table('Project')
    builder.queryField('projectNames', (t) =>
      t.stringList({
        args: { like: t.arg.string({ required: true }) },
        resolve: async (_root, { like }, context) => {
          const rows = await projects.list(
            { filter: { name: { like } }, orderBy: [{ name: 'DESC' }] },
            context,
          )
          return rows.map((row) => String(projects.read(row).name))
        },
      }),
    )
    builder.queryField('projectCalled', (t) =>
      t.field({
        type: projects.type,
        args: { name: t.arg.string() },
        resolve: (_root, { name }, context) => projects.byKey({ name }, context),
      }),
    )
    builder.queryField('projectMadeAt', (t) =>
      t.field({
        type: projects.type,
        args: { at: t.arg({ type: 'DateTime', required: true }) },
        resolve: (_root, { at }, context) => projects.byKey({ createdAt: at }, context),
      }),
    )
    builder.queryField('writesInQuery', (t) =>
      t.field({
        type: projects.type,
        resolve: (_root, _args, context) => projects.insert({ name: 'x' }, context),
      }),
    )
    builder.mutationField('renameProject', (t) =>
      t.field({
        type: projects.type,
        args: { id: t.arg.id({ required: true }), name: t.arg.string({ required: true }) },
        resolve: async (_root, { id, name }, context) => {
          const row = await projects.byId(id, context)
          return row && projects.update(row, { name }, context)
        },
      }),
    )
    builder.mutationField('swallows', (t) =>
      t.string({
        args: { name: t.arg.string({ required: true }) },
        resolve: async (_root, { name }, context) => {
          const made = projects.insert({ rowId: '880', name }, context)
          return made.then(() => 'made').catch(() => 'as if nothing had happened')
        },
      }),
    )
  },
}

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1 })
  tenant = world.tenants[0]!
  other = world.tenants[1]!
  api = await openWorldApi(world, [HOOKED, HANDLES])
})
afterAll(async () => {
  api.end()
  await world.stop()
})
afterEach(() => void called.splice(0))

const names = () => called.map(([name]) => name)
const mutate = async (fields: string): Promise<Data> => api.data(tenant, `mutation { ${fields} }`)
const PROJECT = `... on Project { id rowId name share tasks { nodes { title } } }`

describe('hooks', () => {
  it('of a create see what is given, say what is written, and then see the row', async () => {
    const { createProject } = await mutate(
      `createProject(input: { rowId: "600", name: "with task" }) { ${PROJECT} }`,
    )
    expect(createProject).toMatchObject({ share: '1.25', tasks: { nodes: [{ title: 'by the hook' }] } })
    expect(names()).toEqual(['beforeCreate', 'afterCreate', 'task'])
    expect(called[0]?.[1]).toEqual({ rowId: '600', name: 'with task' })
    expect(called[1]?.[1]).toMatchObject({ rowId: '600', budgetCents: '0', share: '1.25', aliases: [] })
  })

  it('are called for each row of a bulk and for children, which know their parent by then', async () => {
    await mutate(`createProjects(input: [
      { rowId: "610", name: "b1", tasks: [{ rowId: 610, title: "shout" }] }, { rowId: "611", name: "b2" }]) { __typename }`)
    expect(names()).toEqual(['beforeCreate', 'beforeCreate', 'task', 'afterCreate', 'afterCreate'])
    expect(called[2]?.[1]).toEqual({ rowId: 610, title: 'shout', projectId: '610' })
    const [row] = await world.sql(
      tenant.shard,
      'select title from app.tasks where id = 610 and tenant_id = $1',
      [tenant.id],
    )
    expect(row?.title).toBe('SHOUT')
  })

  it('of an update see the row as it is, and may give each row values of its own', async () => {
    await mutate(
      `createProjects(input: [{ rowId: "620", name: "even" }, { rowId: "621", name: "odd" }]) { __typename }`,
    )
    called.splice(0)
    const { updateProjects } = await mutate(
      `updateProjects(filter: { name: { in: ["even", "odd"] } }, patch: { share: 3 }, atMost: 2) {
        ... on ProjectChanges { nodes { name share } } }`,
    )
    expect(updateProjects.nodes).toEqual([
      { name: 'even', share: '3.00' },
      { name: 'odd', share: '9.00' },
    ])
    expect(names()).toEqual(['beforeUpdate', 'beforeUpdate', 'afterUpdate', 'afterUpdate'])
    expect(called[3]?.slice(1)).toMatchObject([{ share: '9.00' }, { share: '1.25' }])
  })

  it('of an upsert are those of what it comes to', async () => {
    const upsert = (share: number) =>
      mutate(
        `upsertProject(input: { rowId: "630", name: "up", share: ${share} }) { ... on Project { share } }`,
      )
    expect((await upsert(5)).upsertProject).toEqual({ share: '1.25' })
    expect(names()).toEqual(['beforeCreate', 'afterCreate'])
    called.splice(0)
    expect((await upsert(6)).upsertProject).toEqual({ share: '6.00' })
    expect(names()).toEqual(['beforeUpdate', 'afterUpdate'])
    expect(called[0]?.[1]).toEqual({ name: 'up', share: '6' })
  })

  it('of one key by many at once answer rows, or say that another one was in the way', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        api.run(
          tenant,
          `mutation { upsertProject(input: { rowId: "${640 + i}", name: "raced" }, on: NAME) { __typename } }`,
        ),
      ),
    )
    const codes = answers.map(
      ({ data, errors }) => (errors?.[0]?.originalError as Data)?.code ?? data?.upsertProject.__typename,
    )
    expect(codes).toContain('Project')
    expect(codes.filter((code) => !['Project', 'CONFLICT'].includes(code))).toEqual([])
  })

  it('of a delete see the row before and after, for one and for several', async () => {
    await mutate(
      `createProjects(input: [{ rowId: "650", name: "d1" }, { rowId: "651", name: "d2" }]) { __typename }`,
    )
    called.splice(0)
    await mutate(`deleteProjects(filter: { name: { in: ["d1", "d2"] } }, atMost: 2) { __typename }`)
    expect(names()).toEqual(['beforeDelete', 'beforeDelete', 'afterDelete', 'afterDelete'])
  })

  it.each([
    [
      'createProject(input: { rowId: "660", name: "refused" }) { __typename }',
      'BAD_USER_INPUT',
      'No project may be called that.',
    ],
    ['createProject(input: { rowId: "660", name: "forbidden" }) { __typename }', 'FORBIDDEN', 'Not for you.'],
    [
      'createProjects(input: [{ rowId: "661", name: "fine" }, { rowId: "662", name: "refused" }]) { __typename }',
      'BAD_USER_INPUT',
      'No project may be called that.',
    ],
    [
      'upsertProject(input: { rowId: "663", name: "refused" }) { __typename }',
      'BAD_USER_INPUT',
      'No project may be called that.',
    ],
  ])('that refuse %s roll everything back, in their words', async (field, code, message) => {
    const before = await world.contents(tenant)
    const source = `mutation { first: createProject(input: { rowId: "669", name: "first" }) { __typename } ${field} }`
    const { data, errors } = await api.run(tenant, source)
    expect(errors?.[0]?.originalError).toMatchObject({ code, message })
    expect(data?.first).toBe(null)
    expect(await world.contents(tenant)).toBe(before)
  })

  it('that refuse an update or a delete keep the row as it is', async () => {
    const { createProject } = await mutate(
      `createProject(input: { rowId: "670", name: "locked" }) { ${PROJECT} }`,
    )
    const before = await world.contents(tenant)
    const fields = [
      `updateProject(id: "${createProject.id}", patch: { share: 2 }) { __typename }`,
      `updateProjects(filter: { name: { eq: "locked" } }, patch: { share: 2 }) { __typename }`,
      `deleteProject(id: "${createProject.id}") { __typename }`,
      `deleteProjects(filter: { name: { eq: "locked" } }) { __typename }`,
      `upsertProject(input: { rowId: "670", name: "unlocked" }) { __typename }`,
      `renameProject(id: "${createProject.id}", name: "unlocked") { name }`,
    ]
    for (const field of fields) {
      const { errors } = await api.run(tenant, `mutation { ${field} }`)
      expect(errors?.[0]?.message, field).toBe('It is locked.')
    }
    expect(await world.contents(tenant)).toBe(before)
  })

  it('for a type that no table gives are refused at the start', async () => {
    const wrong: Extension = { hooks: () => ({ Projct: {} }) }
    await expect(openWorldApi(world, [wrong])).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('(did you mean "Project"?)'),
    })
  })

  it('under a name that nobody calls are refused at the start: the rule would hold nobody', async () => {
    const mistyped = { beforeUpdat: () => refuse('Never.'), afterCreate: () => undefined }
    await expect(openWorldApi(world, [{ hooks: () => ({ Project: mistyped }) }])).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(
        /^hooks of Project: .*\(did you mean "beforeUpdate"\?\); "beforeUpdat" came\.$/,
      ),
    })
  })
})

describe('the module of an extension', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'shardgate-extension-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  const load = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return loadExtensions([name], folder)
  }

  it('needs no more than one of the three parts', async () => {
    const [loaded] = await load('hooks.mjs', 'export default { hooks: () => ({}) }')
    expect(loaded?.hooks?.({} as ExtensionTools)).toEqual({})
  })

  it.each([
    ['export const x = 1', /^extensions\[0\]: wanted an object as the default export of /],
    ['export default { hook: () => ({}) }', /\(did you mean "hooks"\?\); "hook" came\.$/],
    ['export default {', /^extensions\[0\]: .* cannot be loaded: /],
  ])('is refused with what was wanted: %s', async (text, message) => {
    const wrong = load(`wrong-${randomUUID()}.mjs`, text)
    await expect(wrong).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(message),
    })
  })
})

describe('a table in the hands of an extension', () => {
  it("reads rows of the caller's tenant alone, by key and as a list", async () => {
    const [own, foreign] = [tenant, other].map(({ values }) => values.texts[0]!)
    const read = (name: string) =>
      api.data(tenant, 'query($name: String!) { projectCalled(name: $name) { name } }', { name })
    expect((await read(own!)).projectCalled).toEqual({ name: own })
    expect((await read(foreign!)).projectCalled).toBe(null)
    const { projectNames } = await api.data(tenant, '{ projectNames(like: "%project-_%") }')
    expect(projectNames).toHaveLength(8)
    expect(projectNames).toEqual([...projectNames].sort().reverse())
  })

  it('finds no row by a null, not even one whose text is empty', async () => {
    await mutate(`createProject(input: { rowId: "881", name: "" }) { ${PROJECT} }`)
    const { nobody, empty } = await api.data(
      tenant,
      '{ nobody: projectCalled { name } empty: projectCalled(name: "") { name } }',
    )
    expect([nobody, empty]).toEqual([null, { name: '' }])
  })

  it('is refused a key that Postgres cannot read, and the keys beside it are not', async () => {
    const { data, errors } = await api.run(
      tenant,
      `{ bad: projectMadeAt(at: "2026-02-30 00:00:00+00") { name }
         good: projectMadeAt(at: "1999-01-01 00:00:00+00") { name } }`,
    )
    expect(data).toEqual({ bad: null, good: null })
    expect(errors?.map(({ path }) => path)).toEqual([['bad']])
  })

  it('writes in the transaction of the mutation, with hooks', async () => {
    const { createProject } = await mutate(
      `createProject(input: { rowId: "700", name: "to rename" }) { ${PROJECT} }`,
    )
    called.splice(0)
    expect(
      (await mutate(`renameProject(id: "${createProject.id}", name: "renamed") { name }`)).renameProject,
    ).toEqual({
      name: 'renamed',
    })
    expect(names()).toEqual(['beforeUpdate', 'afterUpdate'])
  })

  it('cannot write in a query', async () => {
    const before = await world.contents(tenant)
    const { errors } = await api.run(tenant, '{ writesInQuery { name } }')
    expect(errors?.[0]?.message).toMatch('only fields of Mutation have a transaction')
    expect(await world.contents(tenant)).toBe(before)
  })

  it('cannot hide that a write failed: what it answers then is taken back', async () => {
    const { data, errors } = await api.run(tenant, 'mutation($name: String!) { swallows(name: $name) }', {
      name: tenant.values.texts[0],
    })
    expect(data).toEqual({ swallows: null })
    expect(errors?.[0]?.originalError).toMatchObject({ code: 'ROLLED_BACK' })
  })
})
