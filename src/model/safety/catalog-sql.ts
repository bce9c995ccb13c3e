/**
 * The queries behind facts.ts. Parameters: $1 the tenant column, $2 the served schemas, $3 the app
 * role. Each gives one row, `facts`, as JSON text, so that booleans and arrays survive a driver that
 * hands out text.
 */

const USER_SCHEMA = `n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'`

const PARAMETERS = `
  parameters as (
    select $1::text as column_name, $2::text[] as schemas, $3::text as role_name
  )`

// Tables with the tenant column, and whatever inherits from them in any schema.
const TENANT_TABLES = `${PARAMETERS},
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

// The parts of a partitioned table that hold rows; an empty list for any other.
const leavesOf = (oid: string): string => `(
    select coalesce(json_agg(json_build_object('schema', pn.nspname, 'name', pc.relname)
      order by pn.nspname, pc.relname), '[]')
    from pg_partition_tree(${oid}) tree join pg_class pc on pc.oid = tree.relid
    join pg_namespace pn on pn.oid = pc.relnamespace
    where tree.isleaf and pc.oid <> ${oid})`

// How many tables are locked with it: itself, and whatever is a part or a child of it.
const breadthOf = (oid: string): string => `(
    with recursive below as (
      select ${oid} as oid union select i.inhrelid from pg_inherits i join below b on b.oid = i.inhparent)
    select count(*) from below)`

const namesOf = (table: string, columns: string): string => `(
    select coalesce(json_agg(ka.attname order by u.no), '[]')
    from unnest(${columns}) with ordinality u (attnum, no)
    join pg_attribute ka on ka.attrelid = ${table} and ka.attnum = u.attnum)`

// Whether the owner of a table is under policies that may hide rows: what it checks then, it checks in part.
const hidesRows = (table: string): string => `(
    ${table}.relrowsecurity and ${table}.relforcerowsecurity and (
      exists (
        select from pg_policy l where l.polrelid = ${table}.oid and not l.polpermissive and exists (
          select from unnest(l.polroles) who where who = 0 or pg_has_role(${table}.relowner, who, 'USAGE')))
      or not exists (
        select from pg_policy l where l.polrelid = ${table}.oid and l.polpermissive and l.polcmd in ('*', 'r')
          and pg_get_expr(l.polqual, l.polrelid) = 'true' and exists (
            select from unnest(l.polroles) who where who = 0 or pg_has_role(${table}.relowner, who, 'USAGE')))))`

const foreignKeyJson = (k: string): string => `(
  select json_build_object(
    'name', ${k}.conname, 'schema', kn.nspname, 'table', kc.relname, 'leaves', ${leavesOf('kc.oid')},
    'breadth', ${breadthOf('kc.oid')} + ${breadthOf('fc.oid')},
    'columns', ${namesOf(`${k}.conrelid`, `${k}.conkey`)},
    'otherSchema', fn.nspname, 'otherTable', fc.relname, 'otherPartitioned', fc.relkind = 'p',
    'otherColumns', ${namesOf(`${k}.confrelid`, `${k}.confkey`)},
    'ownIsTenant', exists (
      select from pg_attribute fa
      where fa.attrelid = kc.oid and fa.attname = p.column_name and not fa.attisdropped),
    'otherIsTenant', exists (
      select from pg_attribute fa
      where fa.attrelid = fc.oid and fa.attname = p.column_name and not fa.attisdropped),
    'index', (select relname from pg_class where oid = ${k}.conindid),
    'valid', ${k}.convalidated, 'rowsHidden', ${hidesRows('kc')} or ${hidesRows('fc')}, 'deferrable', ${k}.condeferrable, 'deferred', ${k}.condeferred,
    'onDelete', ${k}.confdeltype, 'onUpdate', ${k}.confupdtype,
    'onDeleteColumns', ${namesOf(`${k}.conrelid`, `${k}.confdelsetcols`)},
    'comment', obj_description(${k}.oid, 'pg_constraint'))
  from pg_class kc join pg_namespace kn on kn.oid = kc.relnamespace,
    pg_class fc join pg_namespace fn on fn.oid = fc.relnamespace
  where kc.oid = ${k}.conrelid and fc.oid = ${k}.confrelid)`

export const TABLES_SQL = `
with recursive ${TENANT_TABLES},
app as (select r.oid from pg_roles r, parameters p where r.rolname = p.role_name),
domains as (
  select a.attrelid, t.oid, t.typbasetype, t.typtype, t.typnotnull
  from parameters p, pg_attribute a join pg_type t on t.oid = a.atttypid
  where a.attname = p.column_name and a.attrelid in (select oid from tenant_tables)
  union all
  select d.attrelid, t.oid, t.typbasetype, t.typtype, t.typnotnull
  from domains d join pg_type t on t.oid = d.typbasetype where d.typtype = 'd'
)
select coalesce(json_agg(json_build_object(
  'schema', n.nspname, 'name', c.relname, 'kind', c.relkind, 'isPartition', c.relispartition,
  'owner', pg_get_userbyid(c.relowner), 'leaves', ${leavesOf('c.oid')}, 'breadth', ${breadthOf('c.oid')},
  'parents', (
    select coalesce(json_agg(pn.nspname || '.' || pc.relname order by i.inhseqno), '[]')
    from pg_inherits i join pg_class pc on pc.oid = i.inhparent join pg_namespace pn on pn.oid = pc.relnamespace
    where i.inhrelid = c.oid),
  'rowSecurity', c.relrowsecurity, 'forced', c.relforcerowsecurity,
  'tenantType', (
    select format_type(d.oid, null) from domains d where d.attrelid = c.oid and d.typtype <> 'd' limit 1),
  'tenantNotNull', a.attnotnull and not exists (
      select from pg_constraint k
      where k.conrelid = c.oid and k.contype = 'n' and k.conkey = array[a.attnum] and not k.convalidated) or exists (select from domains d where d.attrelid = c.oid and d.typnotnull),
  'tenantCollationExact', coalesce((select collisdeterministic from pg_collation where oid = a.attcollation), true),
  'checks', (
    select coalesce(json_agg(pg_get_expr(k.conbin, k.conrelid) order by k.conname), '[]') from pg_constraint k
    where k.conrelid = c.oid and k.contype = 'c' and k.convalidated
      and (to_jsonb(k) ->> 'conenforced') is distinct from 'false'),
  'domainChecks', (
    select coalesce(json_agg(pg_get_expr(k.conbin, 0) order by k.conname), '[]')
    from domains d join pg_constraint k on k.contypid = d.oid
    where d.attrelid = c.oid and k.contype = 'c' and k.convalidated),
  'rights', (
    select coalesce(json_agg(kind order by kind), '[]')
    from unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) kind
    where has_table_privilege(app.oid, c.oid, kind)
      or kind in ('select', 'insert', 'update', 'references') and has_any_column_privilege(app.oid, c.oid, kind)),
  'policies', (
    select coalesce(json_agg(json_build_object(
      'name', l.polname, 'permissive', l.polpermissive, 'command', l.polcmd,
      'applies', exists (
        select from unnest(l.polroles) who where who = 0 or pg_has_role(app.oid, who, 'USAGE'))
        and (l.polpermissive or not exists (
          -- SET ROLE takes the app role out of a policy that is for itself alone.
          select from pg_roles m
          where m.oid <> app.oid and pg_has_role(app.oid, m.oid, 'MEMBER')
            and has_table_privilege(m.oid, c.oid, 'select, insert, update, delete')
            and not exists (
              select from unnest(l.polroles) who where who = 0 or pg_has_role(m.oid, who, 'USAGE')))),
      'everyone', 0 = any (l.polroles),
      'using', pg_get_expr(l.polqual, l.polrelid), 'check', pg_get_expr(l.polwithcheck, l.polrelid),
      'calls', (
        select coalesce(json_agg(distinct coalesce(o.oprcode::oid, d.refobjid)::text), '[]')
        from pg_depend d left join pg_operator o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
        where d.classid = 'pg_policy'::regclass and d.objid = l.oid
          and d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass)),
      'operators', (
        select coalesce(json_agg(distinct o.oprname), '[]')
        from pg_depend d join pg_operator o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
        where d.classid = 'pg_policy'::regclass and d.objid = l.oid)
    ) order by l.polname), '[]')
    from pg_policy l where l.polrelid = c.oid),
  'indexes', (
    select coalesce(json_agg(json_build_object(
      'name', ic.relname, 'primary', x.indisprimary, 'unique', x.indisunique, 'exclusion', x.indisexclusion,
      'valid', x.indisvalid, 'partial', x.indpred is not null, 'method', am.amname,
      'body', substr(pg_get_indexdef(x.indexrelid), 1 + length(format('CREATE %sINDEX %I ON %s%I.%I USING %I (',
        case when x.indisunique then 'UNIQUE ' end, ic.relname, case when ic.relkind = 'I' then 'ONLY ' end,
        n.nspname, c.relname, am.amname))),
      'definition', case when x.indisexclusion then pg_get_constraintdef(own.oid) end,
      'constraint', own.oid is not null, 'deferrable', coalesce(own.condeferrable, false),
      'deferred', coalesce(own.condeferred, false), 'identity', x.indisreplident,
      'comment', coalesce(obj_description(own.oid, 'pg_constraint'), obj_description(ic.oid, 'pg_class')),
      'columns', (
        select json_agg(ka.attname order by k.no)
        from unnest(x.indkey::int2[]) with ordinality k (attnum, no)
        left join pg_attribute ka on ka.attrelid = c.oid and ka.attnum = k.attnum and k.attnum <> 0
        where k.no <= x.indnkeyatts),
      'leakproof', (
        select json_agg(coalesce((
          select bool_or(f.proleakproof) from pg_opclass oc
          join pg_amop ao on ao.amopfamily = oc.opcfamily and ao.amoplefttype = oc.opcintype
          join pg_operator o on o.oid = ao.amopopr join pg_proc f on f.oid = o.oprcode
          where oc.oid = k.opclass), true) order by k.no)
        from unnest(x.indclass::oid[]) with ordinality k (opclass, no))
    ) order by ic.relname), '[]')
    from pg_index x join pg_class ic on ic.oid = x.indexrelid join pg_am am on am.oid = ic.relam
    left join pg_constraint own on own.conindid = x.indexrelid and own.conrelid = c.oid and own.contype in ('p', 'u', 'x')
    where x.indrelid = c.oid and not exists (select from pg_inherits i where i.inhrelid = x.indexrelid)),
  'foreignKeys', (
    select coalesce(json_agg(${foreignKeyJson('k')} order by k.conname), '[]')
    from pg_constraint k where k.conrelid = c.oid and k.contype = 'f' and k.conparentid = 0),
  'incoming', (
    select coalesce(json_agg(${foreignKeyJson('k')} order by k.conrelid::regclass::text, k.conname), '[]')
    from pg_constraint k where k.confrelid = c.oid and k.contype = 'f' and k.conparentid = 0)
) order by n.nspname, c.relname), '[]')::text as facts
from parameters p, app, tenant_tables t
join pg_class c on c.oid = t.oid
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid
where a.attname = p.column_name and not a.attisdropped`

export const FUNCTIONS_SQL = `
with ${PARAMETERS},
app as (select r.oid from pg_roles r, parameters p where r.rolname = p.role_name)
select coalesce(json_agg(json_build_object(
  'oid', f.oid::text, 'schema', n.nspname, 'name', f.proname, 'signature', f.oid::regprocedure::text,
  'volatility', f.provolatile, 'definer', f.prosecdef, 'source', f.prosrc,
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

export const VIEWS_SQL = `
with recursive ${TENANT_TABLES},
app as (select r.oid from pg_roles r, parameters p where r.rolname = p.role_name),
readers as (
  select t.oid, t.oid as reads from tenant_tables t
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
    select json_agg(distinct rn.nspname || '.' || rc.relname)
    from readers r join pg_class rc on rc.oid = r.reads join pg_namespace rn on rn.oid = rc.relnamespace
    where r.oid = v.oid),
  'rights', (
    select coalesce(json_agg(kind order by kind), '[]')
    from unnest(array['select', 'insert', 'update', 'delete']) kind
    where has_table_privilege(app.oid, c.oid, kind)
      or kind <> 'delete' and has_any_column_privilege(app.oid, c.oid, kind))
) order by n.nspname, c.relname), '[]')::text as facts
from app, (select distinct oid from readers) v
join pg_class c on c.oid = v.oid and c.relkind in ('v', 'm')
join pg_namespace n on n.oid = c.relnamespace`

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
