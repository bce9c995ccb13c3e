/**
 * All that a directory and its shards hold, as sorted lines: roles, databases, schemas, tables with their rights, and
 * every row. Equal before and after what must change nothing, and readable where it is not.
 *
 *     expect(await stateOf(fleet)).toEqual(before)
 */

import type pg from 'pg'
import type { TestFleet } from './fleet.ts'
import { withPg } from './server-copies.ts'

export interface StateOptions {
  /** Leave out moments, numbers of operations and receipts, and the logs: what differs when the same is done twice. */
  readonly lasting?: boolean
}

/** Of each table what differs from run to run; true for the whole table. */
const PASSING: Readonly<Record<string, true | readonly string[]>> = {
  'directory.audit': true,
  'directory.operation': true,
  'directory.receipt': ['id', 'body', 'hash'],
  'directory.export': ['id'],
  'directory.tombstone': ['receipt'],
}

/** @returns lines of 'place what'; places are 'directory', shard keys, and names of tenants' own databases */
export async function stateOf(fleet: TestFleet, options: StateOptions = {}): Promise<string[]> {
  const lines: string[] = []
  const shardIds = await withPg(fleet.directoryUrl, async (db) => {
    lines.push(...(await databaseLines(db, 'directory', options)))
    return idsOf(db)
  })
  for (const shard of fleet.shards) {
    const own = await withPg(shard.superuserUrl, async (db) => {
      lines.push(...(await databaseLines(db, shard.key, options)))
      const prefix = `shardgate_${(shardIds.get(shard.key) ?? 'none').replaceAll('-', '').slice(0, 8)}_`
      lines.push(...(await ownLines(db, shard.key, prefix)))
      return ownDatabases(db, prefix)
    })
    for (const name of own) {
      const url = Object.assign(new URL(shard.superuserUrl), { pathname: `/${name}` }).href
      lines.push(...(await withPg(url, (db) => databaseLines(db, name, options))))
    }
  }
  return lines.sort()
}

async function idsOf(db: pg.Client): Promise<Map<string, string>> {
  const { rows } = await db.query('select key, id::text from directory.shard')
  return new Map(rows.map(({ key, id }) => [key, id]))
}

async function ownDatabases(db: pg.Client, prefix: string): Promise<string[]> {
  const { rows } = await db.query(
    'select datname from pg_database where starts_with(datname, $1) and datallowconn order by 1',
    [prefix],
  )
  return rows.map(({ datname }) => datname)
}

/** Roles and databases that belong to tenants of a shard. */
async function ownLines(db: pg.Client, place: string, prefix: string): Promise<string[]> {
  const { rows } = await db.query(
    `select concat_ws(' ', 'database', datname, pg_get_userbyid(datdba), datallowconn,
        (select array_agg(a::text order by a::text) from unnest(datacl) a)) as line
      from pg_database where starts_with(datname, $1)
      union all
      select concat_ws(' ', 'role', r.rolname, r.rolcanlogin, r.rolinherit, r.rolsuper, r.rolbypassrls,
        (select array_agg(m.roleid::regrole::text || '<' || m.member::regrole::text || m.admin_option order by 1)
          from pg_auth_members m where r.oid in (m.roleid, m.member)))
      from pg_roles r where starts_with(r.rolname, $1)`,
    [prefix],
  )
  return rows.map(({ line }) => `${place} ${line}`)
}

const SCHEMAS = `n.nspname not in ('information_schema', 'pg_catalog', 'pg_toast') and n.nspname not like 'pg\\_%temp\\_%'`

const STRUCTURE = `
  select concat_ws(' ', 'schema', n.nspname, pg_get_userbyid(n.nspowner),
      (select array_agg(a::text order by a::text) from unnest(n.nspacl) a)) as line
    from pg_namespace n where ${SCHEMAS}
  union all
  select concat_ws(' ', 'relation', c.oid::regclass, c.relkind, pg_get_userbyid(c.relowner), c.relrowsecurity,
      c.relforcerowsecurity, (select array_agg(a::text order by a::text) from unnest(c.relacl) a),
      (select array_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull) order by a.attname)
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped))
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where ${SCHEMAS}
  union all
  select concat_ws(' ', 'constraint', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
    from pg_constraint c join pg_namespace n on n.oid = c.connamespace where c.conrelid <> 0 and ${SCHEMAS}
  union all
  select concat_ws(' ', 'policy', p.polrelid::regclass, p.polname, p.polpermissive, p.polcmd,
      pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    from pg_policy p
  union all
  select concat_ws(' ', 'function', p.oid::regprocedure, pg_get_userbyid(p.proowner), md5(p.prosrc),
      (select array_agg(a::text order by a::text) from unnest(p.proacl) a))
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace where ${SCHEMAS}
  union all
  select concat_ws(' ', 'type', t.oid::regtype, pg_get_userbyid(t.typowner),
      (select array_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid))
    from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.typtype in ('e', 'd') and ${SCHEMAS}`

async function databaseLines(db: pg.Client, place: string, options: StateOptions): Promise<string[]> {
  await db.query(`set search_path = ''`)
  const { rows } = await db.query(STRUCTURE)
  const lines: string[] = rows.map(({ line }) => `${place} ${line}`)
  const tables = await db.query(`
    select n.nspname || '.' || c.relname as id, c.oid::regclass::text as name, coalesce((
        select array_agg(a.attname::text) from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and a.atttypid = 'timestamptz'::regtype), '{}') as moments
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and ${SCHEMAS}`)
  for (const { id, name, moments } of tables.rows) {
    const passing = options.lasting ? PASSING[id] : []
    if (passing === true) continue
    const without = options.lasting ? [...moments, ...(passing ?? [])] : []
    const found = await db.query(`select (to_jsonb(t) - $1::text[])::text as row from ${name} t`, [without])
    lines.push(...found.rows.map(({ row }) => `${place} row ${id} ${row}`))
  }
  return lines
}

/** What differs between two states, as lines with '+' and '-'. */
export function changesOf(before: readonly string[], after: readonly string[]): string[] {
  const [old, now] = [new Set(before), new Set(after)]
  return [
    ...before.filter((line) => !now.has(line)).map((line) => `- ${line}`),
    ...after.filter((line) => !old.has(line)).map((line) => `+ ${line}`),
  ]
}
