/**
 * Intake: who asks, for which tenant, and what. One for both lanes, and once for an exchange: whoever asks for it
 * later gets the same parameters, or the same refusal.
 *
 * The cheap checks come first and the body comes last: nothing is read for somebody who is refused anyway.
 */

import type { IncomingMessage } from 'node:http'
import type { Config } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import type { FindPlacement } from '../directory/types.ts'
import { type HeaderValue, requireAgreement } from '../tenant/agreement.ts'
import { requireOperator } from '../tenant/issue.ts'
import { limitsOf } from '../tenant/limits.ts'
import type { Identity } from '../tenant/types.ts'
import { readParameters, tooLarge } from './body.ts'
import type { PersistedDocuments } from './documents.ts'
import type { Exchange, Parameters } from './exchange.ts'
import { EXPLAIN_HEADER, Explanation } from './explanation.ts'
import { headerValues } from './headers.ts'
import { admit, type RateOptions } from './rates.ts'
import type { TenantApis } from './tenant-apis.ts'

export interface IntakeOptions extends RateOptions {
  readonly config: () => Config
  readonly authenticate: (authorization: string | undefined) => Promise<Identity>
  readonly placementOf: FindPlacement
  readonly apis: TenantApis
  readonly documents: PersistedDocuments
}

/**
 * What the client of an exchange asks. The identity and the API of the exchange are known from then on.
 *
 * @throws METHOD_NOT_ALLOWED, UNSUPPORTED_MEDIA_TYPE, PAYLOAD_TOO_LARGE, BAD_REQUEST, UNAUTHENTICATED,
 *         AUTH_UNAVAILABLE, TENANT_UNKNOWN, TENANT_MISMATCH, DIRECTORY_UNAVAILABLE, RATE_LIMITED, QUOTA_EXCEEDED, and as `apis` and `documents` do
 */
export function takeIn(exchange: Exchange, options: IntakeOptions): Promise<Parameters> {
  exchange.intake ??= takeInOnce(exchange, options)
  return exchange.intake
}

async function takeInOnce(exchange: Exchange, options: IntakeOptions): Promise<Parameters> {
  const { limits, http } = options.config()
  const { request } = exchange
  checkHeaders(request, limits.bodyBytes)
  const identity = await options.authenticate(authorizationOf(exchange))
  exchange.identity = identity
  if (request.headers[EXPLAIN_HEADER] === '1') {
    requireOperator(identity)
    exchange.explanation = new Explanation(exchange.deadline.witness)
    exchange.deadline.witness = exchange.explanation
  }
  const placement = await options.placementOf(identity.tenant)
  if (!placement) fail('TENANT_UNKNOWN', 'The token names a tenant that is not known here.')
  exchange.placement = placement
  exchange.limits = limitsOf(options.config().plans, placement)
  exchange.deadline.statementMs = exchange.limits.statementMs
  requireAgreement({
    tenant: identity.tenant,
    subdomain: placement.subdomain,
    headers: { 'x-tenant-id': named(request, 'x-tenant-id'), host: named(request, 'host') },
    baseDomain: http.baseDomain,
  })
  const admitted = admit(exchange, options)
  if (admitted) await admitted
  const api = options.apis.of(placement, exchange.deadline)
  if (api instanceof Promise) Object.assign(exchange, await api)
  else exchange.api = api
  return options.documents.resolve(exchange, await readParameters(exchange, limits))
}

/** Refuse what cannot be a request, by its method and headers alone. */
function checkHeaders({ method, headers }: IncomingMessage, bodyBytesMax: number): void {
  if (method !== 'GET' && method !== 'POST') {
    fail('METHOD_NOT_ALLOWED', `The method is ${method}; wanted POST, or GET for a query.`)
  }
  if (method === 'GET') return
  checkMediaType(headers['content-type'])
  const encoding = headers['content-encoding'] ?? 'identity'
  if (encoding.toLowerCase() !== 'identity') {
    fail('UNSUPPORTED_MEDIA_TYPE', 'The body is compressed; wanted it as it is.', {
      header: 'content-encoding',
    })
  }
  const announced = Number(headers['content-length'] ?? 0)
  if (announced > bodyBytesMax) throw tooLarge(bodyBytesMax)
}

const JSON_TYPE = /^application\/(graphql\+)?json$/

function checkMediaType(header: string | undefined): void {
  if (header === 'application/json') return
  const [type = '', ...parameters] = (header ?? '')
    .toLowerCase()
    .split(';')
    .map((part) => part.trim())
  if (!JSON_TYPE.test(type)) {
    const came = type === '' ? 'no Content-Type came' : `${JSON.stringify(type.slice(0, 60))} came`
    fail('UNSUPPORTED_MEDIA_TYPE', `Wanted the Content-Type application/json; ${came}.`)
  }
  for (const parameter of parameters) {
    const [name, value = ''] = parameter.split('=', 2)
    if (name === 'charset' && value.replaceAll('"', '') !== 'utf-8') {
      fail('UNSUPPORTED_MEDIA_TYPE', 'Wanted the charset utf-8.', { header: 'content-type' })
    }
  }
}

/** Undefined for a header that did not come. */
function named(request: IncomingMessage, name: string): HeaderValue {
  const values = headerValues(request, name)
  return values.length > 0 ? values : undefined
}

function authorizationOf({ request }: Exchange): string | undefined {
  const [value, ...more] = headerValues(request, 'authorization')
  if (more.length > 0) fail('UNAUTHENTICATED', 'The Authorization header came twice.', { reason: 'scheme' })
  return value
}

/** Only a mutation asks what the key is (graphql/idempotency.ts); '' is none that it takes. */
export function idempotencyKeyOf({ request }: Exchange): string | undefined {
  const [key, ...more] = headerValues(request, 'idempotency-key')
  return more.length > 0 ? '' : key
}
