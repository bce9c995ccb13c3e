/**
 * What writes take care of beside the rows themselves: that rows which change meanwhile are looked at again, that
 * everything one operation writes is counted together, and what triggers and policies of the user's do to it.
 */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Client } from '../../src/db/client.ts'
import type { Extension } from '../../src/graphql/extension.ts'
import { inOrder } from '../../src/graphql/mutations/run.ts'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

const ROWS = 30
/** Rows are read and locked one by one, as any hook wants it. */
const HOOKED: Extension = { hooks: () => ({ Task: { beforeUpdate: () => undefined } }), extend() {} }

let world: World
let tenant: WorldTenant
let api: WorldApi
let hooked: WorldApi
/** Somebody else on the shard, whom no policy holds. */
let beside: Client
let projectId: string

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1, rows: 1 })
  tenant = world.tenants[0]!
  projectId = String(tenant.values.projectIds[0])
  // A role that may delete invoices and not change them: what it deletes, it cannot lock.
  await world.sql(tenant.shard, 'revoke update on app.invoices from shardgate_app')
  api = await openWorldApi(world, [], { rows: ROWS })
  hooked = await openWorldApi(world, [HOOKED], { rows: ROWS })
  beside = await world.connectTo(tenant)
})
afterAll(async () => {
  await beside?.end()
  api?.end()
  hooked?.end()
  await world?.stop()
})

const sql = (text: string) => world.sql(tenant.shard, text, [tenant.id])

beforeEach(async () => {
  // Backwards: the order in which they lie is not that of their key.
  await sql(`insert into app.tasks (tenant_id, id, project_id, title)
    select $1, 1000 - n, ${projectId}, 'task' from generate_series(1, 20) n`)
})
afterEach(() => sql('delete from app.tasks where tenant_id = $1 and id > 100'))

const created = '{ rowId: { gt: 100 } }'
/** "P" in the source is the project that there is. */
const fault = async (source: string, on = api) => {
  const { errors } = await on.run(tenant, source.replaceAll('"P"', `"${projectId}"`))
  return errors?.[0]?.originalError
}

describe('a row that somebody else is changing', () => {
  /** Start `operation` while a change is open, and commit that once the operation waits for it. */
  async function meanwhile(change: string, operation: string, on = api): Promise<Data> {
    await beside.query('begin')
    await beside.query(change)
    const answer = on.data(tenant, operation)
    answer.catch(() => {}) // it is looked at below, after the commit
    try {
      await expect
        .poll(
          () =>
            sql(
              `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and $1 <> ''`,
            ),
          {
            timeout: 10_000,
          },
        )
        .not.toEqual([])
    } finally {
      await beside.query('commit')
    }
    return answer
  }

  it('is not changed when the filter no longer holds', async () => {
    const { updateTasks } = await meanwhile(
      `update app.tasks set title = 'taken' where id = 990`,
      `mutation { updateTasks(filter: { rowId: { eq: 990 }, title: { eq: "task" } }, patch: { done: true }) { ... on TaskChanges { count } } }`,
    )
    expect(updateTasks).toEqual({ count: 0 })
    expect(await sql('select title, done from app.tasks where tenant_id = $1 and id = 990')).toEqual([
      { title: 'taken', done: false },
    ])
  })

  it('is a conflict when it is created twice at once, and not a row that the caller could have known', async () => {
    const insert = `insert into app.tasks (tenant_id, id, project_id, title) values ('${tenant.id}', 500, ${projectId}, 'theirs')`
    const upsert = `mutation { upsertTask(on: ID, input: { rowId: 500, projectId: "${projectId}", title: "ours" }) { __typename } }`
    await expect(meanwhile(insert, upsert, hooked)).rejects.toMatchObject({
      originalError: { code: 'CONFLICT' },
    })
    expect(await hooked.data(tenant, upsert)).toEqual({ upsertTask: { __typename: 'Task' } })
    expect(await sql('select title from app.tasks where tenant_id = $1 and id = 500')).toEqual([
      { title: 'ours' },
    ])
  })

  it('is not deleted when the filter no longer holds, also where rows cannot be locked', async () => {
    const [{ reference } = {}] = await sql('select reference from app.invoices where tenant_id = $1')
    const { deleteInvoices } = await meanwhile(
      `update app.invoices set reference = 'paid' where reference = '${reference}'`,
      `mutation { deleteInvoices(filter: { reference: { eq: "${reference}" } }) { ... on InvoiceChanges { count } } }`,
    )
    expect(deleteInvoices).toEqual({ count: 0 })
    expect(await sql('select reference from app.invoices where tenant_id = $1')).toEqual([
      { reference: 'paid' },
    ])
  })
})

describe('the rows of one operation', () => {
  const upsert = (n: number) =>
    `u${n}: upsertTask(on: ID, input: { rowId: ${200 + n}, projectId: "P", title: "up" }) { __typename }`
  const update = (name: string) =>
    `${name}: updateTasks(filter: ${created}, patch: { done: true }, atMost: 20) { __typename }`
  const remove = (from: number, to: number) =>
    `d${from}: deleteTasks(filter: { rowId: { gte: ${from}, lt: ${to} } }, atMost: 20) { __typename }`
  const insert = (name: string, from: number) => {
    const rows = Array.from({ length: 16 }, (_, i) => `{ rowId: ${from + i}, projectId: "P", title: "x" }`)
    return `${name}: createTasks(input: [${rows.join(' ')}]) { __typename }`
  }

  it.each([
    ['upserts', Array.from({ length: ROWS + 1 }, (_, n) => upsert(n))],
    ['changes', [update('a'), update('b')]],
    ['changes and deletes', [update('a'), remove(980, 991)]],
    ['creates', [insert('a', 300), insert('b', 400)]],
  ])('are counted together: %s', async (_what, mutations) => {
    const before = await world.contents(tenant)
    for (const on of [api, hooked]) {
      expect(await fault(`mutation { ${mutations.join(' ')} }`, on)).toMatchObject({
        code: 'QUERY_TOO_COMPLEX',
        details: { limit: 'writtenRows', allowed: ROWS },
      })
    }
    expect(await world.contents(tenant)).toBe(before)
  })

  it('are counted as rows of the answer where it shows them', async () => {
    const shown = (times: number) =>
      `mutation { updateTasks(filter: ${created}, patch: { done: true }, atMost: 20) { ... on TaskChanges {
        ${Array.from({ length: times }, (_, i) => `n${i}: nodes { rowId }`).join(' ')} } } }`
    expect((await api.run(tenant, shown(1))).errors).toBeUndefined()
    expect(await fault(shown(2))).toMatchObject({ code: 'QUERY_TOO_COMPLEX', details: { limit: 'rows' } })
  })

  it('come back in the order of their key, however they lie', async () => {
    const sorted = Array.from({ length: 20 }, (_, i) => ({ rowId: 980 + i }))
    for (const on of [api, hooked]) {
      const { updateTasks } = await on.data(
        tenant,
        `mutation { updateTasks(filter: ${created}, patch: { title: "changed" }, atMost: 20) { ... on TaskChanges { nodes { rowId } } } }`,
      )
      expect(updateTasks.nodes).toEqual(sorted)
    }
    const { deleteTasks } = await api.data(
      tenant,
      `mutation { deleteTasks(filter: ${created}, atMost: 20) { ... on TaskChanges { nodes { rowId } } } }`,
    )
    expect(deleteTasks.nodes).toEqual(sorted)
  })
})

describe('rows with the number of their key', () => {
  it('come in the order of the numbers, whatever plan Postgres took', () => {
    const rows = [
      ['2', 'b'],
      ['10', 'c'],
      ['1', 'a'],
    ]
    expect(inOrder(rows)).toEqual([['a'], ['b'], ['c']])
  })
})

describe('tables that have a say in it', () => {
  beforeAll(async () => {
    await beside.query(`
      create function app.leave_out() returns trigger language plpgsql as
        $$ begin return case when new.title = 'left out' then null else new end; end $$;
      create trigger leave_out before insert or update on app.tasks for each row execute function app.leave_out();
      create function app.raise() returns trigger language plpgsql as $$ begin
        if new.title in ('raised', 'late') then raise exception 'secret %', new.title; end if;
        if new.title = 'coded' then raise exception 'secret' using errcode = 'TK042'; end if;
        return new; end $$;
      create trigger raise before insert on app.tasks for each row when (new.title <> 'late') execute function app.raise();
      create constraint trigger late after insert on app.tasks deferrable initially deferred
        for each row when (new.title = 'late') execute function app.raise();
      create policy no_secrets on app.tasks as restrictive for insert with check (title <> 'forbidden')`)
  })
  afterAll(() =>
    beside.query(
      `drop trigger leave_out on app.tasks; drop function app.leave_out; drop trigger raise on app.tasks; drop trigger late on app.tasks; drop function app.raise; drop policy no_secrets on app.tasks`,
    ),
  )

  it.each([
    [
      'a create',
      'createTasks',
      (title: string) =>
        `createTasks(input: [{ rowId: 300, projectId: "P", title: "x" } { rowId: 301, projectId: "P", title: "${title}" } { rowId: 302, projectId: "P", title: "y" }])`,
    ],
    [
      'a change',
      'updateTasks',
      (title: string) => `updateTasks(filter: ${created}, patch: { title: "${title}" }, atMost: 20)`,
    ],
  ])('a trigger that leaves a row out of %s has nothing kept', async (_what, _field, mutation) => {
    const before = await world.contents(tenant)
    const source = `mutation { ${mutation('left out')} { __typename } }`
    expect(await fault(source, hooked)).toMatchObject({
      code: 'FORBIDDEN',
      message: 'A trigger of the tables left out a Task; nothing was kept.',
    })
    expect(await world.contents(tenant)).toBe(before)
  })

  it.each([
    ['at once', 'raised', 'P0001', 'A rule of the tables refuses this change of a Task.'],
    ['with a state of its own', 'coded', 'TK042', 'A rule of the tables refuses this change of a Task.'],
    [
      'when the operation is to be kept',
      'late',
      'P0001',
      'A rule of the tables refuses the changes; nothing was kept.',
    ],
  ])(
    'an exception that a trigger raises %s is told without its words',
    async (_when, title, state, message) => {
      const before = await world.contents(tenant)
      const source = `mutation { createTask(input: { rowId: 300, projectId: "P", title: "${title}" }) { __typename } }`
      const error = await fault(source).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'FORBIDDEN', message, details: { sqlState: state } })
      expect(await world.contents(tenant)).toBe(before)
    },
  )

  it('a policy that refuses a row is told as what the tables do not allow', async () => {
    const source = `mutation { createTask(input: { rowId: 300, projectId: "P", title: "forbidden" }) { __typename } }`
    expect(await fault(source)).toMatchObject({
      code: 'FORBIDDEN',
      message: 'The tables do not allow this change of a Task.',
    })
  })
})
