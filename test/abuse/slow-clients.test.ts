/** Clients that send slowly, send too much, or never read: each is cut off, and the others notice nothing. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SERVER_SETTINGS } from '../../src/http/server.ts'
import { type Edge, startEdge } from '../kit/edge.ts'

let edge: Edge
beforeAll(async () => {
  const settings = {
    headersTimeout: 100,
    requestTimeout: 200,
    connectionsCheckingInterval: 20,
    leavingMs: 50,
  }
  edge = await startEdge({ settings, limits: { requestMs: 200 } })
})
afterAll(() => edge.close())

/** Open a connection and send `parts`, then wait; what came back when the server has closed it. */
async function sendAndWait(...parts: (string | Buffer)[]): Promise<string> {
  const socket = connect(edge.port, '127.0.0.1')
  let came = ''
  socket.on('data', (chunk) => {
    came += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  for (const part of parts) socket.write(part)
  await once(socket, 'close')
  return came
}

const head = (length: number | string, more = ''): string =>
  `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${more}content-length: ${length}\r\n\r\n`

describe('D17: settings of the socket', () => {
  it('are those that were decided, not those of Node', () => {
    const plain = createServer()
    expect(plain.headersTimeout).toBeGreaterThan(SERVER_SETTINGS.headersTimeout)
    expect(plain.requestTimeout).toBeGreaterThan(SERVER_SETTINGS.requestTimeout)
    expect(SERVER_SETTINGS).toEqual({
      headersTimeout: 5_000,
      requestTimeout: 15_000,
      keepAliveTimeout: 65_000,
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: 16_384,
      maxConnections: 10_000,
      maxRequestsPerSocket: 10_000,
      leavingMs: 5_000,
    })
  })

  it('reach the server', async () => {
    const plain = await startEdge()
    const { headersTimeout, requestTimeout, keepAliveTimeout, maxConnections, maxRequestsPerSocket } =
      plain.server
    expect({
      headersTimeout,
      requestTimeout,
      keepAliveTimeout,
      maxConnections,
      maxRequestsPerSocket,
    }).toEqual({
      headersTimeout: 5_000,
      requestTimeout: 15_000,
      keepAliveTimeout: 65_000,
      maxConnections: 10_000,
      maxRequestsPerSocket: 10_000,
    })
    await plain.close()
  })

  it('a connection above the bound is closed, and the others go on', async () => {
    const small = await startEdge({ settings: { maxConnections: 3 } })
    const open = await Promise.all(
      Array.from({ length: 3 }, async () => {
        const socket = connect(small.port, '127.0.0.1')
        await once(socket, 'connect')
        return socket
      }),
    )
    expect(await small.raw('GET /health HTTP/1.1\r\nhost: x\r\n\r\n').catch(() => '')).toBe('')
    open[0]?.write('GET /health HTTP/1.1\r\nhost: x\r\n\r\n')
    const [answer] = await once(open[0] as Socket, 'data')
    expect(String(answer)).toContain('200 OK')
    for (const socket of open) socket.destroy()
    await small.close()
  })
})

describe('fault 63: slow and silent clients', () => {
  it.each([
    ['a request line that does not end', 'GET /graph'],
    ['headers that do not end', 'GET /health HTTP/1.1\r\nhost: x\r\nx-slow: '],
    ['nothing but the method', 'P'],
  ])('%s: 408', async (_, text) => {
    const came = await sendAndWait(text)
    expect(came).toMatch(/^HTTP\/1.1 408 /)
    expect(JSON.parse(came.slice(came.indexOf('\r\n\r\n')))).toMatchObject({
      errors: [{ extensions: { code: 'BAD_REQUEST' } }],
    })
  })

  it('a body that does not come: closed', async () => {
    const authorization = `authorization: Bearer ${await edge.token()}\r\n`
    expect(await sendAndWait(head(1_000, authorization), '{"query"')).toMatch(/^HTTP\/1.1 408 /)
  })

  it('a body in drops: closed', async () => {
    const authorization = `authorization: Bearer ${await edge.token()}\r\n`
    const socket = connect(edge.port, '127.0.0.1')
    socket.on('error', () => {}) // A drop that meets the closed socket is answered with a reset.
    const closed = new Promise((resolve) => socket.on('close', resolve))
    socket.write(head(100_000, authorization))
    const dropping = setInterval(() => socket.writable && socket.write(' '), 10)
    socket.resume()
    await closed
    clearInterval(dropping)
  })

  it('a client that never reads its answer: closed, and its memory is free', async () => {
    const socket = connect(edge.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.pause()
    const body = JSON.stringify({ query: '{ big(bytes: 50000000) }' })
    socket.write(head(body.length, `authorization: Bearer ${await edge.token()}\r\n`) + body)
    const [request] = await once(edge.server, 'request')
    await once(request.socket, 'close')
    expect(await edge.lastDone()).toMatchObject({ status: 499 })
    socket.destroy()
  })

  it('300 of them at once: a plain request is answered meanwhile', async () => {
    const slow = Array.from({ length: 300 }, () => sendAndWait('GET /health HTTP/1.1\r\nx-slow: '))
    expect((await edge.post({ query: '{ hello }' })).status).toBe(200)
    const answers = await Promise.all(slow)
    expect(answers.filter((came) => came.startsWith('HTTP/1.1 408'))).toHaveLength(300)
    expect((await edge.post({ query: '{ hello }' })).status).toBe(200)
  })
})

describe('what is no request', () => {
  it.each([
    ['one huge header', `GET /health HTTP/1.1\r\nhost: x\r\nx-bomb: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['thousands of headers', `GET /health HTTP/1.1\r\nhost: x\r\n${'a: b\r\n'.repeat(4_000)}\r\n`, 431],
    ['a huge path', `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, 431],
    ['no HTTP', 'hello there\r\n\r\n', 400],
    ['TLS', Buffer.from('16030100a5010000a1030300', 'hex'), 400],
    ['no host', 'GET /health HTTP/1.1\r\n\r\n', 400],
    [
      'two lengths',
      'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}',
      400,
    ],
    [
      'a length and chunks',
      'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}',
      400,
    ],
    ['a negative length', 'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n', 400],
    ['a header with a NUL', 'GET /health HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n', 400],
    [
      'a chunk of no number',
      'POST /graphql HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
      400,
    ],
  ])('%s: one answer, and the connection ends', async (_, bytes, status) => {
    const came = await sendAndWait(bytes)
    expect(came).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(came.match(/HTTP\/1\.1 /g)).toHaveLength(1)
  })
})
