/** Asking for a move: where the tenant is to go, what is in the way, and the row that runners look for. */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Client } from '../../db/client.ts'
import { listShards, readSettings } from '../../directory/shards.ts'
import { findTenant } from '../../directory/tenants.ts'
import type { Isolation } from '../../directory/types.ts'
import { tenancyOf } from '../copy/subject.ts'
import { namespaceOf } from '../homes/home.ts'
import { accessTo } from '../homes/reach-home.ts'
import { operatorOf } from '../operations/run.ts'
import { knownShard, notSetUp } from '../placing.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import { waysOut } from './open-moves.ts'
import { type Findings, preflightFaults } from './preflight.ts'
import { doing, insertMove, openMoveOf } from './store.ts'
import type { MoveRecord, Side } from './types.ts'

export interface MoveRequest {
  readonly tenant: TenantId
  /** Key of the shard that it goes to; the one where it is, for another isolation. */
  readonly shard: string
  /** Default: as it is now. */
  readonly isolation?: Isolation
}

/** How a move would go. */
export interface Outlook extends Omit<Findings, 'faults' | 'tables'> {
  readonly tenant: TenantId
  readonly source: Side
  readonly target: Omit<Side, 'epoch'>
}

/**
 * Look at a move without making it.
 *
 * @throws TENANT_UNKNOWN, SHARD_UNKNOWN  there is no such tenant, or no such shard
 * @throws REFUSED                        it cannot be made: every reason, a line each
 */
export function foreseeMove(fleet: Fleet, request: MoveRequest): Promise<Outlook> {
  return onDirectory(fleet.directoryUrl, (directory) => foresee(fleet, directory, request))
}

/**
 * Ask for a move: it is written down, and made by whoever runs moves.
 *
 * @throws as `foreseeMove`; TENANT_BUSY  it has another move
 */
export function startMove(fleet: Fleet, request: MoveRequest): Promise<MoveRecord> {
  return onDirectory(fleet.directoryUrl, async (directory) => {
    const { tenant, source, target } = await foresee(fleet, directory, request)
    return insertMove(directory, { tenant, source, target, operator: operatorOf(fleet) })
  })
}

async function foresee(fleet: Fleet, directory: Client, request: MoveRequest): Promise<Outlook> {
  const { tenant } = request
  const [source, target] = await endsOf(directory, request)
  const at = ({ shard, isolation, namespace }: Omit<Side, 'epoch'>) => ({
    tenant,
    shard: accessTo(fleet, shard),
    home: { isolation, namespace },
    tenancy: tenancyOf(fleet),
  })
  const flight = { fleet, directory, tenant, source: at(source), target: at(target) }
  const { faults, tables: _, ...found } = await preflightFaults(flight)
  if (faults.length === 0) return { tenant, source, target, ...found }
  const lines = faults.map(({ sentence }) => `  ${sentence}`)
  return fail('REFUSED', [`${tenant} cannot be moved to ${target.shard}:`, ...lines].join('\n'), { tenant })
}

async function endsOf(
  directory: Client,
  { tenant, shard, isolation: wanted }: MoveRequest,
): Promise<[source: Side, target: Omit<Side, 'epoch'>]> {
  const now = await findTenant(directory, tenant)
  if (!now) fail('TENANT_UNKNOWN', `There is no tenant "${tenant}". See "shardgate tenant list".`, { tenant })
  const open = await openMoveOf(directory, tenant)
  if (open) {
    const sentence = `Move ${open.id} of ${tenant} is ${doing(open)}.`
    fail('TENANT_BUSY', sentence, { tenant }, { hint: waysOut(open) })
  }
  const settings = (await readSettings(directory)) ?? notSetUp()
  const { id: shardId } = knownShard(await listShards(directory), shard)
  const isolation = wanted ?? now.isolation
  const namespace = namespaceOf(isolation, { tenant, shardId, shared: settings.namespace })
  if (shard === now.shard && isolation === now.isolation)
    fail('REFUSED', `${tenant} is on ${shard} (${isolation}) already: there is nothing to move.`, { tenant })
  const source = { shard: now.shard, isolation: now.isolation, namespace: now.namespace, epoch: now.epoch }
  return [source, { shard, isolation, namespace }]
}
