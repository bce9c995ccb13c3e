/** What is secret is cut out here before it is written anywhere: credentials, tokens, values that Postgres quotes. */

const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@]*:[^\s@]*@/gi, '$1***@'],
  [/\beyJ[\w-]*\.[\w-]*\.?[\w-]*/g, '[token]'],
  [/\b(Bearer|Basic)\s+\S+/gi, '$1 [token]'],
  [
    /\b(password|passwd|pwd|secret|token|api[_-]?key)(["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;&]+)/gi,
    '$1$2***',
  ],
]

/** `text` without credentials, at most 2,000 characters. */
export function scrub(text: string): string {
  return SECRETS.reduce((clean, [pattern, instead]) => clean.replace(pattern, instead), text.slice(0, 2_000))
}

interface ErrorFields {
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly stack?: readonly string[]
  readonly cause?: ErrorFields
}

const CAUSES_MAX = 4

/** An error as fields: no row data, no credentials, no more than four causes deep. */
export function describeError(error: unknown, depth = 0): ErrorFields {
  if (!(error instanceof Error))
    return { name: typeof error, message: 'something that is not an Error was thrown' }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  const cause = error.cause ?? ('originalError' in error ? error.originalError : undefined)
  return {
    name: error.name,
    message: scrub(withoutValues(error.message, code)),
    ...(code === undefined ? {} : { code }),
    stack: frames(error.stack),
    ...(cause === undefined || depth >= CAUSES_MAX - 1 ? {} : { cause: describeError(cause, depth + 1) }),
  }
}

// Postgres quotes the offending value after a colon: 'invalid input syntax for type uuid: "…"'. Its
// `detail` and `where` hold whole rows, which is why no field is copied beyond those named here.
function withoutValues(message: string, code: string | undefined): string {
  return code && /^[0-9A-Z]{5}$/.test(code) ? message.replace(/: ".*$/s, ': …') : message
}

// Only the places: the first lines of a stack repeat the message.
function frames(stack: string | undefined): string[] {
  return (stack ?? '')
    .split('\n')
    .filter((text) => /^\s+at /.test(text))
    .slice(0, 12)
    .map((text) => scrub(text.trim()))
}
