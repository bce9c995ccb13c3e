/**
 * F10 and the plans of reads, as the app role sees them: under row-level security an index serves a condition only
 * when its operator is leakproof. Lists, relations and keys have to be found by index.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, withClient } from '../../src/db/client.ts'
import { prepared, type Statement } from '../../src/db/sql.ts'
import { listPlan } from '../../src/graphql/pages.ts'
import { listStatement, lookupStatement } from '../../src/graphql/plan/lists.ts'
import { introspect } from '../../src/model/introspect.ts'
import type { Model } from '../../src/model/types.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let tenant: WorldTenant
let app: Client
let model: Model

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1, rows: 3 })
  tenant = world.tenants[0]!
  for (const { id } of world.tenants) {
    await world.sql(
      tenant.shard,
      `insert into app.projects (tenant_id, id, name) select $1, 10000000 + n, 'project ' || n from generate_series(1, 2000) n`,
      [id],
    )
    await world.sql(
      tenant.shard,
      `insert into app.tasks (tenant_id, id, project_id, title, effort)
       select $1, 1000 + n, 10000001 + n % 2000, 'task ' || n, n from generate_series(1, 10000) n`,
      [id],
    )
  }
  await world.sql(tenant.shard, 'create index on app.tasks (tenant_id, parent_id, id)')
  await world.sql(tenant.shard, 'vacuum analyze')
  const { appUrl } = world.shards[0]!
  model = await withClient(appUrl, (db) => introspect(db, { column: 'tenant_id', schemas: [world.schema] }))
  app = await world.connectTo(tenant, 'app')
})
afterAll(async () => {
  await app?.end()
  await world?.stop()
})

interface Node {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Index Cond'?: string
  readonly Plans?: readonly Node[]
}

/** The nodes of the plan that the app role gets inside the tenant's transaction. */
async function nodesOf({ text, values }: Statement): Promise<Node[]> {
  await app.query('begin')
  try {
    await app.query(prepared(`select shardgate.begin_tenant($1, 1, 'read', 5000)`, [tenant.id]))
    const [row] = await app.query({ text: `explain (format json) ${text}`, values })
    return flat(JSON.parse(String(Object.values(row!)[0]))[0].Plan)
  } finally {
    await app.query('rollback')
  }
}

const flat = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(flat)]

const tables = () => new Map(model.tables.map((table) => [table.id, table]))
const list = (name: string, args: object, parentColumns: readonly string[] | null = null): Statement => {
  const lists = { tables: tables(), sizes: () => ({ pageSize: 100, pageSizeDefault: 20, rows: 10_000 }) }
  const plan = listPlan(lists, tables().get(`app.${name}`)!, tenant.id, args, parentColumns)
  return listStatement(plan, tenant.id, parentColumns ? [['10000001'], ['10000002']] : [])
}

// Of all projects Postgres would rather read all tasks once, and rightly.
const ONE = { rowId: { eq: '10000007' } }

describe('F10: as the app role, an index serves', () => {
  it.each<[string, () => Statement, string[]]>([
    ['a page by primary key', () => list('tasks', {}), ['tenant_id']],
    [
      'a row by its key',
      () => lookupStatement(tables().get('app.tasks')!, tenant.id, ['id'], [['1']]),
      ['id'],
    ],
    ['children of several parents', () => list('tasks', {}, ['project_id']), ['project_id']],
    [
      'a filter on the row that it belongs to',
      () => list('tasks', { filter: { project: { name: { eq: 'project 7' } } } }),
      ['name', 'project_id'],
    ],
    [
      'a filter on rows that belong to it',
      () => list('projects', { filter: { ...ONE, tasks: { some: { title: { neq: 'task 7' } } } } }),
      ['project_id'],
    ],
    [
      'a filter that none may match',
      () => list('projects', { filter: { ...ONE, tasks: { none: { title: { neq: 'task 7' } } } } }),
      ['project_id'],
    ],
    [
      'an order by the row that it belongs to',
      () => list('tasks', { orderBy: [{ project: { name: 'ASC' } }] }),
      ['id'],
    ],
    [
      'an order by a count of children',
      () => list('projects', { orderBy: [{ tasks: { count: 'DESC' } }] }),
      ['project_id'],
    ],
  ])('%s', async (_, of, columns) => {
    const nodes = await nodesOf(of())
    const scans = nodes.filter((node) => node['Relation Name'])
    const conditions = scans.map((node) => node['Index Cond'] ?? '').join(' ')
    expect(scans.length).toBeGreaterThan(0)
    for (const column of columns)
      expect(conditions, JSON.stringify(nodes)).toMatch(new RegExp(`\\b${column} = `))
  })
})
