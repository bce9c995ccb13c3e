/** Moves in a test world: who is where, what a tenant holds there, and what a move has left behind anywhere. */

import { loadConfig } from '../../src/base/config.ts'
import type { TenantId } from '../../src/base/ids.ts'
import { fleetOf } from '../../src/commands/context.ts'
import { contentHash } from '../../src/control/copy/hash.ts'
import { tenancyOf } from '../../src/control/copy/subject.ts'
import { namespaceOf } from '../../src/control/homes/home.ts'
import { accessTo } from '../../src/control/homes/reach-home.ts'
import { runMove } from '../../src/control/move/run.ts'
import { insertMove } from '../../src/control/move/store.ts'
import type { MoveRecord } from '../../src/control/move/types.ts'
import { type Fleet, onDirectory, onHome } from '../../src/control/reach.ts'
import { connect } from '../../src/db/client.ts'
import { findPlacement } from '../../src/directory/placements.ts'
import type { Isolation, Placement } from '../../src/directory/types.ts'
import type { World } from './shard-fixture.ts'

/** The world as the control plane takes it. @param moves  settings of moves to have otherwise */
export function fleetOfWorld(world: Pick<World, 'configFile'>, moves: Partial<Fleet['moves']> = {}): Fleet {
  const fleet = fleetOf(loadConfig(world.configFile, {}))
  return { ...fleet, operator: 'ann', moves: { ...fleet.moves!, ...moves } }
}

export interface Destination {
  readonly shard: string
  readonly isolation: Isolation
}

/** Write a move down. */
export async function queueMove(fleet: Fleet, tenant: TenantId, to: Destination): Promise<MoveRecord> {
  return onDirectory(fleet.directoryUrl, async (directory) => {
    const { shard, isolation, namespace, epoch } = await placementOf(fleet, tenant)
    const [row] = await directory.query(`select id from directory.shard where key = '${to.shard}'`)
    const shared = fleet.tenancy?.schemas[0] ?? 'public'
    const target = { ...to, namespace: namespaceOf(to.isolation, { tenant, shardId: row?.id ?? '', shared }) }
    const source = { shard, isolation, namespace, epoch }
    return insertMove(directory, { tenant, source, target, operator: 'ann' })
  })
}

/** Move a tenant as far as a move goes by itself. */
export async function moveTo(fleet: Fleet, tenant: TenantId, to: Destination): Promise<MoveRecord> {
  const { id } = await queueMove(fleet, tenant, to)
  return runMove(fleet, id)
}

export async function placementOf(fleet: Fleet, tenant: TenantId): Promise<Placement> {
  const found = await onDirectory(fleet.directoryUrl, (directory) => findPlacement(directory, tenant))
  if (!found) throw new Error(`There is no tenant ${tenant}.`)
  return found
}

/** The content hash of a tenant where the directory has it now. */
export async function hashOf(fleet: Fleet, tenant: TenantId): Promise<string> {
  const { shard, isolation, namespace } = await placementOf(fleet, tenant)
  const home = { isolation, namespace }
  const { hash } = await onHome(accessTo(fleet, shard), home, (client) =>
    contentHash(client, { tenant, home, tenancy: tenancyOf(fleet) }),
  )
  return hash
}

/**
 * What moves have left on servers and in the directory: slots, publications, leftovers, locks, sessions.
 *
 * @returns a line each; none when everything is clean
 */
export async function remainsOf(world: World, fleet: Fleet): Promise<string[]> {
  const found: string[] = []
  for (const { key, superuserUrl } of world.shards) {
    const server = await connect(superuserUrl)
    try {
      // The servers are shared with the worlds of other test files.
      const rows = await server.query(`
        select 'slot ' || slot_name as line from pg_replication_slots
          where database = current_database() or database like '%' || (select left(id::text, 8) from shardgate.identity) || '%'
        union all select 'publication ' || pubname from pg_publication
        union all select 'progress of ' || move from shardgate.move_progress
        union all select 'session ' || application_name from pg_stat_activity
          where application_name like 'shardgate move %' and datname = current_database()
        union all select 'frozen ' || tenant_id from shardgate.tenant_fence where state = 'frozen'`)
      found.push(...rows.map(({ line }) => `${key}: ${line}`))
    } finally {
      await server.end()
    }
  }
  const rows = await onDirectory(fleet.directoryUrl, (directory) =>
    directory.query(`
      select 'leftover ' || kind || ' ' || name as line from directory.leftover
      union all select 'operation ' || kind from directory.operation where state = 'running'`),
  )
  return [...found, ...rows.map(({ line }) => `directory: ${line}`)]
}
