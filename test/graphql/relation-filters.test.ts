/** Filters through relations, against the same conditions thought through in JavaScript, row by row. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { type Random, runRandom } from '../kit/random.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant
let projects: Data[]
let tasks: Data[]

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1, rows: 6 })
  tenant = world.tenants[0]!
  // Projects with many tasks, with one and with none; tasks without parents, and values that are null.
  await world.sql(
    tenant.shard,
    `insert into app.tasks (tenant_id, id, project_id, parent_id, title, effort, done)
     select $1, 100 + n, (select id from app.projects where tenant_id = $1 order by id offset n % 3 limit 1),
       case when n % 4 > 0 and n > 1 then 100 + n / 2 end, 'task ' || n % 3, case when n % 3 > 0 then n % 4 end, n % 2 = 0
     from generate_series(1, 30) n`,
    [tenant.id],
  )
  await world.sql(tenant.shard, `delete from app.tasks where tenant_id = $1 and id in (5, 6)`, [tenant.id])
  const read = (table: string) =>
    world.sql(tenant.shard, `select * from app.${table} where tenant_id = $1`, [tenant.id])
  projects = await read('projects')
  tasks = await read('tasks')
  api = await openWorldApi(world)
})
afterAll(async () => {
  api.end()
  await world.stop()
})

/** True, false or null, as SQL has it. */
type Truth = boolean | null

function every(parts: Truth[]): Truth {
  if (parts.includes(false)) return false
  return parts.includes(null) ? null : true
}

const not = (truth: Truth): Truth => (truth === null ? null : !truth)

/** What a filter of tasks or of projects says of a row. */
function holds(table: 'task' | 'project', row: Data, filter: object): Truth {
  return every(Object.entries(filter).map(([key, value]) => partHolds(table, row, key, value)))
}

function partHolds(table: 'task' | 'project', row: Data, key: string, value: Data): Truth {
  if (key === 'and') return every(value.map((item: object) => holds(table, row, item)))
  if (key === 'or') return not(every(value.map((item: object) => not(holds(table, row, item)))))
  if (key === 'not') return holds(table, row, value) !== true
  if (key === 'effort') return row.effort === null ? null : Number(row.effort) > Number(value.gt)
  if (key === 'done') return row.done === value.eq
  if (key === 'name') return row.name !== value.neq
  if (key === 'project') return tasksProject(row).some((found) => holds('project', found, value) === true)
  if (key === 'parent') return parentOf(row).some((found) => holds('task', found, value) === true)
  const children = key === 'tasks' ? tasksOf(row) : childrenOf(row)
  return every(
    Object.entries(value).map(([quantifier, filter]) => {
      const found = children.filter((child) => holds('task', child, filter as object) === true).length
      if (quantifier === 'every') return found === children.length
      return quantifier === 'some' ? found > 0 : found === 0
    }),
  )
}

const tasksProject = (task: Data): Data[] => projects.filter(({ id }) => id === task.project_id)
const parentOf = (task: Data): Data[] => tasks.filter(({ id }) => id === task.parent_id)
const tasksOf = (project: Data): Data[] => tasks.filter((task) => task.project_id === project.id)
const childrenOf = (parent: Data): Data[] => tasks.filter((task) => task.parent_id === parent.id)

function randomFilter(random: Random, table: 'task' | 'project', depth: number): object {
  const many = (): object => {
    const quantifiers = random.shuffle(['some', 'every', 'none']).slice(0, 1 + random.int(2))
    return Object.fromEntries(quantifiers.map((name) => [name, randomFilter(random, 'task', depth - 1)]))
  }
  const next = (): object => randomFilter(random, table, depth - 1)
  const leaves: [string, () => object][] =
    table === 'task'
      ? [
          ['effort', () => ({ gt: String(random.int(4)) })],
          ['done', () => ({ eq: random.chance(0.5) })],
        ]
      : [['name', () => ({ neq: random.pick(projects).name })]]
  const branches: [string, () => object][] = [
    ['and', () => [next(), next()]],
    ['or', () => [next(), next()]],
    ['not', next],
    ...((table === 'task'
      ? [
          ['project', () => randomFilter(random, 'project', depth - 1)],
          ['parent', () => randomFilter(random, 'task', depth - 1)],
          ['tasksByParent', many],
        ]
      : [['tasks', many]]) as [string, () => object][]),
  ]
  const parts = random.shuffle(depth > 0 ? [...leaves, ...branches] : leaves).slice(0, random.int(3))
  return Object.fromEntries(parts.map(([key, make]) => [key, make()]))
}

const relationsIn = (filter: object): number =>
  JSON.stringify(filter).match(/"(project|parent|some|every|none)":/g)?.length ?? 0

const QUERY = {
  task: 'query($filter: TaskFilter) { rows: tasks(first: 100, filter: $filter) { totalCount nodes { rowId } } }',
  project:
    'query($filter: ProjectFilter) { rows: projects(first: 100, filter: $filter) { totalCount nodes { rowId } } }',
}

async function idsOf(table: 'task' | 'project', filter: object): Promise<string[]> {
  const { rows } = await api.data(tenant, QUERY[table], { filter })
  expect(rows.totalCount).toBe(rows.nodes.length)
  return rows.nodes.map(({ rowId }: Data) => String(rowId))
}

const expected = (table: 'task' | 'project', filter: object): string[] =>
  (table === 'task' ? tasks : projects)
    .filter((row) => holds(table, row, filter) === true)
    .map(({ id }) => Number(id))
    .sort((a, b) => a - b)
    .map(String)

describe('a filter through relations', () => {
  it('finds the rows for which it holds, with nulls, none and several levels', async () => {
    const random = runRandom().fork('relation filters')
    for (let round = 0; round < 120; round++) {
      const table = random.pick(['task', 'project'] as const)
      const filter = randomFilter(random, table, 3)
      if (relationsIn(filter) > 10) continue
      expect(await idsOf(table, filter), JSON.stringify(filter)).toEqual(expected(table, filter))
    }
  })

  it('"every" is true where there are no rows, and false where a value is null', async () => {
    const filter = { tasks: { every: { effort: { gt: '-1' } } } }
    const found = await idsOf('project', filter)
    expect(found).toEqual(expected('project', filter))
    const empty = projects.filter((project) => tasksOf(project).length === 0).map(({ id }) => String(id))
    const unknown = projects.filter((project) => tasksOf(project).some(({ effort }) => effort === null))
    expect(empty.length).toBeGreaterThan(0)
    expect(found).toEqual(expect.arrayContaining(empty))
    expect(unknown.length).toBeGreaterThan(0)
    for (const { id } of unknown) expect(found).not.toContain(String(id))
  })

  it('of one row: {} is "has one", and its negation "has none"', async () => {
    const without = tasks.filter(({ parent_id }) => parent_id === null).map(({ id }) => String(id))
    expect((await idsOf('task', { not: { parent: {} } })).sort()).toEqual(without.sort())
    expect(await idsOf('task', { parent: {} })).toHaveLength(tasks.length - without.length)
  })

  it('filters the children of many parents, and stays inside each parent', async () => {
    const { projects: page } = await api.data(
      tenant,
      `{ projects { nodes { rowId tasks(filter: { or: [{ parent: { done: { eq: true } } }, { project: {} }] }) {
        totalCount nodes { project { rowId } } } } } }`,
    )
    const counts = page.nodes.map(({ rowId, tasks: children }: Data) => {
      for (const { project } of children.nodes) expect(project.rowId).toBe(rowId)
      return children.totalCount
    })
    expect(counts.reduce((sum: number, count: number) => sum + count, 0)).toBe(tasks.length)
  })

  it('never sees the rows of another tenant, whose ids are the same', async () => {
    const foreign = world.tenants[1]!
    const title = foreign.canary.text('task-1')
    for (const filter of [
      { parent: { title: { eq: title } } },
      { tasksByParent: { some: { title: { eq: title } } } },
      { not: { tasksByParent: { none: { title: { eq: title } } } } },
      { project: { tasks: { some: { title: { eq: title } } } } },
    ])
      expect(await idsOf('task', filter)).toEqual([])
  })

  const nested = (levels: number, inner: object): object =>
    levels === 0 ? inner : { parent: nested(levels - 1, inner) }

  it.each([
    [{ parent: null }, 'The filter of "parent" is null'],
    [{ tasksByParent: null }, 'The filter of "tasksByParent" is null'],
    [{ tasksByParent: { some: null } }, '"some" of "tasksByParent" is null'],
    [{ parent: { done: null } }, 'The filter of "done" is null'],
    [nested(6, {}), '5 levels of relations are allowed'],
    [{ and: Array.from({ length: 11 }, () => ({ parent: {} })) }, '10 relations are allowed'],
    [{ parent: { and: Array.from({ length: 201 }, () => ({})) } }, '200 conditions are allowed'],
    [{ parent: { effort: { in: Array.from({ length: 1_001 }, () => '1') } } }, '1000 items in lists'],
  ])('%# refuses what is wrong or too large in one sentence', async (filter, message) => {
    const { errors } = await api.run(tenant, QUERY.task, { filter })
    expect(errors).toEqual([expect.objectContaining({ message: expect.stringContaining(message) })])
  })

  it('at its bounds is answered', async () => {
    const wide = { and: Array.from({ length: 10 }, () => ({ parent: { done: { eq: true } } })) }
    expect(await idsOf('task', wide)).toEqual(expected('task', wide))
    expect(await idsOf('task', nested(5, {}))).toEqual(expected('task', nested(5, {})))
  })
})
