/**
 * That nobody has changed the tables of a home by hand between the comparison of all rows and the freeze. Migrations of
 * Shardgate's keep away from moving tenants; what is typed at a server does not.
 *
 * A table that is made anew under its old name is in no publication: what is written to it is not followed, and is not
 * among the rows that are known to be touched. TRUNCATE, and columns that come with a value, touch rows without naming
 * them.
 */

import { fail } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import type { HomeOf } from '../copy/tables.ts'
import { publishedTables } from './prepare.ts'
import { isPublished } from './publication.ts'

export interface WatchedTables {
  /** In a few milliseconds, while writes are held. @throws TENANT_BUSY  they are others by now */
  requireSame(): Promise<void>
}

/**
 * Begin before rows are compared.
 *
 * @param publication  that their changes come by
 * @throws REFUSED  it is not of these tables
 */
export async function watchTables(
  client: Client,
  where: Whereabouts,
  other: Whereabouts,
  publication: string,
): Promise<WatchedTables> {
  const tables = await publishedTables(client, where, other)
  const before = await imprintOf(client, where)
  if (tables.length > 0 && !(await isPublished(client, { name: publication, tables }))) {
    const sentence = `The tables of ${where.tenant} on ${where.shard.key} are not those whose changes are followed: some were made during the move.`
    fail('REFUSED', sentence, { tenant: where.tenant }, { hint: 'Begin the move again.' })
  }
  return {
    async requireSame() {
      if ((await imprintOf(client, where)) === before) return
      const sentence = `The tables of ${where.tenant} on ${where.shard.key} were changed, or emptied, while its rows were compared.`
      const hint = 'Do not change tables by hand during a move; go on with it now.'
      fail('TENANT_BUSY', sentence, { tenant: where.tenant }, { hint })
    },
  }
}

/** Tables, the files that their rows are in, and columns: of all in the schemas of a home, with their partitions. */
async function imprintOf(client: Client, { home, tenancy }: HomeOf): Promise<string> {
  const schemas = home.isolation === 'schema' ? [home.namespace] : tenancy.schemas
  const [row] = await client.query(
    compile(sql`
      with roots as (
        select c.oid from pg_class c
        where c.relnamespace in (select oid from pg_namespace where nspname = any(${sql.value(schemas)}::text[]))
          and c.relkind in ('r', 'p')),
      parts as (
        select oid from roots union select p.relid::oid from roots cross join lateral pg_partition_tree(roots.oid) p)
      select md5(string_agg(concat_ws(' ', c.oid, c.relname, pg_relation_filenode(c.oid), (
          select string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated, a.attisdropped), ','
            order by a.attnum)
          from pg_attribute a where a.attrelid = c.oid and a.attnum > 0)), ',' order by c.oid)) as imprint
      from parts join pg_class c using (oid)`),
  )
  return row?.imprint ?? ''
}
