-- Tenants with a schema of their own: the fence knows the role that their transactions take, and has the states of
-- a tenant's whole life. Applied by control/install.ts as shardgate_owner; the table is changed once and then left
-- alone, because even a change that changes nothing would lock out everybody for a moment.

do $$
begin
  if exists (select from pg_attribute
    where attrelid = 'shardgate.tenant_fence'::regclass and attname = 'role' and not attisdropped) then return; end if;
  alter table shardgate.tenant_fence
    add column role name,
    drop constraint tenant_fence_state_check,
    add constraint tenant_fence_state_check
      check (state in ('active', 'frozen', 'read-only', 'suspended', 'moved', 'purged'));
  comment on column shardgate.tenant_fence.role is 'Role of a tenant with a schema of its own; null for the others.';
end
$$;

-- Each schema of a tenant has a book of its own in the table; everything else in this database shares the one of ''.
do $$
begin
  if exists (select from pg_attribute
    where attrelid = 'shardgate.migration'::regclass and attname = 'namespace' and not attisdropped) then return; end if;
  alter table shardgate.migration
    add column namespace text not null default '',
    drop constraint migration_pkey,
    add primary key (namespace, version);
  comment on column shardgate.migration.namespace is 'Schema of a tenant, or '''' for the served schemas.';
end
$$;

-- What each tenant's own role needs of this schema; control/homes/ makes them members of it.
grant usage on schema shardgate to shardgate_tenant;
grant execute on function shardgate.current_tenant(), shardgate.claim_key(text, text, text) to shardgate_tenant;
grant select, insert, delete, update (answer) on shardgate.idempotency to shardgate_tenant;
