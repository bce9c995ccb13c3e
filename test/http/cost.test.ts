/**
 * What an operation costs: the same in both lanes, whichever way its numbers come (D15), and what a tenant's own limits
 * make of it, whoever has sent the same document before (D12).
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Gateway, logged, reconfigure, startGateway, worldToken } from '../kit/gateway.ts'
import { openProbe, type Probe } from '../kit/probe.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

const SMALL = {
  depth: 4,
  aliases: 2,
  rootFields: 2,
  documentTokens: 60,
  pageSize: 30,
  rows: 25,
  answerBytes: 400,
  statementMs: 200,
}

let world: World
let gateway: Gateway
let probe: Probe
let large: WorldTenant
let small: WorldTenant
const tokens = new Map<string, string>()

beforeAll(async () => {
  // Far more time for a request than for a test: what ends has ended by its own limit.
  const settings = { limits: { requestMs: 600_000 }, plans: { small: { limits: { ...SMALL, depth: 2 } } } }
  world = await startWorld({ tenants: 2, shards: 1, rows: 30 }, settings)
  ;[large, small] = world.tenants as [WorldTenant, WorldTenant]
  const own = JSON.stringify({ depth: SMALL.depth, costPerMinute: 1_000_000 })
  await world.sql('directory', `update directory.tenant set plan = 'small', limits = $2 where id = $1`, [
    small.id,
    own,
  ])
  gateway = await startGateway(world)
  probe = openProbe(4)
  for (const tenant of world.tenants) tokens.set(tenant.id, await worldToken(world, tenant))
})
afterAll(async () => {
  probe?.close()
  await gateway?.stop()
  await world?.stop()
})

let requests = 0

interface Answer {
  readonly data: Record<string, unknown> | null
  readonly errors?: readonly { readonly message: string; readonly extensions: Record<string, unknown> }[]
  readonly extensions?: {
    readonly cost?: Record<'requested' | 'actual' | 'limit' | 'left', number | undefined>
  }
}

async function ask(tenant: WorldTenant, query: string, variables: object = {}, headers = {}) {
  const requestId = `cost-${++requests}`
  const reply = await probe.send({
    url: gateway.url,
    token: tokens.get(tenant.id)!,
    headers: { 'x-request-id': requestId, 'x-shardgate-cost': '1', ...headers },
    body: { query, variables },
  })
  const answer: Answer = JSON.parse(String(reply!.body))
  return { ...answer, requestId }
}

/** The event of a request, which is logged when its answer has left. */
async function doneOf(requestId: string): Promise<Record<string, unknown>> {
  for (;;) {
    const found = logged(gateway, 'request.done').find((event) => event.requestId === requestId)
    if (found) return found
    await new Promise(setImmediate)
  }
}

let current = 'compiled'

/** From now on. */
async function inLane(lane: 'compiled' | 'resolver'): Promise<void> {
  if (lane === current) return
  current = lane
  await reconfigure(world, gateway, { http: { compiledLane: lane === 'compiled' } })
}

const RELATED = '{ projects(first: 10) { nodes { ...A ...B } } }'

describe('an operation costs', () => {
  it.each<[string, number, string, object?]>([
    ['one, where it asks for nothing', 1, '{ __typename }'],
    ['one more for a row by its key', 2, '{ project(id: "$project") { name } }'],
    ['one for a list and one for ten rows', 4, '{ tasks { nodes { title } } }'],
    ['of as many as it asks for', 12, '{ tasks(first: 100) { nodes { title } } }'],
    ['also in a variable', 12, 'query ($n: Int) { tasks(first: $n) { nodes { title } } }', { n: 100 }],
    ['also from the end', 12, 'query ($n: Int) { tasks(last: $n) { nodes { title } } }', { n: 100 }],
    [
      'also by the default of a variable',
      12,
      'query ($n: Int = 100) { tasks(first: $n) { nodes { title } } }',
    ],
    ['or against it', 2, 'query ($n: Int = 100) { tasks(first: $n) { nodes { title } } }', { n: 9 }],
    ['as many as there are ids', 5, 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids: '$projects' }],
    ['one for what rows refer to', 5, '{ tasks(first: 10) { nodes { project { name } } } }'],
    [
      'what is below rows, multiplied',
      9,
      '{ projects(first: 10) { nodes { tasks(first: 5) { nodes { id } } } } }',
    ],
    [
      'and variables with it',
      9,
      'query ($n: Int! = 5) { projects(first: 10) { nodes { tasks(first: $n) { nodes { id } } } } }',
    ],
    [
      'what two fragments share, once',
      9,
      `${RELATED} fragment A on Project { tasks(first: 5) { nodes { id } } } fragment B on Project { name tasks(first: 5) { nodes { title } } }`,
    ],
    ['ten for a count', 14, '{ tasks { totalCount } }'],
    ['ten for sums', 14, '{ tasks { aggregates { count sum { effort } } } }'],
    [
      'ten for groups, and their number',
      14,
      '{ tasks { groups(by: [{ state: VALUE }], first: 5) { count } } }',
    ],
    [
      'nothing for what is left out',
      1,
      'query ($x: Boolean!) { tasks @skip(if: $x) { totalCount } ... @include(if: false) { projects { totalCount } } }',
      { x: true },
    ],
    ['all for what is let in', 14, 'query ($x: Boolean = false) { tasks @skip(if: $x) { totalCount } }'],
    [
      'eleven for a write',
      12,
      'mutation { updateTask(id: "$task", patch: { done: true }) { ... on Task { title } } }',
    ],
    [
      'one for each row that is written, in any place',
      15,
      'mutation ($p: CreateProjectInput!) { createProject(input: $p) { __typename } }',
      { p: { rowId: '$id', name: 'x', budgetCents: 'no number', tasks: [{}, {}, {}] } },
    ],
    [
      'the same in the document',
      14,
      'mutation ($t: CreateProjectTasksInput!) { createProject(input: { rowId: "1", name: "x", tasks: [$t, { rowId: 1, title: "" }] }) { __typename } }',
      { t: { rowId: 2, title: '' } },
    ],
    [
      'several',
      1 + 10 + 7,
      'mutation ($n: Int = 7) { deleteTasks(filter: { rowId: { lt: 0 } }, atMost: $n) { __typename } }',
    ],
  ])('%s', async (_, cost, query, variables = {}) => {
    const found: unknown[] = []
    const [document, values] = await withIds(query, variables)
    for (const lane of ['compiled', 'resolver'] as const) {
      await inLane(lane)
      const { extensions } = await ask(large, document, values)
      expect(extensions?.cost?.requested, lane).toBe(cost)
      expect(extensions?.cost?.actual).toBeLessThanOrEqual(cost)
      found.push(extensions?.cost)
    }
    expect(found[0]).toEqual(found[1])
  })

  it('is told to nobody who does not ask, and says what the rows have come to', async () => {
    const query = '{ tasks(first: 100) { nodes { title } } }'
    for (const lane of ['compiled', 'resolver'] as const) {
      await inLane(lane)
      const told = await ask(large, query)
      expect(told.extensions).toEqual({ cost: { requested: 12, actual: 2 + 3 } })
      expect((await doneOf(told.requestId)).lane).toBe(lane)
      expect(await ask(large, query, {}, { 'x-shardgate-cost': '0' })).not.toHaveProperty('extensions')
    }
  })

  it('is told with what is left, where there is a limit of it', async () => {
    const before = await ask(small, '{ __typename }')
    const { cost } = (await ask(small, '{ tasks { nodes { title } } }')).extensions!
    expect(cost).toMatchObject({ requested: 4, limit: 1_000_000 })
    expect(cost!.left).toBe(before.extensions!.cost!.left! - 4)
  })

  async function withIds(query: string, variables: object): Promise<[string, object]> {
    const { data } = await ask(
      large,
      '{ projects(first: 30) { nodes { id } } tasks(first: 1) { nodes { id } } }',
    )
    const { projects, tasks } = data as Record<'projects' | 'tasks', { nodes: { id: string }[] }>
    const [project, task] = [projects.nodes[0]!.id, tasks.nodes[0]!.id]
    const given = JSON.stringify(variables).replace(
      '"$projects"',
      JSON.stringify(projects.nodes.map(({ id }) => id)),
    )
    return [query.replace('$project"', `${project}"`).replace('$task"', `${task}"`), JSON.parse(given)]
  }
})

describe("D12: a tenant's own limits", () => {
  const title = 'x'.repeat(20)
  const CASES: readonly [limit: string, asked: number | undefined, query: string, variables?: object][] = [
    ['depth', 5, '{ tasks(first: 1) { nodes { project { tasks(first: 1) { totalCount } } } } }'],
    ['aliases', 3, '{ tasks(first: 1) { nodes { a: title b: title c: title } } }'],
    [
      'rootFields',
      3,
      '{ tasks(first: 1) { totalCount } projects(first: 1) { totalCount } labels(first: 1) { totalCount } }',
    ],
    [
      'documentTokens',
      undefined,
      `{ tasks(first: 1, filter: { title: { in: [${`"${title}" `.repeat(60)}] } }) { totalCount } }`,
    ],
    ['pageSize', 31, 'query ($n: Int) { tasks(first: $n) { nodes { rowId } } }', { n: 31 }],
    [
      'pageSize',
      40,
      'query ($n: Int = 40) { projects(first: 1) { nodes { tasks(last: $n) { totalCount } } } }',
    ],
    ['rows', undefined, '{ tasks(first: 30) { nodes { rowId } } }'],
    ['answerBytes', undefined, '{ projects(first: 20) { nodes { name notes aliases logo } } }'],
  ]

  it.each(CASES)(
    'of %s hold for it alone, whoever asks first',
    async (limit, asked, query, variables = {}) => {
      for (const lane of ['compiled', 'resolver'] as const) {
        await inLane(lane)
        // A document that nobody has sent yet, first by the one and then by the other.
        for (const order of [
          [small, large, small],
          [large, small, large],
        ]) {
          const fresh = `${query} # ${lane} ${order[0]!.id}`
          for (const tenant of order) {
            const { data, errors } = await ask(tenant, fresh, variables)
            if (tenant === large) {
              expect(errors).toBeUndefined()
              continue
            }
            const allowed = SMALL[limit as keyof typeof SMALL]
            const details = { limit, allowed, ...(asked !== undefined && { asked }) }
            expect(errors, lane).toMatchObject([{ extensions: { code: 'QUERY_TOO_COMPLEX', details } }])
            expect(data ?? null).toBeNull()
          }
        }
      }
    },
  )

  it('let through what is just within them', async () => {
    for (const query of [
      '{ tasks(first: 25) { nodes { rowId } } }',
      '{ a: tasks(first: 1) { nodes { project { id } } } b: projects(first: 1) { totalCount } }',
      'mutation { updateTasks(filter: { rowId: { lt: 0 } }, patch: { done: true }, atMost: 20) { __typename } }',
    ])
      expect((await ask(small, query)).errors).toBeUndefined()
  })

  it('end a statement that takes longer', async () => {
    const { data } = await ask(small, '{ tasks(first: 1) { nodes { id } } }')
    const { tasks } = data as { tasks: { nodes: { id: string }[] } }
    const mutation = `mutation { updateTask(id: "${tasks.nodes[0]!.id}", patch: { done: true }) { __typename } }`
    const holder = await world.connectTo(small)
    try {
      await holder.query('begin; select from app.tasks for update')
      for (const lane of ['compiled', 'resolver'] as const) {
        await inLane(lane)
        expect((await ask(small, mutation)).errors).toMatchObject([{ extensions: { code: 'TIMEOUT' } }])
      }
    } finally {
      await holder.end()
    }
  })
})
