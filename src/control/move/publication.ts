/**
 * Publications: which changes of a tenant are sent on.
 *
 * A publication can stop other tenants: as long as there is one, Postgres refuses every UPDATE and DELETE of a table
 * whose rows it cannot name, be it because the table has no replica identity, or because the row filter wants a column
 * that is not in it. So the tables are looked at again in the transaction that makes the publication, when its own lock
 * keeps everybody from changing them, and where one is not fit, nothing is published.
 *
 * TRUNCATE passes over filters and is never published. Without ONLY, what inherits from a table would come twice.
 */

import { fail } from '../../base/errors.ts'
import type { Client, Queryable } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { quoted } from '../../model/quote.ts'
import type { CopyTable, HomeOf } from '../copy/tables.ts'
import { IDEMPOTENCY } from './moved-tables.ts'

/** Milliseconds that CREATE PUBLICATION waits for a change of structure that is under way. */
const LOCK_MS = 5_000

export interface Publication {
  readonly name: string
  readonly where: HomeOf
  readonly tables: readonly CopyTable[]
}

/**
 * Make a publication; one of that name with the same tables stays, another one is replaced. Call as owner.
 *
 * @throws REFUSED       a table could not be changed any more, each with what to type; nothing is published
 * @throws SETUP_FAILED  the owner may not publish
 */
export async function makePublication(client: Client, publication: Publication): Promise<void> {
  const { name, tables, where } = publication
  await client.transaction(async () => {
    await client.query(`set local lock_timeout = ${LOCK_MS}`)
    if (!(await isPublished(client, publication))) {
      await run(client, sql`drop publication if exists ${sql.identifier(name)}`)
      const list = tables.map((table) => published(table, where))
      await lock(client, tables)
      const what = list.length > 0 ? sql` for table ${sql.join(list, ', ')}` : sql.blank
      await run(
        client,
        sql`create publication ${sql.identifier(name)}${what}
          with (publish = 'insert, update, delete', publish_via_partition_root = true)`,
      )
    }
    const faults = await publishingFaults(client, where, tables)
    if (faults.length > 0) fail('REFUSED', faults.join('\n'), {}, { hint: 'Nothing was published.' })
  })
}

// CREATE PUBLICATION locks a partitioned table and not its parts.
async function lock(client: Client, tables: readonly CopyTable[]): Promise<void> {
  const names = tables.map(({ schema, name, partitioned }) => {
    const only = partitioned ? sql.blank : sql`only `
    return sql`${only}${sql.identifier(schema, name)}`
  })
  if (names.length > 0)
    await run(client, sql`lock table ${sql.join(names, ', ')} in share update exclusive mode`)
}

export async function dropPublication(client: Client, name: string): Promise<void> {
  await client.transaction(async () => {
    await client.query(`set local lock_timeout = ${LOCK_MS}`)
    await run(client, sql`drop publication if exists ${sql.identifier(name)}`)
  })
}

/** Whether a publication is of these tables, and of no others. */
export async function isPublished(
  db: Queryable,
  { name, tables }: Pick<Publication, 'name' | 'tables'>,
): Promise<boolean> {
  const rows = await db.query(
    compile(sql`
      select n.nspname || '.' || c.relname as id from pg_publication p
      join pg_publication_rel r on r.prpubid = p.oid
      join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
      where p.pubname = ${sql.value(name)} and p.pubviaroot and not p.pubtruncate
      order by 1`),
  )
  const wanted = tables.map(({ schema, name: table }) => `${schema}.${table}`).sort()
  return rows.length > 0 && JSON.stringify(rows.map(({ id }) => id).sort()) === JSON.stringify(wanted)
}

/** Whether only a part of a table's rows is the tenant's. */
export const isFiltered = ({ id, tenant }: CopyTable, { home }: Pick<HomeOf, 'home'>): boolean =>
  tenant !== null && (home.isolation === 'shared' || id === IDEMPOTENCY)

function published(table: CopyTable, where: HomeOf): SQL {
  const only = table.partitioned ? sql.blank : sql`only `
  const name = sql`${only}${sql.identifier(table.schema, table.name)}`
  if (!table.tenant || !isFiltered(table, where)) return name
  // A statement about publications takes no parameters; an id is of letters, digits and dashes (base/ids.ts).
  return sql`${name} where (${sql.identifier(table.tenant.column)} = ${sql.literal(where.tenant)})`
}

/**
 * Why tables could not be changed any more, or not be followed, while they are published: a sentence each, with what
 * to type. Tables that are partitioned are looked at part by part.
 *
 * @param where  the home that the tables are in, or would be
 */
export async function publishingFaults(
  db: Queryable,
  where: Pick<HomeOf, 'home'>,
  tables: readonly CopyTable[],
): Promise<string[]> {
  if (tables.length === 0) return []
  const asked = tables.map(({ schema, name, tenant }) => ({ schema, name, column: tenant?.column ?? null }))
  const rows = await db.query(
    compile(sql`
      select t.schema, t.name, n.nspname as part_schema, c.relname as part, c.relpersistence as kept,
        c.relreplident = 'f' or exists (
          select from pg_index i
          where i.indrelid = c.oid and case c.relreplident when 'd' then i.indisprimary else i.indisreplident end
            and c.relreplident <> 'n' and i.indimmediate and i.indisvalid) as named,
        c.relreplident = 'f' or exists (
          select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attname = t.column
          where i.indrelid = c.oid and case c.relreplident when 'd' then i.indisprimary else i.indisreplident end
            and c.relreplident <> 'n' and i.indimmediate and i.indisvalid
            and a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1])) as covered,
        exists (
          select from pg_attribute a
          left join pg_index i on i.indrelid = c.oid
            and case c.relreplident when 'd' then i.indisprimary else i.indisreplident end
          where a.attrelid = c.oid and a.attgenerated <> '' and not a.attisdropped
            and (c.relreplident = 'f' and current_setting('server_version_num')::int >= 180000
              or a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1]))) as computed,
        pg_has_role(c.relowner, 'usage') as mine, pg_get_userbyid(c.relowner) as owner,
        coalesce((
          select y.typnamespace <> 'pg_catalog'::regnamespace from pg_attribute a join pg_type y on y.oid = a.atttypid
          where a.attrelid = c.oid and a.attname = t.column and not a.attisdropped), false) as strange
      from jsonb_to_recordset(${sql.value(JSON.stringify(asked))}::jsonb) as t (schema text, name text, "column" text)
      join pg_namespace tn on tn.nspname = t.schema
      join pg_class tc on tc.relnamespace = tn.oid and tc.relname = t.name
      join lateral (
        select tc.oid as id where tc.relkind <> 'p'
        union all select relid from pg_partition_tree(tc.oid) where isleaf and tc.relkind = 'p') as leaf on true
      join pg_class c on c.oid = leaf.id join pg_namespace n on n.oid = c.relnamespace
      order by t.schema, t.name, n.nspname, c.relname`),
  )
  const known = new Map(tables.map((table) => [`${table.schema}.${table.name}`, table]))
  return rows.flatMap((row) => {
    const table = known.get(`${row.schema}.${row.name}`)
    return table ? faultsOf(row, isFiltered(table, where)) : []
  })
}

type Row = Readonly<Record<string, string | null>>

function faultsOf(row: Row, filtered: boolean): string[] {
  const id = `${row.part_schema}.${row.part}`
  const name = quoted(row.part_schema ?? '', row.part ?? '')
  const type = `Type: alter table ${name} replica identity full;`
  const faults: string[] = []
  if (row.mine !== 't') {
    faults.push(
      `${id} belongs to ${row.owner}, so its changes cannot be published. Type: grant ${row.owner} to shardgate_owner;`,
    )
  }
  if (row.kept === 'u') {
    faults.push(`${id} is unlogged, so its changes cannot be followed. Type: alter table ${name} set logged;`)
  }
  if (row.named !== 't') {
    faults.push(
      `${id} has no replica identity: while it is published, nobody could change its rows. Give it a primary key, or: ${type}`,
    )
  } else if (filtered && row.covered !== 't') {
    faults.push(
      `The replica identity of ${id} does not hold the tenant column: while a part of it is published, nobody could change its rows. Let its primary key begin with that column, or: ${type}`,
    )
  }
  if (row.computed === 't') {
    faults.push(
      `The replica identity of ${id} has a generated column, which is not published: while the table is, nobody could change its rows. Type: alter table ${name} replica identity using index …; with a unique index of other columns that are not null.`,
    )
  }
  if (filtered && row.strange === 't') {
    faults.push(`The tenant column of ${id} has a type that Postgres does not filter publications by.`)
  }
  return faults
}

// Statements about publications take no parameters: names stand in them, and the tenant's id.
const run = (client: Client, statement: SQL): Promise<unknown> => client.query(compile(statement).text)
