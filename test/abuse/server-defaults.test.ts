/** What the server under us opens by default, each held closed by name. */

import { getIntrospectionQuery } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Edge, INNER_CANARY, startEdge } from '../kit/edge.ts'

const LISTED = 'https://app.example.com'
let edge: Edge
beforeAll(async () => {
  edge = await startEdge({ mode: 'production', http: { corsOrigins: [LISTED, 'https://two.example.com'] } })
})
afterAll(() => edge.close())

const preflight = (origin: string): Promise<Response> =>
  fetch(edge.url, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type,authorization,x-evil',
    },
  })

describe('D13: cross-origin requests', () => {
  it.each([LISTED, 'https://two.example.com'])('%s, which is listed, may call', async (origin) => {
    const { status, headers } = await preflight(origin)
    expect(status).toBe(204)
    expect(headers.get('access-control-allow-origin')).toBe(origin)
    expect(headers.get('access-control-allow-methods')).toBe('GET, POST')
    expect(headers.get('access-control-allow-headers')).toContain('authorization')
    expect(headers.get('access-control-allow-headers')).not.toContain('x-evil')
    const answer = await edge.post({ query: '{ hello }' }, { origin })
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin)
    expect(answer.headers.get('vary')).toBe('Origin')
  })

  it.each([
    'https://evil.example.com',
    'https://app.example.com.evil.com',
    'http://app.example.com',
    'https://app.example.com:8443',
    'https://APP.example.com',
    'https://app.example.com/',
    'null',
    '*',
    '',
  ])('%j may not', async (origin) => {
    for (const headers of [
      (await preflight(origin)).headers,
      (await edge.post({ query: '{ hello }' }, { origin })).headers,
      (await edge.post({ query: '{' }, { origin })).headers,
      (await edge.post({ query: '{ hello }' }, { origin, authorization: null })).headers,
    ]) {
      expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
      expect(headers.get('vary')).toBe('Origin')
    }
  })

  it('credentials are never allowed', async () => {
    expect((await preflight(LISTED)).headers.has('access-control-allow-credentials')).toBe(false)
  })

  it('a refusal may be read by who is listed', async () => {
    const { headers } = await edge.post({ query: '{ hello }' }, { origin: LISTED, authorization: null })
    expect(headers.get('access-control-allow-origin')).toBe(LISTED)
  })

  it('with an empty list nobody is named', async () => {
    const closed = await startEdge()
    const { headers } = await closed.post({ query: '{ hello }' }, { origin: LISTED })
    expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
    await closed.close()
  })
})

describe('D13: requests that a page could forge', () => {
  const query = `/graphql?query=${encodeURIComponent('{ hello }')}`
  it('a plain GET is refused, and says which header it wants', async () => {
    const authorization = `Bearer ${await edge.token()}`
    const { status, code, text } = await edge.request(query, { headers: { authorization } })
    expect({ status, code }).toEqual({ status: 400, code: 'BAD_REQUEST' })
    expect(text).toContain('x-graphql-yoga-csrf: 1')
  })

  it.each(['x-graphql-yoga-csrf', 'apollo-require-preflight'])('GET with %s is not', async (name) => {
    const headers = { authorization: `Bearer ${await edge.token()}`, [name]: 'true' }
    expect((await edge.request(query, { headers })).status).toBe(200)
  })

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/plain;application/json',
  ])('a form of %s is refused', async (type) => {
    const { status } = await edge.post({ query: '{ hello }' }, { 'content-type': type })
    expect(status).toBe(400)
  })
})

describe('D13: pages, uploads, batches, health', () => {
  it.each(['/graphql', '/', '/graphiql'])('no page at %s for a browser', async (path) => {
    const { headers, text } = await edge.request(path, { headers: { accept: 'text/html' } })
    expect(headers.get('content-type') ?? '').not.toContain('html')
    expect(text).not.toMatch(/<html|<script|unpkg|jsdelivr/i)
  })

  it('no batch', async () => {
    expect((await edge.post([{ query: '{ hello }' }])).code).toBe('BAD_REQUEST')
  })

  it.each(['/graphql/health', '/anything/health', '/graphql?x=/health', '/graphql?query={hello}&x=/health'])(
    '%s is not the health check',
    async (path) => {
      const { status, headers } = await edge.request(path)
      expect([400, 404]).toContain(status)
      expect(headers.has('x-yoga-id')).toBe(false)
    },
  )

  it.each(['text/event-stream', 'multipart/mixed', 'text/*', 'multipart/*'])(
    'no stream for %s',
    async (accept) => {
      const { status, code } = await edge.post({ query: '{ hello }' }, { accept })
      expect({ status, code }).toEqual({ status: 400, code: 'BAD_REQUEST' })
      const both = await edge.post({ query: '{ hello }' }, { accept: `${accept}, application/json` })
      expect(both.headers.get('content-type')).toBe('application/json; charset=utf-8')
    },
  )
})

describe('production tells no names to who does not know them', () => {
  it.each([
    getIntrospectionQuery(),
    '{ __schema { types { name } } }',
    '{ __type(name: "Item") { name } }',
    '{ x: __schema { queryType { name } } }',
    'query A { ...F } fragment F on Query { __schema { queryType { name } } }',
  ])('no introspection (%#)', async (query) => {
    const authorization = `Bearer ${await edge.token(['admin'])}`
    const { code, json } = await edge.post({ query }, { authorization })
    expect(code).toBe('GRAPHQL_VALIDATION_FAILED')
    expect(json.data).toBeUndefined()
  })

  it('__typename is no introspection', async () => {
    expect((await edge.post({ query: '{ __typename }' })).json.data).toEqual({ __typename: 'Query' })
  })

  const suggesting: [string, object][] = [
    ['a field', { query: '{ hell }' }],
    ['an argument', { query: '{ echo(tex: "x") }' }],
    ['a value', { query: '{ echo(color: GREN) }' }],
    ['a type', { query: 'query ($x: Colr) { hello }' }],
    ['a field of an input', { query: '{ echo(where: { colr: RED }) }' }],
    ['a value of a variable', { query: 'query ($c: Color) { echo(color: $c) }', variables: { c: 'GREN' } }],
    [
      'a field of a variable',
      { query: 'query ($w: Where) { echo(where: $w) }', variables: { w: { colr: 'RED' } } },
    ],
  ]
  it.each(suggesting)('no suggestion for %s', async (_, body) => {
    const { json, text } = await edge.post(body)
    expect(json.errors).not.toHaveLength(0)
    expect(text).not.toMatch(/did you mean|"(hello|text|GREEN|Color|color)"\?/i)
  })

  it('development has all three', async () => {
    const open = await startEdge()
    expect((await open.post({ query: getIntrospectionQuery() })).json.data).toHaveProperty('__schema')
    expect((await open.post({ query: '{ hell }' })).text).toContain('Did you mean')
    await open.close()
  })

  it('a fault of the gateway says nothing, in either mode', async () => {
    const open = await startEdge()
    for (const one of [edge, open]) {
      const { text, code } = await one.post({ query: '{ boom }' })
      expect(code).toBe('INTERNAL_SERVER_ERROR')
      expect(text).not.toMatch(new RegExp(`${INNER_CANARY}|at .*\\.ts|stack|originalError`))
    }
    await open.close()
  })
})

describe('the Authorization header', () => {
  it('that comes twice is refused, whichever of the two is good', async () => {
    const [good, bad] = [`authorization: Bearer ${await edge.token()}`, 'authorization: Bearer x']
    const body = '{"query":"{ mine }"}'
    const send = (...lines: string[]) => {
      const head = [
        'POST /graphql HTTP/1.1',
        'host: x',
        'connection: close',
        'content-type: application/json',
      ]
      return edge.raw(`${[...head, `content-length: ${body.length}`, ...lines].join('\r\n')}\r\n\r\n${body}`)
    }
    expect(await send(good)).toMatch(/^HTTP\/1.1 200 /)
    for (const pair of [
      [good, good],
      [good, bad],
      [bad, good],
    ]) {
      const came = await send(...pair)
      expect(came).toMatch(/^HTTP\/1.1 401 /)
      expect(came).toContain('The Authorization header came twice.')
    }
  })
})

describe('the Host header', () => {
  it.each(['x:99999999', '[::1', 'a b', '%', 'x/../..', '"', '😀', 'a,b', '@', '?', '#'])(
    '%j breaks nothing',
    async (host) => {
      const token = await edge.token()
      const head = [
        `GET /graphql?query=${encodeURIComponent('{ mine }')} HTTP/1.1`,
        `host: ${host}`,
        'connection: close',
        `authorization: Bearer ${token}`,
        'x-graphql-yoga-csrf: 1',
      ]
      const came = await edge.raw(Buffer.from(`${head.join('\r\n')}\r\n\r\n`))
      expect(came).toMatch(/^HTTP\/1.1 (200|400) /)
      expect(came).not.toMatch(/at .*\.js|TypeError/)
    },
  )
})
