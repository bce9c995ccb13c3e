/** Answers that need no GraphQL server: refusals before it, in its shape, and small JSON documents. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { type ErrorCode, GatewayError } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import { finishErrors, firstCode } from '../graphql/errors.ts'
import { RESPONSE_TYPE } from './media-types.ts'

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

export interface Refusal {
  readonly error: unknown
  readonly requestId: string
  readonly tenant?: string | undefined
  readonly traceId?: string | undefined
  readonly emit: Emit
}

/**
 * Refuse with `error` in the shape of a GraphQL answer, masked where it is none of ours.
 *
 * @returns  its code, when it is one of the table
 */
export function sendRefusal(
  request: IncomingMessage,
  response: ServerResponse,
  { error, ...scope }: Refusal,
): ErrorCode | undefined {
  const errors = finishErrors([error], scope)
  const { http, ...extensions } = errors[0]?.extensions ?? {}
  const { status, headers } = http as { status: number; headers?: Record<string, string> }
  if (!response.headersSent) response.setHeaders(new Map(Object.entries(headers ?? {})))
  const body = { errors: [{ message: errors[0]?.message, extensions }] }
  sendJson(response, status, body, mediaType(request.headers.accept))
  return firstCode(errors)
}

function mediaType(accept: string | undefined): string {
  return accept?.includes(RESPONSE_TYPE) ? RESPONSE_TYPE : 'application/json'
}

/** An error to throw where no table entry fits better than a plain bad request. */
export function badRequest(message: string, details: Record<string, string | number> = {}): GatewayError {
  return new GatewayError('BAD_REQUEST', message, details)
}
