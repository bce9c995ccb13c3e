/** Settings of a tenant as operators give them: what its own frontend may know, and extensions too. */

import { fail } from '../base/errors.ts'
import type { TenantSettings } from '../directory/types.ts'

const BYTES_MAX = 16_384
const FEATURE = /^[A-Za-z][\w.:-]{0,99}$/

/**
 * @throws USAGE  not an object, too large, or `branding` or `features` is not what it has to be
 */
export function tenantSettings(value: unknown): TenantSettings {
  if (!isObject(value)) return wrong('a JSON object', value)
  const { branding, features } = value
  if (branding !== undefined && !isObject(branding)) wrong('an object as "branding"', branding)
  if (features !== undefined) requireFeatures(features)
  const bytes = Buffer.byteLength(JSON.stringify(value))
  if (bytes > BYTES_MAX) fail('USAGE', `Settings: wanted at most ${BYTES_MAX} bytes of JSON; ${bytes} came.`)
  return value
}

function requireFeatures(features: unknown): void {
  if (!Array.isArray(features)) wrong('a list of names as "features"', features)
  const odd: unknown = features.find((name) => typeof name !== 'string' || !FEATURE.test(name))
  if (odd !== undefined) wrong('names of features that begin with a letter and have no spaces', odd)
  const twice: unknown = features.find((name, i) => features.indexOf(name) !== i)
  if (twice !== undefined) wrong('each feature once', twice)
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function wrong(wanted: string, came: unknown): never {
  const text = JSON.stringify(came) ?? String(came)
  return fail('USAGE', `Settings: wanted ${wanted}; ${text.slice(0, 60)} came.`)
}
