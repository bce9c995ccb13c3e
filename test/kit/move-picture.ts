/**
 * Everything that a move could leave or lose, as lines without epochs and numbers: equal whenever the tenant is at the
 * same place.
 */

import type pg from 'pg'
import type { TenantId } from '../../src/base/ids.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import type { WorldDoor } from './door.ts'
import { placementOf, remainsOf } from './move-world.ts'
import { withPg } from './server-copies.ts'
import type { World, WorldShard } from './shard-fixture.ts'
import { WORLD_TABLES } from './world-rows.ts'

export async function pictureOf(
  world: World,
  fleet: Fleet,
  gate: WorldDoor,
  tenant: TenantId,
): Promise<string[]> {
  const { shard, isolation, namespace, state } = await placementOf(fleet, tenant)
  const lines = [`placement ${shard} ${isolation} ${namespace} ${state}`]
  for (const one of world.shards) lines.push(...(await shardLines(one, tenant)))
  lines.push(...(await directoryLines(world, tenant)))
  lines.push(...(await contents(gate, tenant)))
  const remains = await remainsOf(world, fleet)
  return [...lines, ...remains.map((line) => `remains ${line}`)].sort()
}

const lineOf = ({ line }: { line: string }): string => line

async function shardLines({ key, superuserUrl }: WorldShard, tenant: TenantId): Promise<string[]> {
  const found = await withPg(superuserUrl, async (db) => [
    ...(await linesOf(db, tenant)),
    ...(await countsOf(db, tenant)),
    ...(await db.query<{ line: string }>(OBJECTS)).rows.map(lineOf),
  ])
  const own = found.find((line) => line.startsWith('database ') && line.endsWith(`_${tenant}`))
  const inside = own
    ? await withPg(databaseUrl(superuserUrl, own.slice('database '.length)), (db) => linesOf(db, tenant))
    : []
  return [...found, ...inside.map((line) => `${own} ${line}`)].map((line) => `${key} ${line}`)
}

// Names of databases and roles carry the beginning of the shard's uuid.
const OBJECTS = `
  select 'schema ' || nspname as line from pg_namespace where nspname like 'tenant\\_%'
  union all select 'database ' || datname from pg_database, shardgate.identity
    where starts_with(datname, 'shardgate_' || left(id::text, 8) || '_')
  union all select 'role ' || rolname from pg_roles, shardgate.identity
    where starts_with(rolname, 'shardgate_' || left(id::text, 8) || '_')`

async function linesOf(db: pg.Client, tenant: TenantId): Promise<string[]> {
  const { rows } = await db.query<{ line: string }>(
    `select concat_ws(' ', 'fence', state, role) as line from shardgate.tenant_fence where tenant_id = $1
     union all select 'publication ' || pubname from pg_publication where $1 <> ''
     union all select 'keys ' || count(*) from shardgate.idempotency where tenant_id = $1`,
    [tenant],
  )
  return rows.map(lineOf)
}

/** Rows in shared tables: none where the tenant is not. */
async function countsOf(db: pg.Client, tenant: TenantId): Promise<string[]> {
  const counts = WORLD_TABLES.map((table) => `(select count(*) from app.${table} where tenant_id = $1)`)
  const { rows } = await db.query<{ line: string }>(
    `select concat_ws(' ', 'rows', ${counts.join()}) as line`,
    [tenant],
  )
  return rows.map(lineOf)
}

async function directoryLines({ directoryUrl }: World, tenant: TenantId): Promise<string[]> {
  return withPg(directoryUrl, async (db) => {
    const { rows } = await db.query<{ line: string }>(
      `select concat_ws(' ', 'target', shard, isolation, namespace) as line from directory.target
       union all select 'open move ' || state from directory.move
         where tenant_id = $1 and state not in ('done', 'aborted', 'rolled-back')`,
      [tenant],
    )
    return rows.map(lineOf)
  })
}

/** What the tenant reads through the one door. */
async function contents(gate: WorldDoor, tenant: TenantId): Promise<string[]> {
  const lines: string[] = []
  for (const table of WORLD_TABLES) {
    const all = `md5(string_agg(t::text, ' ' order by t::text)), count(*)`
    const [row] = await gate.ask(tenant, `select ${all} from "app".${table} t where tenant_id = $1`, [tenant])
    lines.push(`content of ${table} ${row?.join(' ')}`)
  }
  return lines
}
