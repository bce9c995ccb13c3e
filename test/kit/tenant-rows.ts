/**
 * The rows of one tenant as they are now, and a way back to how they were: what a write has done, seen past the API.
 *
 * What Postgres makes up is the same each time but for the time: uuids are drawn from a sequence, and sequences go back
 * with the rows.
 */

import { type Client, connect } from '../../src/db/client.ts'
import type { Table } from '../../src/model/types.ts'

/** Rows as Postgres text, sorted, by table. */
export type Contents = ReadonlyMap<string, readonly string[]>

export interface TenantRows {
  /** The rows as they were at the start. */
  readonly start: Contents
  read(): Promise<Contents>
  /** Bring back the rows of the tables that differ in `now`, and all sequences. */
  restore(now: Contents): Promise<void>
  end(): Promise<void>
}

/** Let defaults draw uuids from a sequence, and no random numbers. @param client  a superuser */
export async function countDefaults(client: Client): Promise<void> {
  await client.query(`
    create schema counted;
    grant usage on schema counted to public;
    create sequence counted.uuids;
    create function counted.next_uuid() returns uuid language sql security definer as
      $$ select ('ffffffff-0000-4000-8000-' || lpad(to_hex(nextval('counted.uuids')), 12, '0'))::uuid $$;
    do $$
    declare found record;
    begin
      for found in
        select d.adrelid::regclass as id, a.attname, case pg_get_expr(d.adbin, d.adrelid)
          when 'gen_random_uuid()' then 'counted.next_uuid()' when 'random()' then '0.5' end as counted
        from pg_attrdef d join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
      loop
        continue when found.counted is null;
        execute format('alter table %s alter column %I set default %s', found.id, found.attname, found.counted);
      end loop;
    end $$`)
}

/**
 * @param url  of a superuser of the database where the tenant's tables are
 * @param own  the name there of a schema of the model
 */
export async function watchRows(
  url: string,
  tables: readonly Table[],
  tenant: string,
  own: (schema: string) => string = (schema) => schema,
): Promise<TenantRows> {
  const client = await connect(url)
  const owned = tables.filter(({ kind, tenantColumn }) => kind === 'table' && tenantColumn !== null)
  const stored = await storedTables(client, owned, own)
  const reading = stored.map(({ id, name, tenantColumn }) => {
    return `select ${literal(id)} as id, array_agg(t::text order by t::text collate "C") as rows from ${name} t where ${tenantColumn} = ${literal(tenant)}`
  })
  await client.query(
    `prepare reading as select id, to_json(rows)::text as rows from (${reading.join(' union all ')}) found`,
  )
  await client.query(SEQUENCES)
  const read = async (): Promise<Contents> => {
    const found = await client.query('execute reading')
    return new Map(found.map(({ id, rows }) => [id ?? '', JSON.parse(rows ?? '[]') as string[]]))
  }
  const start = await read()
  return {
    start,
    read,
    async restore(now) {
      const changed = stored.filter(({ id }) => start.get(id)?.join('\n') !== now.get(id)?.join('\n'))
      await client.transaction(async () => {
        await client.query(`set local session_replication_role = replica; ${RESET}`)
        for (const { name, tenantColumn } of changed)
          await client.query(`delete from ${name} where ${tenantColumn} = ${literal(tenant)}`)
        for (const { id, type, columns } of changed) {
          const found = columns.map((column) => `(r).${column}`).join(', ')
          await client.query({
            text: `insert into ${type} (${columns.join(', ')}) overriding system value
              select ${found} from (select x::${type} as r from unnest($1::text[]) as x) as given`,
            values: [[...(start.get(id) ?? [])]],
          })
        }
      })
    },
    end: () => client.end(),
  }
}

interface Stored {
  readonly id: string
  /** As it is read: without the rows of tables that inherit from it, but with those of its partitions. */
  readonly name: string
  readonly type: string
  readonly tenantColumn: string
  /** Those that can be written. */
  readonly columns: readonly string[]
}

async function storedTables(
  client: Client,
  tables: readonly Table[],
  own: (schema: string) => string,
): Promise<Stored[]> {
  const rows = await client.query(`
    select n.nspname || '.' || c.relname as id, c.relkind,
      to_json(array_agg(quote_ident(a.attname) order by a.attnum) filter (where a.attgenerated = ''))::text as columns
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relkind in ('r', 'p') group by 1, 2`)
  const known = new Map(rows.map((row) => [row.id, row]))
  return tables.map(({ id, schema, name, tenantColumn }) => {
    const type = `${quoted(own(schema))}.${quoted(name)}`
    const row = known.get(`${own(schema)}.${name}`)
    return {
      id,
      type,
      name: row?.relkind === 'p' ? type : `only ${type}`,
      tenantColumn: quoted(tenantColumn ?? ''),
      columns: JSON.parse(row?.columns ?? '[]') as string[],
    }
  })
}

const SEQUENCES = `create temporary table sequences_at_start as
  select format('%I.%I', schemaname, sequencename)::regclass as id, last_value, start_value from pg_sequences`
const RESET = `select setval(id, coalesce(last_value, start_value), last_value is not null) from sequences_at_start`

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`
const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`
