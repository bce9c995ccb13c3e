/**
 * What the scanner graphql-cop looks for. Its requests and verdicts are written anew: a check sends what it sends, and
 * finds what it would report.
 */

export interface CopAnswer {
  readonly status: number
  readonly text: string
  /** Empty when the text is no JSON. */
  readonly json: ReturnType<typeof JSON.parse>
}

export interface CopCheck {
  readonly name: string
  readonly path?: string
  readonly send: RequestInit & { readonly query?: string }
  /** What makes the scanner report it. */
  readonly found: (answer: CopAnswer) => boolean
  /** What the gateway says instead; left out: it answers, and there is nothing to find in it. */
  readonly code?: string
}

const post = (query: string, times?: number): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(times ? Array.from({ length: times }, () => ({ query })) : { query }),
})
const repeated = (count: number, text: (i: number) => string): string =>
  `query { ${Array.from({ length: count }, (_, i) => text(i)).join(' ')} }`
const types = 'types { fields { type { fields { type { fields { type { fields { type { name } } } } } } } } }'
const page = ({ text }: CopAnswer): boolean => /graphiql|graphql[ -]playground/i.test(text)
const typename = ({ json }: CopAnswer): boolean => Boolean(json.data?.__typename)
const BROWSER = { accept: 'text/html,*/*;q=0.8' }

export const COP_CHECKS: readonly CopCheck[] = [
  {
    name: 'alias overloading',
    send: post(repeated(101, (i) => `alias${i}: __typename`)),
    found: ({ json }) => Boolean(json.data?.alias100),
    code: 'QUERY_TOO_COMPLEX',
  },
  {
    name: 'array batching',
    send: post('{ __typename }', 11),
    found: ({ json }) => Array.isArray(json) && json.length >= 10,
    code: 'BAD_REQUEST',
  },
  {
    name: 'queries by GET, which a foreign page can send',
    send: { query: '{ __typename }' },
    found: typename,
    code: 'BAD_REQUEST',
  },
  {
    name: 'queries by a form, which a foreign page can send',
    send: { method: 'POST', body: new URLSearchParams({ query: '{ __typename }' }) },
    found: typename,
    code: 'BAD_REQUEST',
  },
  {
    name: 'queries in the address of a POST',
    send: { query: '{ __typename }', method: 'POST' },
    found: typename,
    code: 'BAD_REQUEST',
  },
  {
    name: 'tracing',
    send: post('{ __typename }'),
    found: ({ json, text }) => Boolean(json.extensions) || /stack|tracing|exception/i.test(text),
  },
  {
    name: 'field duplication',
    send: post(repeated(500, () => '__typename')),
    found: typename,
    code: 'QUERY_TOO_COMPLEX',
  },
  {
    name: 'field suggestions',
    send: post('{ __schema { directive } }'),
    found: ({ text }) => text.includes('Did you mean'),
    code: 'GRAPHQL_VALIDATION_FAILED',
  },
  ...['/graphql', '/graphiql', '/playground', '/console'].map((path) => ({
    name: `GraphiQL at ${path}`,
    path,
    send: { headers: BROWSER },
    found: page,
    code: path === '/graphql' ? 'BAD_REQUEST' : 'NOT_FOUND',
  })),
  {
    name: 'introspection',
    send: post('{ __schema { types { name fields { name } } } }'),
    found: ({ json }) => Boolean(json.data?.__schema?.types),
    code: 'GRAPHQL_VALIDATION_FAILED',
  },
  {
    name: 'directive overloading',
    send: post(`{ __typename ${'@aa'.repeat(10)} }`),
    found: ({ json }) => json.errors?.length === 10,
    code: 'QUERY_TOO_COMPLEX',
  },
  {
    name: 'circles of introspection',
    send: post(`{ __schema { ${types} } }`),
    found: ({ json }) => json.data?.__schema?.types?.length > 25,
    code: 'GRAPHQL_VALIDATION_FAILED',
  },
  {
    name: 'mutations by GET',
    send: { query: 'mutation { __typename }' },
    found: typename,
    code: 'BAD_REQUEST',
  },
  {
    name: 'mutations by GET with the header that pages cannot set',
    send: { query: 'mutation { __typename }', headers: { 'x-graphql-yoga-csrf': '1' } },
    found: typename,
    code: 'METHOD_NOT_ALLOWED',
  },
  {
    name: 'errors that show the inside',
    send: post('qwerty cop { abc }'),
    found: ({ text }) => /exception|stack|node_modules/.test(text),
    code: 'GRAPHQL_PARSE_FAILED',
  },
]

/** @param base  of the server, in any form */
export async function askCop(
  base: string,
  authorization: string,
  { path = '/graphql', send }: CopCheck,
): Promise<CopAnswer> {
  const { query, ...init } = send
  const url = new URL(path, base)
  if (query) url.searchParams.set('query', query)
  const response = await fetch(url, { ...init, headers: { ...init.headers, authorization } })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('json')
  return { status: response.status, text, json: isJson ? JSON.parse(text) : {} }
}
