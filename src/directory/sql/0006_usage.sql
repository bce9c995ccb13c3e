-- What tenants use: one ledger, by hour for as long as the configuration says and by month for ever. All times in UTC.
--
-- Gateways add to the hour in which they have counted (directory/usage.ts). An hour that is old enough is moved into its
-- month: it is removed from the one table and added to the other in one statement, so that whoever reads both never
-- counts it twice. It goes with its tenant.

create table directory.usage_hour (
  tenant_id     text not null references directory.tenant (id) on delete cascade,
  hour          timestamptz not null check (extract(epoch from hour)::bigint % 3600 = 0),
  requests      bigint not null default 0,
  operations    bigint not null default 0,
  errors        bigint not null default 0,
  cost          double precision not null default 0,
  database_ms   double precision not null default 0,
  rows          bigint not null default 0,
  bytes_in      bigint not null default 0,
  bytes_out     bigint not null default 0,
  cache_hits    bigint not null default 0,
  storage_bytes bigint not null default 0, -- the most that was measured
  users         bigint[] not null default '{}', -- see directory.user_union
  primary key (tenant_id, hour)
) with (fillfactor = 50); -- a row is changed every few seconds for an hour
create index usage_hour_hour on directory.usage_hour (hour);

create table directory.usage_month (
  tenant_id     text not null references directory.tenant (id) on delete cascade,
  month         date not null check (extract(day from month) = 1),
  requests      bigint not null default 0,
  operations    bigint not null default 0,
  errors        bigint not null default 0,
  cost          double precision not null default 0,
  database_ms   double precision not null default 0,
  rows          bigint not null default 0,
  bytes_in      bigint not null default 0,
  bytes_out     bigint not null default 0,
  cache_hits    bigint not null default 0,
  storage_bytes bigint not null default 0,
  users         bigint[] not null default '{}',
  active_users  bigint not null default 0, -- how many they were, once `users` is emptied
  primary key (tenant_id, month)
);
create index usage_month_month on directory.usage_month (month);

-- The last flush of each gateway that was written: whoever sends one again, because its answer was lost, adds nothing.
create table directory.usage_flush (
  gateway    uuid primary key, -- of a process, drawn at its start
  flush      bigint not null,
  written_at timestamptz not null default now()
);

-- What tenants hold, as it was measured last (control/usage/storage.ts).
create table directory.usage_storage (
  tenant_id   text not null references directory.tenant (id) on delete cascade,
  table_name  text not null, -- under the name that the schema has where tables are shared
  isolation   text not null check (isolation in ('shared', 'schema', 'database')),
  rows        bigint not null,
  bytes       bigint not null,
  measured_at timestamptz not null default now(),
  primary key (tenant_id, table_name)
);

-- Users are counted by the 1,024 smallest of their hashes, which are evenly spread over 60 bits. Up to 1,023 users that
-- is the set itself; beyond, the largest of them tells how dense they lie, with a standard error of 3 %. Those of two
-- hours together are the smallest of both, however often they are put together.
create function directory.user_union(a bigint[], b bigint[]) returns bigint[]
  language sql immutable parallel safe
  as $$
    select case when b = '{}' then a else array(
      select u from (select unnest(a) as u union select unnest(b)) as both_sides order by u limit 1024) end
  $$;

create aggregate directory.all_users(bigint[]) (
  sfunc = directory.user_union, stype = bigint[], initcond = '{}', parallel = safe);

create function directory.users_in(users bigint[]) returns bigint
  language sql immutable parallel safe
  as $$
    select case when cardinality(users) < 1024 then cardinality(users)
      else round(1023 * (power(2, 60) / users[1024])) end::bigint
  $$;
