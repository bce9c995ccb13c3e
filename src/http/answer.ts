/** Answers that need no GraphQL server: refusals before it, in its shape, and small JSON documents. */

import type { ServerResponse } from 'node:http'
import { GatewayError } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import { finishErrors, firstCode } from '../graphql/errors.ts'
import type { Exchange } from './exchange.ts'

/** Send `body`, unless an answer is under way. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  type = 'application/json',
): void {
  if (response.headersSent) return
  const text = `${JSON.stringify(body)}\n`
  response.writeHead(status, {
    'content-type': `${type}; charset=utf-8`,
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
}

/** Refuse an exchange with `error`, masked where it is none of ours. */
export function refuse(exchange: Exchange, error: unknown, emit: Emit): void {
  const { requestId, identity, response, request } = exchange
  const [safe] = finishErrors([error], { requestId, tenant: identity?.tenant, emit })
  if (!safe) return
  const code = firstCode([safe])
  if (code) exchange.code = code
  const { http, ...extensions } = safe.extensions
  const { status, headers } = http as { status: number; headers?: Record<string, string> }
  if (!response.headersSent)
    for (const [name, value] of Object.entries(headers ?? {})) response.setHeader(name, value)
  sendJson(
    response,
    status,
    { errors: [{ message: safe.message, extensions }] },
    mediaType(request.headers.accept),
  )
}

const RESPONSE_TYPE = 'application/graphql-response+json'

function mediaType(accept: string | undefined): string {
  return accept?.includes(RESPONSE_TYPE) ? RESPONSE_TYPE : 'application/json'
}

/** An error to throw where no table entry fits better than a plain bad request. */
export function badRequest(message: string, details: Record<string, string | number> = {}): GatewayError {
  return new GatewayError('BAD_REQUEST', message, details)
}
