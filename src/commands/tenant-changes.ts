/** The options of `tenant set` as changes, and what is wrong with them, before a connection is opened. */

import { fail } from '../base/errors.ts'
import type { TenantChanges } from '../control/life/set.ts'
import { changedLimits, type LimitChanges } from '../control/tenant-limits.ts'
import { subdomain } from '../directory/tenants.ts'
import { requireText, settingsOption } from './tenant.ts'

export interface SetOptions {
  readonly name?: string
  readonly subdomain?: string
  readonly plan?: string
  readonly settings?: string
  readonly feature?: readonly string[]
  /** 'depth=8'; '-depth' takes it away. */
  readonly limit?: readonly string[]
  readonly unchangedSince?: string
}

const CHANGES = ['--name', '--subdomain', '--plan', '--settings', '--feature', '--limit', '--no-limit']

/** @throws USAGE  nothing is to be changed, or an option is not what it has to be */
export function changesOf(options: SetOptions): TenantChanges {
  const { settings, feature, limit, ...plain } = options
  const { name, plan, unchangedSince } = plain
  if (name !== undefined) requireText('--name', name, 200)
  if (plan !== undefined) requireText('--plan', plan, 40)
  if (plain.subdomain !== undefined) subdomain(plain.subdomain)
  const changes: TenantChanges = {
    ...(name !== undefined && { name }),
    ...(plain.subdomain !== undefined && { subdomain: plain.subdomain }),
    ...(plan !== undefined && { plan }),
    ...(settings !== undefined && { settings: settingsOf(settings) }),
    ...(feature !== undefined && { features: featuresOf(feature) }),
    ...(limit !== undefined && { limits: limitsOf(limit) }),
  }
  if (Object.keys(changes).length === 0) {
    fail('USAGE', `tenant set: wanted at least one of ${CHANGES.join(', ')}.`)
  }
  return { ...changes, ...(unchangedSince !== undefined && { unchangedSince }) }
}

function settingsOf(given: string): Record<string, unknown> {
  const value: unknown = settingsOption(given)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  return fail('USAGE', `--settings: wanted a JSON object; ${JSON.stringify(value).slice(0, 60)} came.`)
}

function featuresOf(given: readonly string[]): { on: string[]; off: string[] } {
  const parts = given.map((word) => {
    const [, sign, name] = /^([+-])([A-Za-z][\w.:-]{0,99})$/.exec(word) ?? []
    if (sign && name) return { sign, name }
    return fail('USAGE', `--feature: wanted +name or -name; ${JSON.stringify(word.slice(0, 60))} came.`)
  })
  const of = (sign: string): string[] => parts.filter((part) => part.sign === sign).map(({ name }) => name)
  const both = of('+').find((name) => of('-').includes(name))
  if (both !== undefined) fail('USAGE', `--feature: "${both}" cannot be switched on and off at once.`)
  return { on: of('+'), off: of('-') }
}

function limitsOf(given: readonly string[]): LimitChanges {
  const changes = given.map((word): [string, number | null] => {
    const [, taken, name, value] = /^(?:-(\w+)|(\w+)=(\d{1,16}))$/.exec(word) ?? []
    if (taken) return [taken, null]
    if (name) return [name, Number(value)]
    return fail(
      'USAGE',
      `--limit: wanted a name and a number, "depth=8"; ${JSON.stringify(word.slice(0, 60))} came.`,
    )
  })
  const limits = Object.fromEntries(changes)
  changedLimits({}, limits)
  return limits
}
