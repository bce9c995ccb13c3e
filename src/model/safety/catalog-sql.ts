/**
 * The queries behind facts.ts; that about tables has a file of its own. Parameters: $1 the tenant column, $2 the
 * served schemas, $3 the app role, $4 the ids of the global tables, $5 whether the schemas are one tenant's own. Each
 * gives one row, `facts`, as JSON text, so that booleans and arrays survive a driver that hands out text.
 */

const USER_SCHEMA = `n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'`

export const PARAMETERS = `
  parameters as (
    select $1::text as column_name, $2::text[] as schemas, $3::text as role_name, $4::text[] as globals,
      $5::boolean as own
  )`

// Tables with the tenant column, and whatever inherits from them in any schema.
export const TENANT_TABLES = `${PARAMETERS},
  tenant_tables as (
    select c.oid
    from parameters p
    join pg_namespace n on n.nspname = any (p.schemas)
    join pg_class c on c.relnamespace = n.oid and c.relkind in ('r', 'p')
    join pg_attribute a on a.attrelid = c.oid and a.attname = p.column_name and not a.attisdropped
    union
    select i.inhrelid from pg_inherits i join tenant_tables t on t.oid = i.inhparent
  )`

export const ROLE_SQL = `
with ${PARAMETERS},
app as (select r.* from pg_roles r, parameters p where r.rolname = p.role_name),
membership as (
  select r.* from pg_roles r, app
  where r.oid <> app.oid and not app.rolsuper and pg_has_role(app.oid, r.oid, 'MEMBER')
),
owners as (select oid from app union select oid from membership),
owned as (
  select 'table ' || c.oid::regclass::text as thing
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relowner in (select oid from owners) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and ${USER_SCHEMA}
  union all
  select 'function ' || f.oid::regprocedure::text
  from pg_proc f join pg_namespace n on n.oid = f.pronamespace
  where f.proowner in (select oid from owners) and ${USER_SCHEMA}
  union all
  select 'schema ' || quote_ident(n.nspname) from pg_namespace n
  where n.nspowner in (select oid from owners) and ${USER_SCHEMA}
  union all
  select 'database ' || quote_ident(datname) from pg_database
  where datname = current_database() and datdba in (select oid from owners)
  order by 1 limit 20
)
select json_build_object(
  'superuser', app.rolsuper, 'bypassRls', app.rolbypassrls, 'replication', app.rolreplication,
  'createRole', app.rolcreaterole, 'createDb', app.rolcreatedb,
  'memberOf', (
    select coalesce(json_agg(json_build_object(
      'name', m.rolname, 'superuser', m.rolsuper, 'bypassRls', m.rolbypassrls,
      'predefined', m.rolname like 'pg\\_%') order by m.rolname), '[]')
    from membership m),
  'owns', (select coalesce(json_agg(thing), '[]') from owned),
  'createsIn', (
    select coalesce(json_agg(n.nspname order by n.nspname), '[]') from pg_namespace n
    where ${USER_SCHEMA} and has_schema_privilege(app.oid, n.oid, 'CREATE')),
  'createsSchemas', has_database_privilege(app.oid, current_database(), 'CREATE'),
  'createsTemporary', has_database_privilege(app.oid, current_database(), 'TEMPORARY'),
  'database', current_database(),
  'versionNumber', current_setting('server_version_num')::int,
  'version', current_setting('server_version')
)::text as facts
from app`

export const FUNCTIONS_SQL = `
with ${PARAMETERS},
app as (select r.oid from pg_roles r, parameters p where r.rolname = p.role_name)
select coalesce(json_agg(json_build_object(
  'oid', f.oid::text, 'schema', n.nspname, 'name', f.proname, 'signature', f.oid::regprocedure::text,
  'volatility', f.provolatile, 'definer', f.prosecdef, 'source', f.prosrc,
  'language', (select lanname from pg_language where oid = f.prolang),
  'trigger', f.prorettype in ('trigger'::regtype, 'event_trigger'::regtype), 'body', f.prosqlbody is not null,
  'reads', (
    select coalesce(json_agg(distinct rc.relname), '[]')
    from pg_depend d join pg_class rc on rc.oid = d.refobjid
    where d.classid = 'pg_proc'::regclass and d.objid = f.oid and d.refclassid = 'pg_class'::regclass),
  'callable', has_schema_privilege(app.oid, n.oid, 'USAGE') and has_function_privilege(app.oid, f.oid, 'EXECUTE'),
  'calls', (
    select coalesce(json_agg(distinct coalesce(o.oprcode::oid, d.refobjid)::text), '[]')
    from pg_depend d left join pg_operator o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
    where d.classid = 'pg_proc'::regclass and d.objid = f.oid
      and d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass))
) order by n.nspname, f.proname, f.oid), '[]')::text as facts
from app, pg_proc f join pg_namespace n on n.oid = f.pronamespace
where ${USER_SCHEMA} and not exists (
  select from pg_depend e where e.classid = 'pg_proc'::regclass and e.objid = f.oid and e.deptype = 'e')`

/**
 * Views through which rows of tenants are read. In a tenant's own schemas these are all that read a table, for there
 * each row is a tenant's; what they read outside of them is strange, be it a table or a view.
 */
export const VIEWS_SQL = `
with recursive ${TENANT_TABLES},
app as (select r.oid from pg_roles r, parameters p where r.rolname = p.role_name),
own_sources as (
  select d.refobjid as oid
  from parameters p join pg_namespace n on n.nspname = any (p.schemas)
  join pg_class v on v.relnamespace = n.oid and v.relkind = 'v'
  join pg_rewrite r on r.ev_class = v.oid
  join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
  join pg_class c on c.oid = d.refobjid
  join pg_namespace s on s.oid = c.relnamespace and s.nspname not in ('pg_catalog', 'information_schema')
  where p.own and (c.relkind <> 'v' or s.nspname <> all (p.schemas)) and not s.nspname || '.' || c.relname = any (p.globals)
),
readers as (
  select s.oid, s.oid as reads from (select oid from tenant_tables union select oid from own_sources) s
  union
  select r.ev_class, x.reads
  from readers b
  join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = b.oid
    and d.classid = 'pg_rewrite'::regclass
  join pg_rewrite r on r.oid = d.objid and r.ev_class <> b.oid
  cross join lateral (values (b.oid), (b.reads)) as x (reads)
)
select coalesce(json_agg(json_build_object(
  'schema', n.nspname, 'name', c.relname, 'materialized', c.relkind = 'm',
  'invoker', exists (
    select from pg_options_to_table(c.reloptions) o
    where o.option_name = 'security_invoker' and o.option_value::boolean),
  'reads', (
    select coalesce(json_agg(distinct rn.nspname || '.' || rc.relname), '[]')
    from readers r join pg_class rc on rc.oid = r.reads join pg_namespace rn on rn.oid = rc.relnamespace
    where r.oid = c.oid),
  'rights', (
    select coalesce(json_agg(kind order by kind), '[]')
    from unnest(array['select', 'insert', 'update', 'delete']) kind
    where has_table_privilege(app.oid, c.oid, kind)
      or kind <> 'delete' and has_any_column_privilege(app.oid, c.oid, kind)),
  'strange', (
    select coalesce(json_agg(distinct sn.nspname || '.' || sc.relname), '[]')
    from pg_rewrite r
    join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
    join pg_class sc on sc.oid = d.refobjid and sc.oid <> c.oid
    join pg_namespace sn on sn.oid = sc.relnamespace
    where r.ev_class = c.oid
      and case when p.own then not sn.nspname = any (p.schemas || '{pg_catalog}') else sc.relkind <> 'v' end and not sn.nspname || '.' || sc.relname = any (p.globals)
      and sc.oid not in (select oid from tenant_tables) and has_any_column_privilege(app.oid, sc.oid, 'select'))
) order by n.nspname, c.relname), '[]')::text as facts
from app, parameters p, pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('v', 'm') and (
  c.oid in (select oid from readers) or n.nspname = any (p.schemas) and exists (
    select from pg_attribute a where a.attrelid = c.oid and a.attname = p.column_name))`

/** Tables that are listed as global, as far as they have no tenant column. */
export const GLOBALS_SQL = `
with ${PARAMETERS},
app as (select r.oid from pg_roles r, parameters p where r.rolname = p.role_name)
select coalesce(json_agg(json_build_object(
  'schema', n.nspname, 'name', c.relname,
  'rights', (
    select coalesce(json_agg(kind order by kind), '[]')
    from unnest(array['insert', 'update', 'delete', 'truncate', 'references', 'trigger']) kind
    where has_table_privilege(app.oid, c.oid, kind)
      or kind in ('insert', 'update', 'references') and has_any_column_privilege(app.oid, c.oid, kind))
) order by n.nspname, c.relname), '[]')::text as facts
from app, parameters p, pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname || '.' || c.relname = any (p.globals) and not exists (
  select from pg_attribute a where a.attrelid = c.oid and a.attname = p.column_name and not a.attisdropped)`

/** Tables of the schema shardgate that the app role may change, as 'shardgate.tenant_fence'. */
export const OWN_TABLES_SQL = `
with ${PARAMETERS},
app as (select r.oid from pg_roles r, parameters p where r.rolname = p.role_name)
select coalesce(json_agg(n.nspname || '.' || c.relname order by c.relname), '[]')::text as facts
from app, pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'shardgate' and c.relkind in ('r', 'p', 'v', 'f') and exists (
  select from unnest(array['insert', 'update', 'delete', 'truncate', 'references', 'trigger']) kind
  where has_table_privilege(app.oid, c.oid, kind) and not (c.relname = 'idempotency'
    and kind in ('insert', 'delete') and c.relrowsecurity and c.relforcerowsecurity))`
