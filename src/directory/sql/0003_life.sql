-- A tenant's life: isolation models, targets of migrations, operations that are resumed after a kill, the audit
-- log, and what is left of a tenant that was purged.
--
-- `changed_at` is a hint for gateways, which look at it every second (directory/changes.ts); copies that are too old
-- are read again in any case.

alter table directory.tenant
  drop constraint tenant_state_check,
  add constraint tenant_state_check
    check (state in ('creating', 'active', 'read-only', 'suspended', 'offboarded', 'purging')),
  add column changed_at timestamptz not null default now(),
  -- Of a tenant in quarantine: what it was before, since when it is, and from when on it may be purged.
  add column state_before text check (state_before in ('active', 'read-only', 'suspended')),
  add column offboarded_at timestamptz,
  add column purge_after timestamptz,
  add constraint tenant_quarantine check (
    (state in ('offboarded', 'purging')) = (purge_after is not null)
    and (purge_after is null) = (offboarded_at is null) and (purge_after is null) = (state_before is null));
create index tenant_changed_at on directory.tenant (changed_at);

create function directory.touch_tenant() returns trigger
  language plpgsql
  as $$ begin new.changed_at := clock_timestamp(); return new; end $$;
create trigger touch before update on directory.tenant
  for each row execute function directory.touch_tenant();

create function directory.touch_placed_tenant() returns trigger
  language plpgsql
  as $$
begin
  update directory.tenant set changed_at = clock_timestamp() where id = coalesce(new.tenant_id, old.tenant_id);
  return null;
end
$$;
create trigger touch after insert or update or delete on directory.placement
  for each row execute function directory.touch_placed_tenant();

-- `namespace` is the schema of the tables, or the name of the database that is the tenant's own.
alter table directory.placement
  drop constraint placement_isolation_check,
  add constraint placement_isolation_check check (isolation in ('shared', 'schema', 'database'));

-- Places that hold the tables: the shared schema of a shard, a tenant's schema, a tenant's database. `applied` is a
-- digest of all files that have been applied there, in order (control/migrate/): whoever compares it with the digest
-- of a folder knows without a look at the target that nothing is to be done. `structure` says which tables it has.
create table directory.target (
  shard      text not null references directory.shard (key),
  isolation  text not null check (isolation in ('shared', 'schema', 'database')),
  namespace  text not null check (namespace <> ''),
  tenant_id  text references directory.tenant (id) on delete cascade,
  version    text,
  applied    text not null default '',
  structure  text,
  error      text,
  changed_at timestamptz not null default clock_timestamp(),
  primary key (shard, isolation, namespace),
  check ((isolation = 'shared') = (tenant_id is null))
);
create index target_tenant on directory.target (tenant_id);
create index target_changed_at on directory.target (changed_at);

-- The lines by which two structures are compared (model/structure.ts); their hash is the fingerprint.
create table directory.structure (
  fingerprint text primary key,
  lines       text[] not null,
  seen_at     timestamptz not null default now()
);

-- How far a migration of rows has come with each tenant.
create table directory.data_migration (
  version     text not null,
  tenant_id   text not null references directory.tenant (id) on delete cascade,
  cursor      jsonb,
  batches     bigint not null default 0,
  finished_at timestamptz,
  primary key (version, tenant_id)
);

-- What an operator has begun. At most one unfinished operation a tenant; it goes on where it stopped.
create table directory.operation (
  id          bigint generated always as identity primary key,
  kind        text not null check (kind <> ''),
  tenant_id   text, -- no reference: an operation outlives its tenant
  input       jsonb not null,
  memory      jsonb not null default '{}', -- what its steps have left for later ones
  done        text[] not null default '{}', -- names of the steps that are done
  state       text not null default 'running' check (state in ('running', 'done', 'aborted')),
  error       text,
  operator    text not null,
  started_at  timestamptz not null default now(),
  changed_at  timestamptz not null default now()
);
create unique index operation_running on directory.operation (tenant_id) where state = 'running';

-- Who did what, each entry sealed with the hash of the one before it (directory/audit.ts). Never names or values of a
-- tenant, which have to be erasable.
create table directory.audit (
  no        bigint primary key check (no > 0),
  at        timestamptz not null,
  operator  text not null,
  action    text not null,
  tenant_id text,
  details   jsonb not null,
  previous  text not null,
  hash      text not null
);
create function directory.refuse_change() returns trigger
  language plpgsql
  as $$ begin raise exception 'entries of the audit log are never changed'; end $$;
create trigger refuse_change before update or delete or truncate on directory.audit
  for each statement execute function directory.refuse_change();

-- Proof of what was done: the document as text, and its hash, which stands in the audit log too.
create table directory.receipt (
  id        bigint generated always as identity primary key,
  kind      text not null,
  tenant_id text not null,
  body      text not null,
  hash      text not null,
  made_at   timestamptz not null default now()
);
create index receipt_tenant on directory.receipt (tenant_id);

-- Folders that `tenant export` has written, so that a purge can remove them.
create table directory.export (
  id        bigint generated always as identity primary key,
  tenant_id text not null,
  host      text not null,
  folder    text not null,
  made_at   timestamptz not null default now()
);
create index export_tenant on directory.export (tenant_id);

-- Tenants that were purged. A backup that brings one back is recognised by it, and a new tenant of the same id
-- begins at a later epoch than the old one ended.
create table directory.tombstone (
  tenant_id text primary key,
  epoch     bigint not null check (epoch > 0),
  shard     text not null,
  isolation text not null,
  namespace text not null,
  receipt   bigint references directory.receipt (id),
  purged_at timestamptz not null default now()
);
