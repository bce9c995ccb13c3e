/**
 * Two homes of one tenant as a move has them: odd tables with every kind of row on the source, the same rows in
 * another order of columns and in another schema on the target.
 */

import { tenantId } from '../../src/base/ids.ts'
import type { Home } from '../../src/control/copy/tables.ts'
import { copyRows } from '../../src/control/move/copy-rows.ts'
import { wayName } from '../../src/control/move/names.ts'
import { makePublication } from '../../src/control/move/publication.ts'
import { withSides } from '../../src/control/move/sides.ts'
import { freshSlot, removeSlot } from '../../src/control/move/slots.ts'
import type { Moving } from '../../src/control/move/types.ts'
import type { ShardAccess } from '../../src/control/reach.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { freshFleet, type TestFleet } from './fleet.ts'
import { NEW_MOVE } from './move-record.ts'

export const TENANT = tenantId('moving')
const OTHER = 'bystander'
export const OWN = 'tenant_moving_home'

const TENANCY = { column: 'tenant_id', schemas: ['app'], global: [] } as const

/** Columns of `app.things`, by name. */
const COLUMNS = {
  id: 'bigint not null',
  title: 'text',
  note: 'text',
  note_b: 'text',
  code: 'char(8)',
  bytes: 'bytea',
  at: 'timestamptz',
  ratio: 'float8',
  amount: 'numeric',
  data: 'jsonb',
  raw: 'json',
  mood: 'mood',
  tags: 'text[]',
  body: 'text',
} as const

const columnsIn = (order: readonly string[]): string =>
  order.map((name) => `${name} ${COLUMNS[name as keyof typeof COLUMNS]}`).join(', ')

const NAMES = Object.keys(COLUMNS)

export interface MovePair {
  readonly test: TestFleet
  readonly moving: Moving
  /** Superusers on either home; `search_path` is that of the tenant's tables. */
  readonly source: Client
  readonly target: Client
  /** Fill the target with the rows that both homes begin with; nothing else is left there. */
  refill(): Promise<void>
  /** Copy the source's rows to the target, and keep what changes from then on: `follow` may begin. */
  openWay(): Promise<void>
  drop(): Promise<void>
}

/** Rows for both homes: `things` 1 to 40, two of each of `notes` without a key, one `settings`. */
const ROWS = `
  insert into things (tenant_id, ${NAMES})
    select t, i, 'title ' || i, case when i = 10 then '' when i % 3 > 0 then 'note ' || i end, null, 'c' || i,
      decode(repeat(lpad(to_hex(i), 2, '0'), 20), 'hex'), '2026-01-01 12:00:00.000001+00'::timestamptz + i * interval '1 hour',
      case i when 7 then '-0'::float8 when 8 then 'NaN' else i / 7.0 end, i::numeric / 8,
      jsonb_build_object('a', i, 'b', 'two'), json_build_object('a', i, 'b', 'two'),
      (array['glad', 'sad'])[1 + i % 2]::mood, array['x', null, i::text], repeat('long ' || i, 2000)
    from generate_series(1, 40) i, unnest(array['${TENANT}', '${OTHER}']) t;
  insert into lines (tenant_id, order_no, line, item)
    select t, 'order ' || i / 3, i, 'item' from generate_series(1, 30) i, unnest(array['${TENANT}', '${OTHER}']) t;
  insert into notes (tenant_id, body, n)
    select t, 'note', i / 2 from generate_series(2, 9) i, unnest(array['${TENANT}', '${OTHER}']) t;
  insert into settings (tenant_id, value) select t, 'set' from unnest(array['${TENANT}', '${OTHER}']) t;`

const tables = (order: readonly string[]): string => `
  create type mood as enum ('glad', 'sad');
  create table things (tenant_id text not null, ${columnsIn(order)}, primary key (tenant_id, id));
  create table lines (tenant_id text not null, order_no text, line int, item text, primary key (tenant_id, order_no, line));
  create table notes (tenant_id text not null, body text, n int);
  alter table notes replica identity full;
  create table settings (tenant_id text primary key, value text);
  do $$ declare name text; begin
    foreach name in array array['things', 'lines', 'notes', 'settings'] loop
      execute format('alter table %I enable row level security; alter table %I force row level security', name, name);
      execute format('create policy p on %I using (tenant_id = (select shardgate.current_tenant()))', name);
    end loop;
  end $$;`

/** @param schema  of the tables, which are the owner's */
function made(schema: string, order: readonly string[]): string {
  return `
    set role shardgate_owner;
    create schema if not exists ${schema};
    set search_path = ${schema};
    ${tables(order)}
    grant usage on schema ${schema} to shardgate_mover, shardgate_app;
    grant select, insert, update, delete, truncate on all tables in schema ${schema} to shardgate_mover, shardgate_app;
    reset role;`
}

/** Two shards: the tenant's rows are in shared tables of the one, and in a schema of its own on the other. */
export async function movePair(): Promise<MovePair> {
  const test = await freshFleet({ weights: { 'shard-a': 1, 'shard-b': 1 } })
  const [source, target] = (await Promise.all(
    test.shards.map(({ superuserUrl }) => connect(superuserUrl)),
  )) as [Client, Client]
  await source.query(made('app', NAMES))
  await target.query(made(OWN, NAMES.toReversed()))
  const fill = (client: Client): Promise<unknown> =>
    client.query(`
    truncate things, lines, notes, settings; delete from shardgate.idempotency; ${ROWS}
    insert into shardgate.idempotency (tenant_id, key, request_hash, answer, created_at)
      select t, 'k' || i, 'hash', '{}', '2026-01-01'
      from generate_series(1, 3) i, unnest(array['${TENANT}', '${OTHER}']) t`)
  const refill = async (): Promise<void> => {
    await fill(target)
    for (const table of ['things', 'lines', 'notes', 'settings']) {
      await target.query(`delete from ${table} where tenant_id = '${OTHER}'`)
    }
  }
  await fill(source)
  await refill()
  const moving = movingBetween(
    test,
    { isolation: 'shared', namespace: 'app' },
    { isolation: 'schema', namespace: OWN },
  )
  let hasWay = false
  return {
    test,
    moving,
    source,
    target,
    refill,
    async openWay() {
      const name = wayName(moving.record.id, 'forward')
      await withSides(moving, ({ twins }) =>
        makePublication(source, { name, where: moving.source, tables: twins.map(({ from }) => from) }),
      )
      hasWay = true
      const slot = await freshSlot(moving, 'forward')
      await copyRows(moving, { snapshot: slot.snapshot })
      await slot.end()
    },
    async drop() {
      if (hasWay) await removeSlot(moving, 'forward')
      await source.end()
      await target.end()
      await test.drop()
    },
  }
}

function movingBetween(test: TestFleet, from: Home, to: Home): Moving {
  const [a, b] = test.fleet.shards as readonly ShardAccess[] as [ShardAccess, ShardAccess]
  const at = (shard: ShardAccess, home: Home) => ({ tenant: TENANT, shard, home, tenancy: TENANCY })
  const side = (shard: ShardAccess, home: Home, epoch: number) => ({ shard: shard.key, ...home, epoch })
  return {
    fleet: test.fleet,
    directory: null as never, // No comparison looks at it.
    tenant: TENANT,
    source: at(a, from),
    target: at(b, to),
    report: () => {},
    signal: new AbortController().signal,
    record: {
      ...NEW_MOVE,
      tenant: TENANT,
      source: side(a, from, 1),
      target: side(b, to, 2),
      state: 'copied',
    },
  }
}
