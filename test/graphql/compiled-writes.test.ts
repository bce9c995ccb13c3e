/**
 * Writes in the compiled lane: the answer and the effect of the resolver lane, or a step back that leaves nothing behind.
 */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'
import { addWriteTables, allRows, putBack } from '../kit/write-tables.ts'

let world: World
let tenant: WorldTenant
let api: WorldApi

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1, rows: 3 }, { moves: { holdMs: 50 } })
  tenant = world.tenants[0]!
  await addWriteTables(world)
  api = await openWorldApi(world)
})
afterAll(async () => {
  api?.end()
  await world?.stop()
})
beforeEach(() => putBack(world))

const id = (type: string, ...key: unknown[]) =>
  Buffer.from(JSON.stringify([type, ...key.map(String)])).toString('base64url')

/** Answer and rows after it, of both lanes one after the other: they must be the same. */
async function same(source: string, variables: object = {}): Promise<string> {
  await putBack(world)
  const compiled = await api.compiled(tenant, source, variables)
  const rows = await allRows(world)
  await putBack(world)
  const { data, errors } = await api.run(tenant, source, variables)
  expect(errors).toBeUndefined()
  expect(compiled).toBe(JSON.stringify({ data }))
  expect(rows).toBe(await allRows(world))
  return compiled as string
}

/** The compiled lane steps back, and no row is another than before. */
async function leaves(source: string, variables: object = {}): Promise<void> {
  const rows = await allRows(world)
  expect(await api.compiled(tenant, source, variables)).toBeNull()
  expect(await allRows(world)).toBe(rows)
}

const createTask = `mutation ($input: CreateTaskInput!) { createTask(input: $input) { __typename
  ... on Task { id rowId title state done project { name budgetCents } } ... on ConstraintError { message } } }`
const task = (more: object = {}) => ({
  input: { rowId: 70, title: 'T "1"', projectId: tenant.values.projectIds[1], ...more },
})

describe('what is taken', () => {
  it('creates a row, with what the database makes of it and the rows that it refers to', async () => {
    const answer = await same(createTask, task({ state: 'DOING', effort: '5', dueOn: '2026-02-03' }))
    expect(answer).toContain('"project":{"name":')
    await same(createTask, task())
    const note = `mutation ($input: CreateNoteInput!) { made: createNote(input: $input) { ... on Note {
      id rowId body stamp letters tags extra code again: body task { title project { name } } } } }`
    expect(
      await same(note, { input: { body: 'Grüße 🙂\u0007', tags: ['a,"b'], extra: { a: [1, null] } } }),
    ).toContain('"stamp":"made","letters":8')
    await same(note, { input: { rowId: '900', body: '', taskId: 2, code: null, stamp: 'mine' } })
  })

  it('by constants, with aliases and __typename beside it', async () => {
    await same(`mutation { a: __typename t: createLabel(input: { taskId: 1, word: "new" }) { ...l } b: __typename }
      fragment l on Label { word task { rowId ...t } } fragment t on Task { title }`)
  })

  it('updates a row, and nothing where there is none', async () => {
    const source = `mutation ($id: ID!, $patch: TaskPatch!) { updateTask(id: $id, patch: $patch) { __typename
      ... on Task { id title effort dueOn project { name } } } }`
    expect(await same(source, { id: id('Task', 1), patch: { title: 'new', effort: null } })).toContain(
      '"new"',
    )
    await same(source, { id: id('Task', 2), patch: { projectId: tenant.values.projectIds[2], done: true } })
    expect(await same(source, { id: id('Task', 999), patch: { title: 'new' } })).toBe(
      '{"data":{"updateTask":null}}',
    )
    await same(source, { id: id('Task', 1), patch: { dueOn: '2026-03-04' } })
  })

  it('deletes a row with what hangs on it, and nothing where there is none', async () => {
    const source = 'mutation ($id: ID!) { deleteTask(id: $id) { ... on Task { rowId title } } }'
    expect(await same(source, { id: id('Task', 1) })).toContain('"rowId":1')
    expect(await same(source, { id: id('Task', 999) })).toBe('{"data":{"deleteTask":null}}')
    const label = world.tenants[0]!.canary.text('label-1')
    await same('mutation ($id: ID!) { deleteLabel(id: $id) { ... on Label { id } } }', {
      id: id('Label', 1, label),
    })
  })

  it('upserts a row that is there, and one that is not', async () => {
    const source = `mutation ($input: CreateNoteInput!, $on: NoteKeyName!, $update: [NoteColumn!]) {
      upsertNote(input: $input, on: $on, update: $update) { ... on Note { rowId code body stamp task { title } } } }`
    await same(source, { input: { rowId: '5', body: 'a', code: 'x' }, on: 'ID' })
    const note = (code: string) =>
      world.sql(tenant.shard, `insert into app.notes (tenant_id, id, code, body) values ($1, 5, $2, 'old')`, [
        tenant.id,
        code,
      ])
    for (const update of [undefined, ['STAMP'], []]) {
      await putBack(world)
      await note('x')
      const compiled = await api.compiled(tenant, source, {
        input: { code: 'x', body: 'new', stamp: 's' },
        on: 'CODE',
        update,
      })
      const rows = await allRows(world)
      await putBack(world)
      await note('x')
      const { data } = await api.run(tenant, source, {
        input: { code: 'x', body: 'new', stamp: 's' },
        on: 'CODE',
        update,
      })
      expect(compiled).toBe(JSON.stringify({ data }))
      expect(rows).toBe(await allRows(world))
    }
  })

  it('sends one statement, prepared once for inputs that give the same columns', async () => {
    const { ran } = await api.record(async () => {
      for (const rowId of [71, 72, 73]) await api.compiled(tenant, createTask, task({ rowId }))
    })
    expect(ran).toHaveLength(3)
    expect(new Set(ran.map(({ text }) => text)).size).toBe(1)
  })
})

describe('triggers', () => {
  const create =
    'mutation ($input: CreateMoodInput!) { createMood(input: $input) { ... on Mood { rowId word } } }'

  it('change the row that is answered with', async () => {
    expect(await same(create, { input: { rowId: 1, word: 'fine', taskId: 2 } })).toContain('"FINE"')
  })

  it('may leave it out: nothing is kept, and the resolver lane says so', async () => {
    const swallowed = { input: { rowId: 1, word: 'swallowed' } }
    await leaves(create, swallowed)
    const { errors } = await api.run(tenant, create, swallowed)
    expect(errors?.[0]?.message).toContain('left out a Mood')
    await leaves(create, { input: { rowId: 1, word: 'refused' } })
  })

  it('of an update that is left out make none of it', async () => {
    await world.sql(tenant.shard, `insert into app.moods values ($1, 1, null, 'a')`, [tenant.id])
    const update = `mutation { updateMood(id: "${id('Mood', 1)}", patch: { word: "swallowed" }) { ... on Mood { word } } }`
    expect(await api.compiled(tenant, update)).toBe('{"data":{"updateMood":null}}')
    expect(await api.data(tenant, update)).toEqual({ updateMood: null })
  })

  it('may change what is selected with it: that is the resolver lane’s', async () => {
    const source =
      'mutation { createMood(input: { rowId: 1, word: "w", taskId: 2 }) { ... on Mood { task { title } } } }'
    await leaves(source)
    expect(await api.data(tenant, source)).toEqual({ createMood: { task: { title: 'W' } } })
  })
})

describe('what is not taken', () => {
  it.each([
    [
      'several writes',
      `{ a: deleteTask(id: "${id('Task', 1)}") { __typename } b: deleteTask(id: "${id('Task', 2)}") { __typename } }`,
    ],
    ['several rows', '{ createTasks(input: []) { __typename } }'],
    [
      'children',
      '{ createTask(input: { rowId: 9, title: "t", projectId: "1", labels: [{ word: "w" }] }) { __typename } }',
    ],
    [
      'lists below the row',
      `{ updateTask(id: "${id('Task', 1)}", patch: { title: "t" }) { ... on Task { labels { totalCount } } } }`,
    ],
    [
      'a relation that leads back',
      `{ updateTask(id: "${id('Task', 1)}", patch: { title: "t" }) { ... on Task { parent { title } } } }`,
    ],
    [
      'relations of a deleted row',
      `{ deleteTask(id: "${id('Task', 1)}") { ... on Task { project { name } } } }`,
    ],
    ['an empty patch', `{ updateTask(id: "${id('Task', 1)}", patch: {}) { __typename } }`],
    ['an id of another type', `{ deleteTask(id: "${id('Project', 1)}") { __typename } }`],
  ])('%s', async (_, selection) => {
    await leaves(`mutation ${selection}`)
  })
})

describe('what Postgres refuses', () => {
  it('a broken constraint, of each kind', async () => {
    await leaves(createTask, task({ rowId: 1 }))
    await leaves(createTask, task({ projectId: '1' }))
    await leaves(createTask, task({ title: '' }))
  })

  it('a value that does not fit', async () => {
    await leaves(
      'mutation { createNote(input: { rowId: "99999999999999999999", body: "b" }) { __typename } }',
    )
    await leaves(createTask, task({ title: 'a\0b' }))
  })

  it('a constraint that is checked when the transaction ends', async () => {
    const source = 'mutation { createNote(input: { body: "b", nextId: "77" }) { ... on Note { rowId } } }'
    await leaves(source)
    await expect(api.run(tenant, source)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' })
    // The connection is as good as before.
    await same(createTask, task())
  })

  it('a row that could not be answered with, before it is kept', async () => {
    await world.sql(
      tenant.shard,
      `insert into app.notes (tenant_id, id, body, tags) values ($1, 1, repeat('x', 5000000), null), ($1, 2, 'b', '{{a},{b}}')`,
      [tenant.id],
    )
    const update = (row: number, selected: string) =>
      `mutation { updateNote(id: "${id('Note', row)}", patch: { stamp: "s" }) { ... on Note { ${selected} } } }`
    await leaves(update(1, 'body a: body b: body'))
    await leaves(update(2, 'tags'))
    expect(await api.compiled(tenant, update(2, 'body'))).toContain('"b"')
  })
})

describe('what is in the way', () => {
  const update = `mutation { updateTask(id: "${id('Task', 1)}", patch: { title: "t" }) { ... on Task { title } } }`

  it('a row that another holds: the resolver lane waits for it on a connection of its own', async () => {
    const holder = await world.connectTo(tenant)
    await holder.query('begin')
    await holder.query(`update app.tasks set effort = 7 where tenant_id = '${tenant.id}' and id = 1`)
    await leaves(update)
    const waits = api.run(tenant, update)
    await holder.query('commit')
    expect(await waits).toEqual({ data: { updateTask: { title: 't' } } })
    await holder.end()
  })

  it.each([
    ['frozen', 'TENANT_MOVING'],
    ['read-only', 'TENANT_READ_ONLY'],
    ['suspended', 'TENANT_SUSPENDED'],
  ])('a tenant that is %s', async (state, code) => {
    const set = (to: string) => world.sql(tenant.shard, `update shardgate.tenant_fence set state = '${to}'`)
    await set(state)
    try {
      await leaves(update)
      await expect(api.run(tenant, update)).rejects.toMatchObject({ code })
    } finally {
      await set('active')
    }
  })

  it('a shard that was set up by an older release', async () => {
    const rename = (from: string, to: string) =>
      world.sql(
        tenant.shard,
        `alter function shardgate.${from}(text, bigint, text, int, int) rename to ${to}`,
      )
    await rename('begin_tenant', 'begin_other')
    const fresh = await openWorldApi(world)
    try {
      expect(await fresh.compiled(tenant, update)).toBeNull()
    } finally {
      fresh.end()
      await rename('begin_other', 'begin_tenant')
    }
  })

  it('hooks of an extension, on this verb alone', async () => {
    const hooks = () => ({ Task: { beforeUpdate: () => undefined } })
    const hooked = await openWorldApi(world, [{ hooks }])
    try {
      expect(await hooked.compiled(tenant, update)).toBeNull()
      expect(
        await hooked.compiled(
          tenant,
          `mutation { deleteTask(id: "${id('Task', 3)}") { ... on Task { rowId } } }`,
        ),
      ).toContain('3')
    } finally {
      hooked.end()
    }
  })
})
