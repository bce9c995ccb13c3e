/**
 * A plan of moves as a document: what is printed, saved and applied.
 *
 * It carries the hash of the directory's state that it rests on, and its own. An edit by hand is refused whatever it
 * says: what was read and agreed to is what is done.
 */

import { createHash } from 'node:crypto'
import { z } from 'zod'
import { canonicalJson } from '../../base/canonical.ts'
import { fail } from '../../base/errors.ts'
import { tenantId } from '../../base/ids.ts'
import { ISOLATIONS } from '../../directory/types.ts'
import { REASONS } from './types.ts'

const whole = z.int().min(0)
const spot = z.strictObject({ shard: z.string(), isolation: z.enum(ISOLATIONS) })
const held = z.strictObject({ tenants: whole, rows: whole, bytes: whole, buckets: whole, load: z.number() })

const plannedMove = z.strictObject({
  tenant: z.string().transform((text) => tenantId(text)),
  from: spot,
  to: spot,
  /** Of the tenant now. */
  epoch: whole,
  bucket: whole,
  reason: z.enum(REASONS),
  /** Whether it follows its bucket again once that is on the same shard. */
  follows: z.boolean(),
  rows: whole,
  bytes: whole,
  path: z.enum(['still', 'live']),
  copyMs: whole,
  pauseMs: whole,
})

const shardLoad = z.strictObject({
  shard: z.string(),
  weight: z.number(),
  drain: z.boolean(),
  capacity: z.strictObject({ tenants: whole.optional(), bytes: whole.optional() }),
  before: held,
  after: held,
})

const plan = z.strictObject({
  format: z.literal(1),
  madeAt: z.string(),
  /** Hash of what it rests on (state.ts). */
  directory: z.string(),
  /** A new number of buckets, with the shard of each. */
  bucketCount: z.strictObject({ from: whole, to: whole, table: z.array(z.string()) }).nullable(),
  buckets: z.array(z.strictObject({ no: whole, from: z.string(), to: z.string() })),
  moves: z.array(plannedMove),
  balance: z
    .strictObject({
      by: z.enum(['load', 'size', 'count']),
      unit: z.string(),
      before: z.number(),
      after: z.number(),
    })
    .nullable(),
  shards: z.array(shardLoad),
  limits: z.strictObject({ atOnce: whole, perShard: whole }),
  totals: z.strictObject({
    moves: whole,
    buckets: whole,
    rows: whole,
    bytes: whole,
    ms: whole,
    maxPauseMs: whole,
  }),
  /** What the file wants and cannot be done. */
  problems: z.array(z.string()),
  /** What to know or type before or after. */
  advice: z.array(z.string()),
})

const document = plan.extend({ hash: z.string() })

export type MovePlan = z.output<typeof document>
export type PlannedMove = MovePlan['moves'][number]
export type ShardLoad = MovePlan['shards'][number]

/** SHA-256 of canonical JSON, in hex. */
export const hashOf = (value: unknown): string =>
  createHash('sha256').update(canonicalJson(value)).digest('hex')

export function sealed(unsealed: Omit<MovePlan, 'hash'>): MovePlan {
  return { ...unsealed, hash: hashOf(unsealed) }
}

/** Whether there is nothing to apply. */
export const isEmpty = ({ moves, buckets, bucketCount }: MovePlan): boolean =>
  moves.length === 0 && buckets.length === 0 && bucketCount === null

/**
 * A plan from its text.
 *
 * @param name  of the file, for sentences
 * @throws REFUSED  it is none, or was changed since it was made
 */
export function planFrom(text: string, name: string): MovePlan {
  const parsed = document.safeParse(jsonOf(text, name))
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const where = issue?.path.join('.') ?? ''
    return fail(
      'REFUSED',
      `${name} is no plan of moves: ${where || 'the whole'}: ${issue?.message}.`,
      {},
      AGAIN,
    )
  }
  const { hash, ...rest } = parsed.data
  if (hashOf(rest) === hash) return parsed.data
  return fail('REFUSED', `${name} was changed after it had been made; nothing of it is done.`, {}, AGAIN)
}

const AGAIN = { hint: 'Make a new one: shardgate plan -f plan.json' }

function jsonOf(text: string, name: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return fail('REFUSED', `${name} is no plan of moves: it is not JSON.`, {}, AGAIN)
  }
}
