/**
 * How each move of a plan would go: first reckoned from what its tenant holds, then by the preflight of the move itself,
 * which finds what is in its way too.
 */

import type { Client } from '../../db/client.ts'
import { listShards } from '../../directory/shards.ts'
import { tenancyOf } from '../copy/subject.ts'
import { namespaceOf } from '../homes/home.ts'
import { accessTo } from '../homes/reach-home.ts'
import { predictCopy, predictPause } from '../move/predict.ts'
import { preflightFaults } from '../move/preflight.ts'
import type { Path } from '../move/types.ts'
import type { Fleet } from '../reach.ts'
import type { Actual, Wish } from './types.ts'

export interface Prediction {
  readonly path: Path
  readonly copyMs: number
  /** From the freeze to the opening of the target. */
  readonly pauseMs: number
}

/** @param stillMs  `moves.stillMs` of the configuration */
export function reckon({ rows, bytes }: { rows: number; bytes: number }, stillMs: number): Prediction {
  // Indexes are about half of what a tenant's tables take, and are not copied.
  const copyMs = predictCopy([{ table: '', rows, bytes: bytes / 2 }])
  const path = copyMs <= stillMs ? 'still' : 'live'
  return { path, copyMs, pauseMs: predictPause(path, copyMs) }
}

/** Milliseconds of a move beside its copy: sessions, the home; and of a live one slots, catching up, comparing. */
const BESIDE_MS: Readonly<Record<Path, number>> = { still: 300, live: 1_500 }

/** Milliseconds until a move has settled. */
export const durationOf = ({ path, copyMs }: Prediction): number => copyMs + BESIDE_MS[path]

/**
 * Look at a move as its preflight would.
 *
 * @returns how it would go, or why it cannot be, as a clause; undefined where the target has not been set up yet
 * @throws DIRECTORY_UNAVAILABLE
 */
export async function examine(
  fleet: Fleet,
  directory: Client,
  { tenant, to }: Pick<Wish, 'tenant' | 'to'>,
  { namespace: shared, shards }: Actual,
): Promise<Prediction | string | undefined> {
  if (!shards.includes(to.shard)) return undefined
  const shardId = (await listShards(directory)).find(({ key }) => key === to.shard)?.id ?? ''
  const { id, shard, isolation, namespace } = tenant
  const about = { tenant: id, tenancy: tenancyOf(fleet) }
  const found = await preflightFaults({
    fleet,
    directory,
    tenant: id,
    source: { ...about, shard: accessTo(fleet, shard), home: { isolation, namespace } },
    target: {
      ...about,
      shard: accessTo(fleet, to.shard),
      home: {
        isolation: to.isolation,
        namespace: namespaceOf(to.isolation, { tenant: id, shardId, shared }),
      },
    },
  })
  if (found.faults.length > 0) {
    return found.faults.map(({ sentence }) => sentence.replace(/\.$/, '')).join('; ')
  }
  return { path: found.path, copyMs: found.predictedCopyMs, pauseMs: found.predictedPauseMs }
}
