/**
 * Which tenants have rows on a shard: the distinct values of the tenant column in its tables.
 *
 * Where an index leads with the column the values are found by one jump in it each, so that a table of a
 * hundred million rows and fifty tenants costs fifty jumps; elsewhere the table is read once.
 */

import { fail } from '../base/errors.ts'
import { isTenantId } from '../base/ids.ts'
import type { Client } from '../db/client.ts'
import { compile, type SQL, sql } from '../db/sql.ts'
import { onShard, type ShardAccess } from './reach.ts'

/** What one table says. */
export interface TableValues {
  /** 'schema.name'. */
  readonly table: string
  /** Distinct values as Postgres text. */
  readonly values: readonly string[]
  /** Rows of each value that is no tenant id. */
  readonly misfits: ReadonlyMap<string, number>
  /** Rows without a tenant. */
  readonly nulls: number
}

interface TenantTable {
  readonly schema: string
  readonly name: string
  readonly type: { readonly schema: string; readonly name: string }
  readonly nullable: boolean
  /** Whether a whole b-tree index starts with the tenant column. */
  readonly indexed: boolean
  readonly readable: boolean
  /** Whether policies hold for this role. */
  readonly policed: boolean
  /** Whether those policies let every row through: a permissive one without a condition, no restrictive one. */
  readonly open: boolean
  /** Rows, as Postgres estimates them; -1 when it has never looked. */
  readonly rows: number
}

/** A column with more values than this holds something else than tenants, and the list of it must fit in memory. */
const VALUES_MAX = 1_000_000

/**
 * Read one shard, table by table, in read-only statements of their own.
 *
 * @param report  told before each table which one it is
 * @throws SHARD_UNAVAILABLE  the shard cannot be reached
 * @throws SETUP_FAILED       the connection would not see every row, or a column has too many values
 */
export function readTenantValues(
  shard: ShardAccess,
  tenancy: { readonly column: string; readonly schemas: readonly string[] },
  report: (sentence: string) => void = () => {},
): Promise<TableValues[]> {
  return onShard(shard, async (client) => {
    await client.query('set session characteristics as transaction read only')
    const tables = await tablesOf(client, tenancy.column, tenancy.schemas)
    await requireSight(client, shard.key, tables)
    const read: TableValues[] = []
    for (const [i, table] of tables.entries()) {
      const size = table.indexed || table.rows < 0 ? '' : `, about ${table.rows} rows to read`
      report(`${shard.key}: ${idOf(table)} (${i + 1} of ${tables.length}${size})`)
      // Off, a policy that would hide rows is an error: tenants must not be missed in silence.
      await client.query(`set row_security = ${table.open ? 'on' : 'off'}`)
      read.push(await valuesOf(client, table, tenancy.column))
    }
    return read
  })
}

async function tablesOf(client: Client, column: string, schemas: readonly string[]): Promise<TenantTable[]> {
  const [row] = await client.query(
    compile(sql`
      select coalesce(json_agg(json_build_object(
        'schema', n.nspname, 'name', c.relname, 'nullable', not a.attnotnull, 'rows', c.reltuples::bigint,
        'type', json_build_object('schema', tn.nspname, 'name', t.typname),
        'readable', has_table_privilege(c.oid, 'select') and has_schema_privilege(n.oid, 'usage'),
        'policed', row_security_active(c.oid),
        'open', (
          select coalesce(bool_or(p.polpermissive and pg_get_expr(p.polqual, p.polrelid) = 'true'), false)
            and not coalesce(bool_or(not p.polpermissive), false)
          from pg_policy p
          where p.polrelid = c.oid and p.polcmd in ('*', 'r') and exists (
            select from unnest(p.polroles) role where role = 0 or pg_has_role(role, 'usage'))),
        'indexed', exists (
          select from pg_index x
          join pg_class i on i.oid = x.indexrelid
          join pg_am m on m.oid = i.relam and m.amname = 'btree'
          where x.indrelid = c.oid and x.indisvalid and x.indpred is null
            and x.indkey[0] = a.attnum and x.indcollation[0] = a.attcollation)
      ) order by n.nspname, c.relname), '[]')::text as tables
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      join pg_attribute a on a.attrelid = c.oid and a.attname = ${sql.value(column)} and not a.attisdropped
      join pg_type t on t.oid = a.atttypid
      join pg_namespace tn on tn.oid = t.typnamespace
      where n.nspname = any(${sql.value(schemas)}::text[]) and c.relkind in ('r', 'p') and not c.relispartition`),
  )
  return JSON.parse(row?.tables ?? '[]') as TenantTable[]
}

async function requireSight(client: Client, key: string, tables: readonly TenantTable[]): Promise<void> {
  const blind = tables.filter(({ readable, policed, open }) => !readable || (policed && !open))
  if (blind.length === 0) return
  const [me] = await client.query('select current_user as name')
  const lines = blind.map((table) => {
    const why = table.readable ? 'row-level security hides rows of it' : 'it may not be read'
    return `\n  ${idOf(table)}: ${why}`
  })
  fail(
    'SETUP_FAILED',
    `On ${key} the role ${me?.name} does not see every row, and a tenant could be missed. Name a superuser, or ` +
      `a role with BYPASSRLS that may read the tables: --admin-user postgres, its password in ` +
      `SHARDGATE_ADMIN_PASSWORD.${lines.join('')}`,
    { shard: key },
  )
}

async function valuesOf(client: Client, table: TenantTable, column: string): Promise<TableValues> {
  const parts: Parts = {
    from: sql.identifier(table.schema, table.name),
    column: sql.identifier(column),
    type: sql.identifier(table.type.schema, table.type.name),
  }
  const counts = table.indexed
    ? await fromIndex(client, table, parts)
    : await countAll(client, sql`select ${parts.column}::text as id, count(*) from ${parts.from} group by 1`)
  const values = [...counts.keys()].filter((id) => id !== null)
  if (values.length > VALUES_MAX) {
    const what = `${idOf(table)}.${column} has more than ${VALUES_MAX} values`
    fail('SETUP_FAILED', `${what}; wanted a column that says whose a row is. Correct tenancy.column.`)
  }
  const misfits = values.filter((id) => !isTenantId(id)).map((id) => [id, counts.get(id) ?? 0] as const)
  return { table: idOf(table), values, misfits: new Map(misfits), nulls: counts.get(null) ?? 0 }
}

interface Parts {
  readonly from: SQL
  readonly column: SQL
  readonly type: SQL
}

/** Rows by value; null stands for rows without one. Rows of proper tenant ids need not be counted. */
type Counts = Map<string | null, number>

async function fromIndex(client: Client, { nullable }: TenantTable, parts: Parts): Promise<Counts> {
  const { from, column, type } = parts
  const found = await client.query(
    compile(sql`
      with recursive found as (
        (select ${column} as id from ${from} where ${column} is not null order by ${column} limit 1)
        union all
        select (select ${column} from ${from} where ${column} > found.id order by ${column} limit 1)
        from found where found.id is not null
      )
      select id::text from found where id is not null limit ${sql.value(VALUES_MAX + 1)}::int`),
  )
  const ids = found.map(({ id }) => id ?? '')
  const counts: Counts = new Map(ids.map((id) => [id, 0]))
  const misfits = ids.filter((id) => !isTenantId(id))
  const wanted = sql`${column} = any(${sql.value(misfits)}::text[]::${type}[])`
  const where = nullable ? sql`${wanted} or ${column} is null` : wanted
  if (misfits.length === 0 && !nullable) return counts
  const counted = sql`select ${column}::text as id, count(*) from ${from} where ${where} group by 1`
  return new Map([...counts, ...(await countAll(client, counted))])
}

async function countAll(client: Client, select: SQL): Promise<Counts> {
  const rows = await client.query(compile(sql`${select} limit ${sql.value(VALUES_MAX + 2)}::int`))
  return new Map(rows.map(({ id, count }) => [id ?? null, Number(count)]))
}

function idOf({ schema, name }: TenantTable): string {
  return `${schema}.${name}`
}
