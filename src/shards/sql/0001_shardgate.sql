-- The schema that Shardgate keeps on each shard: who the shard is, which tenants it owns at which
-- epoch, and the one function through which every transaction of the gateway begins.
-- Applied by control/install.ts as shardgate_owner; safe to apply again.

create schema if not exists shardgate;

create table if not exists shardgate.identity (
  one boolean primary key default true check (one),
  id uuid not null default gen_random_uuid(),
  version int not null
);
comment on table shardgate.identity is 'Which shard this is: connection strings that are swapped must be noticed.';
insert into shardgate.identity (version) values (1) on conflict do nothing;

create table if not exists shardgate.tenant_fence (
  tenant_id text primary key check (tenant_id <> ''),
  state text not null check (state in ('active', 'frozen', 'suspended', 'moved')),
  epoch bigint not null check (epoch > 0)
);
comment on table shardgate.tenant_fence is 'Tenants that live here, and the epoch that a router must know.';

create table if not exists shardgate.migration (
  version text primary key,
  name text not null,
  checksum text not null,
  applied_at timestamptz not null default now()
);
comment on table shardgate.migration is 'Migrations of the served tables that have been applied here.';

-- The tenant of this transaction; null outside one. After a transaction the local setting is left as
-- '', which nullif turns into null again: a row whose tenant were '' must not become visible.
-- STABLE, never IMMUTABLE: an immutable function is folded into the cached plan of a prepared statement,
-- and the next tenant on that connection would get the first one's rows.
create or replace function shardgate.current_tenant() returns text
  language sql stable parallel safe
  as $$ select nullif(pg_catalog.current_setting('app.current_tenant_id', true), '') $$;

-- Begin the transaction of one tenant: fence it, then set whose it is, until the transaction ends.
--
-- tenant      its id
-- epoch       epoch of the placement that the router knows
-- mode        'read' makes the transaction read-only; 'write' holds the shared lock that a cutover
--             takes exclusively
-- timeout_ms  what is left of the request's deadline; becomes the statement timeout
-- lock_ms     how long a write waits for the rows of others: on a connection that it has to itself as long as there is
--             time, on a shared one for a moment, because all that were sent after it wait with it. For a cutover it
--             does not wait at all: whoever waits keeps a connection from others, so it is told to come again. Null:
--             it waits for both as long as there is time
--
-- PL/pgSQL and VOLATILE on purpose: lock and epoch must be read by two statements with a snapshot
-- each. In one SQL statement, or in a STABLE function, the epoch read after waiting for the lock is the
-- one from before the wait. SECURITY INVOKER: a definer function could not set a role later on.
-- (One plain SQL statement costs the same 10 to 20 µs, but could not say why it refuses.)
create or replace function shardgate.begin_tenant(
  tenant text, epoch bigint, mode text, timeout_ms int, lock_ms int)
  returns text
  language plpgsql volatile
  as $$
declare
  fence shardgate.tenant_fence;
  is_free boolean := true;
begin
  perform pg_catalog.set_config('statement_timeout', greatest(timeout_ms, 1)::text, true);
  if mode = 'write' then
    perform pg_catalog.set_config('lock_timeout', greatest(coalesce(lock_ms, timeout_ms), 1)::text, true);
    if lock_ms is null then
      perform pg_catalog.pg_advisory_xact_lock_shared(shardgate.tenant_lock(tenant));
    else
      is_free := pg_catalog.pg_try_advisory_xact_lock_shared(shardgate.tenant_lock(tenant));
    end if;
  else
    perform pg_catalog.set_config('transaction_read_only', 'on', true);
  end if;
  select * into fence from shardgate.tenant_fence f where f.tenant_id = begin_tenant.tenant;
  if not found then
    raise exception 'tenant is not on this shard' using errcode = 'SG004';
  elsif fence.state = 'purged' then
    raise exception 'tenant was purged' using errcode = 'SG004';
  elsif fence.state = 'moved' or fence.epoch <> begin_tenant.epoch then
    raise exception 'placement is out of date' using errcode = 'SG001', detail = fence.epoch;
  elsif fence.state = 'suspended' then
    raise exception 'tenant is suspended' using errcode = 'SG003';
  elsif fence.state = 'frozen' and mode = 'write' then
    raise exception 'tenant is frozen' using errcode = 'SG002';
  elsif fence.state = 'read-only' and mode = 'write' then
    raise exception 'tenant is read-only' using errcode = 'SG005';
  elsif not is_free then
    raise exception 'tenant is locked' using errcode = 'SG006';
  end if;
  -- Local, as the tenant is: both end with the transaction.
  if fence.role is not null then
    perform pg_catalog.set_config('role', fence.role, true);
  end if;
  return pg_catalog.set_config('app.current_tenant_id', tenant, true);
end
$$;

-- With all the time for locks that there is, a cutover's included. Postgres puts the body in the place of the call, which so costs nothing.
create or replace function shardgate.begin_tenant(tenant text, epoch bigint, mode text, timeout_ms int)
  returns text
  language sql volatile
  as $$ select shardgate.begin_tenant(tenant, epoch, mode, timeout_ms, null) $$;

-- The advisory lock of a tenant: writers share it, a cutover takes it alone.
create or replace function shardgate.tenant_lock(tenant text) returns bigint
  language sql immutable parallel safe
  as $$ select pg_catalog.hashtextextended(tenant, 5349) $$;

revoke all on schema shardgate from public;
revoke all on all functions in schema shardgate from public;
grant usage on schema shardgate to shardgate_app, shardgate_mover;
grant select on shardgate.identity, shardgate.tenant_fence, shardgate.migration to shardgate_app, shardgate_mover;
grant execute on function shardgate.current_tenant(), shardgate.tenant_lock(text),
  shardgate.begin_tenant(text, bigint, text, int), shardgate.begin_tenant(text, bigint, text, int, int) to shardgate_app, shardgate_mover;
