/** The actual state: tenants and buckets out of the directory, and what tenants hold out of their homes. */

import type { Client } from '../../db/client.ts'
import { listShards, readSettings } from '../../directory/shards.ts'
import { readStatistics } from '../../directory/statistics.ts'
import { everyTenant, type TenantRecord } from '../../directory/tenants.ts'
import { readLoads } from '../../directory/usage-reports.ts'
import { listMoves } from '../move/store.ts'
import type { MoveRecord } from '../move/types.ts'
import { unfinishedOf } from '../operations/store.ts'
import { notSetUp } from '../placing.ts'
import type { Fleet } from '../reach.ts'
import { measureTenants } from '../tenant-sizes.ts'
import type { Actual } from './types.ts'

const CREATING = 'its creation is not finished'
const PURGING = 'it is being purged'

/**
 * Read the directory; nobody has a size yet.
 *
 * @throws SETUP_FAILED  the directory has not been set up
 */
export async function readActual(directory: Client): Promise<Actual> {
  const { namespace } = (await readSettings(directory)) ?? notSetUp()
  const rows = await directory.query('select shard from directory.bucket order by no')
  const shards = (await listShards(directory)).map(({ key }) => key)
  const tenants = await everyTenant(directory)
  const ids = tenants.map(({ id }) => id)
  const operations = await unfinishedOf(directory, ids)
  const moves = new Map((await listMoves(directory, { all: false })).map((move) => [move.tenant, move]))
  const databaseMs = new Map<string, number>()
  for (const { shard, totalMs } of (await readStatistics(directory)) ?? []) {
    databaseMs.set(shard, (databaseMs.get(shard) ?? 0) + totalMs)
  }
  return {
    namespace,
    buckets: rows.map(({ shard }) => shard ?? ''),
    shards,
    databaseMs,
    loads: await readLoads(directory),
    tenants: tenants.map((tenant) => {
      const { id, plan, bucket, shard, isolation, namespace: own, epoch } = tenant
      const held = heldBy(tenant, moves.get(id), operations.get(id))
      const isOwn = tenant.placedBy === 'placement'
      return { id, plan, bucket, shard, isolation, namespace: own, epoch, isOwn, held, rows: 0, bytes: 0 }
    }),
  }
}

/**
 * Measure what tenants hold, at their homes.
 *
 * @param told  called with how many have been measured, of how many
 * @throws SHARD_UNAVAILABLE, SHARD_UNKNOWN
 */
export async function measured(
  fleet: Fleet,
  actual: Actual,
  told: (done: number, total: number) => void = () => {},
): Promise<Actual> {
  const there = actual.tenants.filter(({ held }) => held !== CREATING && held !== PURGING)
  let done = 0
  const sizes = await measureTenants(fleet, there, () => told(++done, there.length))
  return {
    ...actual,
    tenants: actual.tenants.map((tenant) => {
      const tables = sizes.get(tenant.id) ?? []
      const rows = tables.reduce((sum, table) => sum + table.rows, 0)
      return { ...tenant, rows, bytes: tables.reduce((sum, table) => sum + table.bytes, 0) }
    }),
  }
}

function heldBy(
  { state }: TenantRecord,
  move: MoveRecord | undefined,
  operation: string | undefined,
): string | null {
  if (state === 'creating') return CREATING
  if (state === 'purging') return PURGING
  if (move?.state === 'settled') {
    return `its move ${move.id} can still be rolled back; "shardgate move complete ${move.id}" ends that`
  }
  if (move) return `its move ${move.id} is ${move.state}`
  return operation === undefined ? null : `operation ${operation} is not finished`
}
