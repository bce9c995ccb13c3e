/** Tables in which a row can be changed in every way that is hard to follow, and rows for a tenant in them. */

/** As a migration: unqualified names. */
export const FOLLOW_SQL = `
create type mood as enum ('glad', 'sad', 'it''s "odd"');
create domain percent as int check (value between 0 and 100);

-- Numbers from the database alone, a generated column, values out of line, and triggers that write themselves.
create table things (
  tenant_id text not null check (tenant_id <> ''),
  id bigint not null generated always as identity,
  title text,
  body text,
  mood mood,
  tags text[],
  share percent,
  ratio float8,
  amount numeric,
  bytes bytea,
  at timestamptz,
  span interval,
  data jsonb,
  shout text generated always as (upper(title)) stored,
  times int not null default 0,
  primary key (tenant_id, id)
);
alter table things alter body set storage external;
create table audits (
  tenant_id text not null check (tenant_id <> ''),
  what text not null,
  line bigint not null generated always as identity,
  times int not null default 1,
  primary key (tenant_id, what)
);
create function note_thing() returns trigger language plpgsql as $$
begin
  new.times := new.times + 1;
  return new;
end $$;
create function audit_thing() returns trigger language plpgsql as $$
declare
  it record := coalesce(new, old);
begin
  execute format('insert into %I.audits as a (tenant_id, what) values ($1, $2)
    on conflict (tenant_id, what) do update set times = a.times + 1', tg_table_schema)
    using it.tenant_id, lower(tg_op) || ' ' || it.id;
  return null;
end $$;
create trigger note before insert or update on things for each row execute function note_thing();
create trigger audit after insert or update or delete on things for each row execute function audit_thing();

-- Keys that are looked at when a transaction ends: rows that refer to each other in a circle, and places exchanged.
create table chains (
  tenant_id text not null check (tenant_id <> ''),
  id int not null,
  next int not null,
  place int not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, next) references chains (tenant_id, id) deferrable initially deferred,
  unique (tenant_id, place) deferrable initially deferred
);

-- No key at all, rows that nothing tells apart, nulls, and types without an order.
create table notes (tenant_id text not null check (tenant_id <> ''), word text, ok boolean, code char(4), raw json, n numeric, body text);
alter table notes alter body set storage external;
alter table notes replica identity full;

-- A key of texts, so long that it is stored out of line.
create table words (tenant_id text not null check (tenant_id <> ''), word text not null, meaning text, primary key (tenant_id, word));
alter table words alter word set storage external;

create table parts (tenant_id text not null check (tenant_id <> ''), id int not null, title text, primary key (tenant_id, id))
  partition by range (id);
create table parts_low partition of parts for values from (minvalue) to (1000);
create table parts_high partition of parts for values from (1000) to (maxvalue);

-- A key that includes what is none of it, and one that is looked at late.
create table seats (tenant_id text not null check (tenant_id <> ''), id int not null, who text, primary key (tenant_id, id) include (who));
create table turns (tenant_id text not null check (tenant_id <> ''), id int not null, who text, primary key (tenant_id, id) deferrable);
alter table turns replica identity full;

do $$
declare
  name regclass;
begin
  foreach name in array array['things', 'audits', 'chains', 'notes', 'words', 'parts', 'parts_low', 'parts_high', 'seats', 'turns']::regclass[] loop
    execute format('alter table %s enable row level security', name);
    execute format('alter table %s force row level security', name);
    execute format('create policy tenant_rows on %s using (true) with check (true)', name);
    execute format('create policy tenant_isolation on %s as restrictive
      using (tenant_id = (select shardgate.current_tenant()))
      with check (tenant_id = (select shardgate.current_tenant()))', name);
  end loop;
end $$;`

/** @param t  id of the tenant */
export const rowsFor = (t: string): string => `
  insert into things (tenant_id, title, body, mood, tags, share, ratio, amount, bytes, at, span, data)
    select '${t}', case when i % 4 > 0 then 'title ' || i else '' end, repeat('body ' || i, 1000),
      (array['glad', 'sad', 'it''s "odd"'])[1 + i % 3]::mood, array[null, '', 'null', 'a"b\\c', i::text], i,
      case i when 1 then '-0'::float8 when 2 then 'NaN' when 3 then '-Infinity' else i / 7.0 end,
      case i when 4 then 'NaN'::numeric when 5 then 1.50 else i end, decode(repeat('00ff' || lpad(to_hex(i), 2, '0'), 5), 'hex'),
      '2026-01-01 12:00:00.000001+00'::timestamptz + i * interval '1 day', i * interval '1 month -3 days 4.5 seconds',
      case when i % 2 = 0 then jsonb_build_object('i', i) end
    from generate_series(1, 20) i;
  begin;
  insert into chains select '${t}', i, 1 + i % 6, i from generate_series(1, 6) i;
  commit;
  insert into notes select '${t}', w, ok, 'a', '{"a" : 1}', n, null
    from (values ('twin', true, 1.0), ('twin', true, 1.0), ('twin', true, 1.00), (null, null, null), (null, null, null),
      ('', false, 0)) v (w, ok, n);
  insert into words select '${t}', 'word ' || i || repeat('x', i % 2 * 2400), 'meaning' from generate_series(1, 6) i;
  insert into seats select '${t}', i, nullif('who ' || i, 'who 2') from generate_series(1, 4) i;
  insert into turns select '${t}', i, 'who ' || i from generate_series(1, 4) i;
  insert into parts select '${t}', i * 300, 'part' from generate_series(1, 8) i;
  insert into shardgate.idempotency (tenant_id, key, request_hash, answer) values ('${t}', 'k0', 'h', '{}');`
