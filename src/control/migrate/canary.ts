/** The target that goes first, and alone: what is wrong with a file is found there. */

import { fail } from '../../base/errors.ts'
import { targetName } from '../../directory/targets.ts'
import type { Pending } from './pending.ts'

export interface Canary {
  readonly pending: Pending
  /** For people: 'the smallest of 12 own homes'. */
  readonly why: string
}

/**
 * The tenant's own home with the fewest pages, else the shared schema of the first shard.
 *
 * @param candidates  targets that lack files, in the order of shards; at least one
 * @param wanted      id of a tenant with tables of its own, or key of a shard for its shared schema
 * @throws REFUSED  the wanted one is none of them
 */
export function chooseCanary(candidates: readonly Pending[], wanted?: string): Canary {
  if (wanted !== undefined) {
    const pending = candidates.find(({ target }) => isMeant(target, wanted))
    return pending ? { pending, why: 'as asked for' } : noSuchCanary(candidates, wanted)
  }
  const own = candidates.filter(({ size, unreachable }) => size !== null && unreachable === undefined)
  const [smallest] = own.toSorted((a, b) => a.size! - b.size!)
  if (smallest) return { pending: smallest, why: whySmallest(own.length) }
  const shared = candidates.find(({ target }) => target.tenant === null)
  return { pending: shared ?? candidates[0]!, why: 'no tenant has a home of its own that lacks anything' }
}

const whySmallest = (count: number): string =>
  count === 1
    ? 'the only tenant with a home of its own'
    : `the smallest of ${count} homes that are a tenant's own`

/** Whether a name that somebody has typed means this target: the key of a shard its shared schema. */
function isMeant({ shard, tenant }: Pending['target'], name: string): boolean {
  return tenant === null ? shard === name : tenant === name
}

/** @throws REFUSED  no target has the name that was typed for a canary */
export function requireCanary(targets: readonly Pending['target'][], wanted: string): void {
  if (targets.some((target) => isMeant(target, wanted))) return
  const hint = 'Name a shard, or a tenant with a home of its own: "shardgate migrate status" lists both.'
  fail('REFUSED', `${JSON.stringify(wanted)} cannot be the canary: there is no such target.`, {}, { hint })
}

function noSuchCanary(candidates: readonly Pending[], wanted: string): never {
  const some = candidates.slice(0, 5).map(({ target }) => target.tenant ?? target.shard)
  return fail(
    'REFUSED',
    `${JSON.stringify(wanted)} cannot be the canary: no target of this name lacks anything. There are ${some.join(', ')}${candidates.length > 5 ? ', …' : ''}.`,
  )
}

/** 'acme (schema on shard-a), the smallest of 12 …' */
export function canaryText({ pending, why }: Canary): string {
  return `${targetName(pending.target)}: ${why}`
}
