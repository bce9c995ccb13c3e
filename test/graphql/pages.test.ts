/** Lists: pages, cursors, orders and filters, against a plain sort of the same rows. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { type Random, runRandom } from '../kit/random.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'
import { addTiedTasks } from '../kit/tied-tasks.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant
let other: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1, rows: 3 })
  tenant = world.tenants[0]!
  other = world.tenants[1]!
  await addTiedTasks(world, tenant)
  api = await openWorldApi(world)
})
afterAll(async () => {
  api.end()
  await world.stop()
})

const LIST = `query($first: Int, $last: Int, $after: String, $before: String, $orderBy: [TaskOrderBy!], $filter: TaskFilter) {
  tasks(first: $first, last: $last, after: $after, before: $before, orderBy: $orderBy, filter: $filter) {
    totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { rowId } }
    nodes { rowId }
  }
}`
const list = async (variables: object): Promise<Data> => (await api.data(tenant, LIST, variables)).tasks
const ids = (page: Data): number[] => page.nodes.map(({ rowId }: Data) => rowId)

const COLUMNS = { state: 'state', effort: 'effort', dueOn: 'due_on', title: 'title', done: 'done' }
const DIRECTIONS = {
  ASC: 'asc',
  ASC_NULLS_FIRST: 'asc nulls first',
  ASC_NULLS_LAST: 'asc nulls last',
  DESC: 'desc',
  DESC_NULLS_FIRST: 'desc nulls first',
  DESC_NULLS_LAST: 'desc nulls last',
}

function randomOrder(random: Random): { orderBy: object[]; sql: string } {
  const fields = random.shuffle(Object.keys(COLUMNS) as (keyof typeof COLUMNS)[]).slice(0, random.int(4))
  const terms = fields.map(
    (field) => [field, random.pick(Object.keys(DIRECTIONS) as (keyof typeof DIRECTIONS)[])] as const,
  )
  return {
    orderBy: terms.map(([field, direction]) => ({ [field]: direction })),
    sql: [...terms.map(([field, direction]) => `${COLUMNS[field]} ${DIRECTIONS[direction]}`), 'id'].join(
      ', ',
    ),
  }
}

describe('a list', () => {
  it('gives every row once, page by page, from either end, in any order', async () => {
    const random = runRandom()
    for (let round = 0; round < 25; round++) {
      const { orderBy, sql } = randomOrder(random)
      const rows = await world.sql(
        tenant.shard,
        `select id from app.tasks where tenant_id = $1 order by ${sql}`,
        [tenant.id],
      )
      const expected = rows.map(({ id }) => id)
      const size = 1 + random.int(30)
      expect(
        await walk({ orderBy, first: size }, 'endCursor', 'hasNextPage'),
        `${sql}, first ${size}`,
      ).toEqual(expected)
      const backwards = await walk({ orderBy, last: size }, 'startCursor', 'hasPreviousPage')
      expect(backwards, `${sql}, last ${size}`).toEqual(expected)
    }
  })

  async function walk(
    args: { orderBy: object[]; first?: number; last?: number },
    edge: 'endCursor' | 'startCursor',
    more: string,
  ): Promise<number[]> {
    const seen: number[] = []
    for (let cursor: string | undefined; ; ) {
      const page = await list({ ...args, ...(cursor && { [args.first ? 'after' : 'before']: cursor }) })
      if (args.first) seen.push(...ids(page))
      else seen.unshift(...ids(page))
      expect(page.totalCount).toBe(63)
      if (!page.pageInfo[more]) return seen
      cursor = page.pageInfo[edge]
    }
  }

  it('has the same rows in nodes and edges, and cursors that its pageInfo repeats', async () => {
    const page = await list({ first: 3 })
    expect(page.edges.map(({ node }: Data) => node)).toEqual(page.nodes)
    expect(page.pageInfo).toMatchObject({
      startCursor: page.edges[0].cursor,
      endCursor: page.edges[2].cursor,
    })
  })

  it('reads its page once for all that shows it, and not at all for what does not', async () => {
    const done = () => api.gate.events.filter(({ kind }) => kind === 'statement.done').length
    const sent = async (selection: string): Promise<number> => {
      const before = done()
      await api.data(tenant, `{ tasks(first: 1) { ${selection} } }`)
      return done() - before
    }
    expect(await sent('nodes { rowId } edges { cursor } pageInfo { endCursor } n: nodes { id }')).toBe(1)
    expect(await sent('totalCount')).toBe(1)
    expect(await sent('__typename')).toBe(0)
  })

  it('counts only when it is asked to', async () => {
    const proxyless = await api.data(tenant, '{ tasks(first: 1) { nodes { rowId } } }')
    expect(Object.keys(proxyless.tasks)).toEqual(['nodes'])
    const statements = api.gate.events.filter(({ kind }) => kind === 'statement.done').length
    await api.data(tenant, '{ tasks(first: 1) { nodes { rowId } } }')
    expect(api.gate.events.filter(({ kind }) => kind === 'statement.done').length - statements).toBe(1)
  })

  it('of nothing is empty, and says so', async () => {
    const page = await list({ filter: { title: { eq: 'no such title' } } })
    expect(page).toMatchObject({
      totalCount: 0,
      nodes: [],
      pageInfo: { hasNextPage: false, startCursor: null },
    })
    expect((await list({ first: 0 })).nodes).toEqual([])
  })

  it.each([
    [{ first: 101 }, '"first" wants a number from 0 to 100; 101 came.'],
    [{ last: -1 }, '"last" wants a number from 0 to 100; -1 came.'],
    [{ first: 1, last: 1 }, 'Both "first" and "last" came; one of them says which end to read from.'],
    [{ after: 'nonsense' }, expect.stringContaining('"after" is not a cursor of this list')],
    [{ before: 'x'.repeat(100_000) }, expect.stringContaining('"before" is not a cursor of this list')],
    [{ filter: { title: null } }, expect.stringContaining('The filter of "title" is null')],
    [{ filter: { effort: { gt: null } } }, expect.stringContaining('"gt" of "effort" is null')],
    [{ filter: { not: null } }, expect.stringContaining('"not" in a filter wants a condition')],
  ])(
    'refuses %j in one sentence (D15: a page size counts as much in a variable)',
    async (variables, message) => {
      const { data, errors } = await api.run(tenant, LIST, variables)
      expect(data).toBe(null)
      expect(errors).toEqual([expect.objectContaining({ message })])
    },
  )
})

describe('a cursor', () => {
  it('of another tenant, order or table is refused in the words for garbage', async () => {
    const cursorOf = async (owner: WorldTenant, source: string) =>
      Object.values(await api.data(owner, source)).map((page) => (page as Data).pageInfo.endCursor)[0]
    const foreign = await Promise.all([
      cursorOf(other, '{ tasks(first: 1) { pageInfo { endCursor } } }'),
      cursorOf(tenant, '{ tasks(first: 1, orderBy: [{ title: ASC }]) { pageInfo { endCursor } } }'),
      cursorOf(tenant, '{ projects(first: 1) { pageInfo { endCursor } } }'),
    ])
    const answers = await Promise.all(
      ['garbage', ...foreign].map((after) => api.run(tenant, LIST, { after })),
    )
    for (const answer of answers) expect(JSON.stringify(answer)).toBe(JSON.stringify(answers[0]))
  })
})

describe('a filter', () => {
  const countWhere = async (where: string) =>
    Number(
      (
        await world.sql(tenant.shard, `select count(*) from app.tasks where tenant_id = $1 and ${where}`, [
          tenant.id,
        ])
      )[0]?.count,
    )

  it.each([
    [{ effort: { eq: '2' } }, 'effort = 2'],
    [{ effort: { neq: '2' } }, 'effort <> 2'],
    [{ effort: { isNull: true } }, 'effort is null'],
    [{ effort: { isNull: false } }, 'effort is not null'],
    [{ effort: { gt: '1', lte: '3' } }, 'effort > 1 and effort <= 3'],
    [{ effort: { in: ['1', '4'] } }, 'effort in (1, 4)'],
    [{ effort: { in: [] } }, 'false'],
    [{ effort: { notIn: ['1', '4'] } }, 'effort not in (1, 4)'],
    [{ effort: { notIn: [] } }, 'true'],
    [{ title: { startsWith: 'task' } }, "title like 'task%'"],
    [{ title: { contains: '%' } }, String.raw`title like '%\%%'`],
    [{ title: { endsWith: '_' } }, String.raw`title like '%\_'`],
    [{ title: { ilike: 'TASK 1' } }, "title ilike 'TASK 1'"],
    [{ state: { in: ['TODO', 'DONE'] } }, "state in ('todo', 'done')"],
    [{ done: { eq: true } }, 'done'],
    [{ dueOn: { gte: '2026-01-02' } }, "due_on >= '2026-01-02'"],
    [{ not: { effort: { eq: '2' } } }, '(effort = 2) is not true'],
    [{ and: [] }, 'true'],
    [{ or: [] }, 'false'],
    [{}, 'true'],
    [
      { or: [{ effort: { eq: '1' } }, { and: [{ done: { eq: true } }, { title: { eq: 'task 1' } }] }] },
      "effort = 1 or done and title = 'task 1'",
    ],
  ])('%j gives the rows where %s', async (filter, where) => {
    expect((await list({ filter })).totalCount).toBe(await countWhere(`(${where})`))
  })

  it('by "or" goes on after the cursor of its page', async () => {
    const filter = { or: [{ done: { eq: true } }, { effort: { isNull: true } }, { effort: { gt: '1' } }] }
    const first = await list({ filter, first: 20 })
    const second = await list({ filter, first: 20, after: first.pageInfo.endCursor })
    expect(ids(second).filter((id) => ids(first).includes(id))).toEqual([])
  })

  it('F12: takes a value as a value, whatever it looks like', async () => {
    const before = await world.contents(tenant)
    for (const eq of [`'; drop table app.tasks; --`, '$1', '\\', '"', '\u2028', `${'x'.repeat(10_000)}`]) {
      expect((await list({ filter: { title: { eq } } })).totalCount).toBe(0)
    }
    expect(await world.contents(tenant)).toBe(before)
  })

  it.each([{ title: { eq: 'a\u0000b' } }, { effort: { eq: '9223372036854775807' } }])(
    'of %j is refused or empty, never an inner error',
    async (filter) => {
      const { errors } = await api.run(tenant, LIST, { filter })
      for (const error of errors ?? []) expect(error.originalError).toMatchObject({ code: 'BAD_USER_INPUT' })
    },
  )
})

describe('children', () => {
  it('of many parents come in one statement, each with its own page', async () => {
    const before = api.gate.events.filter(({ kind }) => kind === 'statement.done').length
    const { projects } = await api.data(
      tenant,
      '{ projects { nodes { rowId tasks(first: 2, orderBy: [{ title: DESC }]) { totalCount nodes { project { rowId } } } } } }',
    )
    for (const project of projects.nodes) {
      expect(project.tasks.nodes.length).toBeLessThanOrEqual(2)
      for (const task of project.tasks.nodes) expect(task.project.rowId).toBe(project.rowId)
      const counted = await world.sql(
        tenant.shard,
        'select from app.tasks where tenant_id = $1 and project_id = $2',
        [tenant.id, project.rowId],
      )
      expect(project.tasks.totalCount).toBe(counted.length)
    }
    const after = api.gate.events.filter(({ kind }) => kind === 'statement.done').length
    expect(after - before).toBe(4) // projects, their tasks, the counts, the tasks' projects
  })

  it('filtered by "or" are still those of their parent', async () => {
    const { projects } = await api.data(
      tenant,
      `{ projects { nodes { rowId tasks(filter: { or: [{ done: { eq: true } }, { done: { eq: false } }] }) {
        totalCount nodes { project { rowId } } } } } }`,
    )
    for (const { rowId, tasks } of projects.nodes) {
      for (const { project } of tasks.nodes) expect(project.rowId).toBe(rowId)
    }
    const counts = projects.nodes.map(({ tasks }: Data) => tasks.totalCount)
    expect(counts.reduce((sum: number, count: number) => sum + count, 0)).toBe(63)
  })

  it('page like any list', async () => {
    const CHILDREN = `query($after: String) { projects(first: 1) { nodes {
      tasks(first: 25, after: $after) { nodes { rowId } pageInfo { hasNextPage endCursor } } } } }`
    const seen: number[] = []
    for (let after: string | null = null; ; ) {
      const page: Data = (await api.data(tenant, CHILDREN, { after })).projects.nodes[0].tasks
      seen.push(...ids(page))
      if (!page.pageInfo.hasNextPage) break
      after = page.pageInfo.endCursor
    }
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen.length).toBeGreaterThan(60)
  })
})
