/**
 * The two walls around a tenant's rows, each alone: the tenant in the text of every statement, and the shard's
 * policies. Without both, the same statements reach two tenants, so that nothing here passes by chance: those of shared
 * tables, whatever the model of the run.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, connect } from '../../src/db/client.ts'
import { prepared, type Statement } from '../../src/db/sql.ts'
import { type AggregatePlan, COUNT } from '../../src/graphql/plan/aggregate-types.ts'
import { aggregateStatement } from '../../src/graphql/plan/aggregates.ts'
import { columnOf } from '../../src/graphql/plan/fragments.ts'
import { listStatement, lookupStatement } from '../../src/graphql/plan/lists.ts'
import type { Condition, Join, ListPlan, OrderBy, RelatedCondition } from '../../src/graphql/plan/types.ts'
import {
  chooseStatement,
  deleteStatement,
  insertStatement,
  lockStatement,
  updateStatement,
  upsertStatement,
} from '../../src/graphql/plan/writes.ts'
import { introspect } from '../../src/model/introspect.ts'
import type { Table } from '../../src/model/types.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let tenant: WorldTenant
let other: WorldTenant
/** Passes over row-level security. */
let superuser: Client
let app: Client
/** Its ids are the same in both tenants. */
let tasks: Table

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1, isolations: ['shared'] })
  tenant = world.tenants[0]!
  other = world.tenants[1]!
  superuser = await connect(world.shards[0]!.superuserUrl)
  app = await connect(world.shards[0]!.appUrl)
  const model = await introspect(app, { column: 'tenant_id', schemas: [world.schema] })
  tasks = model.tables.find(({ name }) => name === 'tasks')!
})
afterAll(async () => {
  await superuser?.end()
  await app?.end()
  await world?.stop()
})

const list = (): ListPlan => ({
  table: tasks,
  where: null,
  order: [{ by: { kind: 'column', column: 'id' }, descending: false, nullsFirst: false }],
  limit: 100,
  offset: 0,
  backward: false,
  after: null,
  before: null,
  parentColumns: null,
})
const children = (): ListPlan => ({ ...list(), parentColumns: ['parent_id'] })
const count = (of: ListPlan): AggregatePlan => ({ list: of, measures: [COUNT], groups: null })
const groups = (of: ListPlan): AggregatePlan => ({
  ...count(of),
  groups: {
    by: [{ column: 'state', part: 'VALUE' }],
    timeZone: 'UTC',
    having: { kind: 'compare', measure: COUNT, operator: 'gt', value: '0' },
    order: [{ by: { key: 'state' }, descending: false, nullsFirst: false }],
    limit: 100,
    offset: 0,
  },
})
const PARENTS = [['2'], ['3']]
const EITHER: Condition = {
  kind: 'or',
  of: ['1', '2'].map((value) => ({ kind: 'compare', column: 'id', operator: 'eq', value })),
}
const parent = (): Join => ({ table: tasks, columns: [{ own: 'parent_id', other: 'id' }] })
const below = (): Join => ({ table: tasks, columns: [{ own: 'id', other: 'parent_id' }] })
const related = (join: Join, quantifier: RelatedCondition['quantifier'], title?: string): Condition => ({
  kind: 'related',
  join,
  quantifier,
  where: { kind: 'compare', column: 'title', operator: title ? 'eq' : 'isNull', value: title ?? false },
})
const ordered = (by: OrderBy): ListPlan => ({
  ...list(),
  order: [{ by, descending: true, nullsFirst: false }, ...list().order],
})
const byParent = (): OrderBy => ({ kind: 'one', join: parent(), by: { kind: 'column', column: 'title' } })
const byBelow = (): OrderBy => ({ kind: 'many', join: below(), measure: { kind: 'max', column: 'title' } })
const effort = () => [{ column: columnOf(tasks, 'effort'), value: '5' }]

/** Each statement as the tenant's, and how many of its rows it reaches. */
const STATEMENTS: [string, () => Statement, number][] = [
  ['a list', () => listStatement(list(), tenant.id), 8],
  ['a list filtered by "or"', () => listStatement({ ...list(), where: EITHER }, tenant.id), 2],
  ['a count filtered by "or"', () => aggregateStatement(count({ ...list(), where: EITHER }), tenant.id), 2],
  [
    'a list filtered by a parent',
    () => listStatement({ ...list(), where: related(parent(), 'some') }, tenant.id),
    6,
  ],
  [
    'a list filtered by children',
    () => listStatement({ ...list(), where: related(below(), 'none') }, tenant.id),
    5,
  ],
  ['a list ordered by a parent', () => listStatement(ordered(byParent()), tenant.id), 8],
  ['a list ordered by children', () => listStatement(ordered(byBelow()), tenant.id), 8],
  ['lists of children', () => listStatement(children(), tenant.id, PARENTS), 4],
  ['a count', () => aggregateStatement(count(list()), tenant.id), 8],
  ['counts of children', () => aggregateStatement(count(children()), tenant.id, PARENTS), 4],
  ['groups', () => aggregateStatement(groups(list()), tenant.id), 8],
  ['groups of children', () => aggregateStatement(groups(children()), tenant.id, PARENTS), 4],
  ['a lookup', () => lookupStatement(tasks, tenant.id, ['id'], [['1'], ['2'], ['99']]), 2],
  ['an update', () => updateStatement(tasks, tenant.id, [['7'], ['99']], effort()), 1],
  ['a delete', () => deleteStatement(tasks, tenant.id, [['7'], ['8']]), 2],
  ['a delete filtered by "or"', () => deleteStatement(tasks, tenant.id, [['2'], ['8']], EITHER), 1],
  ['the choice of a bulk', () => chooseStatement(tasks, tenant.id, EITHER, 100, 'update'), 2],
  ['the choice of all', () => chooseStatement(tasks, tenant.id, null, 100, 'delete'), 8],
  ['a lock', () => lockStatement(tasks, tenant.id, ['id'], [['1'], ['2']], 'update'), 2],
]

/** Run `statement` in a transaction of the tenant that nobody keeps: rows reached, and tags of the other one. */
async function reach(
  client: Client,
  statement: Statement,
  owner = tenant,
): Promise<{ rows: number; foreign: number }> {
  await client.query('begin')
  try {
    await client.query(prepared(`select shardgate.begin_tenant($1, 1, 'write', 5000)`, [owner.id]))
    const rows = await client.query(statement)
    const counts = rows.map((row) => Number(row.c1 ?? row.c0 ?? 1)) // a row of an aggregate stands for many
    const foreign = world.scanner.scan(owner.id, JSON.stringify(rows)).length
    return { rows: counts.reduce((sum, n) => sum + n, 0), foreign }
  } finally {
    await client.query('rollback')
  }
}

/** The statement as it would be if its tenant had been forgotten; its parameter stays in use. */
function withoutTenant({ text, values }: Statement): Statement {
  const forgotten = text.replaceAll(
    /"?t\d*"?\."?tenant_id"? = (\$\d+::"?pg_catalog"?\."?text"?)/g,
    '$1 is not null',
  )
  expect(forgotten, text).not.toBe(text)
  return { text: forgotten, values }
}

describe('two independent walls, each alone', () => {
  it.each(STATEMENTS)(
    '%s: the tenant in its text, for a role that passes over policies',
    async (_, of, rows) => {
      expect(await reach(superuser, of())).toEqual({ rows, foreign: 0 })
    },
  )

  it.each(STATEMENTS)('%s: the policies, for a text without the tenant', async (_, of, rows) => {
    expect(await reach(app, withoutTenant(of()))).toEqual({ rows, foreign: 0 })
  })

  it.each(STATEMENTS)('(b) %s reaches both tenants without either', async (_, of, rows) => {
    expect(await reach(superuser, withoutTenant(of()))).toMatchObject({ rows: 2 * rows })
  })

  const row = (owner: WorldTenant, id: string) => [
    { column: columnOf(tasks, 'id'), value: id },
    { column: columnOf(tasks, 'project_id'), value: String(owner.values.projectIds[0]) },
    { column: columnOf(tasks, 'title'), value: 'new' },
  ]
  it.each([
    ['one row', (owner: WorldTenant) => insertStatement(tasks, owner.id, [row(owner, '900')]), 1],
    [
      'several rows',
      (owner: WorldTenant) => insertStatement(tasks, owner.id, [row(owner, '900'), row(owner, '901')]),
      2,
    ],
    [
      'a row that may be there',
      (owner: WorldTenant) => upsertStatement(tasks, owner.id, row(owner, '7'), ['id'], ['title']),
      1,
    ],
  ])(
    'an insert of %s writes the tenant that it was made for, and the policies refuse any other',
    async (_, of, rows) => {
      expect(await reach(app, of(tenant))).toEqual({ rows, foreign: 0 })
      await expect(reach(app, of(other))).rejects.toMatchObject({ code: '42501' })
    },
  )
})

describe('the tenant inside a subquery', () => {
  const title = () => other.canary.text('task-2')
  const STATEMENTS_INSIDE: [string, () => Statement][] = [
    ['"some"', () => listStatement({ ...list(), where: related(parent(), 'some', title()) }, tenant.id)],
    [
      'not "none"',
      () => {
        const where: Condition = { kind: 'not', of: related(below(), 'none', other.canary.text('task-3')) }
        return listStatement({ ...list(), where }, tenant.id)
      },
    ],
  ]
  // Of the statement's own table the tenant stays.
  const withoutInner = ({ text, values }: Statement): Statement => {
    const forgotten = text.replaceAll(
      /"?t1"?\."?tenant_id"? = (\$\d+::"?pg_catalog"?\."?text"?)/g,
      '$1 is not null',
    )
    expect(forgotten).not.toBe(text)
    return { text: forgotten, values }
  }

  it.each(STATEMENTS_INSIDE)(
    '%s: finds rows by those of another tenant without it, and none with it',
    async (_, of) => {
      expect(await reach(superuser, of())).toEqual({ rows: 0, foreign: 0 })
      expect(await reach(app, withoutInner(of()))).toEqual({ rows: 0, foreign: 0 })
      expect((await reach(superuser, withoutInner(of()))).rows).toBeGreaterThan(0)
    },
  )

  it.each([
    ['a row that it belongs to', byParent],
    ['rows that belong to it', byBelow],
  ])('of an order by %s: shows another tenant without it', async (_, by) => {
    const forgotten = (owner: WorldTenant) => withoutInner(listStatement(ordered(by()), owner.id))
    expect(await reach(app, forgotten(tenant))).toEqual({ rows: 8, foreign: 0 })
    // Which of two rows Postgres finds first is chance: one tenant or the other is shown a foreign one.
    const ours = await reach(superuser, forgotten(tenant))
    const theirs = await reach(superuser, forgotten(other), other)
    expect(ours.foreign + theirs.foreign).toBeGreaterThan(0)
  })
})
