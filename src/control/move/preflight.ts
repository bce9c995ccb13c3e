/**
 * Preflight: whatever can be known before a move changes anything. All that is wrong is told at once, a sentence each,
 * with what to type.
 */

import { fail } from '../../base/errors.ts'
import { movesOf } from '../reach.ts'
import { learnRates, predictCopy, predictPause } from './predict.ts'
import {
  ensureDifferent,
  ensureFree,
  ensureMovable,
  ensureNoLeftovers,
  ensureNoMigration,
  ensureTakes,
} from './preflight-directory.ts'
import {
  ensureIdentity,
  ensureLogical,
  ensureMakeable,
  ensureMover,
  ensureSourceFence,
  ensureTargetFence,
  warningsOf,
} from './preflight-servers.ts'
import {
  ensureFit,
  ensureHeld,
  ensureNothingThere,
  ensurePublishable,
  ensureRights,
} from './preflight-tables.ts'
import { type Check, type Fault, type Flight, fault, type Sight, withSight } from './sight.ts'
import { type MovedSize, measureMoved } from './sizes.ts'
import type { Moving, Path } from './types.ts'

export type { Fault, Flight } from './sight.ts'

const CHECKS: readonly Check[] = [
  ensureDifferent,
  ensureMovable,
  ensureFree,
  ensureTakes,
  ensureNoMigration,
  ensureNoLeftovers,
  ensureIdentity,
  ensureSourceFence,
  ensureTargetFence,
  ensureMover,
  ensureRights,
  ensureMakeable,
  ensureHeld,
  ensureFit,
  ensureNothingThere,
]

/** What only a tenant whose changes are followed wants. */
const LIVE_CHECKS: readonly Check[] = [ensureLogical, ensurePublishable]

export interface Findings {
  /** Empty: the move can begin. */
  readonly faults: readonly Fault[]
  /** Worth a look; they keep it from nothing. */
  readonly warnings: readonly string[]
  /** How it would go; the rest is 0 where the source cannot be reached. */
  readonly path: Path
  readonly rows: number
  /** As Postgres stores them, without indexes. */
  readonly bytes: number
  readonly tables: readonly MovedSize[]
  readonly predictedCopyMs: number
  readonly predictedPauseMs: number
}

/** Look at a move that is thought of, or about to begin. Changes nothing. @throws DIRECTORY_UNAVAILABLE */
export function preflightFaults(flight: Flight): Promise<Findings> {
  return withSight(flight, async (sight, unreached) => {
    const faults = [...unreached]
    for (const check of CHECKS) faults.push(...(await check(sight)))
    const size = await sizeOf(sight)
    const { stillMs, pauseMs } = movesOf(flight.fleet)
    const rates = await learnRates(flight.directory)
    const predictedCopyMs = predictCopy(size.tables, rates)
    const path = predictedCopyMs <= Math.min(stillMs, pauseMs) ? 'still' : 'live'
    if (path === 'live') for (const check of LIVE_CHECKS) faults.push(...(await check(sight)))
    const predictedPauseMs = predictPause(path, predictedCopyMs, rates)
    faults.push(...overBudget(predictedPauseMs, pauseMs))
    const warnings = path === 'live' ? await warningsOf(sight) : []
    return { faults: unique(faults), warnings, path, ...size, predictedCopyMs, predictedPauseMs }
  })
}

function overBudget(predicted: number, pauseMs: number): Fault[] {
  if (predicted <= pauseMs) return []
  const sentence = `Writes would be held for some ${predicted} ms, and moves.pauseMs allows ${pauseMs}. Raise it, or choose a quieter hour.`
  return [fault(sentence)]
}

const unique = (faults: readonly Fault[]): Fault[] => [
  ...new Map(faults.map((one) => [one.sentence, one])).values(),
]

async function sizeOf({ from }: Sight): Promise<Pick<Findings, 'rows' | 'bytes' | 'tables'>> {
  const client = from.mover ?? from.owner
  const tables = client ? await measureMoved(client, from.where) : []
  const sum = (key: 'rows' | 'bytes'): number => tables.reduce((total, table) => total + table[key], 0)
  return { tables, rows: sum('rows'), bytes: sum('bytes') }
}

/** What the move keeps of it. */
export type Preflight = Pick<Findings, 'path' | 'rows' | 'bytes' | 'predictedCopyMs' | 'predictedPauseMs'>

/**
 * Look at a move that is about to begin.
 *
 * @throws REFUSED                         with every reason, a line each
 * @throws SHARD_UNAVAILABLE, TENANT_BUSY  nothing but what may pass by itself is in the way
 */
export async function preflight(moving: Moving): Promise<Preflight> {
  const { fleet, directory, tenant, source, target, record, report } = moving
  report('preflight')
  const found = await preflightFaults({ fleet, directory, tenant, source, target, move: record })
  if (found.faults.length > 0) refuse(moving, found.faults)
  const { path, rows, bytes, predictedCopyMs, predictedPauseMs } = found
  return { path, rows, bytes, predictedCopyMs, predictedPauseMs }
}

function refuse({ record, tenant }: Moving, faults: readonly Fault[]): never {
  const passes = faults.every(({ code }) => code === 'SHARD_UNAVAILABLE' || code === 'TENANT_BUSY')
  const code = passes ? faults[0]!.code : 'REFUSED'
  const lines = faults.map(({ sentence }) => `  ${sentence}`)
  const hint = passes ? `Then go on: shardgate move resume ${record.id}` : 'Nothing was changed.'
  return fail(
    code,
    [`Move ${record.id} of ${tenant} cannot begin:`, ...lines].join('\n'),
    { tenant },
    { hint },
  )
}
