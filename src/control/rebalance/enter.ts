/**
 * Taking a plan into the directory: checked against what is there now, written down, its moves queued; all of it in one
 * transaction or nothing.
 */

import { fail } from '../../base/errors.ts'
import type { Client, Queryable } from '../../db/client.ts'

import { appendAudit } from '../../directory/audit.ts'
import { listShards } from '../../directory/shards.ts'
import { namespaceOf } from '../homes/home.ts'
import { operatorOf } from '../operations/run.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import { readActual } from './actual.ts'
import { recount } from './buckets.ts'
import type { MovePlan, PlannedMove } from './document.ts'
import { stateHash } from './state.ts'
import { findPlan, insertMoves, insertPlan, type PlanRecord, runningPlan } from './store.ts'
import type { Actual } from './types.ts'

/** How a plan came to be applied. */
export type Entered = PlanRecord & { readonly is: 'new' | 'begun before' }

/**
 * Write a plan down and queue its moves; one that was written down before is only found.
 *
 * @throws REFUSED        another plan is not finished; the directory has changed in what the plan rests on, with each change
 * @throws SHARD_UNKNOWN  a shard that it moves to is not set up, or not in the configuration
 */
export function enterPlan(fleet: Fleet, plan: MovePlan): Promise<Entered> {
  return onDirectory(fleet.directoryUrl, (directory) =>
    directory.transaction(async () => {
      // Nobody else enters a plan meanwhile, or deals buckets; requests and moves go on.
      await directory.query('lock table directory.plan, directory.bucket in share row exclusive mode')
      if (plan.bucketCount) await directory.query('lock table directory.tenant in share row exclusive mode')
      const known = await findPlan(directory, plan.hash)
      if (known) return { ...known, is: 'begun before' }
      await requireNoOther(directory)
      const actual = await readActual(directory)
      requireShards(fleet, plan, actual)
      requireSame(plan, actual)
      const record = await insertPlan(directory, plan, operatorOf(fleet))
      if (plan.bucketCount) await recount(directory, plan.bucketCount.table, actual)
      await queueMoves(directory, plan, record, actual)
      // The last thing: whoever writes to the audit log waits for the end of this, a cutover too.
      const tenants = plan.moves.map(({ tenant }) => tenant)
      const details = { plan: record.id, hash: plan.hash, buckets: plan.buckets.length, tenants }
      const { operator } = record
      await appendAudit(directory, { operator, action: 'plan applied', tenant: null, details })
      return { ...record, is: 'new' }
    }),
  )
}

async function requireNoOther(directory: Queryable): Promise<void> {
  const other = await runningPlan(directory)
  if (!other) return
  const hint =
    'Go on with it: "shardgate apply --continue". Give it up: "shardgate apply --cancel". Its moves: "shardgate move list".'
  const sentence = `Plan ${other.id}, which ${other.operator} began at ${other.appliedAt}, is not finished.`
  fail('REFUSED', sentence, { plan: Number(other.id) }, { hint })
}

function requireShards({ shards }: Fleet, plan: MovePlan, actual: Actual): void {
  const targets = new Set([
    ...plan.moves.map(({ to }) => to.shard),
    ...plan.buckets.map(({ to }) => to),
    ...(plan.bucketCount?.table ?? []),
  ])
  for (const key of targets) {
    if (!shards.some((shard) => shard.key === key)) {
      fail('SHARD_UNKNOWN', `The plan moves to ${key}, which the configuration does not have.`, {
        shard: key,
      })
    }
    if (actual.shards.includes(key)) continue
    const hint = 'Run "shardgate setup", or, of embedded servers, "npm start" again.'
    fail('SHARD_UNKNOWN', `The plan moves to ${key}, which is not set up.`, { shard: key }, { hint })
  }
}

/** Sentences in one refusal. */
const NAMED = 10

function requireSame(plan: MovePlan, actual: Actual): void {
  const changed = changesSince(plan, actual)
  const ids = plan.moves.map(({ tenant }) => tenant)
  if (changed.length === 0 && stateHash(actual, ids) !== plan.directory) {
    changed.push('the placements or the buckets are not those that it was made from')
  }
  if (changed.length === 0) return
  const rest = changed.length > NAMED ? [`and ${changed.length - NAMED} more`] : []
  const lines = ['The directory has changed since the plan was made:', ...changed.slice(0, NAMED), ...rest]
  fail('REFUSED', lines.join('\n  '), {}, { hint: 'Nothing was changed. Make a new plan: shardgate plan' })
}

function changesSince(plan: MovePlan, { tenants, buckets }: Actual): string[] {
  const now = new Map(tenants.map((tenant) => [tenant.id, tenant]))
  const count = plan.bucketCount?.from ?? buckets.length
  return [
    ...(count === buckets.length ? [] : [`there were ${count} buckets, and there are ${buckets.length}`]),
    ...plan.buckets.flatMap(({ no, from }) =>
      buckets[no] === from ? [] : [`bucket ${no} was on ${from} and is on ${buckets[no] ?? 'none'}`],
    ),
    ...plan.moves.flatMap((move) => changeOf(move, now.get(move.tenant))),
  ]
}

function changeOf(
  { tenant, from, epoch }: PlannedMove,
  now: Actual['tenants'][number] | undefined,
): string[] {
  if (!now) return [`${tenant} is no longer there`]
  if (now.held !== null) return [`${tenant} cannot be moved now: ${now.held}`]
  if (now.shard !== from.shard || now.isolation !== from.isolation) {
    return [`${tenant} was on ${from.shard} (${from.isolation}) and is on ${now.shard} (${now.isolation})`]
  }
  return now.epoch === epoch ? [] : [`${tenant} had the epoch ${epoch} and has ${now.epoch}`]
}

async function queueMoves(
  directory: Client,
  plan: MovePlan,
  record: PlanRecord,
  { tenants, namespace: shared }: Actual,
): Promise<void> {
  const ids = new Map((await listShards(directory)).map((shard) => [shard.key, shard.id]))
  const now = new Map(tenants.map((tenant) => [tenant.id, tenant]))
  const moves = plan.moves.map(({ tenant, to, epoch }) => {
    const { shard, isolation, namespace } = now.get(tenant)!
    const place = { tenant, shardId: ids.get(to.shard) ?? '', shared }
    const target = { ...to, namespace: namespaceOf(to.isolation, place) }
    return { tenant, source: { shard, isolation, namespace, epoch }, target }
  })
  await insertMoves(directory, record, moves)
}
