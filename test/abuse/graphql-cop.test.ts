/**
 * What the scanner graphql-cop looks for, asked of the gateway in production settings and judged as it judges.
 *
 * Its requests and verdicts are written anew here, all with a good token: what they must not find is open to
 * those who may come in. A server with the defaults of Yoga stands beside the gateway, so that a verdict that
 * could never be 'found' does not pass for a clean one. Each hole has tests of its own elsewhere: limits.test.ts
 * (aliases, repeats, directives, depth), server-defaults.test.ts (forged requests, pages, batches, introspection,
 * suggestions), bodies.test.ts (media types, mutations by GET), production.test.ts (GraphiQL).
 */

import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createSchema, createYoga } from 'graphql-yoga'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

let world: World
let gateway: Gateway
let careless: Server
let authorization: string

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1 })
  gateway = await startGateway(world, { NODE_ENV: 'production' })
  authorization = `Bearer ${await worldToken(world, world.tenants[0]!)}`
  const fields = Array.from({ length: 30 }, (_, i) => `type T${i} { next: T${i} }`)
  const typeDefs = `type Query { hello: String } type Mutation { touch: String } ${fields.join(' ')}`
  careless = createServer(
    createYoga({ schema: createSchema({ typeDefs }), batching: { limit: 20 }, logging: false }),
  )
  careless.listen(0, '127.0.0.1')
  await once(careless, 'listening')
})
afterAll(async () => {
  careless?.close()
  await gateway?.stop()
  await world?.stop()
})

interface Answer {
  readonly status: number
  readonly text: string
  /** Empty when the text is no JSON. */
  readonly json: ReturnType<typeof JSON.parse>
}

interface Check {
  readonly name: string
  readonly path?: string
  readonly send: RequestInit & { readonly query?: string }
  /** What makes the scanner report it. */
  readonly found: (answer: Answer) => boolean
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
const page = ({ text }: Answer): boolean => /graphiql|graphql[ -]playground/i.test(text)
const typename = ({ json }: Answer): boolean => Boolean(json.data?.__typename)
const BROWSER = { accept: 'text/html,*/*;q=0.8' }

const CHECKS: readonly Check[] = [
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

async function ask(base: string, { path = '/graphql', send }: Check): Promise<Answer> {
  const { query, ...init } = send
  const url = new URL(path, base)
  if (query) url.searchParams.set('query', query)
  const response = await fetch(url, { ...init, headers: { ...init.headers, authorization } })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('json')
  return { status: response.status, text, json: isJson ? JSON.parse(text) : {} }
}

describe('graphql-cop', () => {
  it.each(CHECKS)('finds no $name', async (check) => {
    const answer = await ask(gateway.url, check)
    expect(check.found(answer), answer.text.slice(0, 200)).toBe(false)
    expect(answer.json.errors?.[0]?.extensions.code).toBe(check.code)
  })

  it('finds them on a server with open defaults, so that it can see them at all', async () => {
    const { port } = careless.address() as AddressInfo
    const found = await Promise.all(
      CHECKS.map(async (check) => check.found(await ask(`http://127.0.0.1:${port}`, check)) && check.name),
    )
    // graphql-js refuses circles of introspection itself; Yoga's page for strangers names GraphiQL.
    expect(found.filter(Boolean)).toEqual([
      'alias overloading',
      'array batching',
      'queries by GET, which a foreign page can send',
      'queries by a form, which a foreign page can send',
      'field duplication',
      'field suggestions',
      'GraphiQL at /graphql',
      'GraphiQL at /graphiql',
      'GraphiQL at /playground',
      'GraphiQL at /console',
      'introspection',
      'directive overloading',
    ])
  })
})
