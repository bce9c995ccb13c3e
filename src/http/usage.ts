/** `GET /usage` on the private port: what one tenant has used, for operators' own programs. */

import { fail } from '../base/errors.ts'
import { isTenantId, type TenantId } from '../base/ids.ts'
import { systemClock } from '../base/time.ts'
import { GRAINS, type Grain, type Span, spanBetween } from '../directory/usage-periods.ts'

export interface UsageQuestion {
  readonly tenant: TenantId
  readonly span: Span
  readonly by: Grain
}

const KNOWN = ['tenant', 'from', 'to', 'by']

/**
 * The question of a query string: `tenant`, and what `usage show` has as `--from`, `--to` and `--by`.
 *
 * @throws BAD_REQUEST  one is missing, unknown, given twice or no such thing
 */
export function usageQuestion(search: string): UsageQuestion {
  const asked = new URLSearchParams(search)
  for (const name of new Set(asked.keys())) {
    if (!KNOWN.includes(name)) fail('BAD_REQUEST', `Wanted ${KNOWN.join(', ')}; "${name.slice(0, 40)}" came.`)
    if (asked.getAll(name).length > 1) fail('BAD_REQUEST', `"${name}" came twice.`)
  }
  const by = GRAINS.find((grain) => grain === (asked.get('by') ?? 'day'))
  if (!by) return fail('BAD_REQUEST', `"by": wanted ${GRAINS.join(', ')}.`)
  const between = { from: asked.get('from') ?? undefined, to: asked.get('to') ?? undefined }
  const span = spanBetween(between, systemClock.now())
  if (typeof span === 'string') return fail('BAD_REQUEST', `"from", "to": ${span}`)
  const tenant = asked.get('tenant')
  if (!isTenantId(tenant)) return fail('BAD_REQUEST', '"tenant": wanted the id of a tenant.')
  return { tenant, span, by }
}
