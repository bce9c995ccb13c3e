/**
 * Tables that were in a database before Shardgate came, and belong to roles of their own.
 *
 * Two things are wanted of them: the app role reads and writes their rows, and shardgate_owner may change
 * them, so that migrations can mend what `doctor` finds. The second is had by a membership in the role that
 * owns them, which leaves everything as it is for the programs that use the tables today. A superuser's tables
 * are the exception: nobody is made a member of a superuser, so they change hands only when that is asked for.
 */

import type { Client, Queryable } from '../db/client.ts'
import { compile, type SQL, sql } from '../db/sql.ts'
import { runWritten } from './written.ts'

export interface ExistingTables {
  readonly schemas: readonly string[]
  /** The tenant column. */
  readonly column: string
  /** 'schema.name' of tables without the tenant column that the app role may read. */
  readonly global: readonly string[]
  /** Take ownership of the tables that have the tenant column. */
  readonly own: boolean
}

/**
 * Open the tables that are there, as far as this connection may. Call in a transaction, as the role that has
 * logged in.
 *
 * A table on which the app role has some right already is left as it is: somebody has decided about it. Of
 * tables that shardgate_owner has made, databases.ts takes care.
 *
 * @returns a sentence for each owner whose tables this connection could not open
 */
export async function openExisting(client: Client, tables: ExistingTables): Promise<string[]> {
  const found = existing(tables)
  if (tables.own) await runWritten(client, client.query(compile(sql`${found} ${TAKEN}`)))
  else await runWritten(client, client.query(compile(sql`${found} ${JOINED}`)))
  for (const grants of [ROWS, MOVED_ROWS, SEQUENCES]) {
    await runWritten(client, client.query(compile(sql`${found} ${grants}`)))
  }
  const left = await client.query(compile(sql`${found} ${LEFT}`))
  return left.map(({ sentence }) => sentence ?? '')
}

/**
 * Tables of others, as 'schema.name', that have come since the set-up: the app role has no right on them yet.
 * Empty where there is no app role. Changes nothing.
 */
export async function unopenedTables(db: Queryable, tables: Omit<ExistingTables, 'own'>): Promise<string[]> {
  const rows = await db.query(
    compile(sql`
      ${existing(tables)}
      select nspname || '.' || relname as id from others
      where rights is not null and not decided and to_regrole('shardgate_app') is not null
      order by 1`),
  )
  return rows.map(({ id }) => id ?? '')
}

/** Tables with the tenant column and what is derived from them, that others than shardgate_owner own. */
function existing({ schemas, column, global }: Omit<ExistingTables, 'own'>): SQL {
  return sql`
    with recursive tenant_tables as (
      select c.oid from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      join pg_attribute a on a.attrelid = c.oid and a.attname = ${sql.value(column)} and not a.attisdropped
      where n.nspname = any(${sql.value(schemas)}::text[]) and c.relkind in ('r', 'p')
      union
      select i.inhrelid from pg_inherits i join tenant_tables t on t.oid = i.inhparent
    ), tenant_views as (
      select c.oid from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      join pg_attribute a on a.attrelid = c.oid and a.attname = ${sql.value(column)}
      where n.nspname = any(${sql.value(schemas)}::text[]) and c.relkind = 'v' and exists (
        select from pg_options_to_table(c.reloptions) o
        where o.option_name = 'security_invoker' and o.option_value::boolean)
    ), others as (
      select c.oid, n.nspname, c.relname, c.relkind, c.relowner, r.rolname as owner,
        c.oid in (select oid from tenant_tables) as has_tenant,
        r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolname like 'pg\\_%' as mighty,
        case when c.relispartition then null
          when c.oid in (select oid from tenant_tables) then 'select, insert, update, delete'
          when c.relkind = 'v' or n.nspname || '.' || c.relname = any(${sql.value(global)}::text[]) then 'select'
        end as rights,
        exists (select from aclexplode(c.relacl) where grantee = to_regrole('shardgate_app'))
          or exists (
            select from pg_attribute a, aclexplode(a.attacl) g
            where a.attrelid = c.oid and g.grantee = to_regrole('shardgate_app')) as decided
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      join pg_roles r on r.oid = c.relowner
      where r.rolname <> 'shardgate_owner'
        and (c.oid in (select oid from tenant_tables union all select oid from tenant_views)
          or n.nspname || '.' || c.relname = any(${sql.value(global)}::text[]))
    )`
}

// A partition has an owner of its own, and a view stays what it is: it reads with the rights of its caller.
const TAKEN = sql`
  select format('alter table %I.%I owner to shardgate_owner', nspname, relname) as statement
  from others where has_tenant and pg_has_role(relowner, 'usage')`

const JOINED = sql`
  select format('grant %I to shardgate_owner', owner) as statement
  from others
  where not mighty and has_tenant and not pg_has_role('shardgate_owner', relowner, 'usage')
    and (pg_has_role(relowner, 'member with admin option')
      or current_setting('server_version_num')::int < 160000
        and (select rolcreaterole from pg_roles where rolname = current_user))
  group by owner`

const ROWS = sql`
  select format('grant %s on %I.%I to shardgate_app', rights, nspname, relname) as statement
  from others where rights is not null and not decided and pg_has_role(relowner, 'usage')`

// For exports, imports and moves. What anybody has decided for the app role says nothing of the mover.
const MOVED_ROWS = sql`
  select format('grant %s on %I.%I to shardgate_mover',
    case when has_tenant then 'select, insert, update, delete' else 'select' end, nspname, relname) as statement
  from others
  where rights is not null and pg_has_role(relowner, 'usage')
    and not has_table_privilege('shardgate_mover', oid, case when has_tenant then 'update' else 'select' end)`

// The sequences that the defaults of these tables draw from; an identity column needs no right.
const SEQUENCES = sql`
  select format('grant usage on sequence %I.%I to shardgate_app', sn.nspname, s.relname) as statement
  from others t
  join pg_attrdef d on d.adrelid = t.oid
  join pg_depend p on p.classid = 'pg_attrdef'::regclass and p.objid = d.oid and p.refclassid = 'pg_class'::regclass
  join pg_class s on s.oid = p.refobjid and s.relkind = 'S' and pg_has_role(s.relowner, 'usage')
  join pg_namespace sn on sn.oid = s.relnamespace
  where t.has_tenant
    -- in a CASE, because the planner may ask before it has left out what is no sequence
    and case when s.relkind = 'S' then not has_sequence_privilege('shardgate_app', s.oid, 'usage') end
  group by sn.nspname, s.relname`

const LEFT = sql`
  select format('%s tables belong to %s (%s), ', count(*), owner, min(nspname || '.' || relname)
      || case when count(*) > 1 then ', …' else '' end)
    || case
      when mighty then format('a role too mighty to be shared: shardgate_owner cannot change them. '
        'To hand them over, run setup with --own-tables as %s or a superuser.', owner)
      else format('and shardgate_owner cannot change them. A superuser has to run: grant %I to shardgate_owner;', owner)
    end as sentence
  from others
  where has_tenant and not pg_has_role('shardgate_owner', relowner, 'usage')
  group by owner, mighty`
