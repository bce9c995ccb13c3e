/**
 * What the compiled lane remembers hangs on documents alone: nothing of a tenant, a role or a value is in it, and
 * whatever decides about a request is looked at with each of them.
 */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { LimitsConfig } from '../../src/base/config.ts'
import { sql } from '../../src/db/sql.ts'
import type { Extension } from '../../src/graphql/extension.ts'
import { rule } from '../../src/graphql/permissions/shield.ts'
import { compileSlots } from '../../src/graphql/plan/slots.ts'
import { type Asker, type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { runRandom } from '../kit/random.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'
import { wallQuestions } from '../kit/wall-questions.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant
let other: WorldTenant
let ruled: string[] = []
let limits: Partial<LimitsConfig> = {}

const extension: Extension = {
  permissions: {
    'Project.budgetCents': 'admin',
    'Query.invoices': 'member',
    'Query.labels': rule('looked at')((_, __, { scope }) => {
      ruled.push(scope.identity.tenant)
      return scope.identity.subject !== 'nobody'
    }),
  },
}

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1 }, { moves: { holdMs: 50 } })
  ;[tenant, other] = world.tenants as [WorldTenant, WorldTenant]
  const hot = new Proxy(
    {},
    {
      ownKeys: () => Object.keys(limits),
      get: (_, name) => Reflect.get(limits, name),
      getOwnPropertyDescriptor: (_, name) => Object.getOwnPropertyDescriptor(limits, name),
    },
  )
  api = await openWorldApi(world, [extension], hot)
})
afterAll(async () => {
  api?.end()
  await world?.stop()
})
afterEach(() => {
  limits = {}
})

const resolved = async (asker: Asker, query: string, variables: object = {}): Promise<string> =>
  JSON.stringify(await api.run(asker, query, variables))
/** The code with which the resolvers refuse what the compiled lane has left to them. */
async function refusal(asker: Asker, query: string, variables: object = {}): Promise<unknown> {
  expect(await api.compiled(asker, query, variables)).toBe(null)
  const { errors } = await api
    .run(asker, query, variables)
    .catch((error) => ({ errors: [{ originalError: error }] }))
  return (errors?.[0]?.originalError as Data)?.code
}

describe('one document, asked by many', () => {
  it('gives each his own rows, one after the other and at once', async () => {
    const asked = world.tenants.flatMap((asker) =>
      world.tenants.flatMap((owner) => wallQuestions(owner).map((question) => ({ asker, ...question }))),
    )
    const right = new Map<object, string>()
    for (const one of asked) right.set(one, await resolved(one.asker, one.query, one.variables))
    const random = runRandom().fork('caches')
    const several = random.shuffle([...asked, ...asked, ...asked])
    const answers = await Promise.all(several.map((one) => api.compiled(one.asker, one.query, one.variables)))
    let taken = 0
    for (const [i, answer] of answers.entries()) {
      const one = several[i]!
      if (answer === null) continue
      taken++
      expect(answer, one.name).toBe(right.get(one))
      expect(world.scanner.scan(one.asker.id, answer as string)).toEqual([])
    }
    expect(taken).toBeGreaterThan(several.length / 2)
  })

  it('is one text for all of them, and holds nothing of anybody', async () => {
    const { ran } = await api.record(async () => {
      for (const asker of world.tenants)
        for (const { query, variables } of wallQuestions(other)) await api.compiled(asker, query, variables)
    })
    expect(ran.length % 2).toBe(0)
    const texts = ran.map(({ text }) => text)
    expect(texts.slice(ran.length / 2)).toEqual(texts.slice(0, ran.length / 2))
    for (const text of texts) {
      expect(world.scanner.scan(null, text)).toEqual([])
      expect(text).not.toMatch(/tenant-\d/)
    }
  })

  it('holds no value that stands in the document either', async () => {
    const word = other.canary.text('in-the-document')
    const { ran } = await api.record(() =>
      api.compiled(
        tenant,
        `{ tasks(filter: { or: [{ title: { contains: "${word}" } }, { rowId: { in: [4711, 4712] } }] }) { totalCount
          groups(by: [{ state: VALUE }], having: { count: { gt: 4713 } }) { count } } }`,
      ),
    )
    expect(ran).toHaveLength(1)
    expect(ran[0]!.text).not.toMatch(/471\d|cnry/)
    expect(JSON.stringify(ran[0]!.values)).toContain(word)
  })

  it('and a statement that would hold one is not made', () => {
    expect(() => compileSlots(sql`select ${sql.value(other.id)}::text`)).toThrow('holds a value')
  })

  it('differs in no more than a character, a name or a comment: each is itself', async () => {
    const variants = [
      [
        'query A { tasks(first: 1) { nodes { title } } } query B { tasks(first: 2) { nodes { title } } }',
        null,
      ],
      ['query A { tasks(first: 1) { nodes { title } } }', 'one'],
      ['query A { tasks(first: 2) { nodes { title } } }', 'two'],
      ['query A { tasks(first: 1) { nodes { title } } } #', 'one'],
      ['query A { tasks(first: 1) { nodes { title:rowId } } }', 'one'],
    ]
    for (const [query] of [...variants, ...variants]) {
      const answer = await api.compiled(tenant, query as string)
      if (query === variants[0]![0]) expect(answer).toBe(null)
      else expect(answer).toBe(await resolved(tenant, query as string))
    }
  })
})

describe('cursors of another tenant', () => {
  it('are refused in both lanes, in a variable and in the document', async () => {
    const list = async (asker: WorldTenant): Promise<string> =>
      JSON.parse((await api.compiled(asker, '{ tasks(first: 2) { pageInfo { endCursor } } }')) as string).data
        .tasks.pageInfo.endCursor
    const [own, theirs] = [await list(tenant), await list(other)]
    const query = 'query ($after: String) { tasks(first: 2, after: $after) { nodes { title } } }'
    const written = (cursor: string): string => `{ tasks(first: 2, after: "${cursor}") { nodes { title } } }`
    for (let round = 0; round < 2; round++) {
      for (const cursor of [own, theirs]) {
        const owner = cursor === own ? tenant : other
        const stranger = cursor === own ? other : tenant
        expect(await api.compiled(owner, written(cursor))).toBe(await resolved(owner, written(cursor)))
        expect(await api.compiled(owner, query, { after: cursor })).toBe(
          await resolved(owner, query, { after: cursor }),
        )
        expect(await refusal(stranger, written(cursor))).toBe('BAD_USER_INPUT')
        expect(await refusal(stranger, query, { after: cursor })).toBe('BAD_USER_INPUT')
      }
    }
  })
})

describe('permissions', () => {
  const as = (...roles: NonNullable<Asker['roles']>): Asker => ({ id: tenant.id, roles })
  const BUDGET = '{ projects { nodes { name budgetCents } } }'
  const MAYBE = 'query ($all: Boolean!) { projects { nodes { name budgetCents @include(if: $all) } } }'
  const BY_BUDGET = 'query ($filter: ProjectFilter) { projects(filter: $filter) { totalCount } }'

  it('are looked at for each request: who may is no leave for who may not', async () => {
    for (let round = 0; round < 2; round++) {
      expect(await api.compiled(as('admin'), BUDGET)).toContain('budgetCents')
      for (const asker of [as('member'), as('viewer'), as()])
        expect(await api.compiled(asker, BUDGET)).toBe(null)
    }
  })

  it('hang on what variables leave in', async () => {
    for (let round = 0; round < 2; round++) {
      expect(await api.compiled(as('admin'), MAYBE, { all: true })).toContain('budgetCents')
      expect(await api.compiled(as('viewer'), MAYBE, { all: true })).toBe(null)
      expect(await api.compiled(as('viewer'), MAYBE, { all: false })).not.toContain('budgetCents')
      expect(await api.compiled(as('viewer'), MAYBE, { all: 'false' })).toBe(null)
    }
  })

  it('hang on no text that looks like the values of conditions', async () => {
    const query = `
      query Other($x: Boolean!, $all: Boolean!, $z: Boolean!) {
        projects { nodes { name @skip(if: $x) rowId @skip(if: $all) share @skip(if: $z) } } }
      query Own($x: String, $all: Boolean!, $z: String) {
        projects(filter: { name: { neq: $x } }) { nodes { name budgetCents @include(if: $all) } }
        tasks(filter: { title: { neq: $z } }) { totalCount } }`
    const ask = (role: 'admin' | 'viewer', x: string, all: boolean, z: string) =>
      api.compiled(as(role), query, { x, all, z }, 'Own')
    expect(await ask('admin', 'q', true, 'false,z')).toContain('budgetCents')
    expect(await ask('viewer', 'q,true', false, 'z')).not.toContain('budgetCents')
  })

  it('hang on what filters in variables speak of', async () => {
    const speaking = { filter: { not: { tasks: { some: { project: { budgetCents: { gt: '0' } } } } } } }
    for (let round = 0; round < 2; round++) {
      expect(await api.compiled(as('admin'), BY_BUDGET, speaking)).toContain('totalCount')
      expect(await api.compiled(as('viewer'), BY_BUDGET, speaking)).toBe(null)
      expect(await api.compiled(as('viewer'), BY_BUDGET, { filter: {} })).toContain('totalCount')
    }
  })

  it('that are code are run each time, for whoever asks', async () => {
    const query = '{ labels(first: 1) { nodes { word } } }'
    ruled = []
    for (const asker of [tenant, other, tenant]) expect(await api.compiled(asker, query)).toContain('word')
    expect(ruled).toEqual([tenant.id, other.id, tenant.id])
  })

  it('go by what the document asks, whatever names its variables have', async () => {
    for (const name of ['__proto__', 'constructor', 'hasOwnProperty', 'toString']) {
      const query = `query ($${name}: Boolean!) { projects { nodes { name budgetCents @include(if: $${name}) } } }`
      const given = (value: boolean) => JSON.parse(`{ "${name}": ${value} }`)
      expect(await api.compiled(as('viewer'), query, given(true)), name).toBe(null)
      expect(await api.compiled(as('viewer'), query, given(false)), name).not.toContain('budgetCents')
      expect(await api.compiled(as('admin'), query, given(true)), name).toContain('budgetCents')
      expect(await api.compiled(as('viewer'), query, {}), name).toBe(null)
    }
  })
})

describe('what changes while documents are known', () => {
  const PAGE = '{ tasks(first: 6) { nodes { title project { name } } } }'
  const BY_VARIABLE = 'query ($n: Int) { tasks(first: $n) { nodes { title } } }'

  it.each<[string, Partial<LimitsConfig>]>([
    ['pageSize', { pageSize: 5 }],
    ['rows', { rows: 5 }],
    ['answerBytes', { answerBytes: 100 }],
    ['depth', { depth: 2 }],
    ['documentTokens', { documentTokens: 5 }],
    ['rootFields', { rootFields: 0 }],
  ])('a limit counts at once: %s', async (_, changed) => {
    expect(await api.compiled(tenant, PAGE)).toContain('title')
    expect(await api.compiled(tenant, BY_VARIABLE, { n: 6 })).toContain('title')
    limits = changed
    expect(await api.compiled(tenant, PAGE)).toBe(null)
    expect(await api.compiled(tenant, BY_VARIABLE, { n: 6 })).toBe(null)
    limits = {}
    expect(await api.compiled(tenant, PAGE)).toContain('title')
  })

  const fence = (now: string) =>
    world.sql(tenant.shard, 'update shardgate.tenant_fence set state = $2 where tenant_id = $1', [
      tenant.id,
      now,
    ])

  it.each([
    ['suspended', 'TENANT_SUSPENDED'],
    ['moved', 'TENANT_MOVING'],
  ])('a tenant that is %s is refused at once', async (state, code) => {
    expect(await api.compiled(tenant, PAGE)).toContain('title')
    await fence(state)
    try {
      expect(await refusal(tenant, PAGE)).toBe(code)
      expect(await api.compiled(other, PAGE)).toContain('title')
    } finally {
      await fence('active')
    }
    expect(await api.compiled(tenant, PAGE)).toContain('title')
  })

  it('a tenant that is frozen reads, and does not write', async () => {
    const write = `mutation { createLabel(input: { taskId: 1, word: "frozen" }) { ... on Label { word } } }`
    const before = await world.contents(tenant)
    await fence('frozen')
    try {
      expect(await api.compiled(tenant, PAGE)).toContain('title')
      expect(await refusal(tenant, write)).toBe('TENANT_MOVING')
    } finally {
      await fence('active')
    }
    expect(await world.contents(tenant)).toBe(before)
  })

  it('a placement that is late is read again, and the caller does not notice', async () => {
    const raise = (place: string, table: string, key: string) =>
      world.sql(place, `update ${table} set epoch = epoch + 1 where ${key} = $1`, [tenant.id])
    await raise(tenant.shard, 'shardgate.tenant_fence', 'tenant_id')
    await raise('directory', 'directory.tenant', 'id')
    expect(await api.compiled(tenant, PAGE)).toContain('title')
  })

  it('a table that is refused is refused at once, also as one of several', async () => {
    const shard = api.gate.fleet.get(tenant.shard)!
    expect(await api.compiled(tenant, PAGE)).toContain('title')
    shard.refuseTables(['app.projects'])
    try {
      expect(await refusal(tenant, PAGE)).toBe('TABLE_UNSAFE')
      expect(await api.compiled(tenant, BY_VARIABLE, { n: 2 })).toContain('title')
    } finally {
      shard.refuseTables([])
    }
  })
})
