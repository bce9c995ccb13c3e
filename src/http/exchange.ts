/**
 * One request and its answer on the public port: what is known of it, from the first byte to the last.
 *
 * Each exchange ends in one `request.done`, also when the client hangs up, and is ended by force when
 * its answer is not taken (server.ts): a client that never reads must not hold memory for longer than a deadline.
 */

import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ExecutionResult } from 'graphql'
import type { Limits } from '../base/config-limits.ts'
import type { ErrorCode } from '../base/errors.ts'
import type { Event, LaneName, Route } from '../base/events.ts'
import type { Clock, Deadline } from '../base/time.ts'
import type { Witness } from '../base/witness.ts'
import type { Placement } from '../directory/types.ts'
import type { Api } from '../graphql/apis.ts'
import type { Rated } from '../tenant/limits/limiter.ts'
import { hashedSubject } from '../tenant/subject.ts'
import type { Identity } from '../tenant/types.ts'
import type { Explanation } from './explanation.ts'
import { headerValues } from './headers.ts'

type RequestDone = Extract<Event, { kind: 'request.done' }>

/** What a client asks; `query` and the rest are checked by the GraphQL server. */
export interface Parameters {
  readonly query?: string
  readonly operationName?: string
  readonly variables?: Record<string, unknown>
  readonly extensions?: Record<string, unknown>
  /** Of a persisted document; the intake puts its text in its place. */
  readonly documentId?: unknown
}

/** The spans of a request (tracing.ts). */
export interface RequestTrace {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** What the operation is; told by the lane that is about to run it. */
  began(kind: string, name: string | undefined): void
}

export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly requestId: string
  readonly deadline: Deadline & { witness?: Witness | undefined; statementMs?: number | undefined }
  /** Of the clock, in milliseconds. */
  readonly startedAt: number
  /** From when on an answer that is not taken is given up; of the clock, in milliseconds. */
  readonly endsAt: number
  /** Path without its query, as it came. */
  readonly path: string
  /** What follows the '?'. */
  readonly search: string
  route: Route
  identity?: Identity
  /** Of the identity's tenant. */
  placement?: Placement
  /** Of the tenant, by its plan and its own. */
  limits?: Limits
  /** The tenant at this gateway, where it has limits that are counted (rates.ts). */
  rated?: Rated
  /** Its cost was taken from what the tenant may spend. */
  hasPaid?: boolean
  /** The API of the tenant's tables. */
  api?: Api
  /** The tables have changed while the operation ran, and nothing of it was kept: it is to be run again. */
  again?: boolean
  /** What the client asks, once it is being taken in (intake.ts). */
  intake?: Promise<Parameters>
  /** A document to be known by its hash once it has run. */
  unregistered?: { readonly hash: string; readonly text: string }
  /** Which lane ran the operation; unset where none ran. */
  lane?: LaneName
  /** Of the trace that it is a part of, where traces are recorded. */
  trace?: RequestTrace
  /** What an operator wants to be told of it. */
  explanation?: Explanation
  /** An answer with errors that the compiled lane has given, and nobody may run again. */
  settled?: ExecutionResult
  /** Name of the operation that ran; a GraphQL name, cut to 100 characters. */
  operation?: string
  code?: ErrorCode
  /** Errors in the answer. */
  errors?: number
  /** What the operation costs: before it ran, and once it has. */
  cost?: { readonly requested: number; readonly actual?: number }
  /** What the cache of answers said; unset where it was not asked. */
  cache?: 'hit' | 'miss'
  /** Bytes of the body as it came. */
  bytesIn?: number
  /** Bytes of the answer's body, where no header of the response says them. */
  bytesOut?: number
}

// Letters that need no quoting anywhere, and a length that a log line and a header can bear.
const SANE_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$/

export interface Times {
  /** Milliseconds until the deadline of the request. */
  readonly requestMs: number
  /** Milliseconds after the deadline until an answer that is not taken is given up. */
  readonly leavingMs: number
}

export function beginExchange(
  request: IncomingMessage,
  response: ServerResponse,
  { requestMs, leavingMs }: Times,
  clock: Clock,
): Exchange {
  const startedAt = clock.elapsed()
  const requestId = requestIdOf(request)
  const [path, search] = splitOnce(request.url ?? '')
  return {
    request,
    response,
    requestId,
    deadline: new RequestDeadline(startedAt + requestMs, response, clock, requestId),
    startedAt,
    endsAt: startedAt + requestMs + leavingMs,
    path,
    search,
    route: 'none',
  }
}

/** A class, because there is one for each request: as an object of functions it would take a microsecond. */
class RequestDeadline implements Deadline {
  readonly requestId: string
  witness: Witness | undefined
  statementMs: number | undefined
  readonly #end: number
  readonly #response: ServerResponse
  readonly #clock: Clock

  constructor(end: number, response: ServerResponse, clock: Clock, requestId: string) {
    this.requestId = requestId
    this.#end = end
    this.#response = response
    this.#clock = clock
  }

  remainingMs(): number {
    return Math.max(0, this.#end - this.#clock.elapsed())
  }

  whenGone(tell: () => void): () => void {
    const response = this.#response
    if (response.closed) tell()
    response.once('close', tell)
    return () => response.off('close', tell)
  }
}

function splitOnce(url: string): [string, string] {
  const at = url.indexOf('?')
  return at < 0 ? [url, ''] : [url.slice(0, at), url.slice(at + 1)]
}

function requestIdOf(request: IncomingMessage): string {
  const [given, ...more] = headerValues(request, 'x-request-id')
  return given !== undefined && more.length === 0 && SANE_ID.test(given) ? given : randomUUID()
}

/** The event at the end of an exchange, when its answer has left or its connection has ended. */
export function doneEvent(exchange: Exchange, clock: Clock): RequestDone {
  const { request, response, requestId, startedAt, route, identity, lane, operation, code, cache } = exchange
  const durationMs = clock.elapsed() - startedAt
  const subject = identity && hashedSubject(identity)
  return {
    kind: 'request.done',
    requestId,
    method: request.method ?? '',
    route,
    status: response.writableFinished ? response.statusCode : 499,
    durationMs: Math.round(durationMs * 1000) / 1000,
    cost: exchange.cost?.actual ?? exchange.cost?.requested ?? 0,
    bytesIn: exchange.bytesIn ?? exchange.search.length,
    bytesOut: response.writableFinished ? bytesOutOf(exchange) : 0,
    errors: exchange.errors ?? 0,
    ...(identity ? { tenant: identity.tenant } : {}),
    ...(exchange.placement ? { shard: exchange.placement.shard } : {}),
    ...(exchange.trace ? { traceId: exchange.trace.traceId } : {}),
    ...(lane ? { lane } : {}),
    ...(operation ? { operation: operation.slice(0, 100) } : {}),
    ...(code ? { code } : {}),
    ...(cache ? { cache } : {}),
    ...(subject ? { subject } : {}),
  }
}

function bytesOutOf({ bytesOut, response }: Exchange): number {
  return bytesOut ?? Number(response.getHeader('content-length') ?? 0)
}
