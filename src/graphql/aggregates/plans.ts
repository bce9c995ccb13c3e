/**
 * Plans of aggregates, each made once for all parents of a list: they share the list's plan, and a plan that is
 * made and named for each of 10,000 parents costs 10,000 times what its filter weighs.
 */

import type { FieldNode } from 'graphql'
import { once } from '../../base/once.ts'
import { type AggregatePlan, COUNT, wholeOf } from '../plan/aggregate-types.ts'
import type { ListPlan } from '../plan/types.ts'

interface KnownPlan {
  readonly nodes: readonly FieldNode[]
  readonly plan: () => AggregatePlan
}

const known = new WeakMap<ListPlan, KnownPlan[]>()

/**
 * The plan of a field about the whole of `list`.
 *
 * One place in a fragment may stand in several selections that each select more beside it, so a plan is known
 * by all its nodes.
 *
 * @param make  a fault of the arguments is remembered as the plan is
 */
export function aggregatePlan(
  list: ListPlan,
  nodes: readonly FieldNode[],
  make: () => Omit<AggregatePlan, 'list'>,
): AggregatePlan {
  const plans = known.get(list) ?? []
  known.set(list, plans)
  const same = plans.find(
    (candidate) =>
      candidate.nodes.length === nodes.length && candidate.nodes.every((node, i) => node === nodes[i]),
  )
  if (same) return same.plan()
  const fresh = { nodes, plan: once(() => ({ list: wholeOf(list), ...make() })) }
  plans.push(fresh)
  return fresh.plan()
}

/** The number of rows of the whole of `list`. */
export function countPlan(list: ListPlan): AggregatePlan {
  return aggregatePlan(list, [], () => ({ measures: [COUNT], groups: null }))
}
