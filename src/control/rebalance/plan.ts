/**
 * `shardgate plan`: what has to be done so that the directory says what the configuration says, as a document.
 *
 *     configuration ─▶ desired ─┐
 *     directory ─▶ actual ──────┴─▶ difference ─▶ balance ─▶ order ─▶ plan
 */

import type { Client } from '../../db/client.ts'
import { type Fleet, movesOf, onDirectory } from '../reach.ts'
import { measured, readActual } from './actual.ts'
import { adviceOn } from './advice.ts'
import { type Balanced, balance, type Placed } from './balance.ts'
import { costsOf, type Measure } from './costs.ts'
import { type Asked, cannotMove, difference } from './difference.ts'
import { type MovePlan, type PlannedMove, type ShardLoad, sealed } from './document.ts'
import { type Limits, makespan, orderMoves } from './order.ts'
import { BESIDE, type Beside, durationOf, examine, learnBeside, type Prediction, reckon } from './predict.ts'
import { Room } from './room.ts'
import { stateHash } from './state.ts'
import type { Actual, ActualTenant, Desired, Wish } from './types.ts'

export interface PlanOptions extends Asked {
  /** Even the shards out, by this; default is not to. */
  readonly balance?: Measure
  /** Spread at which the balancer stops. Default is 0.1: 10 %. */
  readonly until?: number
  /** Whether moves are planned without a look at what is in the way of each. Default is false. */
  readonly isQuick?: boolean
  /** Called with what is being done, and how much of it is done. */
  readonly told?: (what: string, done: number, total: number) => void
}

/** What of the settings of moves a plan depends on. */
export interface Pace extends Limits {
  readonly stillMs: number
}

/**
 * Compare and plan; changes nothing.
 *
 * @throws CONFIG_INVALID     a shard that holds something is not in the file
 * @throws SETUP_FAILED       the directory has not been set up
 * @throws SHARD_UNAVAILABLE  a shard with tenants cannot be reached
 */
export function makePlan(fleet: Fleet, desired: Desired, options: PlanOptions = {}): Promise<MovePlan> {
  return onDirectory(fleet.directoryUrl, async (directory) => {
    const actual = await readActual(directory)
    // Sizes decide which tenants and buckets move, never whether there is something to do.
    const isToDo =
      options.balance !== undefined || hasWork(difference(desired, actual, options), actual, desired)
    const told = (done: number, total: number): void => options.told?.('measuring tenants', done, total)
    const known = isToDo ? await measured(fleet, actual, told) : actual
    return examined(fleet, directory, { desired, actual: known, options })
  })
}

interface Planning {
  readonly desired: Desired
  readonly actual: Actual
  readonly options: PlanOptions
}

/** Plan, and look at each move; whoever cannot be moved is left out, and then others may be chosen instead. */
async function examined(
  fleet: Fleet,
  directory: Client,
  { desired, actual, options }: Planning,
): Promise<MovePlan> {
  const predictions = new Map<string, Prediction>()
  /** Why tenants cannot be moved. */
  const faults = new Map<string, string>()
  const seen = new Set<string>()
  const beside = await learnBeside(directory)
  let tenants = actual.tenants
  for (;;) {
    const now = { ...actual, tenants }
    const made = { pace: paceOf(fleet), now: new Date().toISOString(), predictions, faults, beside }
    const plan = planOf(desired, now, { ...options, ...made })
    const unseen = options.isQuick ? [] : plan.moves.filter((move) => !seen.has(keyOf(move)))
    if (unseen.length === 0) return plan
    const people = new Map(tenants.map((tenant) => [tenant.id, tenant]))
    for (const [i, move] of unseen.entries()) {
      seen.add(keyOf(move))
      const found = await examine(fleet, directory, { tenant: people.get(move.tenant)!, to: move.to }, actual)
      if (typeof found === 'string') faults.set(move.tenant, found)
      else if (found) predictions.set(keyOf(move), found)
      options.told?.('looking at moves', i + 1, unseen.length)
    }
    tenants = tenants.map((tenant) => ({ ...tenant, held: faults.get(tenant.id) ?? tenant.held }))
  }
}

const keyOf = ({ tenant, to }: Pick<PlannedMove, 'tenant' | 'to'>): string =>
  `${tenant} ${to.shard} ${to.isolation}`

function paceOf(fleet: Fleet): Pace {
  const { atOnce, perShard, stillMs } = movesOf(fleet)
  return { atOnce, perShard, stillMs }
}

const hasWork = (
  { wishes, changes, problems }: ReturnType<typeof difference>,
  { buckets }: Actual,
  desired: Desired,
): boolean => wishes.length + changes.length + problems.length > 0 || buckets.length !== desired.buckets

export interface Made {
  readonly pace: Pace
  /** When it is made. */
  readonly now: string
  /** What is known of moves by their tenant and target; the others are reckoned. */
  readonly predictions?: ReadonlyMap<string, Prediction>
  readonly beside?: Beside
  /** Why tenants were left out that others are moved for. */
  readonly faults?: ReadonlyMap<string, string>
}

/** The plan, from plain data alone. */
export function planOf(desired: Desired, actual: Actual, options: PlanOptions & Made): MovePlan {
  const { pace, now, predictions = new Map(), faults = new Map(), beside = BESIDE } = options
  const found = difference(desired, actual, options)
  const costs = costsOf(options.balance ?? 'size', actual)
  const balanced = options.balance && balanceOf(desired, actual, found.wishes, costs.of, options.until)
  const wished = [...found.wishes, ...(balanced?.wishes ?? [])]
  const { wishes, problems } = orderMoves(wished, desired.shards, actual.tenants)
  const moves = wishes.map((wish) => plannedMove(wish, pace.stillMs, predictions))
  const isCounted = desired.buckets !== actual.buckets.length
  const times = moves.map((move) => ({
    from: move.from.shard,
    to: move.to.shard,
    ms: durationOf(move, beside),
  }))
  const sum = (key: 'rows' | 'bytes'): number => moves.reduce((all, move) => all + move[key], 0)
  return sealed({
    format: 1,
    madeAt: now,
    directory: stateHash(
      actual,
      moves.map(({ tenant }) => tenant),
    ),
    bucketCount: isCounted
      ? { from: actual.buckets.length, to: desired.buckets, table: [...found.buckets] }
      : null,
    buckets: [...found.changes],
    moves,
    balance:
      balanced && options.balance
        ? { by: options.balance, unit: costs.unit, before: balanced.before, after: balanced.after }
        : null,
    shards: loadsOf(desired, actual, moves, found.buckets, costs.of),
    limits: { atOnce: pace.atOnce, perShard: pace.perShard },
    totals: {
      moves: moves.length,
      buckets: found.changes.length,
      rows: sum('rows'),
      bytes: sum('bytes'),
      ms: Math.ceil(makespan(times, pace)),
      maxPauseMs: Math.max(0, ...moves.map(({ pauseMs }) => pauseMs)),
    },
    problems: [...new Set([...found.problems, ...problems, ...[...faults].map(cannotMove)])],
    advice: adviceOn(desired, actual, moves, options),
  })
}

function balanceOf(
  desired: Desired,
  actual: Actual,
  wishes: readonly Wish[],
  cost: (tenant: ActualTenant) => number,
  until = 0.1,
): Balanced {
  const going = new Map(wishes.map((wish) => [wish.tenant.id, wish.to]))
  const placed = actual.tenants.map((tenant): Placed => {
    const isFree = !going.has(tenant.id) && tenant.held === null && !desired.pins.get(tenant.id)?.shard
    return { tenant, at: going.get(tenant.id) ?? tenant, isFree, cost: cost(tenant) }
  })
  const room = new Room(
    desired.shards,
    placed.map(({ tenant, at }) => ({ shard: at.shard, bytes: tenant.bytes })),
  )
  return balance(desired.shards, placed, room, until)
}

function plannedMove(
  { tenant, to, reason, follows }: Wish,
  stillMs: number,
  predictions: ReadonlyMap<string, Prediction>,
): PlannedMove {
  const { id, shard, isolation, epoch, bucket, rows, bytes } = tenant
  const prediction = predictions.get(keyOf({ tenant: id, to })) ?? reckon(tenant, stillMs)
  return {
    tenant: id,
    from: { shard, isolation },
    to,
    epoch,
    bucket,
    reason,
    follows,
    rows,
    bytes,
    ...prediction,
  }
}

function loadsOf(
  { shards }: Desired,
  { tenants, buckets }: Actual,
  moves: readonly PlannedMove[],
  table: readonly string[],
  cost: (tenant: ActualTenant) => number,
): ShardLoad[] {
  const going = new Map(moves.map(({ tenant, to }) => [tenant, to.shard]))
  const heldBy = (key: string, at: (tenant: ActualTenant) => string, dealt: readonly string[]) => {
    const own = tenants.filter((tenant) => at(tenant) === key)
    return {
      tenants: own.length,
      rows: own.reduce((sum, { rows }) => sum + rows, 0),
      bytes: own.reduce((sum, { bytes }) => sum + bytes, 0),
      buckets: dealt.filter((shard) => shard === key).length,
      load: own.reduce((sum, tenant) => sum + cost(tenant), 0),
    }
  }
  return shards.map(({ key, weight, drain, capacity }) => ({
    shard: key,
    weight,
    drain,
    capacity,
    before: heldBy(key, ({ shard }) => shard, buckets),
    after: heldBy(key, ({ id, shard }) => going.get(id) ?? shard, table),
  }))
}
