-- Idempotency keys: what an operation has answered, kept with what it has changed in one transaction, so that
-- the same operation sent twice is done once.
-- Applied by control/install.ts as shardgate_owner; safe to apply again. The table is made once and then left
-- alone: even a change that changes nothing would lock out every writer for a moment.

do $$
begin
  if to_regclass('shardgate.idempotency') is not null then return; end if;
  create table shardgate.idempotency (
    tenant_id text not null check (tenant_id <> ''),
    key text not null check (length(key) between 1 and 255),
    request_hash text not null,
    answer text,
    created_at timestamptz not null default now(),
    primary key (tenant_id, key)
  );
  comment on table shardgate.idempotency is 'Answers by idempotency key, of one day.';
  create index on shardgate.idempotency (tenant_id, created_at);
  alter table shardgate.idempotency enable row level security;
  alter table shardgate.idempotency force row level security;
  -- Each says whose rows they are: with either of them gone, no row reaches anybody else.
  create policy tenant_rows on shardgate.idempotency
    using (tenant_id = (select shardgate.current_tenant()))
    with check (tenant_id = (select shardgate.current_tenant()));
  create policy tenant_isolation on shardgate.idempotency as restrictive
    using (tenant_id = (select shardgate.current_tenant()))
    with check (tenant_id = (select shardgate.current_tenant()));
end
$$;

-- Claim a key for the operation of this transaction.
--
-- tenant   whose it is
-- wanted   the key
-- request  hash of the operation: document, variables, caller
--
-- state    'claimed': run it; 'done': it has answered `answer`; 'other': the key belongs to another operation;
--          'gone': its row went away just now, and another try will find out
--
-- A second transaction with the same key waits in the insert until the first has ended. What it then finds must
-- be read by a statement of its own, with a snapshot from after the wait: hence PL/pgSQL and VOLATILE.
-- Keys of more than a day are removed a few at a time, the wanted one among them. Jobs that wait here for the queue
-- (shards/job-rows.ts) are no answers, and stay.
create or replace function shardgate.claim_key(
  tenant text, wanted text, request text, out state text, out answer text)
  language plpgsql volatile
  as $$
declare
  known shardgate.idempotency;
begin
  delete from shardgate.idempotency i
  where i.tenant_id = tenant and i.created_at < pg_catalog.now() - interval '24 hours'
    and (i.request_hash <> 'job' or i.answer is null)
    and (i.key = wanted or i.key = any (array(
      select o.key from shardgate.idempotency o
      where o.tenant_id = tenant and o.created_at < pg_catalog.now() - interval '24 hours'
        and (o.request_hash <> 'job' or o.answer is null)
      order by o.created_at limit 20 for update skip locked)));
  insert into shardgate.idempotency (tenant_id, key, request_hash) values (tenant, wanted, request)
  on conflict (tenant_id, key) do nothing;
  if found then
    state := 'claimed';
    return;
  end if;
  select * into known from shardgate.idempotency i where i.tenant_id = tenant and i.key = wanted;
  if not found then
    state := 'gone';
  elsif known.request_hash <> request then
    state := 'other';
  else
    state := 'done';
    answer := known.answer;
  end if;
end
$$;

revoke all on function shardgate.claim_key(text, text, text) from public;
grant execute on function shardgate.claim_key(text, text, text) to shardgate_app;
grant select, insert, delete, update (answer) on shardgate.idempotency to shardgate_app;
grant select, insert, delete on shardgate.idempotency to shardgate_mover;
