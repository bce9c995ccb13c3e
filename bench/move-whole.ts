/** One whole move of a tenant, with its clean-up. */

import type { TenantId } from '../src/base/ids.ts'
import { tenancyOf } from '../src/control/copy/subject.ts'
import { completeMove, runMove } from '../src/control/move/run.ts'
import { insertMove } from '../src/control/move/store.ts'
import { type Fleet, onDirectory } from '../src/control/reach.ts'
import { findTenant } from '../src/directory/tenants.ts'

export interface WholeMove {
  /** Milliseconds from the request until the tenant is served by the target alone. */
  readonly ms: number
  /** Until the rows of one moment were on the target. */
  readonly copyMs: number
  readonly pauseMs: number
}

/** Move a tenant that has its rows in shared tables to those of another shard. */
export async function moveWhole(fleet: Fleet, tenant: TenantId, shard: string): Promise<WholeMove> {
  const move = await onDirectory(fleet.directoryUrl, async (directory) => {
    const { epoch, ...now } = (await findTenant(directory, tenant))!
    const [namespace = ''] = tenancyOf(fleet).schemas
    const home = { isolation: 'shared', namespace } as const
    return insertMove(directory, {
      tenant,
      source: { ...home, shard: now.shard, epoch },
      target: { ...home, shard },
      operator: 'bench',
    })
  })
  const started = performance.now()
  const { state, times, pauseMs, path, error } = await runMove(fleet, move.id)
  const ms = performance.now() - started
  if (state !== 'settled' || path !== 'live') throw new Error(`The move is ${state} (${path}): ${error}`)
  await completeMove(fleet, move.id)
  const copyMs = Date.parse(times.copied ?? '') - Date.parse(times.claimed ?? '')
  return { ms, copyMs, pauseMs: pauseMs ?? Number.NaN }
}
