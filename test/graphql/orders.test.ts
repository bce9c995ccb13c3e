/** Lists ordered by other tables: by the row that a row belongs to, and by measures of those that belong to it. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { type Random, runRandom } from '../kit/random.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1, rows: 5 })
  tenant = world.tenants[0]!
  // Ties everywhere; parents that are missing, and parents whose value is null.
  await world.sql(
    tenant.shard,
    `insert into app.tasks (tenant_id, id, project_id, parent_id, title, effort, due_on)
     select $1, 100 + n, (select id from app.projects where tenant_id = $1 order by id offset n % 4 limit 1),
       case when n % 5 > 1 and n > 2 then 100 + n / 3 end, 'task ' || n % 3, case when n % 3 > 0 then n % 4 end,
       case when n % 4 > 0 then date '2026-01-01' + n % 3 end
     from generate_series(1, 40) n`,
    [tenant.id],
  )
  api = await openWorldApi(world)
})
afterAll(async () => {
  api.end()
  await world.stop()
})

const child = (what: string) =>
  `(select ${what} from app.tasks c where c.tenant_id = t.tenant_id and c.parent_id = t.id)`
const parent = (what: string) =>
  `(select ${what} from app.tasks p where p.tenant_id = t.tenant_id and p.id = t.parent_id)`
const project = (what: string) =>
  `(select ${what} from app.projects p where p.tenant_id = t.tenant_id and p.id = t.project_id)`
const ofProject = (what: string) =>
  `(select ${what} from app.tasks c where c.tenant_id = t.tenant_id and c.project_id = t.project_id)`

/** Terms of `orderBy` beside what they mean. */
const TERMS: readonly [(direction: string) => object, string][] = [
  [(d) => ({ title: d }), 't.title'],
  [(d) => ({ effort: d }), 't.effort'],
  [(d) => ({ project: { name: d } }), project('p.name')],
  [(d) => ({ project: { share: d } }), project('p.share')],
  [(d) => ({ parent: { effort: d } }), parent('p.effort')],
  [(d) => ({ parent: { state: d } }), parent('p.state')],
  [
    (d) => ({ parent: { project: { createdAt: d } } }),
    parent(
      `(select q.created_at from app.projects q where q.tenant_id = p.tenant_id and q.id = p.project_id)`,
    ),
  ],
  [(d) => ({ tasksByParent: { count: d } }), child('count(*)')],
  [(d) => ({ tasksByParent: { max: { dueOn: d } } }), child('max(c.due_on)')],
  [(d) => ({ tasksByParent: { min: { title: d } } }), child('min(c.title)')],
  [(d) => ({ tasksByParent: { sum: { effort: d } } }), child('sum(c.effort)')],
  [(d) => ({ tasksByParent: { avg: { effort: d } } }), child('avg(c.effort)')],
  [(d) => ({ project: { tasks: { avg: { effort: d } } } }), ofProject('avg(c.effort)')],
]

const DIRECTIONS = ['ASC', 'DESC', 'ASC_NULLS_FIRST', 'DESC_NULLS_LAST'] as const

function randomOrder(random: Random): { orderBy: object[]; sql: string } {
  const terms = random
    .shuffle(TERMS)
    .slice(0, 1 + random.int(4))
    .map(([entry, sql]) => {
      const direction = random.pick(DIRECTIONS)
      return { entry: entry(direction), sql: `${sql} ${direction.toLowerCase().replaceAll('_', ' ')}` }
    })
  return {
    orderBy: terms.map(({ entry }) => entry),
    sql: [...terms.map(({ sql }) => sql), 't.id'].join(', '),
  }
}

const LIST = `query($first: Int, $last: Int, $after: String, $before: String, $offset: Int, $orderBy: [TaskOrderBy!]) {
  page: tasks(first: $first, last: $last, after: $after, before: $before, offset: $offset, orderBy: $orderBy) {
    totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } nodes { rowId title } edges { cursor } } }`
const CHILDREN = LIST.replace('page: tasks', 'projects(first: 1) { nodes { page: tasks').replace(
  /\}$/,
  '} } }',
)

const rowIds = (page: Data): number[] => page.nodes.map(({ rowId }: Data) => rowId)
const list = async (variables: object): Promise<Data> => (await api.data(tenant, LIST, variables)).page
const children = async (variables: object): Promise<Data> =>
  (await api.data(tenant, CHILDREN, variables)).projects.nodes[0].page

/** All pages of a list one after the other: `size` rows each, from the start or from the end. */
async function walk(
  read: typeof list,
  orderBy: object[],
  size: number,
  backward: boolean,
): Promise<number[]> {
  const seen: number[] = []
  for (let cursor: string | undefined; ; ) {
    const page = await read({
      orderBy,
      [backward ? 'last' : 'first']: size,
      ...(cursor && { [backward ? 'before' : 'after']: cursor }),
    })
    if (backward) seen.unshift(...rowIds(page))
    else seen.push(...rowIds(page))
    if (!page.pageInfo[backward ? 'hasPreviousPage' : 'hasNextPage']) return seen
    cursor = page.pageInfo[backward ? 'startCursor' : 'endCursor']
  }
}

const sorted = async (sql: string, where = 'true'): Promise<number[]> => {
  const text = `select t.id from app.tasks t where t.tenant_id = $1 and ${where} order by ${sql}`
  return (await world.sql(tenant.shard, text, [tenant.id])).map(({ id }) => Number(id))
}

describe('a list ordered by other tables', () => {
  it('gives every row once, page by page, from either end, in the order of Postgres', async () => {
    const random = runRandom().fork('orders')
    for (let round = 0; round < 25; round++) {
      const { orderBy, sql } = randomOrder(random)
      const whole = await sorted(sql)
      const size = 5 + random.int(25)
      expect(await walk(list, orderBy, size, false), `${sql}, first ${size}`).toEqual(whole)
      expect(await walk(list, orderBy, size, true), `${sql}, last ${size}`).toEqual(whole)
    }
  })

  it('does so for the children of a row', async () => {
    const random = runRandom().fork('orders of children')
    for (let round = 0; round < 8; round++) {
      const { orderBy, sql } = randomOrder(random)
      const whole = await sorted(
        sql,
        't.project_id = (select min(id) from app.projects where tenant_id = $1)',
      )
      for (const backward of [false, true])
        expect(await walk(children, orderBy, 4, backward), sql).toEqual(whole)
    }
  })

  it('keeps the columns of its rows where they are', async () => {
    const orderBy = [{ tasksByParent: { count: 'DESC' } }, { project: { name: 'ASC' } }]
    const { nodes } = await list({ orderBy, first: 5 })
    for (const { rowId, title } of nodes) {
      const [row] = await world.sql(
        tenant.shard,
        'select title from app.tasks where tenant_id = $1 and id = $2',
        [tenant.id, rowId],
      )
      expect(title).toBe(row?.title)
    }
  })

  it('measures rows of the tenant alone, though another one has the same ids', async () => {
    const orderBy = [{ tasksByParent: { count: 'DESC' } }]
    const { edges } = await list({ orderBy, first: 1 })
    const [, count] = JSON.parse(Buffer.from(edges[0].cursor, 'base64url').toString())
    const [most] = await world.sql(
      tenant.shard,
      'select count(*) from app.tasks where tenant_id = $1 and parent_id is not null group by parent_id order by 1 desc',
      [tenant.id],
    )
    expect(count).toBe(String(most?.count))
  })

  it('refuses the cursor of another order, also when only the way to a column differs', async () => {
    const of = (orderBy: object) => list({ first: 1, orderBy: [orderBy] })
    const { pageInfo } = await of({ parent: { title: 'ASC' } })
    for (const orderBy of [
      { title: 'ASC' },
      { parent: { parent: { title: 'ASC' } } },
      { parent: { title: 'DESC' } },
    ]) {
      const { errors } = await api.run(tenant, LIST, { after: pageInfo.endCursor, orderBy: [orderBy] })
      expect(errors?.[0]?.message).toContain('"after" is not a cursor of this list')
    }
  })

  const deep = (levels: number): object => (levels === 0 ? { title: 'ASC' } : { parent: deep(levels - 1) })

  it.each([
    [
      Array.from({ length: 6 }, (_, i) => deep(i < 5 ? i + 1 : 0)).concat([{ project: { name: 'ASC' } }]),
      '5 terms of other tables',
    ],
    [[deep(6)], 'through 5 tables at most'],
    [Array.from({ length: 51 }, () => ({ title: 'ASC' })), '50 columns at most'],
  ])('%# refuses an order that is too large', async (orderBy, message) => {
    const { errors } = await api.run(tenant, LIST, { orderBy })
    expect(errors?.[0]?.message).toContain(message)
  })

  it('takes one term in each entry', async () => {
    const { errors } = await api.run(tenant, LIST, { orderBy: [{ title: 'ASC', effort: 'ASC' }] })
    expect(errors?.[0]?.message).toContain('Exactly one key')
  })
})

describe('an offset', () => {
  it('passes over rows from the start or from a cursor, and knows whether there are any before', async () => {
    const whole = await sorted('t.title desc, t.id')
    const orderBy = [{ title: 'DESC' }]
    const third = await list({ orderBy, first: 7, offset: 3 })
    expect(rowIds(third)).toEqual(whole.slice(3, 10))
    expect(third.pageInfo).toMatchObject({ hasPreviousPage: true, hasNextPage: true })
    const further = await list({ orderBy, first: 5, offset: 2, after: third.pageInfo.endCursor })
    expect(rowIds(further)).toEqual(whole.slice(12, 17))
    expect((await list({ orderBy, first: 5, offset: 0 })).pageInfo.hasPreviousPage).toBe(false)
  })

  it.each([
    [{ first: 5, offset: 10_000 }, true],
    [{ first: 0, offset: 3 }, true],
    [{ first: 0, offset: 0 }, false],
  ])('%j of a page without rows: hasPreviousPage is %s', async (variables, expected) => {
    const { pageInfo, nodes } = await list(variables)
    expect(nodes).toEqual([])
    expect(pageInfo.hasPreviousPage).toBe(expected)
  })

  it('of an empty list has nothing before it', async () => {
    const source = `{ tasks(filter: { title: { eq: "none" } }, offset: 5) { pageInfo { hasPreviousPage } } }`
    expect((await api.data(tenant, source)).tasks.pageInfo.hasPreviousPage).toBe(false)
  })

  it('counts for each parent by itself', async () => {
    const source = `{ projects { nodes { rowId tasks(first: 3, offset: 1) { totalCount nodes { rowId } pageInfo { hasPreviousPage } } } } }`
    const { projects } = await api.data(tenant, source)
    for (const { rowId, tasks } of projects.nodes) {
      const whole = await sorted('t.id', `t.project_id = ${rowId}`)
      expect(rowIds(tasks)).toEqual(whole.slice(1, 4))
      expect(tasks.totalCount).toBe(whole.length)
      expect(tasks.pageInfo.hasPreviousPage).toBe(whole.length > 0)
    }
  })

  it.each([
    [{ offset: -1 }, '"offset" wants a number from 0 to 10000; -1 came'],
    [{ offset: 10_001 }, 'go by cursors'],
    [{ offset: 1, last: 2 }, 'does not go with "last"'],
    [{ offset: 1, before: 'x' }, 'does not go with "last" and "before"'],
  ])('%j is refused', async (variables, message) => {
    const { errors } = await api.run(tenant, LIST, variables)
    expect(errors?.[0]?.message).toContain(message)
  })
})
