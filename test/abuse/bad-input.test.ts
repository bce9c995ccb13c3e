/**
 * One table of bad input against a whole gateway in production: each is refused with exactly one clear
 * error, never with a fault of the server, a stack, or a word of SQL; and nothing is changed by it.
 */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { type Caller, openCaller } from '../kit/refusal.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

let world: World
let gateway: Gateway
let caller: Caller
let before: string[]
/** Ids and cursors as the API gives them. */
let known: {
  project: string
  task: string
  foreignTask: string
  foreignProject: string
  cursor: string
  foreignCursor: string
}

const PAGE = '{ projects(first: 1) { nodes { id } edges { cursor } } tasks(first: 1) { nodes { id } } }'

beforeAll(async () => {
  world = await startWorld({ tenants: 4, shards: 3, rows: 3 })
  gateway = await startGateway(world, { NODE_ENV: 'production' })
  const [mine, , , other] = world.tenants
  expect(other!.shard).toBe(mine!.shard)
  caller = openCaller(world, gateway, mine!, await worldToken(world, mine!))
  const own = await caller.data({ query: PAGE })
  const foreign = await caller.data({ query: PAGE, token: await worldToken(world, other!) })
  known = {
    project: own.projects.nodes[0].id,
    task: own.tasks.nodes[0].id,
    cursor: own.projects.edges[0].cursor,
    foreignProject: foreign.projects.nodes[0].id,
    foreignTask: foreign.tasks.nodes[0].id,
    foreignCursor: foreign.projects.edges[0].cursor,
  }
  before = await caller.contents()
})
afterAll(async () => {
  caller?.close()
  await gateway?.stop()
  await world?.stop()
})
afterEach(async () => {
  expect(await caller.contents()).toEqual(before)
  expect(gateway.ended).toBeUndefined()
})

describe('values', () => {
  const project = (input: string) => `mutation { createProject(input: { ${input} }) { __typename } }`
  const task = (input: string) => `mutation { createTask(input: { ${input} }) { __typename } }`

  it.each<[string, string]>([
    ['a number for a text', '{ projects(filter: { name: { eq: 5 } }) { totalCount } }'],
    ['a text for a boolean', '{ tasks(filter: { done: { eq: "yes" } }) { totalCount } }'],
    ['a list for one value', '{ tasks(filter: { rowId: { eq: [1, 2] } }) { totalCount } }'],
    ['an int that is too large', '{ tasks(filter: { rowId: { eq: 2147483648 } }) { totalCount } }'],
    ['a word that is no member', '{ tasks(filter: { state: { eq: BURNING } }) { totalCount } }'],
    ['a field that is none', '{ projects { nodes { secret } } }'],
    ['an argument that is none', '{ projects(tenantId: "x") { totalCount } }'],
    ['the tenant column in a filter', '{ projects(filter: { tenantId: { eq: "x" } }) { totalCount } }'],
    ['the tenant column in an input', project('rowId: 1, name: "x", tenantId: "x"')],
    ['nothing where something is needed', project('rowId: 1')],
    ['null where something is needed', project('rowId: 1, name: null')],
    ['an unknown operator', '{ projects(filter: { name: { regex: ".*" } }) { totalCount } }'],
    ['two columns in one order', '{ tasks(orderBy: [{ title: ASC, effort: DESC }]) { totalCount } }'],
    ['no selection', '{ projects }'],
    ['a field of a scalar', '{ projects { totalCount { x } } }'],
    ['a directive that is none', '{ projects @admin { totalCount } }'],
    ['a fragment that is none', '{ projects { ...Gone } }'],
    ['a subscription', 'subscription { projects { totalCount } }'],
    ['a bigint of words', '{ projects(filter: { rowId: { eq: "one" } }) { totalCount } }'],
    ['a bigint too large', '{ projects(filter: { rowId: { eq: "9223372036854775808" } }) { totalCount } }'],
    ['no uuid', '{ invoices(filter: { id: { eq: "x" } }) { totalCount } }'],
    ['no date', '{ tasks(filter: { dueOn: { eq: "tomorrow" } }) { totalCount } }'],
    ['a moment of words', '{ projects(filter: { createdAt: { gt: "now()" } }) { totalCount } }'],
    ['no bytes', project('rowId: 901, name: "x", logo: "zz"')],
  ])('%s: the document is not valid', async (_, query) => {
    await caller.refused({ query }, 'GRAPHQL_VALIDATION_FAILED')
  })

  it.each<[string, string]>([
    ['a date that is none', '{ tasks(filter: { dueOn: { eq: "2026-02-30" } }) { totalCount } }'],
    ['a month that is none', task('rowId: 901, projectId: "1", title: "x", dueOn: "2026-13-01"')],
    ['a moment past all time', '{ projects(filter: { createdAt: { gt: "999999-01-01" } }) { totalCount } }'],
    ['a number past its column', project('rowId: 901, name: "x", share: "1e99"')],
    ['a text with a zero byte', project('rowId: 901, name: "a\\u0000b"')],
    ['a filter with a zero byte', '{ projects(filter: { name: { eq: "a\\u0000b" } }) { totalCount } }'],
    ['JSON with a zero byte', project('rowId: 901, name: "x", notes: { a: "\\u0000" }')],
    ['a page too large', '{ projects(first: 101) { totalCount } }'],
    ['a page of less than nothing', '{ projects(first: -1) { totalCount } }'],
    ['pages both ways', '{ projects(first: 1, last: 1) { nodes { id } } }'],
    ['too many nodes', `{ nodes(ids: [${'"x", '.repeat(101)}]) { id } }`],
  ])('%s', async (_, query) => {
    await caller.refused({ query }, 'BAD_USER_INPUT')
  })

  const QUERY = 'query ($f: ProjectFilter, $n: Int) { projects(filter: $f, first: $n) { totalCount } }'
  it.each<[string, unknown]>([
    ['a text for a number', { n: '1' }],
    ['a fraction', { n: 1.5 }],
    ['a number without end', { n: 1e308 }],
    ['a list', { f: [] }],
    ['an unknown member', { f: { tenantId: { eq: 'x' } } }],
    ['a prototype', JSON.parse('{"f":{"__proto__":{"name":{"eq":"x"}}}}')],
    ['a constructor', { f: { constructor: { prototype: {} } } }],
    ['null in a list', { f: { rowId: { in: [null] } } }],
  ])('a variable: %s', async (_, variables) => {
    await caller.refused({ query: QUERY, variables }, 'BAD_USER_INPUT')
  })
})

describe('ids and cursors', () => {
  const cases: [string, () => string][] = [
    ['empty', () => ''],
    ['a word', () => 'nonsense'],
    ['cut', () => known.cursor.slice(0, -3)],
    ['prolonged', () => `${known.cursor}AA`],
    ['of another tenant', () => known.foreignCursor],
    ['an id', () => known.project],
    ['SQL', () => "' or 1=1; --"],
    ['a megabyte short of the limit', () => 'A'.repeat(200_000)],
    ['unusual letters', () => '\u202e\u0000😀'],
  ]
  it.each(cases)('a cursor that is %s', async (_, cursor) => {
    const query = 'query ($after: String) { projects(after: $after) { nodes { id } } }'
    await caller.refused({ query, variables: { after: cursor() } }, 'BAD_USER_INPUT')
  })

  it('a cursor of another order', async () => {
    await caller.refused(
      { query: `{ projects(orderBy: [{ name: DESC }], after: "${known.cursor}") { nodes { id } } }` },
      'BAD_USER_INPUT',
    )
  })

  const ids: [string, () => string][] = [
    ['empty', () => ''],
    ['a word', () => 'nonsense'],
    ['of another type', () => known.task],
    ['a cursor', () => known.cursor],
    ['of SQL', () => "1' or '1'='1"],
    ['a long one', () => 'A'.repeat(100_000)],
    ['of JSON that is no id', () => Buffer.from('["Project",{"a":1}]').toString('base64url')],
    ['of JSON with SQL', () => Buffer.from(`["Project","1; drop table app.projects"]`).toString('base64url')],
    ['of a prototype', () => Buffer.from('["__proto__","1"]').toString('base64url')],
  ]
  it.each(ids)(
    'an id that is %s finds nothing or is refused, alike in queries and mutations',
    async (_, id) => {
      const variables = { id: id() }
      for (const query of [
        'query ($id: ID!) { it: project(id: $id) { name } }',
        'mutation ($id: ID!) { it: deleteProject(id: $id) { __typename } }',
        'mutation ($id: ID!) { it: updateProject(id: $id, patch: { name: "taken" }) { __typename } }',
        'query ($id: ID!) { it: project(id: $id) { name } }',
      ]) {
        const reply = await caller.send({ query, variables })
        const answer = JSON.parse(String(reply.body))
        if (answer.errors) await caller.refused({ query, variables }, 'BAD_USER_INPUT')
        else expect(answer).toEqual({ data: { it: null } })
        expect(reply.status).toBeLessThan(500)
      }
    },
  )

  it("another tenant's id is an id of nobody", async () => {
    const query = 'mutation ($id: ID!) { deleteProject(id: $id) { __typename } }'
    const foreign = await caller.send({ query, variables: { id: known.foreignProject } })
    expect(JSON.parse(String(foreign.body))).toEqual({ data: { deleteProject: null } })
  })
})

describe('a list', () => {
  // The first rows have a parent, which is waited for; the last has none and fails at once, and the list with it.
  it('of which several items fail does not end the gateway', async () => {
    const query = `{ tasks(orderBy: [{ parentId: ASC_NULLS_LAST }]) { edges { node {
      parent { id } invoices(offset: 1, last: 1) { totalCount } } } } }`
    await caller.refused({ query }, 'BAD_USER_INPUT')
    await caller.data({ query: '{ tasks { totalCount } }' })
    expect(gateway.ended).toBeUndefined()
  })
})

describe('bodies', () => {
  it.each<[string, string, string, Record<string, string>?]>([
    ['nothing', '', 'BAD_REQUEST'],
    ['no JSON', '{"query": ', 'BAD_REQUEST'],
    ['a list', '[{"query":"{ projects { totalCount } }"}]', 'BAD_REQUEST'],
    ['no query', '{}', 'BAD_REQUEST'],
    ['a query that is none', '{"query":5}', 'BAD_REQUEST'],
    ['an unknown member', '{"query":"{ __typename }","tenant":"x"}', 'BAD_REQUEST'],
    ['a prototype', '{"__proto__":{"query":"{ __typename }"}}', 'BAD_REQUEST'],
    ['variables in a list', '{"query":"{ __typename }","variables":[]}', 'BAD_REQUEST'],
    [
      'deep JSON',
      `{"query":"{ __typename }","variables":${'['.repeat(5_000)}${']'.repeat(5_000)}}`,
      'BAD_REQUEST',
    ],
    ['a document that is none', '{"query":"{ projects "}', 'GRAPHQL_PARSE_FAILED'],
    [
      'an operation that is none',
      '{"query":"query A { projects { totalCount } }","operationName":"B"}',
      'BAD_REQUEST',
    ],
    [
      'a megabyte',
      JSON.stringify({ query: `{ projects { totalCount } } #${'x'.repeat(1_048_576)}` }),
      'PAYLOAD_TOO_LARGE',
    ],
    ['text', 'query={ __typename }', 'BAD_REQUEST', { 'content-type': 'text/plain' }],
    [
      'a form',
      'query=%7B__typename%7D',
      'BAD_REQUEST',
      { 'content-type': 'application/x-www-form-urlencoded' },
    ],
    ['introspection', '{"query":"{ __schema { __typename } }"}', 'GRAPHQL_VALIDATION_FAILED'],
    ['too many tokens', JSON.stringify({ query: `{ ${'a '.repeat(2_000)} }` }), 'QUERY_TOO_COMPLEX'],
    [
      'too deep',
      JSON.stringify({
        query: `{ projects ${'{ nodes { tasks '.repeat(20)} { totalCount } ${'} }'.repeat(20)} }`,
      }),
      'QUERY_TOO_COMPLEX',
    ],
  ])('%s', async (_, body, code, headers = {}) => {
    await caller.refused({ body, headers }, code)
  })
})
