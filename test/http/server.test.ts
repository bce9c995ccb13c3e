/**
 * The contract of http/server.ts: the stages of a request, what each refuses, and how it says so; with the compiled
 * lane before Yoga, and without it.
 */

import { once } from 'node:events'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Edge, type EdgeOptions, INNER_CANARY, startEdge } from '../kit/edge.ts'

describe.each([true, false])('with http.compiledLane %s', (compiledLane) => {
  const start = (options: EdgeOptions = {}): Promise<Edge> =>
    startEdge({ http: { compiledLane }, ...options })
  let edge: Edge
  beforeAll(async () => {
    edge = await start()
  })
  afterAll(() => edge.close())
  beforeEach(() => {
    edge.events.length = 0
  })

  describe('an answer', () => {
    it('of the tenant that the token names', async () => {
      const { status, json } = await edge.post({ query: '{ hello mine }' })
      expect({ status, data: json.data }).toEqual({ status: 200, data: { hello: 'world', mine: 'acme' } })
      const authorization = `Bearer ${await edge.token(['viewer'], 'globex')}`
      expect((await edge.post({ query: '{ mine }' }, { authorization })).json.data).toEqual({
        mine: 'globex',
      })
    })

    it('of one operation among several, with variables', async () => {
      const query = 'query A { hello } query B($t: String) { echo(text: $t) }'
      const { json } = await edge.post({ query, operationName: 'B', variables: { t: 'é€😀' } })
      expect(json.data).toEqual({ echo: '{"text":"é€😀"}' })
    })

    it.each([
      ['application/json', 'application/json'],
      ['application/graphql-response+json', 'application/graphql-response+json'],
      ['*/*', 'application/json'],
      [null, 'application/json'],
    ])('to Accept %s is %s', async (accept, type) => {
      const { headers, status } = await edge.post({ query: '{ hello }' }, { accept })
      expect(headers.get('content-type')).toBe(`${type}; charset=utf-8`)
      expect(status).toBe(200)
    })

    it('has lengths of its own', async () => {
      const lengths = await Promise.all(
        [1, 5, 500].map(
          async (count) => (await edge.post({ query: `{ items(count: ${count}) { id } }` })).text.length,
        ),
      )
      expect(new Set(lengths).size).toBe(3)
    })

    it('is kept by no cache', async () => {
      expect((await edge.post({ query: '{ hello }' })).headers.get('cache-control')).toBe('no-store')
    })
  })

  describe('request ids', () => {
    it('are made, echoed, and in the event', async () => {
      const { headers } = await edge.post({ query: '{ hello }' })
      const id = headers.get('x-request-id')
      expect(id).toMatch(/^[0-9a-f-]{36}$/)
      expect(await edge.lastDone()).toMatchObject({
        requestId: id,
        status: 200,
        tenant: 'acme',
        route: 'graphql',
      })
    })

    it('are taken over when they are sane', async () => {
      expect(
        (await edge.post({ query: '{ hello }' }, { 'x-request-id': 'web-42.a:b_c' })).headers.get(
          'x-request-id',
        ),
      ).toBe('web-42.a:b_c')
    })

    it.each(['', ' ', 'a b', '<script>', 'x'.repeat(101), '"', 'é', '-leading'])(
      'are made anew for %j',
      async (id) => {
        const head = `GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-request-id: ${id}\r\n\r\n`
        expect(await edge.raw(Buffer.from(head))).toMatch(/x-request-id: [0-9a-f-]{36}\r\n/)
      },
    )

    it('are in every error, and the only thread to what was masked', async () => {
      const { json, text, headers, status } = await edge.post({ query: '{ hello boom }' })
      const id = headers.get('x-request-id')
      expect(status).toBe(200)
      expect(json.data).toEqual({ hello: 'world', boom: null })
      expect(json.errors?.[0]).toMatchObject({
        path: ['boom'],
        extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: id },
      })
      expect(text).not.toContain(INNER_CANARY)
      expect(edge.events).toContainEqual(
        expect.objectContaining({
          kind: 'request.failed',
          requestId: id,
          tenant: 'acme',
          error: expect.objectContaining({ message: INNER_CANARY }),
        }),
      )
    })
  })

  describe('events', () => {
    it('one request.done a request, with the operation and the first code', async () => {
      await edge.post({ query: 'query Away { away }' })
      const done = await edge.lastDone()
      expect(done).toMatchObject({
        method: 'POST',
        status: 200,
        operation: 'Away',
        code: 'SHARD_UNAVAILABLE',
      })
      expect(edge.events.filter(({ kind }) => kind === 'request.done')).toHaveLength(1)
    })

    it('also for who hangs up', async () => {
      const stop = new AbortController()
      const token = await edge.token()
      const asked = fetch(edge.url, {
        method: 'POST',
        signal: stop.signal,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ query: '{ never }' }),
      })
      await once(edge.server, 'request')
      stop.abort()
      await expect(asked).rejects.toThrow()
      expect(await edge.lastDone()).toMatchObject({ status: 499 })
    })
  })

  describe('refusals before anything runs have the status of the table', () => {
    it.each([
      ['no token', { query: '{ hello }' }, { authorization: null }, 401, 'UNAUTHENTICATED'],
      [
        'no tenant of this fleet',
        { query: '{ hello }' },
        { authorization: 'unknown' },
        404,
        'TENANT_UNKNOWN',
      ],
      [
        'another tenant in a header',
        { query: '{ hello }' },
        { 'x-tenant-id': 'globex' },
        403,
        'TENANT_MISMATCH',
      ],
      ['a role too weak', { query: 'mutation { deleteItem }' }, {}, 403, 'FORBIDDEN'],
      ['a field without a rule', { query: '{ ruleless }' }, {}, 403, 'FORBIDDEN'],
      [
        'too deep',
        { query: `{ items ${'{ next '.repeat(20)} { id } ${'}'.repeat(20)} }` },
        {},
        400,
        'QUERY_TOO_COMPLEX',
      ],
      [
        'an operation that is not there',
        { query: 'query A { hello }', operationName: 'B' },
        {},
        400,
        'BAD_REQUEST',
      ],
      [
        'two operations and no name',
        { query: 'query A { hello } query B { hello }' },
        {},
        400,
        'BAD_REQUEST',
      ],
      ['an unknown parameter', { query: '{ hello }', quarry: 1 }, {}, 400, 'BAD_REQUEST'],
      [
        'a subscription that does not exist',
        { query: 'subscription { x }' },
        {},
        400,
        'GRAPHQL_VALIDATION_FAILED',
      ],
      ['no acceptable answer', { query: '{ hello }' }, { accept: 'text/csv' }, 400, 'BAD_REQUEST'],
    ])('%s', async (_, body, headers, status, code) => {
      const given: Record<string, string | null> = { accept: 'application/graphql-response+json', ...headers }
      if (given.authorization === 'unknown')
        given.authorization = `Bearer ${await edge.token(['viewer'], 'nobody')}`
      const answer = await edge.post(body, given)
      expect({ status: answer.status, code: answer.code }).toEqual({ status, code })
      expect(answer.json.data).toBeUndefined()
      expect(answer.json.errors?.[0]?.extensions).toMatchObject({
        requestId: answer.headers.get('x-request-id'),
      })
      expect((await edge.lastDone()).code).toBe(code)
    })

    it.each([
      ['a document that cannot be parsed', { query: '{' }, 'GRAPHQL_PARSE_FAILED'],
      ['a document that is not valid', { query: '{ helo }' }, 'GRAPHQL_VALIDATION_FAILED'],
      [
        'a variable of the wrong type',
        { query: 'query ($n: Int) { echo(first: $n) }', variables: { n: 'x' } },
        'BAD_USER_INPUT',
      ],
    ])(
      '%s: 400, and 200 for who wants application/json, as GraphQL over HTTP says',
      async (_, body, code) => {
        const modern = await edge.post(body, { accept: 'application/graphql-response+json' })
        expect({ status: modern.status, code: modern.code }).toEqual({ status: 400, code })
        const legacy = await edge.post(body, { accept: 'application/json' })
        expect({ status: legacy.status, code: legacy.code }).toEqual({ status: 200, code })
      },
    )

    it('401 says how, 503 says when', async () => {
      expect(
        (await edge.post({ query: '{ hello }' }, { authorization: null })).headers.get('www-authenticate'),
      ).toBe('Bearer')
    })
  })

  describe('paths and methods', () => {
    it.each([
      '/',
      '/graphq',
      '/graphql/',
      '/graphql/x',
      '//graphql',
      '/GRAPHQL',
      '/metrics',
      '/livez',
      '/readyz',
      '/version',
      '/graphiql',
      '/health/',
      '/x/health',
      '/healthz',
      '/..%2fgraphql',
    ])('nothing is served under %s', async (path) => {
      const came = await edge.raw(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
      expect(came).toMatch(/^HTTP\/1.1 404 /)
      expect(came).toContain('"code":"NOT_FOUND"')
    })

    it.each(['PUT', 'DELETE', 'PATCH', 'HEAD', 'TRACE'])('%s is no method of the API', async (method) => {
      const came = await edge.raw(
        `${method} /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-graphql-yoga-csrf: 1\r\n\r\n`,
      )
      expect(came).toMatch(/^HTTP\/1.1 405 /)
      expect(came.toLowerCase()).toContain('allow: get, post')
    })

    it('/health needs no token and says nothing else', async () => {
      const { status, text } = await edge.request('/health')
      expect({ status, text }).toEqual({ status: 200, text: '{"status":"ok"}\n' })
      expect((await edge.request('/health?x=1')).status).toBe(200)
    })

    it('pages are asked first, and may leave a request alone', async () => {
      const pages = await start({
        graphiql: async ({ url }, response) => {
          if (url !== '/page') return false
          response.end('page')
          return true
        },
      })
      expect((await pages.request('/page')).text).toBe('page')
      expect((await pages.post({ query: '{ hello }' })).status).toBe(200)
      await pages.close()
    })

    it('a page that throws is masked too', async () => {
      const pages = await start({ graphiql: () => Promise.reject(new Error(INNER_CANARY)) })
      const { status, text, code } = await pages.request('/page')
      expect({ status, code }).toEqual({ status: 500, code: 'INTERNAL_SERVER_ERROR' })
      expect(text).not.toContain(INNER_CANARY)
      await pages.close()
    })
  })

  describe('the deadline of a request', () => {
    it.each([
      ['{ never }', 'TIMEOUT'],
      ['mutation { createNever }', 'OUTCOME_UNKNOWN'],
    ])('%s ends as %s', async (query, code) => {
      const quick = await start({ limits: { requestMs: 30 } })
      const authorization = `Bearer ${await quick.token(['admin'])}`
      const answer = await quick.post({ query }, { authorization })
      expect({ status: answer.status, code: answer.code }).toEqual({ status: 504, code })
      await quick.close()
    })
  })

  describe('reloaded limits', () => {
    it('count at once, also for a document that has passed before', async () => {
      const live = await start()
      const query = '{ items { next { next { id } } } }'
      expect((await live.post({ query })).status).toBe(200)
      live.setLimits({ depth: 2 })
      expect((await live.post({ query })).code).toBe('QUERY_TOO_COMPLEX')
      live.setLimits({})
      expect((await live.post({ query })).status).toBe(200)
      await live.close()
    })
  })

  describe('draining', () => {
    it('goes on serving, ends each connection, and says so under /health', async () => {
      const draining = await start()
      draining.drain()
      const { status, headers } = await draining.post({ query: '{ hello }' })
      expect({ status, connection: headers.get('connection') }).toEqual({ status: 200, connection: 'close' })
      expect((await draining.request('/health')).status).toBe(503)
      await draining.close()
    })
  })
})
