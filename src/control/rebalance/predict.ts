/**
 * How each move of a plan would go: first reckoned from what its tenant holds, then by the preflight of the move itself,
 * which finds what is in its way too.
 */

import type { Client, Queryable } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
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
export type Beside = Readonly<Record<Path, number>>

/** Where nothing has been moved yet. A judgement, of a machine that has nothing else to do. */
export const BESIDE: Beside = { still: 300, live: 1_500 }

/** Moves that are looked at. */
const LATEST = 20

/** What the latest moves took beside their copy. */
export async function learnBeside(directory: Queryable): Promise<Beside> {
  const ms = (state: string): SQL =>
    sql`(extract(epoch from (times->>${sql.value(state)}::text)::timestamptz) * 1000)`
  const rows = await directory.query(
    compile(sql`
      select path, avg(whole - copied) as ms from (
        select path, ${ms('settled')} - ${ms('claimed')} as whole,
          coalesce(${ms('copied')} - ${ms('prepared')}, 0) as copied
        from directory.move where times ? 'settled' and times ? 'claimed' order by id desc limit ${sql.literal(LATEST)}
      ) as latest group by path`),
  )
  const known = new Map(rows.map(({ path, ms }) => [path, Number(ms)]))
  return { still: known.get('still') || BESIDE.still, live: known.get('live') || BESIDE.live }
}

/** Milliseconds until a move has settled. */
export const durationOf = ({ path, copyMs }: Prediction, beside: Beside): number => copyMs + beside[path]

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
