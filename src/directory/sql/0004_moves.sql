-- Moves: tenants on their way from one placement to another, and what is left of it when they have arrived.
--
-- A move holds the tenant as a running operation does (`operation`), from its claim until it has settled or was
-- undone. Whoever runs it holds a lease under a `token`; who takes over draws a higher one, and from then on nothing
-- that the old holder writes here takes effect. The commit point of a move is one transaction on these tables: the
-- placement, the epoch and the state change together (control/move/cutover.ts).

create table directory.plan (
  id         bigint generated always as identity primary key,
  hash       text not null unique, -- of the body: the same plan is applied once
  body       jsonb not null,
  state      text not null default 'running' check (state in ('running', 'done', 'cancelled')),
  operator   text not null,
  applied_at timestamptz not null default now()
);

create sequence directory.move_token;

create table directory.move (
  id              bigint generated always as identity primary key,
  tenant_id       text not null, -- no reference: its receipt outlives the tenant
  from_shard      text not null references directory.shard (key),
  from_isolation  text not null check (from_isolation in ('shared', 'schema', 'database')),
  from_namespace  text not null,
  from_epoch      bigint not null,
  to_shard        text not null references directory.shard (key),
  to_isolation    text not null check (to_isolation in ('shared', 'schema', 'database')),
  to_namespace    text not null,
  to_epoch        bigint, -- drawn with the claim, never twice for a tenant
  path            text check (path in ('still', 'live')),
  state           text not null default 'queued',
  wanted          text not null default 'run' check (wanted in ('run', 'pause', 'cancel')),
  plan            bigint references directory.plan (id),
  position        integer not null default 0, -- order within its plan
  operation       bigint references directory.operation (id),
  token           bigint,
  runner          text,
  lease_until     timestamptz,
  progress        jsonb not null default '{}',
  times           jsonb not null default '{}', -- when it came into each state
  memory          jsonb not null default '{}',
  pause_ms        double precision, -- from the freeze to the opening of the target
  window_until    timestamptz, -- until then it can be rolled back
  receipt         bigint references directory.receipt (id),
  error           text,
  operator        text not null,
  created_at      timestamptz not null default clock_timestamp(),
  changed_at      timestamptz not null default clock_timestamp()
);
create index move_tenant on directory.move (tenant_id);
-- One move of a tenant at a time, those that can still be rolled back included.
create unique index move_open on directory.move (tenant_id)
  where state not in ('done', 'aborted', 'rolled-back');
create index move_unfinished on directory.move (id) where state not in ('done', 'aborted', 'rolled-back');

-- Things outside of the directory that a move makes, each written down before it is made, so that it is found again
-- whatever happens. Removing one that was never made is no fault.
create table directory.leftover (
  move      bigint not null references directory.move (id),
  kind      text not null check (kind in ('publication', 'slot', 'home', 'rows', 'fence')),
  shard     text not null,
  isolation text not null,
  namespace text not null,
  name      text not null,
  made_at   timestamptz not null default clock_timestamp(),
  primary key (move, kind, shard, isolation, namespace, name)
);
