/**
 * How much a tenant may ask for: the limits of its plan, with its own over them.
 *
 *     shards.config.json  plans.gold.limits   { requestsPerMinute: 6000, depth: 10 }
 *     directory           tenant.limits       {                          depth: 14 }
 *                                           = { requestsPerMinute: 6000, depth: 14 }
 *
 * Both may change while the gateway runs: a reload brings other plans, the directory another placement.
 */

import type { Config } from '../base/config.ts'
import { LIMIT_NAMES, type Limits } from '../base/config-limits.ts'
import type { Placement } from '../directory/types.ts'

type Plans = Config['plans']

interface Known {
  readonly plans: Plans
  readonly limits: Limits
}

/** Placements are shared by all requests of a tenant, and replaced when something of it changes. */
const known = new WeakMap<Placement, Known>()

/** The limits of the tenant of `placement`: the same object for as long as neither its plan nor its own change. */
export function limitsOf(plans: Plans, placement: Placement): Limits {
  const found = known.get(placement)
  if (found?.plans === plans) return found.limits
  const limits = Object.freeze({ ...plans[placement.plan]?.limits, ...soundOf(placement.limits) })
  known.set(placement, { plans, limits })
  return limits
}

/** What is no limit (a name of a later version, a hand's slip in the directory) limits nothing. */
function soundOf(limits: Limits): Limits {
  const sound = LIMIT_NAMES.filter((name) => Number.isSafeInteger(limits[name]) && Number(limits[name]) > 0)
  return Object.fromEntries(sound.map((name) => [name, limits[name]]))
}
