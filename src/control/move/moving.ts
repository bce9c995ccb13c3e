/** A move that this process runs: opened under its lease, seen from either end. */

import type { Client } from '../../db/client.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import { tenancyOf } from '../copy/subject.ts'
import { accessTo } from '../homes/reach-home.ts'
import type { Report } from '../operations/types.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import { fleetOfMove } from './sessions.ts'
import type { End, MoveRecord, Moving, Side } from './types.ts'

interface Running {
  readonly record: MoveRecord
  readonly report: Report
  readonly signal: AbortSignal
}

/** Work on a claimed move, on sessions that end when somebody else takes it over. */
export function withMoving<T>(
  fleet: Fleet,
  running: Running,
  work: (moving: Moving) => Promise<T>,
): Promise<T> {
  const own = fleetOfMove(fleet, running.record)
  return onDirectory(own.directoryUrl, (directory) => work(movingOf(own, directory, running)), own.session)
}

function movingOf(fleet: Fleet, directory: Client, { record, report, signal }: Running): Moving {
  const { tenant, source, target } = record
  const at = ({ shard, isolation, namespace }: Side): Whereabouts => ({
    tenant,
    shard: accessTo(fleet, shard),
    home: { isolation, namespace },
    tenancy: tenancyOf(fleet),
  })
  return { fleet, directory, tenant, record, source: at(source), target: at(target), report, signal }
}

/** The same move after a change of its record. */
export const as = (moving: Moving, record: MoveRecord): Moving => ({ ...moving, record })

export const sourceOf = ({ source, record }: Moving): End => ({ where: source, side: record.source })
export const targetOf = ({ target, record }: Moving): End => ({ where: target, side: record.target })

/**
 * The same move seen from the way back: the target is where rows come from, and the source serves again at an epoch of
 * its own.
 */
export function reversed(moving: Moving): Moving {
  const { record, source, target } = moving
  const epoch = record.memory.returnEpoch ?? 0
  return {
    ...moving,
    source: target,
    target: source,
    record: { ...record, source: record.target, target: { ...record.source, epoch } },
  }
}
