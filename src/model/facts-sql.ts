/**
 * What the catalogs do not tell in so many words: what a role may do, what hangs together, and how values compare.
 *
 * `reaching` has the tables whose writes may change other rows: a primary key never changes through the API, so that of
 * the keys that follow a change those to other columns count.
 *
 * $1 are the served schemas, $2 the role (null is the one that asks). One row with one JSON; `facts` is null
 * when there is no such role.
 *
 * A right on the table is one on all its columns, so each column is asked alone. `classes` has the types
 * with a default operator class. Its operator counts where statements look for it: in the type's own schema, as in
 * `operator(extensions.=)`. Through the search path Postgres might find none, or worse, quietly take another
 * type's. A type sorts when it has a `<` there as well: hstore calls its own `#<#`. `stored` says of Postgres's own
 * types which other one they are stored and compared like (varchar like text).
 */

export const FACTS_SQL = `
with recursive asked as (
  select oid, rolname from pg_catalog.pg_roles where rolname = coalesce($2::text, current_user)
),
columns as (
  select c.oid, c.relnamespace, a.attnum,
    has_column_privilege(asked.oid, c.oid, a.attnum, 'select') as readable,
    has_column_privilege(asked.oid, c.oid, a.attnum, 'insert') as creatable,
    has_column_privilege(asked.oid, c.oid, a.attnum, 'update') as updatable
  from asked, pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  where n.nspname = any($1::text[]) and c.relkind in ('r', 'p', 'v')
),
-- A table with all its partitions and heirs, which may have triggers of their own.
family as (
  select distinct c.oid as head, c.oid as member from columns c
  union
  select f.head, i.inhrelid from family f join pg_catalog.pg_inherits i on i.inhparent = f.member
),
reaching as (
  select f.head
  from family f
  where exists (select from pg_catalog.pg_trigger t where t.tgrelid = f.member and not t.tgisinternal and t.tgenabled <> 'D')
    or exists (select from pg_catalog.pg_rewrite r where r.ev_class = f.member and r.rulename <> '_RETURN')
    or exists (
      select from pg_catalog.pg_constraint k
      where k.contype = 'f' and k.confrelid = f.member and k.confupdtype in ('c', 'n', 'd')
        and not exists (
          select from pg_catalog.pg_constraint p
          where p.contype = 'p' and p.conrelid = k.confrelid and k.confkey <@ p.conkey
        )
    )
),
-- Policies that look at other tables, or at functions that may: those of Shardgate look at none, Postgres's are not listed.
depending as (
  select f.head
  from family f
  join pg_catalog.pg_policy p on p.polrelid = f.member
  join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = p.oid
  left join pg_catalog.pg_proc called on d.refclassid = 'pg_catalog.pg_proc'::regclass and called.oid = d.refobjid
  where d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> p.polrelid
    or called.oid is not null and called.pronamespace is distinct from to_regnamespace('shardgate')
),
rights as (
  select jsonb_build_object(
    'oid', c.oid::text,
    'usage', has_schema_privilege((select oid from asked), c.relnamespace, 'usage'),
    'delete', has_table_privilege((select oid from asked), c.oid, 'delete'),
    'reaches', c.oid in (select head from reaching),
    'depends', c.oid in (select head from depending),
    'select', coalesce(jsonb_agg(c.attnum) filter (where c.readable), '[]'),
    'insert', coalesce(jsonb_agg(c.attnum) filter (where c.creatable), '[]'),
    'update', coalesce(jsonb_agg(c.attnum) filter (where c.updatable), '[]')
  ) as facts
  from columns c
  group by c.oid, c.relnamespace
),
classes as (
  select o.opcintype as type, bool_or(m.amname = 'btree' and usable and less) as sorts, bool_or(usable) as matches
  from pg_catalog.pg_opclass o
  join pg_catalog.pg_am m on m.oid = o.opcmethod and m.amname in ('btree', 'hash')
  join pg_catalog.pg_amop p on p.amopfamily = o.opcfamily
    and p.amopstrategy = case m.amname when 'btree' then 3 else 1 end
    and p.amoplefttype = o.opcintype and p.amoprighttype = o.opcintype
  cross join lateral (
    select e.oprnamespace = t.typnamespace and e.oprname = '=' as usable,
      exists (
        select from pg_catalog.pg_operator l
        where l.oprname = '<' and l.oprnamespace = t.typnamespace and l.oprleft = t.oid and l.oprright = t.oid
      ) as less
    from pg_catalog.pg_operator e, pg_catalog.pg_type t where e.oid = p.amopopr and t.oid = o.opcintype
  ) as found
  where o.opcdefault
  group by o.opcintype
)
select jsonb_build_object(
  'role', asked.rolname,
  'rights', (select coalesce(jsonb_agg(facts), '[]') from rights),
  'classes', (select jsonb_object_agg(type::text, case when sorts then 'order' when matches then 'equality' else 'none' end)
    from classes),
  'stored', (select jsonb_object_agg(castsource::text, casttarget::text)
    from pg_catalog.pg_cast join classes on type = casttarget
    where castmethod = 'b' and castcontext = 'i' and castsource < 16384)
) as facts
from asked`
