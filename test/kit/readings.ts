/**
 * Tables for aggregates, in a world: readings with a column of every kind that can be measured or grouped, and
 * places that they belong to. Both tenants have rows of the same keys; many values are equal, many are null.
 */

import type { RowsClient } from './places-of-rows.ts'
import type { Random } from './random.ts'
import type { World, WorldTenant } from './shard-fixture.ts'

const TABLES = `
set role shardgate_owner;
create table app.places (
  tenant_id text not null, id int not null, code text,
  primary key (tenant_id, id), unique (tenant_id, code)
);
create table app.readings (
  tenant_id text not null, id int not null, place_code text, level smallint, amount bigint,
  price numeric, ratio real, value double precision, cost money, span interval, taken timestamptz,
  noted timestamp, day date, clock time, done boolean, state app.task_state, uid uuid, data jsonb,
  tags text[], raw bytea, body json,
  primary key (tenant_id, id),
  foreign key (tenant_id, place_code) references app.places (tenant_id, code)
);
do $$ declare name regclass; begin
  foreach name in array array['app.places', 'app.readings']::regclass[] loop
    execute format('alter table %s enable row level security', name);
    execute format('alter table %s force row level security', name);
    execute format('create policy tenant_rows on %s using (true) with check (true)', name);
    execute format('create policy tenant_isolation on %s as restrictive
      using (tenant_id = (select shardgate.current_tenant()))
      with check (tenant_id = (select shardgate.current_tenant()))', name);
  end loop;
end $$;
reset role;`

/** A column as the tests' own SQL reads it. */
interface Known {
  readonly column: string
  /** Postgres text to what GraphQL answers; default is the text. */
  readonly read?: (text: string) => unknown
  /** For grouping: the type of time, if it has parts. */
  readonly time?: 'date' | 'timestamp' | 'timestamptz'
}

const float = (text: string): number | string => (Number.isFinite(Number(text)) ? Number(text) : text)
const upper = (text: string): string => text.toUpperCase()

/** Columns of `readings` by field. */
export const READINGS = {
  rowId: { column: 'id', read: Number },
  placeCode: { column: 'place_code' },
  level: { column: 'level', read: Number },
  amount: { column: 'amount' },
  price: { column: 'price' },
  ratio: { column: 'ratio', read: float },
  value: { column: 'value', read: float },
  cost: { column: 'cost::numeric' },
  span: { column: 'span' },
  taken: { column: 'taken', time: 'timestamptz' },
  noted: { column: 'noted', time: 'timestamp' },
  day: { column: 'day', time: 'date' },
  clock: { column: 'clock' },
  done: { column: 'done', read: (text) => text === 'true' },
  state: { column: 'state', read: upper },
  uid: { column: 'uid' },
  data: { column: 'data', read: JSON.parse },
  tags: { column: 'tags', read: (text) => text.slice(1, -1).split(',').filter(Boolean) },
  raw: { column: 'raw' },
} as const satisfies Record<string, Known>

export type ReadingField = keyof typeof READINGS

export const knownColumn = (field: ReadingField): Known => READINGS[field]

/** Numbers and intervals: they have sums and averages. */
export const NUMBERS = ['rowId', 'level', 'amount', 'price', 'ratio', 'value', 'cost', 'span'] as const
/** They have a least and a greatest value. */
export const RANKED = [...NUMBERS, 'placeCode', 'taken', 'noted', 'day', 'clock', 'state'] as const

/** Make the tables and give both tenants rows; the connection passes over row-level security. */
export async function addReadings(
  world: World,
  tenants: readonly WorldTenant[],
  random: Random,
  rows = 120,
): Promise<RowsClient> {
  const client = world.rowsOn(world.shards[0]!.key)
  await client.query(TABLES)
  for (const { id } of tenants) {
    await client.query({
      text: `insert into app.places select $1, n, case when n < 5 then 'code ' || n end from generate_series(1, 6) n`,
      values: [id],
    })
    for (let n = 1; n <= rows; n++) await client.query(readingOf(id, n, random))
  }
  return client
}

function readingOf(tenant: string, n: number, random: Random) {
  const maybe = <T>(value: T): T | null => (random.chance(0.2) ? null : value)
  const few = (most: number): number => random.int(most)
  const moment = `2026-0${1 + few(4)}-${10 + few(18)} ${10 + few(3)}:${10 + few(2)}:0${few(3)}.123456`
  const values = [
    tenant,
    n,
    maybe(`code ${1 + few(3)}`),
    maybe(few(4) - 1),
    maybe(random.pick(['9223372036854775807', '-3', '5', '12'])),
    maybe(random.pick(['0.1', '0.2', '1e30', '12345678901234567890.0123456789'])),
    maybe(random.pick(['0.5', '-2', 'NaN'])),
    maybe(random.pick(['0.5', '4096.125', '-2.25'])),
    maybe(random.pick(['1.10', '-2.20', '1000000.00'])),
    maybe(random.pick(['1 day', '2 hours 3.5 s', '-1 mon'])),
    maybe(`${moment}+00`),
    maybe(moment),
    maybe(moment.slice(0, 10)),
    maybe(moment.slice(11)),
    maybe(random.chance(0.5)),
    maybe(random.pick(['todo', 'doing', 'done'])),
    maybe(`00000000-0000-4000-8000-00000000000${few(3)}`),
    maybe(random.pick(['{"a": 1}', '[]', '"x"'])),
    maybe(random.pick(['{}', '{a}', '{a,b}'])),
    maybe(random.pick(['\\x00', '\\xff'])),
  ]
  const places = values.map((_, i) => `$${i + 1}`).join(', ')
  return { text: `insert into app.readings values (${places}, '{}')`, values }
}
