/** Databases of tenants follow a release as shards do: `setup` runs the files of the schema `shardgate` there too. */

import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { listTargets } from '../../directory/targets.ts'
import { applyShardFiles } from '../install.ts'
import { inParallel } from '../migrate/lanes.ts'
import { DEFAULT_TENANCY, type Fleet, onDirectory } from '../reach.ts'
import { runWritten } from '../written.ts'
import { onItsHome } from './reach-home.ts'

/** Databases at once. */
const AT_ONCE = 8

/**
 * Renew the schema `shardgate` of every tenant's database, and what the mover may do in homes that an earlier release has
 * made. Schemas of tenants have no schema `shardgate`: theirs is that of the shard.
 *
 * @returns how many databases there are
 * @throws SHARD_UNAVAILABLE, SHARD_UNSAFE  one cannot be reached, or is another; all others are renewed first
 */
export async function renewHomes(fleet: Fleet): Promise<number> {
  const targets = await onDirectory(fleet.directoryUrl, listTargets)
  const databases = targets.filter(({ isolation }) => isolation === 'database')
  const schemas = targets.filter(({ isolation }) => isolation === 'schema')
  const { schemas: served } = fleet.tenancy ?? DEFAULT_TENANCY
  const byShard = Map.groupBy(schemas, ({ shard }) => shard)
  const homes = [
    ...databases.map((place) => ({ place, system: true, names: served })),
    ...[...byShard.values()].map((group) => ({
      place: group[0]!,
      system: false,
      names: group.map(({ namespace }) => namespace),
    })),
  ]
  const done = await inParallel(homes, AT_ONCE, ({ place, system, names }) =>
    onItsHome(fleet, place, (client) =>
      client.transaction(async () => {
        await client.query('set local role shardgate_owner')
        if (system) await applyShardFiles(client)
        await openToMover(client, names)
      }),
    ).catch((error: unknown) => ({ error })),
  )
  for (const result of done) if (result) throw result.error
  return databases.length
}

/** Let the mover read and write all tables of homes, as those that are made now do (schema-home.ts, databases.ts). */
async function openToMover(client: Client, schemas: readonly string[]): Promise<void> {
  const names = sql.value(schemas)
  await runWritten(
    client,
    client.query(
      compile(sql`
        select format('grant select, insert, update, delete on %I.%I to shardgate_mover', nspname, relname) as statement
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where nspname = any(${names}::text[]) and relkind in ('r', 'p') and pg_has_role(relowner, 'usage')
          and not has_table_privilege('shardgate_mover', c.oid, 'update')
        union all
        select format('alter default privileges in schema %I grant select, insert, update, delete on tables to shardgate_mover', nspname)
        from pg_namespace n
        where nspname = any(${names}::text[]) and not exists (
          select from pg_default_acl d, aclexplode(d.defaclacl) as granted
          where d.defaclnamespace = n.oid and d.defaclobjtype = 'r' and d.defaclrole = current_user::regrole
            and granted.grantee = 'shardgate_mover'::regrole and granted.privilege_type = 'UPDATE')`),
    ),
  )
}
