/** `docs/errors.md`: the error table, what each code means, and answers as clients see them. */

import { ERRORS, type ErrorCode, GatewayError } from '../../src/base/errors.ts'
import { finishErrors } from '../../src/graphql/errors.ts'
import { table } from './markdown.ts'

/** What has happened when a code comes, a sentence each. */
const MEANINGS: Readonly<Record<ErrorCode, string>> = {
  UNAUTHENTICATED: 'No token came, or one that cannot be believed.',
  FORBIDDEN: 'The roles of the token do not allow what was asked for.',
  BAD_REQUEST: 'What came is no request of GraphQL over HTTP.',
  NOT_FOUND: 'Nothing is served under this path.',
  METHOD_NOT_ALLOWED: 'The API does not know the method, or a mutation came by GET.',
  UNSUPPORTED_MEDIA_TYPE: 'The body is of a kind that is not read.',
  BAD_USER_INPUT: 'An argument or a variable has a value that cannot be meant.',
  VALUE_UNREADABLE:
    'A column declared as a list holds an array of several dimensions; the field is null, the others go on.',
  AT_MOST_EXCEEDED:
    'The filter of a bulk mutation matches more rows than `atMost` allows. Nothing was changed.',
  IDEMPOTENCY_KEY_REUSED: 'Another operation, or one with other variables, has come with this key before.',
  GRAPHQL_PARSE_FAILED: 'The document is not GraphQL.',
  GRAPHQL_VALIDATION_FAILED: 'The document asks for what the schema does not have.',
  PERSISTED_QUERY_NOT_FOUND: 'A hash came alone, and no document is known by it.',
  PERSISTED_QUERY_NOT_SUPPORTED: 'A hash came alone, and clients may not register documents here.',
  PERSISTED_QUERY_NOT_IN_LIST: 'No manifest of trusted documents holds the document.',
  PAYLOAD_TOO_LARGE: 'The body is larger than a limit, in bytes or in values.',
  QUERY_TOO_COMPLEX: 'The operation asks for more than a limit allows; `details` has both numbers.',
  RATE_LIMITED:
    'The tenant has taken what it may take in a minute, or has as many requests under way as it may. The details name the limit, what is left and the seconds to wait.',
  QUOTA_EXCEEDED: 'The tenant has taken what it may take in a month of the calendar, in UTC.',
  CONFLICT: 'Two changes met, and this one gave way. Nothing of it was kept.',
  ROLLED_BACK: 'This mutation worked, another one of its operation did not. Nothing was kept.',
  TENANT_UNKNOWN: 'There is no tenant of that id.',
  TENANT_MISMATCH: 'A header or the subdomain names another tenant than the token.',
  TENANT_SUSPENDED: 'The operator has suspended the tenant.',
  TENANT_READ_ONLY: 'The operator lets the tenant read and not write.',
  TENANT_BUSY: 'Another operation on the tenant is under way, or was begun and not finished.',
  REFUSED: 'The command may not do this now; the sentence says why, and what would have to be otherwise.',
  TENANT_MOVING: 'The tenant is being moved, for longer than a gateway may hold its requests; reads go on.',
  TENANT_EXISTS: 'A tenant of that id or subdomain is there already.',
  SHARD_UNKNOWN: 'There is no shard of that name.',
  SHARD_UNAVAILABLE: 'The shard of the tenant does not answer.',
  SHARD_UNSAFE: 'A shard would not keep its tenants apart; it is not served.',
  TABLE_UNSAFE: 'A table has lost what keeps its tenants apart on this shard, and is not served there.',
  DIRECTORY_UNAVAILABLE: 'The directory does not answer, and this gateway does not know the tenant yet.',
  AUTH_UNAVAILABLE: "The keys of the token's issuer cannot be read, so that no token can be checked.",
  OVERLOADED: 'More work has come than may wait.',
  DRAINING: 'This gateway is shutting down.',
  TIMEOUT: 'The operation did not end in time. Nothing of it was kept.',
  OUTCOME_UNKNOWN: 'The change was sent, and no answer came that says whether it was kept.',
  SCHEMA_BREAKS: 'The tables give a schema that breaks what clients of the committed one may send.',
  CONFIG_INVALID: 'The configuration cannot be used.',
  USAGE: 'The command line cannot be understood.',
  SETUP_FAILED: 'A step of setting up did not succeed.',
  INTERNAL_SERVER_ERROR:
    'Something failed that should not. What it was stands in the log, under the request id.',
}

/** The page, as the formatter of this repository leaves it. */
export function errorsPage(): string {
  const codes = Object.keys(ERRORS) as ErrorCode[]
  const forClients = codes.filter((code) => !OF_COMMANDS.includes(code))
  const forCommands = codes.filter((code) => [...OF_COMMANDS, ...OF_BOTH].includes(code))
  return `# Errors

<!-- Printed from src/base/errors.ts by "npm run docs"; do not edit. -->

Every error that Shardgate raises on purpose has one of these codes. A code keeps its meaning for ever.

## What a client sees

A code stands in \`errors[].extensions.code\`. Beside it:

${table(['field', 'type', 'what it says'], FIELDS)}

A request that is refused as a whole, before anything of it has run, also has the HTTP status of the table, and no
\`data\`. Once execution has begun the status is 200, and each error names the \`path\` of its field. Two rules come
from GraphQL over HTTP: a client that asks for \`application/json\` gets 200 for \`GRAPHQL_PARSE_FAILED\`,
\`GRAPHQL_VALIDATION_FAILED\` and \`BAD_USER_INPUT\`, and a client that asks for
\`application/graphql-response+json\` gets the status of the table.

A broken constraint (unique, foreign key, not null, check, exclusion) is no error of this table: it is an answer of
the mutation, the type \`ConstraintError\`, because forms need it. [For frontends](clients.md) has code for all of this.

*Retry* says whether the same request may succeed later without being changed.

${table(['code', 'HTTP', 'retry', 'what has happened', 'what to do'], forClients.map(clientRow))}

## Answers

A request that is refused, here for its size, with status 400:

${example('QUERY_TOO_COMPLEX', 'The document asks for 13 or more levels of fields; 12 are allowed.', {
  details: { limit: 'depth', asked: 13, allowed: 12 },
})}

A field whose shard does not answer, in an answer with status 200:

${example('SHARD_UNAVAILABLE', 'The shard of this tenant does not answer.', {
  path: ['tickets'],
  details: { shard: 'shard-b' },
})}

What is masked: the message says nothing, the request id leads to the log.

${example('INTERNAL_SERVER_ERROR', '', { path: ['tickets'] })}

## What a command ends with

A command prints the sentence and the hint to its error output (with \`-o json\` as
\`{"error": {"code", "message", "hint"}}\`), and ends with the exit status of the code; success is 0,
and any code that is not in this table 1.

${table(['code', 'exit', 'what has happened', 'what to do'], forCommands.map(commandRow))}
`
}

/** Codes that no request ends with. */
const OF_COMMANDS: readonly ErrorCode[] = [
  'TENANT_EXISTS',
  'TENANT_BUSY',
  'REFUSED',
  'SHARD_UNKNOWN',
  'SHARD_UNSAFE',
  'SCHEMA_BREAKS',
  'CONFIG_INVALID',
  'USAGE',
  'SETUP_FAILED',
]

const OF_BOTH: readonly ErrorCode[] = [
  'TENANT_UNKNOWN',
  'SHARD_UNAVAILABLE',
  'DIRECTORY_UNAVAILABLE',
  'INTERNAL_SERVER_ERROR',
]

const FIELDS = [
  ['`code`', 'String', 'One of the codes below, or one that an extension of your own gives.'],
  ['`retryable`', 'Boolean', 'Whether the same request may succeed later without being changed.'],
  [
    '`retryAfter`',
    'Int',
    'Seconds to wait before that; the header `Retry-After` says the same. Not always there.',
  ],
  ['`hint`', 'String', 'What to do next, for the person who reads the log of the client.'],
  ['`details`', 'Object', 'What was wanted and what came, where there is more to say. Never row data.'],
  ['`requestId`', 'String', 'Also the header `x-request-id`; name it when you report an error.'],
]

const EXITS = { 1: '1 failed', 2: '2 usage', 3: '3 refused' } as const

function clientRow(code: ErrorCode): string[] {
  const { status, retryable, hint } = ERRORS[code]
  return [`\`${code}\``, String(status), retryable ? 'yes' : '', MEANINGS[code], hint]
}

function commandRow(code: ErrorCode): string[] {
  return [`\`${code}\``, EXITS[ERRORS[code].exit], MEANINGS[code], ERRORS[code].hint]
}

interface Example {
  readonly path?: string[]
  readonly details?: Record<string, string | number>
}

/** An answer made by the code that makes all of them. */
function example(code: ErrorCode, message: string, { path, details = {} }: Example): string {
  const scope = { requestId: '6f1c9d2e-…', emit: () => {} }
  const [error] = finishErrors([new GatewayError(code, message, details)], scope)
  const { http: _, ...extensions } = error?.extensions ?? {}
  const errors = [{ message: error?.message, ...(path ? { path } : {}), extensions }]
  const answer = path ? { data: { [path[0]!]: null }, errors } : { errors }
  return `\`\`\`json\n${JSON.stringify(answer, null, 2)}\n\`\`\``
}
