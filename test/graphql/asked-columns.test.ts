/** Who may not read a column may not filter, order, group or look up by it, written out or in variables. */

import { parse, validate } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildApi } from '../../src/graphql/api.ts'
import type { GatewayContext } from '../../src/graphql/context.ts'
import type { Permissions } from '../../src/graphql/permissions/permissions.ts'
import { openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi
let permissions: Permissions

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1, rows: 1 })
  api = await openWorldApi(world)
  const sizes = () => ({ pageSize: 100, pageSizeDefault: 20, rows: 10_000 })
  const grants = {
    'Task.effort': 'admin',
    'Project.name': 'admin',
    'Label.task': 'admin',
    'Label.taskId': 'admin',
  } as const
  permissions = buildApi(api.model, sizes, [{ permissions: grants, extend: () => {} }], () => {})
})
afterAll(async () => {
  api?.end()
  await world?.stop()
})

async function decide(source: string, variables: object, role: 'viewer' | 'admin'): Promise<string> {
  const document = parse(source)
  expect(validate(permissions.schema, document)).toEqual([])
  const scope = { requestId: 'r-1', identity: { tenant: 'acme', roles: [role] } }
  const contextValue = { scope } as unknown as GatewayContext
  return permissions.decide({ document, contextValue, variableValues: { ...variables } }).then(
    () => 'allowed',
    ({ code, message }) => `${code} ${message}`,
  )
}

const LIST =
  'query($filter: TaskFilter, $orderBy: [TaskOrderBy!]) { tasks(filter: $filter, orderBy: $orderBy) { totalCount } }'
const LABELS =
  'query($filter: LabelFilter) { projects { nodes { tasks { nodes { labels(filter: $filter) { totalCount } } } } } }'

describe('the rule of a column', () => {
  it.each<[string, object, string]>([
    ['{ tasks(filter: { effort: { gt: "1" } }) { totalCount } }', {}, 'Task.effort'],
    ['{ tasks(filter: { or: [{ not: { effort: { gt: "1" } } }] }) { totalCount } }', {}, 'Task.effort'],
    ['{ tasks(filter: { project: { name: { eq: "a" } } }) { totalCount } }', {}, 'Project.name'],
    ['{ projects(filter: { tasks: { some: { effort: { gt: "1" } } } }) { totalCount } }', {}, 'Task.effort'],
    ['{ tasks(orderBy: [{ effort: ASC }]) { totalCount } }', {}, 'Task.effort'],
    ['{ tasks(orderBy: { project: { name: ASC } }) { totalCount } }', {}, 'Project.name'],
    ['{ projects(orderBy: [{ tasks: { max: { effort: ASC } } }]) { totalCount } }', {}, 'Task.effort'],
    ['{ projectBy(by: { name: "a" }) { share } }', {}, 'Project.name'],
    [
      'query($by: LabelKey!) { labelBy(by: $by) { word } }',
      { by: { taskIdAndWord: { taskId: 1, word: 'a' } } },
      'Label.taskId',
    ],
    [
      'query($n: DecimalFilter) { labels(filter: { task: { project: { share: $n } } }) { totalCount } }',
      {},
      'Label.task',
    ],
    [
      '{ tasks { groups(by: [{ state: VALUE }], having: { max: { effort: { gt: "1" } } }) { count } } }',
      {},
      'Task.effort',
    ],
    [LIST, { filter: { effort: { gt: '1' } } }, 'Task.effort'],
    [LIST, { filter: { and: [{ project: { name: { eq: 'a' } } }] } }, 'Project.name'],
    [LIST, { filter: { and: { tasksByParent: { none: { effort: { isNull: true } } } } } }, 'Task.effort'],
    [LIST, { orderBy: [{ title: 'ASC' }, { parent: { effort: 'DESC' } }] }, 'Task.effort'],
    [LIST, { orderBy: { effort: 'DESC' } }, 'Task.effort'],
    [LABELS, { filter: { task: {} } }, 'Label.task'],
    ['mutation { deleteTasks(filter: { effort: { gt: "1" } }) { __typename } }', {}, 'Task.effort'],
  ])('holds for %s with %j', async (source, variables, column) => {
    expect(await decide(source, variables, 'viewer')).toMatch(/^FORBIDDEN/)
    if (!source.startsWith('mutation')) expect(await decide(source, variables, 'viewer')).toContain(column)
    expect(await decide(source, variables, 'admin')).toBe('allowed')
  })

  it('leaves other columns alone, and does not remember one request for the next', async () => {
    const one = parse(LIST)
    const ask = (variables: object) => {
      const scope = { requestId: 'r-1', identity: { tenant: 'acme', roles: ['viewer'] } }
      const contextValue = { scope } as unknown as GatewayContext
      return permissions.decide({ document: one, contextValue, variableValues: { ...variables } })
    }
    await ask({ filter: { title: { eq: 'a' } } })
    await expect(ask({ filter: { effort: { eq: '1' } } })).rejects.toMatchObject({ code: 'FORBIDDEN' })
    await ask({ filter: { title: { eq: 'a' } }, orderBy: [{ state: 'ASC' }] })
    await ask({})
  })

  const ANYTHING: [unknown][] = [
    [null],
    [1],
    ['x'],
    [[[{}]]],
    [{ filter: null }],
    [{ constructor: { effort: {} } }],
  ]
  it.each(ANYTHING)('takes any value of a variable: %j', async (filter) => {
    expect(await decide(LIST, { filter }, 'viewer')).toBe('allowed')
  })

  it('walks a value that is nested beyond the depth of the stack', async () => {
    let filter: object = { effort: { eq: '1' } }
    for (let i = 0; i < 200_000; i++) filter = { not: filter }
    expect(await decide(LIST, { filter }, 'viewer')).toContain('Task.effort')
  })
})
