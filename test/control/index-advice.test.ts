/** Index advice from what gateways have counted: what is advised is used by Postgres as the app role, and nothing else is advised. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import type { ListShape } from '../../src/base/list-shape.ts'
import { adviseIndexes, CALLS_MIN, ROWS_MIN } from '../../src/control/index-advice.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { withClient } from '../../src/db/client.ts'
import { type Statement, wireText } from '../../src/db/sql.ts'
import { listStatement } from '../../src/graphql/plan/lists.ts'
import type { Condition, ListPlan, OrderTerm } from '../../src/graphql/plan/types.ts'
import { introspect } from '../../src/model/introspect.ts'
import type { Model } from '../../src/model/types.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'

const ROWS = 20_000
const TENANTS = 4
const TABLE = `
  create type app.stage as enum ('new', 'open', 'done');
  create table app.things (
    tenant_id text not null check (tenant_id <> ''),
    id bigint generated always as identity,
    status text not null, stage app.stage not null, priority int not null, done boolean not null,
    parent_id int, amount numeric(12,2), title text, made_at timestamptz not null, deleted_at timestamptz,
    primary key (tenant_id, id));
  create table app.few (like app.things including all);`
const POLICIES = (table: string): string => `
  alter table app.${table} enable row level security;
  alter table app.${table} force row level security;
  create policy rows on app.${table} using (true) with check (true);
  create policy mine on app.${table} as restrictive
    using (tenant_id = (select shardgate.current_tenant())) with check (false);`
const FILL = `
  insert into app.things (tenant_id, status, stage, priority, done, parent_id, amount, title, made_at, deleted_at)
  select 't' || i % ${TENANTS}, (array['new', 'open', 'done'])[1 + i % 3], 'open', i % 10, i % 2 = 0, i % 500,
    i, 'title ' || i, now() - make_interval(secs => i), case when i % 5 = 0 then now() end
  from generate_series(1, ${ROWS}) i;
  insert into app.few (tenant_id, status, stage, priority, done, made_at)
  select 't1', 'new', 'new', 1, true, now() from generate_series(1, ${ROWS_MIN - 1});
  analyze`

let fleet: TestFleet
let model: Model
beforeAll(async () => {
  fleet = await freshFleet({ weights: { 'shard-a': 1 } })
  await createTenant(fleet.fleet, { id: tenantId('t1') })
  await owner(`${TABLE}${POLICIES('things')}${POLICIES('few')}`)
  await withClient(fleet.shards[0]!.superuserUrl, (db) => db.query(FILL))
  model = await withClient(fleet.shards[0]!.url('app'), (db) =>
    introspect(db, { column: 'tenant_id', schemas: ['app'] }),
  )
})
afterAll(() => fleet?.drop())

const owner = (text: string) => withClient(fleet.shards[0]!.url('owner'), (db) => db.query(text))

const is = (column: string, operator: string, value: string | boolean | string[]): Condition =>
  ({ kind: 'compare', column, operator, value }) as Condition
const by = (column: string, descending = false): OrderTerm => ({
  by: { kind: 'column', column },
  descending,
  nullsFirst: descending,
})
const both = (...of: Condition[]): Condition => ({ kind: 'and', of })

function plan(
  where: Condition | null,
  order: OrderTerm[] = [by('id')],
  parent: string[] | null = null,
  name = 'app.things',
): ListPlan {
  const table = model.tables.find(({ id }) => id === name)!
  const page = { limit: 20, offset: 0, backward: false, after: null, before: null }
  return { table, where, order, parentColumns: parent, ...page }
}

const statement = (list: ListPlan): Statement =>
  listStatement(list, tenantId('t1'), list.parentColumns ? [['7'], ['8']] : [])

/** What doctor would say after `calls` lists of each plan. */
function advise(lists: readonly ListPlan[], calls = 100) {
  const statistics = lists.map((list) => {
    const shape = statement(list).lists?.[0] as ListShape
    return { shard: 'shard-a', shape, calls, totalMs: calls * 5, rows: calls * 20 }
  })
  return withClient(fleet.shards[0]!.url('owner'), (db) => adviseIndexes(db, 'tenant_id', statistics))
}

/** The plan that Postgres makes of a statement as the gateway sends it: the app role, a generic plan. */
function explain(list: ListPlan): Promise<string> {
  return withClient(fleet.shards[0]!.url('app'), async (db) => {
    const { text, values } = statement(list)
    const literals = values.map((value) => {
      const wire = wireText(value)
      return wire === null ? 'null' : `'${wire.replaceAll("'", "''")}'`
    })
    await db.query(`begin; select shardgate.begin_tenant('t1', 1, 'read', 5000)`)
    await db.query(`set local plan_cache_mode = force_generic_plan; prepare list as ${text}`)
    const rows = await db.query(`explain (costs off) execute list(${literals.join(', ')})`)
    return rows.map((row) => row['QUERY PLAN']).join('\n')
  })
}

describe('an index that is missing is advised, and used once it is there', () => {
  it.each<[string, () => ListPlan, string, string, RegExp]>([
    [
      'equality and an order',
      () => plan(is('status', 'eq', 'open'), [by('made_at', true), by('id')]),
      'index-tenant',
      '(tenant_id, status, made_at desc, id)',
      /^(?!.*Sort)[\s\S]*Index Scan using things_tenant_status_made_at_id_\w+_idx[\s\S]*status = /,
    ],
    [
      'an order alone',
      () => plan(null, [by('made_at'), by('id')]),
      'index-order',
      '(tenant_id, made_at, id)',
      /^(?![\s\S]*Sort)[\s\S]*using things_tenant_made_at_id_idx/,
    ],
    [
      'a range without an order',
      () => plan(both(is('priority', 'gte', '3'), is('priority', 'lt', '4'))),
      'index-order',
      '(tenant_id, priority)',
      /things_tenant_priority_idx[\s\S]*priority >= /,
    ],
    [
      'the children of parents',
      () => plan(null, [by('id')], ['parent_id']),
      'index-tenant',
      '(tenant_id, parent_id, id)',
      /^(?![\s\S]*Seq Scan)[\s\S]*using things_tenant_parent_id_id_idx[\s\S]*parent_id = k\.k0/,
    ],
    [
      'rows that nearly every list leaves out',
      () => plan(both(is('done', 'eq', true), is('deleted_at', 'isNull', true)), [by('id')]),
      'index-partial',
      '(tenant_id, done, id) where deleted_at is null',
      /things_tenant_done_id_live_idx/,
    ],
  ])('%s', async (_, make, check, columns, used) => {
    const list = make()
    expect(await explain(list)).not.toMatch(used)
    const [finding, ...more] = await advise([list])
    expect(more).toEqual([])
    expect(finding).toMatchObject({ table: 'app.things', check, severity: 'advice' })
    expect(finding!.reason).toMatch(/\(100 lists, 5\.0 ms each\)/)
    expect(finding!.sql).toMatch(/^create index concurrently if not exists /)
    expect(finding!.sql).toContain(`on app.things ${columns};`)
    await owner(finding!.sql!)
    expect(await explain(list)).toMatch(used)
    expect(await advise([list])).toEqual([])
    await owner(`drop index app.${/exists (\S+)/.exec(finding!.sql!)![1]}`)
  })

  it('an index read backward serves the turned order, and the other place of nulls is another order', async () => {
    await owner('create index turned on app.things (tenant_id, made_at, id desc)')
    expect(await advise([plan(null, [by('made_at', true), by('id')])])).toEqual([])
    const nullsLast = { ...by('made_at', true), nullsFirst: false }
    const [finding] = await advise([plan(null, [nullsLast, by('id')])])
    expect(finding?.sql).toContain('(tenant_id, made_at desc nulls last, id)')
    await owner('drop index app.turned')
  })

  it('a boolean is a column of the index: a generic plan could not prove a partial one', async () => {
    await owner('create index half on app.things (tenant_id, id) where done')
    const list = plan(is('done', 'eq', true))
    expect(await explain(list)).not.toMatch(/half/)
    expect((await advise([list]))[0]?.sql).toContain('(tenant_id, done, id);')
    await owner('drop index app.half')
  })

  it('one index serves what begins alike: it is advised once', async () => {
    const findings = await advise([
      plan(is('status', 'eq', 'open'), []),
      plan(is('status', 'eq', 'open'), [by('priority'), by('id')]),
      plan(is('status', 'eq', 'open'), [by('priority'), by('id')]),
    ])
    expect(findings.map(({ sql }) => sql)).toEqual([
      'create index concurrently if not exists things_tenant_status_priority_id_idx on app.things (tenant_id, status, priority, id);',
    ])
  })

  it('one that was cut short is dropped first', async () => {
    const list = plan(null, [by('priority'), by('id')])
    const [{ sql = '' } = {}] = await advise([list])
    await owner(sql)
    await withClient(fleet.shards[0]!.superuserUrl, (db) =>
      db.query(
        `update pg_index set indisvalid = false where indexrelid = 'app.things_tenant_priority_id_idx'::regclass`,
      ),
    )
    expect((await advise([list]))[0]?.sql).toBe(
      `drop index concurrently app.things_tenant_priority_id_idx;\n${sql}`,
    )
    await owner('drop index app.things_tenant_priority_id_idx')
  })
})

describe('F10: comparisons that are not leakproof', () => {
  it.each<[string, Condition, RegExp]>([
    ['numeric', is('amount', 'eq', '5'), /amount \(numeric\(12,2\)\) by eq, .*bigint in its smallest unit/],
    ['a range of numeric', is('amount', 'gt', '5'), /by range, which is not leakproof/],
    ['an enum', is('stage', 'eq', 'open'), /stage \(app\.stage\) by eq, .*a text with a check constraint/],
    ['like', is('title', 'contains', 'x'), /title \(text\) by contains, .*narrows the list first/],
    ['the beginning of a text', is('title', 'startsWith', 'x'), /Ask for a range of the column/],
  ])('%s is told with an alternative, and no index is advised for it', async (_, where, reason) => {
    await owner(
      'create index useless on app.things (tenant_id, amount); create index enums on app.things (tenant_id, stage)',
    )
    const findings = await advise([plan(where)])
    expect(findings).toEqual([
      {
        table: 'app.things',
        check: 'index-filter',
        severity: 'advice',
        reason: expect.stringMatching(reason),
      },
    ])
    expect(await explain(plan(where))).not.toMatch(/Index Cond:.*(amount|title|stage)/)
    await owner('drop index app.useless, app.enums')
  })

  it('beside one that is leakproof: the index is for that one', async () => {
    const findings = await advise([plan(both(is('amount', 'eq', '5'), is('priority', 'eq', '3')))])
    expect(findings.map(({ check, sql }) => [check, sql?.includes('(tenant_id, priority, id)')])).toEqual([
      ['index-tenant', true],
      ['index-filter', undefined],
    ])
  })
})

describe('nothing is advised', () => {
  it('for the primary key, in either direction', async () => {
    expect(await advise([plan(null), plan(null, [by('id', true)])])).toEqual([])
  })

  it(`for tables under ${ROWS_MIN} rows`, async () => {
    expect(await advise([plan(is('status', 'eq', 'new'), [by('id')], null, 'app.few')])).toEqual([])
  })

  it(`for lists that ran fewer than ${CALLS_MIN} times`, async () => {
    expect(await advise([plan(is('status', 'eq', 'new'))], CALLS_MIN - 1)).toEqual([])
    expect(await advise([plan(is('status', 'eq', 'new'))], CALLS_MIN)).toHaveLength(1)
  })

  it('for what stands below "or" and "not", where one index serves nothing', async () => {
    const either: Condition = { kind: 'or', of: [is('status', 'eq', 'new'), is('priority', 'eq', '1')] }
    expect(await advise([plan(either), plan({ kind: 'not', of: is('done', 'eq', true) })])).toEqual([])
  })

  it('of a table that is gone', async () => {
    const gone = { ...plan(null), table: { ...model.tables[0]!, id: 'app.gone' } }
    const shape = statement(gone).lists?.[0] as ListShape
    const statistics = [{ shard: 'shard-a', shape, calls: 99, totalMs: 9, rows: 9 }]
    const url = fleet.shards[0]!.url('owner')
    expect(await withClient(url, (db) => adviseIndexes(db, 'tenant_id', statistics))).toEqual([])
  })
})
