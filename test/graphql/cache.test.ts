/**
 * Kept answers of one gateway: whose they are, what they hang on, and when they are not given again.
 */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Deadline, deadlineIn } from '../../src/base/time.ts'
import type { Extension } from '../../src/graphql/extension.ts'
import { ALL_TABLES, type CachedGateway, HOUR, openCachedGateway } from '../kit/cached-gateways.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

const extension: Extension = {
  permissions: { 'Project.budgetCents': 'admin', 'Mutation.shout': 'member' },
  extend({ builder, sql, statement }) {
    builder.mutationField('shout', (t) =>
      t.boolean({
        nullable: false,
        resolve: async (_root, _args, { scope }) => {
          await scope.run([statement(sql`update app.tasks set title = upper(title) where id = 1`)])
          return true
        },
      }),
    )
  },
}

let world: World
let gateway: CachedGateway
let tenant: WorldTenant
let other: WorldTenant
let third: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 3, shards: 1, isolations: ['shared'] })
  ;[tenant, other, third] = world.tenants as [WorldTenant, WorldTenant, WorldTenant]
  gateway = await openCachedGateway(world, { extensions: [extension] })
})
afterAll(async () => {
  gateway?.end()
  await world?.stop()
})
beforeEach(() => gateway.reset())

const id = (type: string, ...key: unknown[]) =>
  Buffer.from(JSON.stringify([type, ...key.map(String)])).toString('base64url')

const TASK = 'query ($id: ID!) { task(id: $id) { rowId title } }'
const TASK_OF = 'query ($id: ID!) { task(id: $id) { title project { name } } }'
const TASK_PROJECT = 'query ($id: ID!) { task(id: $id) { project { id } } }'
const TITLES = '{ tasks(orderBy: [{ rowId: ASC }]) { nodes { rowId title } totalCount } }'
const RENAME = `mutation ($id: ID!, $title: String!) {
  updateTask(id: $id, patch: { title: $title }) { ... on Task { title } } }`
const task = (n: number) => ({ id: id('Task', n) })
const rename = (n: number, title: string, asker = tenant) =>
  gateway.write(asker, RENAME, { ...task(n), title })
const cached = async (query: string, variables: object = {}, asker = tenant) =>
  (await gateway.ask(asker, query, variables)).cache

describe('an answer that is kept', () => {
  it('is given again without a read, letter by letter', async () => {
    const first = await gateway.ask(tenant, TITLES)
    const again = await gateway.ask(tenant, TITLES)
    expect(first.cache).toBe('miss')
    expect(again).toEqual({ text: first.text, cache: 'hit' })
    expect(gateway.reads).toBe(1)
  })

  it('is of one tenant, one role, one epoch, one document, one set of values', async () => {
    const answers = new Set<string | null>()
    for (const asker of [tenant, other]) {
      for (const roles of [['viewer'], ['admin'], ['member', 'admin']] as const) {
        const { text, cache } = await gateway.ask({ id: asker.id, roles }, TITLES)
        expect(cache).toBe('miss')
        expect(world.scanner.scan(asker.id, text as string)).toEqual([])
        answers.add(text)
      }
    }
    expect(answers.size).toBe(2)
    expect(await cached(`${TITLES} `)).toBe('miss')
    expect(await cached(TASK, task(1))).toBe('miss')
    expect(await cached(TASK, task(2))).toBe('miss')
    const placement = (await gateway.gate.placements.find(tenant.id))!
    const moved = { ...placement, epoch: placement.epoch + 1 }
    expect((await gateway.ask(tenant, TITLES, {}, { placement: moved })).cache).toBe('miss')
    expect((await gateway.ask({ id: tenant.id, roles: ['admin', 'member'] }, TITLES)).cache).toBe('hit')
  })

  it('is not given to whom the rules refuse it', async () => {
    const query = '{ projects { nodes { budgetCents } } }'
    expect((await gateway.ask({ id: tenant.id, roles: ['admin'] }, query)).text).toContain('budgetCents')
    expect(await gateway.ask({ id: tenant.id, roles: ['viewer'] }, query)).toEqual({
      text: null,
      cache: undefined,
    })
  })

  it('is not given to a tenant that is suspended', async () => {
    await gateway.ask(tenant, TITLES)
    const placement = (await gateway.gate.placements.find(tenant.id))!
    const suspended = { ...placement, state: 'suspended' as const }
    expect((await gateway.ask(tenant, TITLES, {}, { placement: suspended })).cache).toBeUndefined()
  })

  it('tells a value that is missing from one that is null, and JSON from other JSON', async () => {
    const filter =
      'query ($filter: ProjectFilter = { rowId: { eq: 1 } }) { projects(filter: $filter) { totalCount } }'
    const none = await gateway.ask(tenant, filter)
    const all = await gateway.ask(tenant, filter, { filter: null })
    expect([none.cache, all.cache]).toEqual(['miss', 'miss'])
    expect(all.text).not.toBe(none.text)
    const json = 'query ($notes: JSON!) { projects(filter: { notes: { contains: $notes } }) { totalCount } }'
    const every = await gateway.ask(tenant, json, { notes: {} })
    const some = await gateway.ask(tenant, json, { notes: { nothing: 'of it' } })
    expect(some).toEqual({ text: '{"data":{"projects":{"totalCount":0}}}', cache: 'miss' })
    expect(every.text).not.toBe(some.text)
  })

  it('is looked at before it is given: one under the key of another tenant is a miss and an alarm', async () => {
    const question = { tenant: tenant.id, key: 'k', deadline: deadlineIn(1_000) }
    expect(gateway.cache.find(question)).toBeUndefined()
    await gateway.cache.get(question, 1_000, async () => ({ text: 'mine', names: () => ['t:app.tasks'] }))
    expect(gateway.cache.find(question)).toBe('mine')
    expect(gateway.cache.find({ ...question, tenant: other.id })).toBeUndefined()
    expect(gateway.events.filter(({ kind }) => kind === 'cache.poisoned')).toHaveLength(1)
    expect(gateway.cache.find(question)).toBeUndefined()
  })
})

describe('what is not kept', () => {
  it('is whatever reads a table that is not opted in, wherever it stands', async () => {
    const { 'app.projects': _, ...without } = ALL_TABLES
    gateway.configure({ tables: without })
    const queries = [
      '{ projects { nodes { name } } }',
      '{ tasks { nodes { project { name } } } }',
      '{ tasks(filter: { project: { name: { eq: "x" } } }) { totalCount } }',
      '{ tasks(orderBy: [{ project: { name: ASC } }]) { nodes { rowId } } }',
      '{ tasks { nodes { title } } projects { totalCount } }',
      'query ($f: TaskFilter) { tasks(filter: $f) { totalCount } }',
      'query ($id: ID!) { node(id: $id) { id } }',
    ]
    const variables = {
      f: { project: { name: { eq: 'x' } } },
      id: id('Project', tenant.values.projectIds[0]),
    }
    for (const query of queries) {
      await gateway.ask(tenant, query, variables)
      expect(await cached(query, variables), query).toBeUndefined()
    }
    expect(await cached('{ tasks { nodes { title } } }')).toBe('miss')
    expect(await cached('{ tasks { nodes { title } } }')).toBe('hit')
    expect(await cached('query ($id: ID!) { node(id: $id) { id } }', task(1))).toBe('miss')
  })

  it('is a mutation, and anything while nothing is opted in', async () => {
    await rename(1, 'once')
    await rename(1, 'once')
    expect(gateway.events.filter(({ kind }) => kind === 'cache.asked')).toEqual([])
    gateway.configure({})
    await gateway.ask(tenant, TITLES)
    expect(await gateway.ask(tenant, TITLES)).toMatchObject({ cache: undefined })
    expect(gateway.events.filter(({ kind }) => kind === 'cache.asked')).toEqual([])
  })

  it('is a failed answer', async () => {
    gateway.afterRead = () => {
      throw new Error('the shard has gone')
    }
    expect((await gateway.ask(tenant, TITLES)).text).toBeNull()
    gateway.afterRead = () => {}
    expect(await cached(TITLES)).toBe('miss')
  })

  it('is an answer from before the configuration changed', async () => {
    await gateway.ask(tenant, TITLES)
    gateway.configure({ tables: { ...ALL_TABLES, 'app.tasks': { ttlMs: 1_000 } } })
    expect(await cached(TITLES)).toBe('miss')
    gateway.configure({ tables: ALL_TABLES, answerBytes: 10 })
    await gateway.ask(tenant, TITLES)
    expect(await cached(TITLES)).toBe('miss')
  })
})

describe('a write', () => {
  it('takes away the row that it changes and every list, and leaves other rows and tenants alone', async () => {
    const queries: [string, object?][] = [[TASK, task(1)], [TASK, task(2)], [TITLES]]
    for (const [query, variables] of queries) await gateway.ask(tenant, query, variables)
    await gateway.ask(other, TITLES)
    await gateway.ask(other, TASK, task(1))
    await rename(1, 'changed')
    expect(await gateway.ask(tenant, TASK, task(1))).toMatchObject({ cache: 'miss' })
    expect((await gateway.ask(tenant, TASK, task(1))).text).toContain('"changed"')
    expect(await cached(TASK, task(2))).toBe('hit')
    expect((await gateway.ask(tenant, TITLES)).text).toContain('"changed"')
    expect(await cached(TITLES, {}, other)).toBe('hit')
    expect(await cached(TASK, task(1), other)).toBe('hit')
  })

  it('of a row that others refer to takes away those', async () => {
    await gateway.ask(tenant, TASK_OF, task(1))
    expect(await cached(TASK_OF, task(1))).toBe('hit')
    const source =
      'mutation ($id: ID!) { updateProject(id: $id, patch: { name: "renamed" }) { ... on Project { name } } }'
    const given = JSON.parse((await gateway.ask(tenant, TASK_PROJECT, task(1))).text!)
    await gateway.write(tenant, source, { id: given.data.task.project.id })
    expect((await gateway.ask(tenant, TASK_OF, task(1))).text).toContain('"renamed"')
  })

  it('shows a row that was looked for in vain', async () => {
    expect((await gateway.ask(tenant, TASK, task(4_711))).text).toContain('"task":null')
    const input = { rowId: 4_711, title: 'here', projectId: tenant.values.projectIds[0] }
    await gateway.write(
      tenant,
      'mutation ($input: CreateTaskInput!) { createTask(input: $input) { ... on Task { id } } }',
      { input },
    )
    expect((await gateway.ask(tenant, TASK, task(4_711))).text).toContain('"here"')
    await gateway.write(
      tenant,
      'mutation ($id: ID!) { deleteTask(id: $id) { ... on Task { id } } }',
      task(4_711),
    )
    expect((await gateway.ask(tenant, TASK, task(4_711))).text).toContain('"task":null')
  })

  it('counts in whichever lane and from whatever code it comes', async () => {
    const several = `mutation ($id: ID!) { a: updateTask(id: $id, patch: { title: "a" }) { ... on Task { title } }
      b: updateTask(id: $id, patch: { title: "b" }) { ... on Task { title } } }`
    const bulk =
      'mutation { updateTasks(filter: { rowId: { eq: 1 } }, patch: { title: "bulk" }) { __typename } }'
    const upsert = `mutation { upsertTask(input: { rowId: 1, title: "up", projectId: "${tenant.values.projectIds[0]}" }) {
      ... on Task { title } } }`
    for (const [source, title] of [
      [several, '"b"'],
      [bulk, '"bulk"'],
      ['mutation { shout }', '"BULK"'],
      [upsert, '"up"'],
    ] as const) {
      await gateway.ask(tenant, TASK, task(1))
      expect(await cached(TASK, task(1))).toBe('hit')
      expect((await gateway.resolve(tenant, source, task(1))).errors).toBeUndefined()
      expect((await gateway.ask(tenant, TASK, task(1))).text).toContain(title)
      expect((await gateway.ask(tenant, TITLES)).text).toContain(title)
    }
  })

  it('that is rolled back takes nothing away, and neither does the second one under an idempotency key', async () => {
    await gateway.ask(tenant, TITLES)
    const broken = 'mutation { createTask(input: { rowId: 1, title: "", projectId: "0" }) { __typename } }'
    await gateway.resolve(tenant, broken)
    expect(await cached(TITLES)).toBe('hit')
    const key = `key-${process.pid}-${Date.now()}`
    await gateway.resolve(tenant, RENAME, { ...task(1), title: 'kept' }, key)
    expect(await cached(TITLES)).toBe('miss')
    await gateway.resolve(tenant, RENAME, { ...task(1), title: 'kept' }, key)
    expect(await cached(TITLES)).toBe('hit')
  })

  it('takes away what a foreign key deletes with its row', async () => {
    await gateway.ask(tenant, '{ labels { totalCount } }')
    const before = (await gateway.ask(tenant, '{ labels { totalCount } }')).text
    await gateway.write(tenant, 'mutation ($id: ID!) { deleteTask(id: $id) { ... on Task { id } } }', task(3))
    const { text, cache } = await gateway.ask(tenant, '{ labels { totalCount } }')
    expect(cache).toBe('miss')
    expect(text).not.toBe(before)
  })
})

describe('a read that began before a write and ends after it', () => {
  /** Holds the next read when its rows are there, until it is let go. */
  function holdNext() {
    const arrived = Promise.withResolvers<void>()
    const gone = Promise.withResolvers<void>()
    gateway.afterRead = async () => {
      gateway.afterRead = () => {}
      arrived.resolve()
      await gone.promise
    }
    return { arrived: arrived.promise, go: () => gone.resolve() }
  }

  it.each([
    ['row', TASK, task(2)],
    ['list', TITLES, {}],
  ])('is not kept: %s', async (_, query, variables) => {
    await rename(2, 'old')
    const { arrived, go } = holdNext()
    const early = gateway.ask(tenant, query, variables)
    await arrived
    await rename(2, 'new')
    go()
    expect((await early).text).toContain('"old"')
    const { text, cache } = await gateway.ask(tenant, query, variables)
    expect(cache).toBe('miss')
    expect(text).toContain('"new"')
  })

  it('is not joined by whoever asks after the write', async () => {
    await rename(2, 'old')
    const { arrived, go } = holdNext()
    const early = gateway.ask(tenant, TITLES)
    await arrived
    const joined = gateway.ask(tenant, TITLES)
    await rename(2, 'new')
    const late = await gateway.ask(tenant, TITLES)
    expect(late.text).toContain('"new"')
    go()
    expect((await early).text).toContain('"old"')
    expect((await joined).text).toContain('"old"')
    expect((await gateway.ask(tenant, TITLES)).text).toContain('"new"')
  })
})

describe('a write whose end nobody knows', () => {
  it('keeps the tenant out of the cache until it must be over', async () => {
    await gateway.ask(third, TITLES)
    await gateway.cache.doubted(third.id, deadlineIn(60_000))
    await gateway.ask(third, TITLES)
    expect(await cached(TITLES, {}, third)).toBe('miss')
    await gateway.ask(other, TITLES)
    expect(await cached(TITLES, {}, other)).toBe('hit')
  })
})

describe('a flood of one question', () => {
  it('is one read', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => gateway.ask(tenant, TITLES)))
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
    expect(gateway.reads).toBe(1)
  })

  it('goes on when the one who reads for all is cut off', async () => {
    let isFirst = true
    gateway.afterRead = () => {
      if (!isFirst) return
      isFirst = false
      throw new Error('cut off')
    }
    const answers = await Promise.all(Array.from({ length: 50 }, () => gateway.ask(tenant, TITLES)))
    expect(answers.filter(({ text }) => text === null)).toHaveLength(1)
    expect(new Set(answers.map(({ text }) => text)).size).toBe(2)
    expect(gateway.reads).toBe(2)
  })

  it('waits no longer than its own deadline for somebody else', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    gateway.afterRead = () => {
      gateway.afterRead = () => {}
      return promise
    }
    const first = gateway.ask(tenant, TITLES)
    let waits = 0
    // Two reads of others, and then one of his own.
    const over: Deadline = { remainingMs: () => (waits++ < 2 ? 0 : 5_000) }
    expect((await gateway.ask(tenant, TITLES, {}, { deadline: over })).cache).toBe('miss')
    resolve()
    await first
  })
})

it('has a time to live for each table, of which the least counts', () => {
  gateway.configure({ tables: { 'app.tasks': { ttlMs: 500 }, 'app.projects': HOUR } })
  expect(gateway.cache.ttlMs(['app.tasks', 'app.projects'])).toBe(500)
  expect(gateway.cache.ttlMs(['app.projects'])).toBe(HOUR.ttlMs)
  expect(gateway.cache.ttlMs(['app.projects', 'app.labels'])).toBe(0)
  expect(gateway.cache.ttlMs([])).toBe(0)
})
