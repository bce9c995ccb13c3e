/** The contract of http/admin.ts: probes, metrics, and who may see them. */

import { once } from 'node:events'
import type { Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configFile } from '../../src/base/config-schema.ts'
import { tenantId } from '../../src/base/ids.ts'
import { createMetrics } from '../../src/base/metrics.ts'
import { systemClock } from '../../src/base/time.ts'
import { createAdminServer, type ShardState } from '../../src/http/admin.ts'
import { SERVER_SETTINGS } from '../../src/http/server.ts'
import { authenticator } from '../../src/tenant/authenticate.ts'
import type { Role } from '../../src/tenant/types.ts'
import { EDGE_SECRET, edgeToken } from '../kit/edge.ts'

let server: Server
let port: number
let draining = false
let shards: ShardState[] = []
const { registry, listener } = createMetrics({ version: '1.2.3' })

beforeAll(async () => {
  const issuers = configFile.shape.tokens.parse([
    { issuer: 'edge', audience: 'edge', algorithms: ['HS256'], secrets: [EDGE_SECRET] },
  ])
  const { authenticate } = authenticator({ issuers, clock: systemClock, emit: listener })
  const usage = async (question: object) => ({ asked: question })
  const options = { version: '1.2.3', registry, emit: listener, authenticate, usage }
  server = createAdminServer({ ...options, draining: () => draining, shards: () => shards })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
afterAll(() => {
  server.close()
  server.closeAllConnections()
})

const get = async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers, method })
  return { status: response.status, text: await response.text() }
}
const bearer = async (...roles: Role[]) => ({
  authorization: `Bearer ${await edgeToken(roles, tenantId('acme'))}`,
})

function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    let came = ''
    socket.on('data', (chunk) => {
      came += chunk
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(came))
  })
}

it('D17: the private port has the time limits of the public one, not those of Node', () => {
  const { headersTimeout, requestTimeout, keepAliveTimeout } = SERVER_SETTINGS
  expect(server).toMatchObject({ headersTimeout, requestTimeout, keepAliveTimeout })
})

describe('probes', () => {
  it('/livez is open', async () => {
    expect(await get('/livez')).toEqual({ status: 200, text: 'alive\n' })
  })

  it.each([
    ['all up', [true, true], false, 200, '[+] shard s0 up\n[+] shard s1 up\nready\n'],
    ['one dead', [true, false], false, 200, '[+] shard s0 up\n[-] shard s1 down\nready\n'],
    ['all dead', [false, false], false, 503, '[-] shard s0 down\n[-] shard s1 down\nnot ready\n'],
    ['none at all', [], false, 503, 'not ready\n'],
    ['draining', [true], true, 503, '[+] shard s0 up\n[-] draining\nnot ready\n'],
  ])('/readyz with %s', async (_, ups, isDraining, status, text) => {
    shards = ups.map((isUp, i) => ({ shard: `s${i}`, isUp }))
    draining = isDraining
    expect(await get('/readyz')).toEqual({ status, text })
    expect(await get('/readyz?verbose')).toEqual({ status, text })
    draining = false
  })
})

describe('who may see what', () => {
  it('metrics are open to who asks from this machine', async () => {
    const { status, text } = await get('/metrics')
    expect(status).toBe(200)
    expect(text).toContain('gateway_build_info{version="1.2.3"')
  })

  it.each([
    ['through a proxy', { 'x-forwarded-for': '203.0.113.9' }],
    ['through a proxy of another kind', { forwarded: 'for=203.0.113.9' }],
    ['through a proxy that says less', { via: '1.1 proxy' }],
  ])('but not %s', async (_, headers) => {
    expect((await get('/metrics', headers)).status).toBe(401)
    expect((await get('/metrics', { ...headers, ...(await bearer('operator')) })).status).toBe(200)
  })

  it('nor to a page whose name leads here', async () => {
    const came = await raw('GET /metrics HTTP/1.1\r\nhost: rebound.example\r\nconnection: close\r\n\r\n')
    expect(came).toMatch(/^HTTP\/1.1 401 /)
    expect(came).not.toContain('gateway_')
  })

  it.each(['/version', '/', '/console', '/metrics/', '/livez/x', '/graphql', '/health'])(
    '%s needs the token of an operator',
    async (path) => {
      expect((await get(path)).status).toBe(401)
      expect((await get(path, await bearer('admin'))).status).toBe(403)
      expect((await get(path, await bearer('operator'))).status).toBe(path === '/version' ? 200 : 404)
    },
  )

  it.each(['POST', 'PUT', 'DELETE'])('%s is no method here', async (method) => {
    expect((await get('/livez', {}, method)).status).toBe(405)
  })

  it('two Authorization headers are refused', async () => {
    const { authorization } = await bearer('operator')
    const twice = `authorization: ${authorization}\r\n`.repeat(2)
    const came = await raw(`GET /version HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${twice}\r\n`)
    expect(came).toMatch(/^HTTP\/1.1 401 /)
  })
})

describe('usage', () => {
  const asking = '/usage?tenant=acme&from=2025-10&to=2025-10&by=month'

  it('is for operators alone, also on this machine', async () => {
    expect((await get(asking)).status).toBe(401)
    expect((await get(asking, await bearer('admin'))).status).toBe(403)
    const { status, text } = await get(asking, await bearer('operator'))
    const span = { from: Date.UTC(2025, 9, 1), to: Date.UTC(2025, 10, 1) }
    expect([status, JSON.parse(text)]).toEqual([200, { asked: { tenant: 'acme', by: 'month', span } }])
  })

  it.each([
    ['/usage', /"tenant": wanted the id of a tenant/],
    ['/usage?tenant=Acme', /"tenant": wanted/],
    ["/usage?tenant=a'b", /"tenant": wanted/],
    ['/usage?tenant=acme&tenant=globex', /"tenant" came twice/],
    ['/usage?tenant=acme&by=week', /"by": wanted hour, day, month/],
    ['/usage?tenant=acme&from=yesterday', /Wanted a month .*yesterday/],
    ['/usage?tenant=acme&from=2025-10&to=2025-01', /beginning before the end/],
    ['/usage?tenant=acme&since=2025', /"since" came/],
  ])('%s is refused', async (path, sentence) => {
    const { status, text } = await get(path, await bearer('operator'))
    expect(status).toBe(400)
    expect(JSON.parse(text).errors[0].message).toMatch(sentence)
  })
})
