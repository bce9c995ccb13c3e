/**
 * The query about tables, and about whatever inherits from them. Parameters and answer are as in catalog-sql.ts.
 */

import { TENANT_TABLES } from './catalog-sql.ts'

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
  'owner', pg_get_userbyid(c.relowner),
  'users', (
    select json_agg(distinct pg_get_userbyid(who) order by pg_get_userbyid(who))
    from (select grantee from aclexplode(c.relacl) union select c.relowner) u (who)
    where who <> app.oid and who <> 0),
  'leaves', ${leavesOf('c.oid')}, 'breadth', ${breadthOf('c.oid')},
  'parents', (
    select coalesce(json_agg(pn.nspname || '.' || pc.relname order by i.inhseqno), '[]')
    from pg_inherits i join pg_class pc on pc.oid = i.inhparent join pg_namespace pn on pn.oid = pc.relnamespace
    where i.inhrelid = c.oid),
  'identity', case when c.relreplident <> 'f' then (
    select coalesce(json_agg(ka.attname), '[]')
    from pg_index x join pg_attribute ka on ka.attrelid = c.oid and ka.attnum = any (x.indkey)
    where x.indrelid = c.oid and (
      c.relreplident = 'd' and x.indisprimary or c.relreplident = 'i' and x.indisreplident)) end,
  'counted', (
    select coalesce(json_agg(ka.attname order by ka.attnum), '[]')
    from pg_attribute ka join pg_index x on x.indrelid = c.oid and x.indisprimary and ka.attnum = any (x.indkey)
    where ka.attrelid = c.oid and (ka.attidentity <> '' or exists (
      select from pg_attrdef ad
      join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = ad.oid and d.refclassid = 'pg_class'::regclass
      join pg_class sc on sc.oid = d.refobjid and sc.relkind = 'S'
      where ad.adrelid = c.oid and ad.adnum = ka.attnum))),
  'opaque', (
    select coalesce(json_agg(ka.attname order by ka.attnum), '[]')
    from pg_attribute ka join pg_type t on t.oid = ka.atttypid
    where ka.attrelid = c.oid and ka.attnum > 0 and not ka.attisdropped
      and (t.oid in ('numeric'::regtype, 'jsonb'::regtype, 'tsvector'::regtype) or t.typcategory = 'A')),
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
      'notNull', not exists (
        select from pg_attribute ka where ka.attrelid = c.oid and ka.attnum = any (x.indkey) and not ka.attnotnull),
      'immediate', x.indimmediate, 'valid', x.indisvalid, 'partial', x.indpred is not null, 'method', am.amname,
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
