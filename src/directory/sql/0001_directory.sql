-- The directory: tenants, and which shard holds each of them.
--
-- The runner (control/install.ts) has made the schema `directory` and its table `migration`, and runs this
-- file in one transaction. Tenants and placements are written by directory/tenants.ts, shards and settings
-- by directory/shards.ts, buckets by directory/buckets.ts.

-- Facts that must not change under living tenants: 'buckets' (how many there are) and 'namespace' (the
-- schema that holds the tables of tenants that have no placement row of their own).
create table directory.setting (
  key   text primary key,
  value text not null
);

-- `id` is the uuid that the shard itself carries in shardgate.identity. It is what proves that a URL leads
-- to the database that this key meant when tenants were put there.
create table directory.shard (
  key           text primary key check (key ~ '^[a-z][a-z0-9-]{0,30}$'),
  id            uuid not null unique,
  registered_at timestamptz not null default now()
);

create table directory.bucket (
  no    integer primary key check (no >= 0),
  shard text not null references directory.shard (key)
);

-- state 'creating': begun, and perhaps not yet fenced on its shard. Routers do not see such a row; creating
-- the tenant again finishes it.
create table directory.tenant (
  id         text primary key check (id ~ '^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$' and id !~ '\n'),
  name       text not null check (name <> ''),
  subdomain  text not null unique check (subdomain ~ '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$' and subdomain !~ '\n'),
  plan       text not null default 'standard' check (plan <> ''),
  state      text not null default 'creating' check (state in ('creating', 'active', 'suspended')),
  bucket     integer not null references directory.bucket (no),
  epoch      bigint not null default 1 check (epoch > 0),
  settings   jsonb not null default '{}',
  created_at timestamptz not null default now()
);
create index tenant_bucket on directory.tenant (bucket);

-- Only tenants that do not follow their bucket have a row here, and this row wins.
create table directory.placement (
  tenant_id text primary key references directory.tenant (id) on delete cascade,
  shard     text not null references directory.shard (key),
  isolation text not null default 'shared' check (isolation in ('shared')),
  namespace text not null check (namespace <> '')
);
create index placement_shard on directory.placement (shard);
