/** Children created together with their row: attached by what the database returned, all of them or none. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1 })
  tenant = world.tenants[0]!
  // One to one, and with a default that only the database knows.
  await world.sql(
    tenant.shard,
    `create table app.covers (
       tenant_id text not null check (tenant_id <> ''), id uuid not null default gen_random_uuid(),
       invoice_id uuid not null, picture text not null check (picture <> ''),
       primary key (tenant_id, id), unique (tenant_id, invoice_id),
       foreign key (tenant_id, invoice_id) references app.invoices (tenant_id, id));
     alter table app.covers enable row level security, force row level security;
     create policy tenant_rows on app.covers using (true) with check (true);
     create policy tenant_isolation on app.covers as restrictive
       using (tenant_id = (select shardgate.current_tenant()))
       with check (tenant_id = (select shardgate.current_tenant()));
     alter table app.covers owner to shardgate_owner;
     grant select, insert, update, delete on app.covers to shardgate_app`,
  )
  api = await openWorldApi(world, [], { rows: 200 })
})
afterAll(async () => {
  api.end()
  await world.stop()
})

const CREATE = `mutation($input: CreateProjectInput!) { createProject(input: $input) {
  __typename
  ... on Project {
    rowId
    tasks(orderBy: [{ rowId: ASC }]) { totalCount nodes { rowId title projectId labels { nodes { word } } } }
    invoices(orderBy: [{ reference: ASC }]) { nodes { reference cover { picture } } }
  }
  ... on ConstraintError { kind message columns path }
} }`
const create = async (input: object): Promise<Data> =>
  (await api.data(tenant, CREATE, { input })).createProject
const code = async (input: object) => {
  const { errors } = await api.run(tenant, CREATE, { input })
  const { code: found, message, details }: Data = errors?.[0]?.originalError ?? {}
  return { code: found, message, details }
}

describe('nested create', () => {
  it('makes children of several kinds and levels, which the answer shows', async () => {
    expect(
      await create({
        rowId: '9007199254740993',
        name: 'with children',
        tasks: [
          { rowId: 100, title: 'first', labels: [{ word: 'a' }, { word: 'b' }] },
          { rowId: 101, title: 'second', labels: [] },
          { rowId: 102, title: 'third', labels: [{ word: 'c' }], done: true },
        ],
        invoices: [
          { reference: 'r1', cents: '1', cover: { picture: 'p1' } },
          { reference: 'r2', cents: '2' },
        ],
      }),
    ).toEqual({
      __typename: 'Project',
      rowId: '9007199254740993',
      tasks: {
        totalCount: 3,
        nodes: [
          {
            rowId: 100,
            title: 'first',
            projectId: '9007199254740993',
            labels: { nodes: [{ word: 'a' }, { word: 'b' }] },
          },
          { rowId: 101, title: 'second', projectId: '9007199254740993', labels: { nodes: [] } },
          { rowId: 102, title: 'third', projectId: '9007199254740993', labels: { nodes: [{ word: 'c' }] } },
        ],
      },
      invoices: {
        nodes: [
          { reference: 'r1', cover: { picture: 'p1' } },
          { reference: 'r2', cover: null },
        ],
      },
    })
  })

  it('gives each child to its own parent when several are created at once', async () => {
    const input = [1, 2, 3].map((n) => ({
      ...{ rowId: `${200 + n}`, name: `n${n}`, ...(n === 2 && { share: 1 }) },
      tasks: [{ rowId: 200 + n, title: `of ${n}` }],
    }))
    const { createProjects } = await api.data(
      tenant,
      `mutation($input: [CreateProjectInput!]!) { createProjects(input: $input) {
        ... on ProjectChanges { nodes { name tasks { nodes { title } } } } } }`,
      { input },
    )
    expect(createProjects.nodes).toEqual(
      [1, 2, 3].map((n) => ({ name: `n${n}`, tasks: { nodes: [{ title: `of ${n}` }] } })),
    )
  })

  it('takes no key columns: a child cannot be hung on another row than its own', () => {
    const fields = (name: string) => Object.keys((api.schema.getType(name) as Data).getFields())
    expect(fields('CreateTaskInput')).toContain('projectId')
    expect(fields('CreateProjectTasksInput')).not.toContain('projectId')
    expect(fields('CreateTaskTasksByParentInput')).not.toContain('parentId')
    expect(fields('CreateInvoiceInput')).toContain('cover')
    expect(fields('CreateCoverInput')).not.toContain('invoice')
  })

  it('answers a broken constraint of a child with the way to it, and keeps nothing', async () => {
    const before = await world.contents(tenant)
    const broken = await create({
      rowId: '300',
      name: 'broken below',
      tasks: [{ rowId: 300, title: 'fine', labels: [{ word: 'twice' }, { word: 'twice' }] }],
    })
    expect(broken).toEqual({
      __typename: 'ConstraintError',
      kind: 'UNIQUE',
      message: 'Another Label has the same taskId and word.',
      columns: ['taskId', 'word'],
      path: ['tasks', 'labels'],
    })
    const check = await create({ rowId: '301', name: 'x', tasks: [{ rowId: 301, title: '' }] })
    expect(check).toMatchObject({
      kind: 'CHECK',
      message: 'A check does not allow this value of title.',
      columns: ['title'],
      path: ['tasks'],
    })
    expect(await world.contents(tenant)).toBe(before)
  })

  it('belongs to upsert too: children are created with the row, whether it was there or not', async () => {
    const upsert = (rowId: number) =>
      api.data(
        tenant,
        `mutation($rowId: Int!) { upsertProject(on: NAME, input: {
          rowId: "310", name: "up with children", tasks: [{ rowId: $rowId, title: "t" }] }) {
          ... on Project { rowId tasks { totalCount } } } }`,
        { rowId },
      )
    expect((await upsert(310)).upsertProject).toEqual({ rowId: '310', tasks: { totalCount: 1 } })
    expect((await upsert(311)).upsertProject).toEqual({ rowId: '310', tasks: { totalCount: 2 } })
  })

  it('counts every row of the operation, and ends at a depth', async () => {
    const before = await world.contents(tenant)
    const tasks = (from: number, count: number) =>
      Array.from({ length: count }, (_, i) => ({ rowId: from + i, title: 't' }))
    expect(await code({ rowId: '320', name: 'wide', tasks: tasks(1_000, 200) })).toMatchObject({
      code: 'QUERY_TOO_COMPLEX',
      details: { limit: 'writtenRows', allowed: 200 },
    })
    const deep = (level: number): object => ({
      ...{ rowId: 2_000 + level, title: 't', projectId: '330' },
      ...(level < 7 && { tasksByParent: [deep(level + 1)] }),
    })
    const { tasksByParent } = deep(0) as Data
    expect(
      await code({ rowId: '330', name: 'deep', tasks: [{ rowId: 1_999, title: 't', tasksByParent }] }),
    ).toMatchObject({
      code: 'QUERY_TOO_COMPLEX',
      details: { limit: 'childLevels', allowed: 5 },
    })
    expect(await world.contents(tenant)).toBe(before)
  })

  it('refuses children of a row that has nothing to point to', async () => {
    await world.sql(tenant.shard, 'alter table app.labels add code text, add unique (tenant_id, code)')
    await world.sql(
      tenant.shard,
      `alter table app.covers add label_code text,
         add foreign key (tenant_id, label_code) references app.labels (tenant_id, code)`,
    )
    const wider = await openWorldApi(world)
    try {
      const { errors } = await wider.run(
        tenant,
        `mutation { createLabel(input: { taskId: 1, word: "w", covers: [{ invoiceId: "${tenant.values.invoiceIds[0]}", picture: "p" }] }) { __typename } }`,
      )
      expect(errors?.[0]?.message).toBe(
        '"covers" cannot be created: the Label has no code that they could point to.',
      )
    } finally {
      wider.end()
    }
  })
})
