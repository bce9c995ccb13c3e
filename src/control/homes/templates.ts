/**
 * Templates: a database of a shard that has the tables and no rows, from which those of tenants are copied.
 *
 *     <name>_new: being filled ──▶ closed to everybody ──▶ <name>: copied again and again ──▶ dropped with the next one
 *
 * It gets its name at the end, so that whatever has the name is whole. Postgres copies only what nobody is connected to.
 * The name has the digest of what made it: no template is ever changed.
 */

import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { isTemplateOf, templateDatabase } from '../../directory/namespaces.ts'
import { digestOf } from '../../directory/targets.ts'
import { shardFiles } from '../install.ts'
import type { Migration } from '../migrate/files.ts'
import { placeOf } from '../migrate/place.ts'
import { DEFAULT_TENANCY, type Fleet, onHome, onShard, type ShardAccess } from '../reach.ts'
import { bearTables } from './births.ts'
import { asOwner, databaseExists, dropDatabase, makeDatabase } from './database-home.ts'

/**
 * The template for `files` on a shard, made when it is not there. Of two that want it at once one makes it.
 *
 * @returns its name
 * @throws SETUP_FAILED  the owner may not make databases, or a migration fails
 */
export function ensureTemplate(
  fleet: Fleet,
  shard: ShardAccess,
  { shardId, files }: { readonly shardId: string; readonly files: readonly Migration[] },
): Promise<string> {
  const name = templateDatabase(shardId, digestOf([...shardFiles(), ...files]))
  return onShard(shard, async (client) => {
    if (await databaseExists(client, name)) return name
    await client.query(LOCK) // The end of the session lets go of it.
    if (await databaseExists(client, name)) return name
    const unfinished = `${name}_new`
    await dropDatabase(shard, unfinished)
    await make(fleet, shard, { name: unfinished, shardId, files })
    await asOwner(client, () => finish(client, unfinished, name))
    await dropOld(client, shard, { shardId, name })
    return name
  })
}

const LOCK = `select pg_advisory_lock(hashtextextended('templates', 5349))`

async function make(
  fleet: Fleet,
  shard: ShardAccess,
  { name, shardId, files }: { name: string; shardId: string; files: readonly Migration[] },
): Promise<void> {
  await makeDatabase(fleet, shard, { name, shardId })
  const target = { shard: shard.key, shardId, isolation: 'database', namespace: name, tenant: null } as const
  const place = placeOf(target, fleet.tenancy ?? DEFAULT_TENANCY)
  await onHome(shard, target, (client) => bearTables(client, place, files))
}

async function finish(client: Client, unfinished: string, name: string): Promise<void> {
  const [from, to] = [sql.identifier(unfinished), sql.identifier(name)]
  await client.query(compile(sql`alter database ${from} allow_connections false`).text)
  await client.query(compile(sql`alter database ${from} rename to ${to}`).text)
}

async function dropOld(
  client: Client,
  shard: ShardAccess,
  { shardId, name }: { shardId: string; name: string },
): Promise<void> {
  const rows = await client.query('select datname as name from pg_database')
  const old = rows.flatMap((row) =>
    row.name && row.name !== name && isTemplateOf(shardId, row.name) ? [row.name] : [],
  )
  for (const template of old) await dropDatabase(shard, template)
}
