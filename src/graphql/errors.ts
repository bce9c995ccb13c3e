/**
 * Errors on their way out: what a client sees of a failure, and what only the log sees.
 *
 *     GatewayError ───────────────▶ its code, hint and details
 *     an error that has a code ───▶ as its author wrote it
 *     refused by graphql-js ──────▶ GRAPHQL_VALIDATION_FAILED or BAD_USER_INPUT
 *     everything else ────────────▶ INTERNAL_SERVER_ERROR, without its text
 *
 * Whoever is refused before anything ran gets the HTTP status of the error table. An error inside an
 * answer has none: the answer is a whole with its data.
 */

import { GraphQLError } from 'graphql'
import { ERRORS, type ErrorCode, GatewayError } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'

export interface ErrorScope {
  readonly requestId: string
  readonly tenant?: string | undefined
  readonly traceId?: string | undefined
  readonly emit: Emit
  /** Take 'Did you mean' out of what is said of variables; the executor cannot leave it out. */
  readonly hideSuggestions?: boolean
}

/** Errors that were made here → what they hide; their text may go out. */
const made = new WeakSet<GraphQLError>()
const hidden = new WeakMap<GraphQLError, unknown>()

const QUOTED_MAX = 1_000
const MASKED = 'Something failed inside the gateway.'

/** The error that a client may see in place of `error`. For Yoga's `maskedErrors`. */
export function maskError(error: unknown): GraphQLError {
  if (error instanceof GraphQLError && made.has(error)) return error
  const safe = presentable(error)
  made.add(safe)
  return safe
}

/** The errors of an answer, masked, with the request's id; what was masked is told to the log. */
export function finishErrors(errors: readonly unknown[], scope: ErrorScope): GraphQLError[] {
  const told = errors.slice(0, ERRORS_MAX).map((error) => {
    const safe = maskError(error)
    if (hidden.has(safe)) {
      const { requestId, traceId, tenant, emit } = scope
      const hiding = hidden.get(safe)
      emit({ kind: 'request.failed', requestId, traceId, error: hiding, ...(tenant ? { tenant } : {}) })
      hidden.delete(safe)
    }
    if (scope.hideSuggestions && safe.extensions.code === 'BAD_USER_INPUT') {
      safe.message = safe.message.replace(/ Did you mean .*\?$/s, '')
    }
    safe.extensions.requestId = scope.requestId
    return safe
  })
  const more = errors.length - told.length
  return more > 0 ? [...told, leftOut(more, told)] : told
}

function leftOut(more: number, told: readonly GraphQLError[]): GraphQLError {
  const { code, requestId } = told[0]?.extensions ?? {}
  return new GraphQLError(`${more} more errors were left out.`, { extensions: { code, requestId } })
}

// One fault in each of 10,000 rows would make an answer of megabytes that says one thing.
const ERRORS_MAX = 20

/** The first code of our table among `errors`. */
export function firstCode(errors: readonly GraphQLError[]): ErrorCode | undefined {
  return errors.map(({ extensions }) => tableCode(extensions.code)).find((code) => code !== undefined)
}

function presentable(error: unknown): GraphQLError {
  const located = error instanceof GraphQLError ? error : undefined
  const own = gatewayErrorIn(error)
  if (own && own.code !== 'INTERNAL_SERVER_ERROR') return withCode(own.code, own.message, located, own)
  if (located) {
    const { code, http } = coded(located)
    // Yoga calls a mutation by GET a bad request and means the method.
    if (http?.status === 405) return withCode('METHOD_NOT_ALLOWED', located.message, located, undefined, http)
    if (code) return withCode(tableCode(code) ?? code, located.message, located, undefined, http)
    // These quote what the caller sent, and nothing else; that may be long.
    if (/^(Variable|Argument) "|^Too many errors processing variables/.test(located.message)) {
      return withCode('BAD_USER_INPUT', located.message.slice(0, QUOTED_MAX), located)
    }
  }
  const masked = withCode('INTERNAL_SERVER_ERROR', MASKED, located)
  hidden.set(masked, located?.originalError ?? error)
  return masked
}

function gatewayErrorIn(error: unknown): GatewayError | undefined {
  if (error instanceof GatewayError) return error
  return error instanceof GraphQLError ? gatewayErrorIn(error.originalError) : undefined
}

interface HttpExtension {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
}

/** A code that somebody put there on purpose: on the error, or on the one that it wraps. */
function coded(error: GraphQLError): { code?: string; http?: HttpExtension } {
  const inner = error.originalError instanceof GraphQLError ? coded(error.originalError) : {}
  const { code, http } = error.extensions
  return {
    ...inner,
    ...(typeof code === 'string' && !error.extensions.unexpected ? { code } : {}),
    ...(typeof http === 'object' && http !== null ? { http } : {}),
  }
}

// Maps, not objects: a code is somebody's text, and "constructor" is a key of every object.
const ALIASES: ReadonlyMap<string, ErrorCode> = new Map([
  ['REQUEST_ENTITY_TOO_LARGE', 'PAYLOAD_TOO_LARGE'],
  ['OPERATION_RESOLUTION_FAILURE', 'BAD_REQUEST'],
])

function tableCode(code: unknown): ErrorCode | undefined {
  if (typeof code !== 'string') return undefined
  return Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : ALIASES.get(code)
}

// A client that asks for application/json is told of these three with status 200: GraphQL over HTTP
// wants it so, because for such a client a status is about the transport. Everything else has its own.
const SPEC: readonly string[] = ['GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED', 'BAD_USER_INPUT']

// What passes by itself, within moments; a conflict can be tried again at once.
const RETRY_LATER: readonly string[] = [
  'RATE_LIMITED',
  'QUOTA_EXCEEDED',
  'TENANT_MOVING',
  'SHARD_UNAVAILABLE',
  'DIRECTORY_UNAVAILABLE',
  'AUTH_UNAVAILABLE',
  'OVERLOADED',
  'DRAINING',
] satisfies ErrorCode[]
/** Seconds, where nobody knows better. */
const RETRY_AFTER_S = 1
const HEADERS: ReadonlyMap<string, Readonly<Record<string, string>>> = new Map([
  ['UNAUTHENTICATED', { 'www-authenticate': 'Bearer' }],
  ['METHOD_NOT_ALLOWED', { allow: 'GET, POST' }],
])

function withCode(
  code: string,
  message: string,
  located: GraphQLError | undefined,
  own?: GatewayError,
  given?: HttpExtension,
): GraphQLError {
  const kind = tableCode(code) ? ERRORS[code as ErrorCode] : undefined
  const details = own && Object.keys(own.details).length > 0 ? { details: own.details } : {}
  const retryAfter = RETRY_LATER.includes(code) ? (own?.details.retryAfter ?? RETRY_AFTER_S) : undefined
  const source = located ?? (own?.cause instanceof GraphQLError ? own.cause : undefined)
  return new GraphQLError(message, {
    nodes: source?.nodes ?? null,
    source: source?.source ?? null,
    positions: source?.positions ?? null,
    path: located?.path ?? null,
    extensions: {
      code,
      retryable: kind?.retryable ?? false,
      // Not only as a header: an error of one field stands in an answer that is no refusal.
      ...(retryAfter === undefined ? {} : { retryAfter }),
      ...(kind ? { hint: own?.hint ?? kind.hint } : {}),
      ...details,
      ...(located?.path ? {} : { http: httpOf(code, kind?.status, retryAfter, given) }),
    },
  })
}

function httpOf(
  code: string,
  status: number | undefined,
  retryAfter: string | number | boolean | undefined,
  given: HttpExtension | undefined,
): object {
  const theirs = Object.entries(given?.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])
  const later = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }
  const headers = { ...HEADERS.get(code), ...later, ...Object.fromEntries(theirs) }
  return {
    status: status ?? given?.status ?? 400,
    ...(Object.keys(headers).length > 0 ? { headers } : {}),
    ...(SPEC.includes(code) ? { spec: true } : {}),
  }
}
