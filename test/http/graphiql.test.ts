/** GraphiQL's routes: who gets the page, what is in it, how its files are served. */

import { createServer, request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { fail } from '../../src/base/errors.ts'
import { type GraphiqlOptions, graphiqlRoutes } from '../../src/http/graphiql.ts'
import { ensureGraphiqlAssets, type GraphiqlAssets } from '../../src/http/graphiql-assets.ts'

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
const tenants = [
  { id: 'acme', name: 'Acme & Sons <b>' },
  { id: 'globex', name: 'Globex' },
]

let assets: GraphiqlAssets
let server: Server
let options: GraphiqlOptions

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

function ask(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  const { port } = server.address() as AddressInfo
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ port, path, method, headers, host: '127.0.0.1' }, async (response) => {
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: await buffer(response),
      })
    })
    sent.on('error', reject).end()
  })
}

const page = async (query = '', headers: Record<string, string> = {}): Promise<string> =>
  (await ask(`/graphql${query}`, { accept: BROWSER, ...headers })).body.toString()

const EXAMPLES = [{ title: 'A </script> title', query: '{ tickets { nodes { id } } }' }]

function settingsOf(html: string): { headers: Record<string, string>; examples: object[] } {
  return JSON.parse(/id="settings">(.*?)<\/script>/s.exec(html)?.[1] ?? 'null')
}

beforeAll(async () => {
  assets = await ensureGraphiqlAssets()
  server = createServer(async (request, response) => {
    const served = await graphiqlRoutes(options)(request, response)
    if (!served) response.writeHead(418).end('not GraphiQL')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(() => new Promise((resolve) => server.close(resolve)))

beforeEach(() => {
  options = {
    assets,
    tenants: async () => tenants,
    token: async (tenant, role) => `token-of-${tenant}-as-${role}`,
    examples: async () => EXAMPLES,
  }
})

describe('who gets the page', () => {
  it.each([
    ['a browser', 'GET', '/graphql', BROWSER, 200],
    ['a browser with a linked query', 'GET', '/graphql?query=%7Ba%7D', BROWSER, 200],
    ['curl', 'GET', '/graphql?query=%7Ba%7D', '*/*', 418],
    [
      'a GraphQL client',
      'GET',
      '/graphql?query=%7Ba%7D',
      'application/graphql-response+json, application/json',
      418,
    ],
    ['who prefers JSON', 'GET', '/graphql', 'application/json, text/html;q=0.5', 418],
    ['who refuses HTML', 'GET', '/graphql', 'text/html;q=0, */*', 418],
    ['a POST', 'POST', '/graphql', BROWSER, 418],
    ['another path', 'GET', '/graphqlx', BROWSER, 418],
    ['a path of slashes', 'GET', '//', BROWSER, 418],
  ])('%s', async (_, method, path, accept, status) => {
    expect((await ask(path, { accept }, method)).status).toBe(status)
  })

  it.each([
    ['localhost:4000', 200],
    ['acme.localhost:4000', 200],
    ['127.0.0.1:4000', 200],
    ['[::1]:4000', 200],
    ['acme.api.example.com', 200],
    ['evil.example', 403],
    ['localhost.evil.example', 403],
    ['evilapi.example.com', 403],
  ])('under the host %s: %i, as a name can be pointed here by its owner', async (host, status) => {
    options = { ...options, baseDomain: 'api.example.com' }
    const answer = await ask('/graphql', { accept: BROWSER, host })
    expect(answer.status).toBe(status)
    expect(answer.body.includes('token-of')).toBe(status === 200)
  })

  it('may be neither cached nor framed, and runs nothing from elsewhere', async () => {
    const { headers, body } = await ask('/graphql', { accept: BROWSER })
    expect(headers['cache-control']).toBe('no-store')
    const policy = headers['content-security-policy'] ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toMatch(/https?:|\*|script-src[^;]*unsafe/)
    expect(body.toString().replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:\/\//)
    expect(headers['access-control-allow-origin']).toBeUndefined()
  })
})

describe('what is in the page', () => {
  it('holds a token of the first tenant as member when the address says nothing', async () => {
    const html = await page()
    expect(settingsOf(html).headers).toEqual({
      Authorization: 'Bearer token-of-acme-as-member',
      'X-Tenant-ID': 'acme',
    })
    expect(html).toContain('<option value="acme" selected>Acme &amp; Sons &lt;b&gt; (acme)</option>')
    expect(html).toContain('development only')
  })

  it('holds a token of the tenant and role that the address names', async () => {
    const html = await page('?tenant=globex&role=admin')
    expect(settingsOf(html).headers.Authorization).toBe('Bearer token-of-globex-as-admin')
    expect(html).toContain('<option value="globex" selected>')
    expect(html).toContain('<option value="admin" selected>')
  })

  it('never signs for a tenant that is not listed, nor for another role', async () => {
    const html = await page('?tenant=%22%3E%3Cscript%3E&role=operator')
    expect(settingsOf(html).headers.Authorization).toBe('Bearer token-of-acme-as-member')
    expect(html).toContain('There is no tenant &quot;&quot;&gt;&lt;script&gt;&quot;; this is acme.')
  })

  it('keeps the settings whole when a title holds the end of a script', async () => {
    expect(settingsOf(await page()).examples).toEqual(EXAMPLES)
  })

  it('says what is missing instead of failing', async () => {
    options = {
      ...options,
      tenants: async () => fail('DIRECTORY_UNAVAILABLE', 'The directory cannot be reached.'),
    }
    expect(await page()).toContain('The directory cannot be reached.')
    options = { ...options, tenants: async () => [] }
    expect(await page()).toContain('shardgate tenant create')
    options = {
      ...options,
      tenants: async () => tenants,
      token: async () => fail('USAGE', 'No secret to sign with.'),
    }
    const html = await page()
    expect(html).toContain('No secret to sign with.')
    expect(settingsOf(html).headers).toEqual({})
  })
})

describe('its files', () => {
  it.each([
    ['gzip, deflate, br, zstd', 'br', brotliDecompressSync],
    ['gzip, deflate', 'gzip', gunzipSync],
    ['br;q=0, gzip', 'gzip', gunzipSync],
    ['identity', undefined, (body: Buffer) => body],
    ['', undefined, (body: Buffer) => body],
  ])('are served for a year, in the form that "%s" asks for', async (accepted, form, unpack) => {
    const path = `/graphiql/${assets.names.browserScript}`
    const { status, headers, body } = await ask(path, { 'accept-encoding': accepted })
    expect(status).toBe(200)
    expect(headers['content-encoding']).toBe(form)
    expect(headers['cache-control']).toBe('public, max-age=31536000, immutable')
    expect(headers['content-type']).toBe('text/javascript; charset=utf-8')
    expect(headers.vary).toBe('Accept-Encoding')
    expect(unpack(body).toString()).toContain('renderYogaGraphiQL')
  })

  it('are the ones that the page names, and styles are styles', async () => {
    const named = [...(await page()).matchAll(/"(\/graphiql\/[^"]+)"/g)].map(([, path]) => path ?? '')
    expect(new Set(named).size).toBe(7)
    for (const path of named) {
      const { status, headers } = await ask(path, {}, 'HEAD')
      expect(status).toBe(200)
      expect(headers['content-type']).toBe(
        path.endsWith('.css') ? 'text/css; charset=utf-8' : 'text/javascript; charset=utf-8',
      )
    }
  })

  it.each([
    '/graphiql/nothing.js',
    '/graphiql/manifest.json',
    '/graphiql/../../package.json',
    '/graphiql/%2e%2e/x',
    '/graphiql/',
  ])('are all that can be had: %s is not', async (path) => {
    expect((await ask(path)).status).toBe(404)
  })

  it('are one address away from who types /graphiql', async () => {
    const { status, headers } = await ask('/graphiql')
    expect([status, headers.location]).toEqual([302, '/graphql'])
  })
})
