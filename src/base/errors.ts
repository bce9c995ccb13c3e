/**
 * Every error Shardgate raises on purpose, in one table.
 *
 * A code that clients of other GraphQL servers already test for keeps its name; the rest is ours.
 * Codes are never reused. `docs/errors.md` is printed from this table and a test keeps the two
 * equal. Anything that is not a GatewayError is a bug: it leaves the process masked, with the
 * request id as the only thread back to the log.
 */

interface ErrorKind {
  /** HTTP status when the whole request is refused before execution. */
  readonly status: number
  /** Whether the same request may succeed later without being changed. */
  readonly retryable: boolean
  /** What the reader should do next; an error may carry a better one for its case. */
  readonly hint: string
  /** Exit status of the command line: 1 failed, 2 wrong usage, 3 refused. */
  readonly exit: 1 | 2 | 3
}

const kind = (status: number, retryable: boolean, hint: string, exit: 1 | 2 | 3 = 1): ErrorKind =>
  Object.freeze({ status, retryable, hint, exit })

export const ERRORS = Object.freeze({
  UNAUTHENTICATED: kind(401, false, 'Send a valid token: "Authorization: Bearer <token>".'),
  FORBIDDEN: kind(403, false, 'Use a token whose roles allow this.'),
  BAD_REQUEST: kind(400, false, 'Send {"query": "…"} as application/json.'),
  NOT_FOUND: kind(404, false, 'The API is at /graphql.'),
  METHOD_NOT_ALLOWED: kind(405, false, 'Use POST; GET may carry queries alone.'),
  UNSUPPORTED_MEDIA_TYPE: kind(415, false, 'Send application/json in UTF-8, not compressed.'),
  BAD_USER_INPUT: kind(400, false, 'Correct the argument that the message names.'),
  AT_MOST_EXCEEDED: kind(400, false, 'Narrow the filter, or raise "atMost".'),
  IDEMPOTENCY_KEY_REUSED: kind(422, false, 'Send each operation with a key of its own.'),
  VALUE_UNREADABLE: kind(
    500,
    false,
    'Declare the column with its dimensions ("int[][]"), which makes it text, or mend the value.',
  ),
  GRAPHQL_PARSE_FAILED: kind(400, false, 'Correct the document at the place named.'),
  GRAPHQL_VALIDATION_FAILED: kind(400, false, 'Compare the document with schema.graphql.'),
  // A step of a protocol between machines: with another status, clients and proxies would give up.
  PERSISTED_QUERY_NOT_FOUND: kind(200, false, 'Send the text together with its hash once.'),
  PERSISTED_QUERY_NOT_SUPPORTED: kind(200, false, 'Send the text of the document.'),
  PERSISTED_QUERY_NOT_IN_LIST: kind(
    403,
    false,
    'Send a document that a manifest of trusted documents holds, by its id, or have it added.',
  ),
  PAYLOAD_TOO_LARGE: kind(413, false, 'Send a smaller body.'),
  QUERY_TOO_COMPLEX: kind(400, false, 'Ask for less in one operation, or in several.'),
  RATE_LIMITED: kind(429, true, 'Wait for the time in Retry-After.'),
  QUOTA_EXCEEDED: kind(429, true, 'Wait for the next month, or ask the operator for more.'),
  CONFLICT: kind(409, true, 'Send the same operation again; another one was in its way.'),
  ROLLED_BACK: kind(409, false, 'Mend the mutation that failed; all of one operation are kept or none.'),
  TENANT_UNKNOWN: kind(404, false, 'Check the id of the tenant, or the tenant claim of the token.', 3),
  TENANT_MISMATCH: kind(403, false, 'Drop the header, or send the tenant that the token names.'),
  TENANT_SUSPENDED: kind(403, false, 'Ask the operator why the tenant is suspended.'),
  TENANT_READ_ONLY: kind(403, false, 'Read; the operator has stopped the writes of the tenant.'),
  TENANT_BUSY: kind(409, true, 'See "shardgate operation list".', 3),
  REFUSED: kind(409, false, 'Nothing was changed.', 3),
  TENANT_MOVING: kind(503, true, 'Send the same request again in a moment.'),
  TENANT_EXISTS: kind(409, false, 'Choose another id or subdomain.', 3),
  SHARD_UNKNOWN: kind(404, false, 'Name a shard that shards.config.json holds.', 3),
  SHARD_UNAVAILABLE: kind(503, true, 'Try again; the other shards are not affected.'),
  SHARD_UNSAFE: kind(503, false, 'Run "shardgate doctor" and apply the SQL that it prints.', 3),
  TABLE_UNSAFE: kind(
    503,
    false,
    'Ask for less, or tell the operator: "shardgate doctor" says what to mend.',
    3,
  ),
  DIRECTORY_UNAVAILABLE: kind(
    503,
    true,
    'Try again, or look whether the directory runs; tenants that are known go on working.',
  ),
  AUTH_UNAVAILABLE: kind(503, true, 'Try again; the keys of the token issuer cannot be read now.'),
  OVERLOADED: kind(503, true, 'Try again in a moment.'),
  DRAINING: kind(503, true, 'Try again; this gateway is shutting down.'),
  TIMEOUT: kind(504, true, 'Ask for less, or try again.'),
  OUTCOME_UNKNOWN: kind(504, false, 'Read before you write again: the change may have been kept.'),
  SCHEMA_BREAKS: kind(409, false, 'Keep what clients use, deprecated, beside what replaces it.'),
  CONFIG_INVALID: kind(500, false, 'Correct what the message names, then start or run the command again.', 2),
  USAGE: kind(400, false, 'See "shardgate --help".', 2),
  SETUP_FAILED: kind(500, false, 'Mend what the sentence names, then run the command again.'),
  INTERNAL_SERVER_ERROR: kind(500, false, 'Report the request id to the operator.'),
} satisfies Record<string, ErrorKind>)

export type ErrorCode = keyof typeof ERRORS

/** Names what was wanted and what came. Never row data, never a secret. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean>>

export interface FailOptions extends ErrorOptions {
  /** What to do next in this case, where the hint of the code would lead astray. */
  readonly hint?: string
}

export class GatewayError extends Error {
  override readonly name = 'GatewayError'
  readonly code: ErrorCode
  readonly details: ErrorDetails
  /** What the reader should do next. */
  readonly hint: string

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options: FailOptions = {}) {
    super(message, options)
    this.code = code
    this.details = details
    this.hint = options.hint ?? ERRORS[code].hint
  }

  get kind(): ErrorKind {
    return ERRORS[this.code]
  }
}

/** Throw the error `code`; `message` is one sentence for a person. */
export function fail(
  code: ErrorCode,
  message: string,
  details: ErrorDetails = {},
  options?: FailOptions,
): never {
  throw new GatewayError(code, message, details, options)
}

export function isGatewayError(error: unknown, code?: ErrorCode): error is GatewayError {
  return error instanceof GatewayError && (code === undefined || error.code === code)
}
