/** The `extensions` of an answer that are the gateway's own: put to it when it leaves, in both lanes. */

import type { Clock } from '../base/time.ts'
import { costExtension } from './costs.ts'
import type { Exchange } from './exchange.ts'

/** Undefined for most answers. */
export function extensionsOf(exchange: Exchange, clock: Clock): Record<string, unknown> | undefined {
  const cost = costExtension(exchange)
  const explain = explainExtension(exchange, clock)
  return cost || explain ? { ...(cost && { cost }), ...(explain && { explain }) } : undefined
}

function explainExtension(exchange: Exchange, clock: Clock): object | undefined {
  const { explanation, identity, placement } = exchange
  if (!explanation || !identity || !placement) return undefined
  const { shard, epoch, isolation } = placement
  const { lane = null, cache = null, cost = null, startedAt } = exchange
  const where = { tenant: identity.tenant, shard, epoch, isolation }
  return explanation.report({
    ...{ ...where, lane, cache, cost, milliseconds: clock.elapsed() - startedAt },
  })
}

/**
 * The text of an answer with extensions put to it.
 *
 * @param text  of a JSON object that is not empty and has none yet, without white space at its end
 */
export function withExtensions(text: string, extensions: Record<string, unknown> | undefined): string {
  return extensions ? `${text.slice(0, -1)},"extensions":${JSON.stringify(extensions)}}` : text
}
