/** What routers see of each tenant now: its placement, and its rows through the one door. */

import { isGatewayError } from '../../src/base/errors.ts'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { withClient } from '../../src/db/client.ts'
import type { Placement } from '../../src/directory/types.ts'
import { openWorldDoor, type WorldDoor } from './door.ts'
import { WORLD_TABLES } from './world-rows.ts'

/** By tenant: 'unknown', 'refused: CODE', 'half made: CODE', or its placement with the number of rows in each table. */
export type Sight = ReadonlyMap<string, string>

export async function sightOf(configFile: string, directoryUrl: string): Promise<Sight> {
  const ids = await withClient(directoryUrl, (db) => db.query('select id from directory.tenant'))
  const gate = await openWorldDoor({ configFile, directoryUrl })
  try {
    const seen = new Map<string, string>()
    for (const { id } of ids) seen.set(id!, await seenOf(gate, tenantId(id!)))
    return seen
  } finally {
    gate.end()
  }
}

async function seenOf(gate: WorldDoor, tenant: TenantId): Promise<string> {
  const placement = await gate.placements.find(tenant)
  if (!placement) return 'unknown'
  try {
    return `${textOf(placement)} ${await countsOf(gate, tenant)}`
  } catch (error) {
    const code = isGatewayError(error) ? error.code : String(error)
    // The directory says that it is served, and its shard refuses it.
    const isServed = placement.state === 'active' || placement.state === 'read-only'
    return `${isServed ? 'half made' : 'refused'}: ${code}`
  }
}

const textOf = ({ shard, isolation, namespace, state, plan }: Placement): string =>
  [shard, isolation, namespace, state, plan].join(' ')

async function countsOf(gate: WorldDoor, tenant: TenantId): Promise<string> {
  const counts = WORLD_TABLES.map((table) => `(select count(*) from "app"."${table}" where tenant_id = $1)`)
  const [row] = await gate.ask(tenant, `select concat_ws(',', ${counts.join()})`, [tenant])
  return row?.[0] ?? ''
}
