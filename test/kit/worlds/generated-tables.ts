/**
 * The tables of an ordinary product that has grown for years, as SQL: ten areas of twelve tables and
 * more, in several schemas, none of which thinks of tenants beyond a column.
 *
 * Everything comes from a stream of chance: the same seed gives the same text. What an area has is fixed
 * (parents, children, junctions, a pair that refers to each other, one to one, twice to one table, to
 * itself); which columns, keys and checks stand beside that is drawn.
 */

import type { Random } from '../random.ts'
import { inStyle, type Style } from './style.ts'

interface Area {
  readonly name: string
  /** Quoted where it has to be. */
  readonly schema: string
}

/** Schemas of the generated tables, as they are named in the catalogs. */
export const GENERATED_SCHEMAS = ['app', 'billing', 'Back Office'] as const

const AREAS: readonly Area[] = [
  ...['sales', 'support', 'project', 'school', 'event'].map((name) => ({ name, schema: 'app' })),
  ...['subscription', 'ledger', 'payroll'].map((name) => ({ name, schema: 'billing' })),
  ...['warehouse', 'fleet'].map((name) => ({ name, schema: '"Back Office"' })),
]

/** A column that an area's table may have besides. */
const EXTRAS: readonly ((name: string) => string)[] = [
  (name) => `${name} text`,
  (name) => `${name} text not null default ''`,
  (name) => `${name} varchar(80)`,
  (name) => `${name} int check (${name} >= 0)`,
  (name) => `${name} bigint not null default 0`,
  (name) => `${name} numeric(14, 2) check (${name} < 1e12)`,
  (name) => `${name} double precision`,
  (name) => `${name} boolean not null default false`,
  (name) => `${name} date`,
  (name) => `${name} timestamptz not null default now()`,
  (name) => `${name} timestamp(3)`,
  (name) => `${name} interval`,
  (name) => `${name} jsonb not null default '{}'`,
  (name) => `${name} text[] not null default '{}'`,
  (name) => `${name} int[]`,
  (name) => `${name} uuid`,
  (name) => `${name} bytea`,
  (name) => `${name} inet`,
  (name) => `${name} daterange`,
  (name) => `${name} app.priority not null default 'normal'`,
  (name) => `${name} app.priority[]`,
  (name) => `${name} app.email_address`,
]

const WORDS =
  'title note summary code colour weight total amount rate score rank phase channel region source origin target reason remark period duration starts ends due closed opened hint path locale currency margin quota budget shift grade level batch lot'.split(
    ' ',
  )

/** At least 120 `create table`, in the order in which they can be run. */
export function generatedTables(style: Style, random: Random): string {
  const areas = AREAS.map((area) => areaSql(area, random.fork(area.name)))
  const between = AREAS.slice(1).map((area, i) => bridgeSql(AREAS[i]!, area))
  return inStyle([HEAD, ...areas, ...between].join('\n'), style)
}

const HEAD = `
create schema app;
create schema billing;
create schema "Back Office";
create table app.tenants ($id, name text not null, created_at timestamptz not null default now());
create type app.priority as enum ('low', 'normal', 'high', 'on-fire');
create domain app.email_address as varchar(120) check (value like '%_@_%');
`

function areaSql({ name, schema }: Area, random: Random): string {
  const extras = (): string => extraColumns(random)
  const table = (suffix: string, columns: string, rest = ''): string =>
    `create table ${schema}.${name}_${suffix} (${columns}${extras()}${rest ? `, ${rest}` : ''});`
  const to = (suffix: string, action = ''): string => `references ${schema}.${name}_${suffix} ${action}`
  const soft = random.pick(['', 'on delete set null', 'deferrable initially deferred'])
  const hard = random.pick(['', 'on delete cascade', 'on update cascade on delete cascade'])
  return [
    table(
      'accounts',
      `$id, $owned, email text not null, active boolean not null default true`,
      'unique (email)',
    ),
    table(
      'items',
      `$id, $owned, holder_id $key not null ${to('accounts', hard)}, price numeric(12, 2) not null default 0 check (price >= 0), quantity int not null default 1, cost numeric generated always as (price * quantity) stored`,
    ),
    table(
      'item_notes',
      `$id, $owned, item_id $key ${to('items', soft)}, parent_id $key ${to('item_notes')}, body text not null`,
    ),
    table(
      'labels',
      `$id, $owned, name text not null, hue smallint not null default 0 check (hue between 0 and 360)`,
      random.pick(['', 'unique ($tenant, name)', 'unique (name, $tenant)']),
    ),
    table(
      'item_labels',
      `$owned, item_id $key not null ${to('items', 'on delete cascade')}, label_id $key not null ${to('labels', 'on delete cascade')}`,
      'primary key (item_id, label_id)',
    ),
    table('profiles', `owner_id $key primary key ${to('accounts', 'on delete cascade')}, $owned, bio text`),
    table(
      'transfers',
      `id bigint generated always as identity primary key, $owned, from_account_id $key not null ${to('accounts')}, to_account_id $key not null ${to('accounts')}, cents bigint not null check (cents > 0)`,
      'check (from_account_id <> to_account_id)',
    ),
    table('teams', `$id, $owned, lead_id $key, slug text not null unique`),
    table(
      'members',
      `$id, $owned, team_id $key not null ${to('teams', hard)}, role app.priority not null default 'low'`,
    ),
    `alter table ${schema}.${name}_teams add foreign key (lead_id) ${to('members', 'on delete set null')};`,
    table(
      'settings',
      `$owned, key text not null, value jsonb not null default 'null'`,
      'primary key ($tenant, key)',
    ),
    table(
      'events',
      `id bigint generated by default as identity primary key, $owned, kind text not null, occurred_at timestamptz not null default now(), payload json`,
    ),
    table(
      'documents',
      `$id, $owned, name text not null, content bytea, words tsvector generated always as (to_tsvector('simple', name)) stored`,
    ),
    `create index on ${schema}.${name}_events (occurred_at);`,
    `create unique index on ${schema}.${name}_members ($tenant, role, id) where role <> 'low';`,
    `create index on ${schema}.${name}_documents using gin (words);`,
    `comment on table ${schema}.${name}_items is 'What the ${name} area is about.';`,
  ].join('\n')
}

/** One table between two areas, so that relations cross schemas. */
function bridgeSql(one: Area, other: Area): string {
  return `create table ${other.schema}.${one.name}_${other.name}_links ($id, $owned,
    ${one.name}_item_id $key not null references ${one.schema}.${one.name}_items on delete cascade,
    ${other.name}_item_id $key not null references ${other.schema}.${other.name}_items on delete cascade,
    unique (${one.name}_item_id, ${other.name}_item_id));`
}

function extraColumns(random: Random): string {
  const names = random.shuffle(WORDS).slice(0, 1 + random.int(5))
  return names.map((name) => `, ${random.pick(EXTRAS)(`the_${name}`)}`).join('')
}
