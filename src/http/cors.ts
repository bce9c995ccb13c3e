/**
 * CORS: browsers may call from the origins of `http.corsOrigins`, compared letter by letter.
 *
 * An origin is never reflected and credentials are never allowed: tokens travel in a header that pages
 * must set, so that cookies have no part in it. Pages of the gateway itself need no entry.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'

const ALLOWED_HEADERS =
  'authorization, content-type, idempotency-key, x-request-id, x-tenant-id, x-shardgate-cost, x-shardgate-explain, traceparent, tracestate, x-graphql-yoga-csrf, apollo-require-preflight'

/** What a browser needs to see, as names and values in turn; the same for every answer, refusals included. */
export function corsHeaders({ headers }: IncomingMessage, origins: readonly string[]): readonly string[] {
  if (origins.length === 0) return []
  const { origin } = headers
  // Also without an Origin: a cache must not keep an answer for one origin and give it to another.
  if (origin === undefined || !origins.includes(origin)) return ['vary', 'Origin']
  const exposed = 'x-request-id, retry-after, ratelimit, ratelimit-policy, idempotency-replayed'
  return ['vary', 'Origin', 'access-control-allow-origin', origin, 'access-control-expose-headers', exposed]
}

/** Answer a preflight. Whether the origin may call stands in what `corsHeaders` gave. */
export function answerPreflight(response: ServerResponse): void {
  if (response.hasHeader('access-control-allow-origin')) {
    response.setHeader('access-control-allow-methods', 'GET, POST')
    response.setHeader('access-control-allow-headers', ALLOWED_HEADERS)
    response.setHeader('access-control-max-age', '600')
  }
  // Safari waits for a body that a 204 never has unless it is told the length.
  response.writeHead(204, { 'content-length': 0, allow: 'GET, POST, OPTIONS' }).end()
}
