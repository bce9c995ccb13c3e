/** Limits of a tenant's own as operators give them, over those of its plan. */

import { LIMIT_NAMES, type LimitName, type Limits, tenantLimits } from '../base/config-limits.ts'
import { fail } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'

/** A number, or null to take the limit away, so that the plan's holds. */
export type LimitChanges = Readonly<Record<string, number | null>>

/**
 * The limits `now` with `changes`.
 *
 * @throws USAGE  there is no such limit, or it cannot be so large or so small
 */
export function changedLimits(now: Limits, changes: LimitChanges): Limits {
  const limits = new Map<string, number>(Object.entries(now as Record<string, number>))
  for (const [name, value] of Object.entries(changes)) {
    requireName(name)
    if (value === null) limits.delete(name)
    else limits.set(name, soundValue(name, value))
  }
  return Object.fromEntries(limits)
}

function requireName(name: string): asserts name is LimitName {
  if ((LIMIT_NAMES as readonly string[]).includes(name)) return
  const meant = nearest(name, LIMIT_NAMES)
  const hint = meant === undefined ? `They are ${LIMIT_NAMES.join(', ')}.` : `Did you mean "${meant}"?`
  fail('USAGE', `There is no limit "${name.slice(0, 40)}". ${hint}`)
}

function soundValue(name: LimitName, value: number): number {
  if (tenantLimits.shape[name].safeParse(value).success) return value
  const largest = tenantLimits.shape[name].unwrap().maxValue
  return fail('USAGE', `${name}: wanted a whole number from 1 to ${largest}; ${value} came.`)
}
