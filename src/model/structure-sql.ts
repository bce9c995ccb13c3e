/**
 * The query behind structure.ts. Parameter: $1 the served schemas. It gives one row, `lines`, a JSON
 * array of texts. What belongs to an extension is left out; so are the constraints that a column says itself (not null)
 * and what partitions have from their parent.
 */

const NOT_OF_EXTENSION = (catalog: string, oid: string): string => `not exists (
  select from pg_depend e where e.classid = '${catalog}'::regclass and e.objid = ${oid} and e.deptype = 'e')`

// Names of schemas other than the own one are said; the own one is the search path.
const nameOf = (schema: string, name: string): string =>
  `(case when ${schema} = ($1::text[])[1] then '' else quote_ident(${schema}) || '.' end || quote_ident(${name}))`

// Rights of the owner, and of the role that imports and moves tenants, say nothing of what is served.
const grantsOn = (acl: string, kind: string, owner: string): string => `
  select case when g.grantee = 0 then 'public' else g.grantee::regrole::text end as who,
    string_agg(lower(g.privilege_type) || case when g.is_grantable then ' with grant option' else '' end, ', '
      order by g.privilege_type) as rights
  from aclexplode(coalesce(${acl}, acldefault('${kind}', ${owner}))) g
  where g.grantee <> ${owner} and g.grantee <> coalesce(to_regrole('shardgate_mover'), 0)
  group by 1`

export const STRUCTURE_SQL = `
with schemas as (
  select n.oid, n.nspname from pg_namespace n where n.nspname = any ($1::text[])
), relations as (
  select c.*, ${nameOf('n.nspname', 'c.relname')} as id
  from pg_class c join schemas n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and ${NOT_OF_EXTENSION('pg_class', 'c.oid')}
), lines (line) as (
  select format('%s %s%s%s%s%s%s',
    case relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
      when 'm' then 'materialized view' when 'f' then 'foreign table' else 'sequence' end,
    id,
    case when relkind = 'p' then ' by ' || pg_get_partkeydef(oid) else '' end,
    case when relispartition then ' ' || pg_get_expr(relpartbound, oid) else '' end,
    case when relkind in ('r', 'p') then
      case when relrowsecurity then ', row security' else ', no row security' end
        || case when relforcerowsecurity then ' forced' else '' end else '' end,
    case when relkind in ('v', 'm') then ': ' || pg_get_viewdef(oid) else '' end,
    coalesce(' with ' || array_to_string(reloptions, ', '), '')
      || case when relowner <> coalesce(to_regrole('shardgate_owner'), relowner) then ', owned by ' || relowner::regrole::text else '' end)
  from relations
  union all
  select format('inherits %s from %s', r.id, ${nameOf('pn.nspname', 'p.relname')})
  from relations r join pg_inherits i on i.inhrelid = r.oid
  join pg_class p on p.oid = i.inhparent join pg_namespace pn on pn.oid = p.relnamespace
  union all
  select format('column %s.%I %s%s%s%s', r.id, a.attname, format_type(a.atttypid, a.atttypmod),
    case when a.attcollation <> t.typcollation and a.attcollation <> 0 then ' collate ' || a.attcollation::regcollation::text else '' end,
    case when a.attnotnull then ' not null' else '' end,
    case when a.attidentity <> '' then ' identity ' || case a.attidentity when 'a' then 'always' else 'by default' end
      when a.attgenerated <> '' then ' generated ' || pg_get_expr(d.adbin, d.adrelid)
      when d.adbin is not null then ' default ' || pg_get_expr(d.adbin, d.adrelid) else '' end)
  from relations r
  join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  join pg_type t on t.oid = a.atttypid
  left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
  where r.relkind <> 'S'
  union all
  select format('constraint %s.%I %s', r.id, k.conname, pg_get_constraintdef(k.oid, true))
  from relations r join pg_constraint k on k.conrelid = r.oid
  where k.contype not in ('n', 't') and not (k.conparentid <> 0 and k.contype = 'f')
  union all
  select format('index %s.%I %s%s', r.id, x.relname,
    regexp_replace(pg_get_indexdef(i.indexrelid, 0, true), '^CREATE (UNIQUE )?INDEX .*? ON (ONLY )?.*? USING ', '\\1'),
    case when i.indisvalid then '' else ' (invalid)' end)
  from relations r join pg_index i on i.indrelid = r.oid join pg_class x on x.oid = i.indexrelid
  union all
  select format('policy %s.%I %s for %s to %s%s%s', r.id, p.polname,
    case when p.polpermissive then 'permissive' else 'restrictive' end,
    case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
    (select string_agg(case when o = 0 then 'public' else o::regrole::text end, ', ' order by 1) from unnest(p.polroles) o),
    coalesce(' using (' || pg_get_expr(p.polqual, p.polrelid) || ')', ''),
    coalesce(' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', ''))
  from relations r join pg_policy p on p.polrelid = r.oid
  union all
  select format('trigger %s.%I %s%s', r.id, t.tgname, pg_get_triggerdef(t.oid, true),
    case t.tgenabled when 'O' then '' when 'D' then ' (disabled)' else format(' (%s)', t.tgenabled) end)
  from relations r join pg_trigger t on t.tgrelid = r.oid where not t.tgisinternal
  union all
  select format('rule %s.%I %s', r.id, w.rulename, pg_get_ruledef(w.oid, true))
  from relations r join pg_rewrite w on w.ev_class = r.oid where w.rulename <> '_RETURN'
  union all
  select format('%s %s(%s)%s %s %s%s%s: %s',
    case f.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end,
    ${nameOf('n.nspname', 'f.proname')}, pg_get_function_arguments(f.oid),
    coalesce(' returns ' || pg_get_function_result(f.oid), ''), l.lanname,
    case f.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
    case when f.prosecdef then ' security definer' else '' end,
    coalesce(' set ' || array_to_string(f.proconfig, ', '), ''),
    coalesce(pg_get_function_sqlbody(f.oid), f.prosrc))
  from pg_proc f join schemas n on n.oid = f.pronamespace join pg_language l on l.oid = f.prolang
  where ${NOT_OF_EXTENSION('pg_proc', 'f.oid')}
  union all
  select format('type %s %s%s', ${nameOf('n.nspname', 't.typname')},
    case t.typtype when 'e' then 'enum (' || (
        select string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid) || ')'
      when 'd' then 'domain over ' || format_type(t.typbasetype, t.typtypmod)
        || case when t.typnotnull then ' not null' else '' end || coalesce(' default ' || t.typdefault, '')
        || coalesce((select ' ' || string_agg(pg_get_constraintdef(k.oid, true), ' ' order by k.conname)
          from pg_constraint k where k.contypid = t.oid and k.contype = 'c'), '')
      when 'c' then '(' || (
        select string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' order by a.attnum)
        from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) || ')'
      else 'range' end,
    coalesce(' comment ' || quote_literal(obj_description(t.oid, 'pg_type')), ''))
  from pg_type t join schemas n on n.oid = t.typnamespace
  left join pg_class c on c.oid = t.typrelid
  where (t.typtype in ('e', 'd', 'r') or t.typtype = 'c' and c.relkind = 'c') and ${NOT_OF_EXTENSION('pg_type', 't.oid')}
  union all
  select format('comment on %s%s: %s', r.id, coalesce('.' || quote_ident(a.attname), ''), d.description)
  from relations r join pg_description d on d.classoid = 'pg_class'::regclass and d.objoid = r.oid
  left join pg_attribute a on a.attrelid = r.oid and a.attnum = d.objsubid and d.objsubid > 0
  union all
  select format('comment on constraint %s.%I: %s', r.id, k.conname, d.description)
  from relations r join pg_constraint k on k.conrelid = r.oid
  join pg_description d on d.classoid = 'pg_constraint'::regclass and d.objoid = k.oid
  union all
  select format('grant on %s to %s: %s', r.id, g.who, g.rights)
  from relations r cross join lateral (${grantsOn('r.relacl', 'r', 'r.relowner')}) g
  where r.relkind <> 'S'
  union all
  select format('grant on %s to %s: %s', r.id, g.who, g.rights)
  from relations r cross join lateral (${grantsOn('r.relacl', 's', 'r.relowner')}) g
  where r.relkind = 'S'
  union all
  select format('grant on %s.%I to %s: %s', r.id, a.attname, g.who, g.rights)
  from relations r join pg_attribute a on a.attrelid = r.oid and a.attacl is not null and not a.attisdropped
  cross join lateral (${grantsOn('a.attacl', 'c', 'r.relowner')}) g
  union all
  select format('grant on %s(%s) to %s: %s', ${nameOf('n.nspname', 'f.proname')},
    pg_get_function_identity_arguments(f.oid), g.who, g.rights)
  from pg_proc f join schemas n on n.oid = f.pronamespace
  cross join lateral (${grantsOn('f.proacl', 'f', 'f.proowner')}) g
  where ${NOT_OF_EXTENSION('pg_proc', 'f.oid')}
)
select coalesce(json_agg(line), '[]')::text as lines from lines`
