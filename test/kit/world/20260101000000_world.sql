-- The tables of the test world: small, and with something of everything that could leak. Each text,
-- number and uuid in them carries its tenant's tag (test/kit/canary.ts).
--
-- Ids of projects and invoices carry the tag too, so another tenant's id never exists here. Ids of tasks
-- are 1, 2, 3 in every tenant, so another tenant's id always does.

-- migrate:up

create type task_state as enum ('todo', 'doing', 'done');

create table projects (
  tenant_id text not null check (tenant_id <> ''),
  id bigint not null,
  name text not null,
  budget_cents bigint not null default 0,
  share numeric(20, 2),
  notes jsonb not null default '{}',
  aliases text[] not null default '{}',
  logo bytea,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, name)
);
comment on table projects is 'What the tenant works on.';

create table tasks (
  tenant_id text not null check (tenant_id <> ''),
  id int not null,
  project_id bigint not null,
  parent_id int,
  title text not null check (title <> ''),
  state task_state not null default 'todo',
  effort bigint,
  due_on date,
  done boolean not null default false,
  primary key (tenant_id, id),
  foreign key (tenant_id, project_id) references projects (tenant_id, id) on delete cascade,
  foreign key (tenant_id, parent_id) references tasks (tenant_id, id) on delete cascade
);
create index on tasks (tenant_id, project_id, id);
comment on table tasks is 'A piece of work; its ids are the same in every tenant.';

create table invoices (
  tenant_id text not null check (tenant_id <> ''),
  id uuid not null default gen_random_uuid(),
  project_id bigint not null,
  reviewer_id int,
  reference text not null,
  cents bigint not null,
  primary key (tenant_id, id),
  unique (tenant_id, reference),
  foreign key (tenant_id, project_id) references projects (tenant_id, id) on delete cascade,
  foreign key (tenant_id, reviewer_id) references tasks (tenant_id, id) on delete set null (reviewer_id)
);
comment on table invoices is 'What the tenant has sent out.';

create table labels (
  tenant_id text not null check (tenant_id <> ''),
  task_id int not null,
  word text not null,
  primary key (tenant_id, task_id, word),
  foreign key (tenant_id, task_id) references tasks (tenant_id, id) on delete cascade
);
comment on table labels is 'Words on a task; a key of two columns, one of them text.';

do $$
declare
  name regclass;
begin
  foreach name in array array['projects', 'tasks', 'invoices', 'labels']::regclass[] loop
    execute format('alter table %s enable row level security', name);
    execute format('alter table %s force row level security', name);
    execute format('create policy tenant_rows on %s using (true) with check (true)', name);
    execute format('create policy tenant_isolation on %s as restrictive
      using (tenant_id = (select shardgate.current_tenant()))
      with check (tenant_id = (select shardgate.current_tenant()))', name);
  end loop;
end $$;
