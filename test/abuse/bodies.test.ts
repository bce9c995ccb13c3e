/** Malformed, huge and odd bodies: one clear refusal each, and the next request is served. */

import { once } from 'node:events'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Edge, startEdge } from '../kit/edge.ts'

const LIMIT = 5_000
const VALUES = 40
let edge: Edge
beforeAll(async () => {
  edge = await startEdge({ limits: { bodyBytes: LIMIT, bodyValues: VALUES } })
})
afterAll(() => edge.close())
afterEach(async () => {
  expect(edge.events.filter(({ kind }) => kind === 'request.failed')).toEqual([])
  expect((await edge.post({ query: '{ hello }' })).json.data).toEqual({ hello: 'world' })
})

const ok = '{"query":"{ hello }"}'

describe('what is no request in JSON', () => {
  it.each([
    ['empty', ''],
    ['spaces', '   '],
    ['half', '{"query":"{ hel'],
    ['no JSON', 'query { hello }'],
    ['two documents', `${ok}${ok}`],
    ['a comment', `${ok} // x`],
    ['a trailing comma', '{"query":"{ hello }",}'],
    ['a number', '42'],
    ['null', 'null'],
    ['a text', '"{ hello }"'],
    ['true', 'true'],
    ['a batch', `[${ok},${ok}]`],
    ['an empty batch', '[]'],
    ['an empty object', '{}'],
    ['no query', '{"variables":{}}'],
    ['a query that is null', '{"query":null}'],
    ['a query that is a list', '{"query":["{ hello }"]}'],
    ['a query that is a number', '{"query":1}'],
    ['a query that is an object', '{"query":{"kind":"Document","definitions":[]}}'],
    ['variables that are a list', '{"query":"{ hello }","variables":[1]}'],
    ['variables that are a text', '{"query":"{ hello }","variables":"{}"}'],
    ['an operation name that is a number', '{"query":"{ hello }","operationName":1}'],
    ['an operation name that is an object', '{"query":"{ hello }","operationName":{"a":1}}'],
    ['extensions that are a list', '{"query":"{ hello }","extensions":[]}'],
    ['an unknown key', '{"query":"{ hello }","debug":true}'],
    ['NUL bytes', '\0\0\0\0'],
    ['text that is not UTF-8', Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x7d])],
    ['UTF-16', Buffer.from(`\ufeff${ok}`, 'utf16le')],
    [
      '2,000 levels of lists',
      `{"query":"{ hello }","variables":{"a":${'['.repeat(2_000)}${']'.repeat(2_000)}}}`,
    ],
    ['700 levels of objects', `{"query":"{ hello }","variables":${'{"a":'.repeat(700)}1${'}'.repeat(700)}}`],
    ['an unfinished string of quotes', `{"query":"${'\\"'.repeat(2_000)}`],
  ])('%s', async (_, body) => {
    const { status, code, json } = await edge.post(body)
    expect({ status, code }).toEqual({ status: 400, code: 'BAD_REQUEST' })
    expect(json.errors?.[0]?.message.length).toBeLessThan(200)
  })

  it.each([
    ['spaces around it', `\n  ${ok}\n`],
    ['a byte order mark', Buffer.from(`\ufeff${ok}`)],
    [
      'nulls where something may be missing',
      '{"query":"{ hello }","variables":null,"operationName":null,"extensions":null}',
    ],
    ['keys twice, of which the last counts', '{"query":"{ nope }","query":"{ hello }"}'],
    [
      'the names of every object',
      '{"query":"{ hello }","variables":{"__proto__":{"x":1},"constructor":1,"toString":2}}',
    ],
  ])('%s is one', async (_, body) => {
    expect((await edge.post(body)).json.data).toEqual({ hello: 'world' })
  })

  it('a polluted prototype is not', async () => {
    await edge.post('{"query":"{ hello }","variables":{"__proto__":{"polluted":true}}}')
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
  })
})

describe('variables', () => {
  it('nested deeper than anything needs', async () => {
    const where = `${'{"and":['.repeat(31)}{"color":"RED"}${']}'.repeat(31)}`
    const query = 'query ($w: Where) { echo(where: $w) }'
    expect((await edge.post(`{"query":"${query}","variables":{"w":${where}}}`)).code).toBe('BAD_REQUEST')
  })

  it.each([
    ['of the wrong type', { first: '1' }],
    ['too large for its type', { first: 2 ** 40 }],
    ['missing in the enum', { color: 'PURPLE' }],
    ['of no such field', { where: { nope: 1 } }],
  ])('%s', async (_, variables) => {
    const query =
      'query ($first: Int, $color: Color, $where: Where) { echo(first: $first, color: $color, where: $where) }'
    expect((await edge.post({ query, variables })).code).toBe('BAD_USER_INPUT')
  })
})

describe('media types', () => {
  it.each([
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/plain',
    'text/json',
    'application/graphql',
    'application/xml',
    'application/jsonx',
    'application/json, text/plain',
    'json',
    '',
  ])('%j is refused', async (type) => {
    const { status, code } = await edge.post(ok, { 'content-type': type, 'apollo-require-preflight': '1' })
    expect({ status, code }).toEqual({ status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' })
  })

  it.each([
    'application/json',
    'APPLICATION/JSON',
    'application/json; charset=utf-8',
    'application/json;charset="UTF-8"',
  ])('%j is taken', async (type) => {
    expect((await edge.post(ok, { 'content-type': type })).status).toBe(200)
  })

  it.each(['utf-7', 'utf-16', 'iso-8859-1', 'ibm500', 'x'])('charset %s is refused', async (charset) => {
    const { status } = await edge.post(ok, { 'content-type': `application/json; charset=${charset}` })
    expect(status).toBe(415)
  })

  it.each(['gzip', 'deflate', 'br', 'zstd', 'gzip, gzip', 'x'])(
    'encoding %s is refused, unread',
    async (encoding) => {
      const bomb = gzipSync(Buffer.alloc(1_000_000))
      const { status, code } = await edge.post(bomb, { 'content-encoding': encoding })
      expect({ status, code }).toEqual({ status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' })
    },
  )
})

describe('size', () => {
  const bodyOf = (bytes: number): string => {
    const [start, end] = ['{"query":"{ hello #', ' \\n}"}']
    return start + 'x'.repeat(bytes - start.length - end.length) + end
  }

  it('up to the limit is taken, one byte more is not', async () => {
    expect((await edge.post(bodyOf(LIMIT))).status).toBe(200)
    const { status, code } = await edge.post(bodyOf(LIMIT + 1))
    expect({ status, code }).toEqual({ status: 413, code: 'PAYLOAD_TOO_LARGE' })
  })

  it.each([
    ['items', (count: number) => `[${'1,'.repeat(count - 1)}1]`],
    ['empty lists', (count: number) => `[${'[],'.repeat(count / 2 - 1)}[]]`],
    ['empty objects', (count: number) => `[${'{},'.repeat(count / 2 - 1)}{}]`],
    ['members', (count: number) => `{${'"x":1,'.repeat(count - 1)}"x":1}`],
  ])('up to so many %s are taken, more are not', async (_, make) => {
    // The query, the variables and the one of them count as well.
    const bodyOf = (count: number): string => `{"query":"{ hello }","variables":{"a":${make(count)}}}`
    expect((await edge.post(bodyOf(VALUES - 4))).status).toBe(200)
    const { status, code, json } = await edge.post(bodyOf(VALUES))
    expect({ status, code }).toEqual({ status: 413, code: 'PAYLOAD_TOO_LARGE' })
    expect(json.errors?.[0]?.extensions).toMatchObject({ details: { asked: VALUES + 3, allowed: VALUES } })
  })

  it('of texts is no number of values', async () => {
    const variables = { a: ',[{'.repeat(2 * VALUES), b: '\\",'.repeat(2 * VALUES) }
    expect((await edge.post({ query: '{ hello }', variables })).status).toBe(200)
  })

  it('that is announced is refused before a byte of it is read', async () => {
    const authorization = `Bearer ${await edge.token()}`
    const head = `POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\n`
    const socket = connect(edge.port, '127.0.0.1')
    socket.write(`${head}content-length: 99999999999\r\n\r\n`)
    const [answer] = await once(socket, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1.1 413 /)
    socket.destroy()
  })

  it('nobody is told to send what will be refused', async () => {
    const authorization = `Bearer ${await edge.token()}`
    const head = `POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n`
    const refused = connect(edge.port, '127.0.0.1')
    refused.write(`${head}content-length: ${LIMIT + 1}\r\n\r\n`)
    expect(String((await once(refused, 'data'))[0])).toMatch(/^HTTP\/1.1 413 /)
    refused.destroy()
    const wanted = connect(edge.port, '127.0.0.1')
    wanted.write(`${head}content-length: ${ok.length}\r\n\r\n`)
    expect(String((await once(wanted, 'data'))[0])).toMatch(/^HTTP\/1.1 100 /)
    wanted.write(ok)
    expect(String((await once(wanted, 'data'))[0])).toMatch(/^HTTP\/1.1 200 /)
    wanted.destroy()
  })

  it('that is not announced is refused where it passes the limit, and memory stays', async () => {
    let sent = 0
    const chunk = new Uint8Array(65_536).fill(32)
    const stream = new ReadableStream({
      pull(controller) {
        sent += chunk.length
        if (sent > 50_000_000) controller.close()
        else controller.enqueue(chunk)
      },
    })
    const before = process.memoryUsage().arrayBuffers
    const response = await fetch(edge.url, {
      method: 'POST',
      body: stream,
      duplex: 'half',
      headers: { authorization: `Bearer ${await edge.token()}`, 'content-type': 'application/json' },
    } as RequestInit)
    expect(response.status).toBe(413)
    await response.text()
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40_000_000)
  })

  it('that is announced and does not come ends with who sent it', async () => {
    const authorization = `Bearer ${await edge.token()}`
    const socket = connect(edge.port, '127.0.0.1')
    const head = `POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\n`
    edge.events.length = 0
    socket.write(`${head}content-length: 100\r\n\r\n{"query"`)
    await once(edge.server, 'request')
    socket.destroy()
    expect(await edge.lastDone()).toMatchObject({ status: 499 })
  })

  it('of strangers is not read at all', async () => {
    const socket = connect(edge.port, '127.0.0.1')
    socket.write(
      'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 4000\r\n\r\n',
    )
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1.1 401 /)
    socket.destroy()
  })
})

describe('what GET carries', () => {
  const get = async (search: string) => {
    const headers = { authorization: `Bearer ${await edge.token(['admin'])}`, 'x-graphql-yoga-csrf': '1' }
    return edge.request(`/graphql?${search}`, { headers })
  }

  it('a query', async () => {
    const variables = encodeURIComponent('{"t":"x"}')
    const query = encodeURIComponent('query ($t: String) { echo(text: $t) }')
    expect((await get(`query=${query}&variables=${variables}`)).json.data).toEqual({ echo: '{"text":"x"}' })
  })

  it('never a mutation', async () => {
    const { status, code, headers } = await get(`query=${encodeURIComponent('mutation { deleteItem }')}`)
    expect({ status, code }).toEqual({ status: 405, code: 'METHOD_NOT_ALLOWED' })
    expect(headers.get('allow')).toBe('POST')
  })

  it('never a mutation that stands beside a query', async () => {
    const query = encodeURIComponent('query A { hello } mutation B { deleteItem }')
    expect((await get(`query=${query}&operationName=B`)).status).toBe(405)
    expect((await get(`query=${query}&operationName=A`)).status).toBe(200)
  })

  it.each([
    '',
    'query=',
    'query=%7B',
    'query=%E0%A4%A',
    'query={hello}&variables=',
    'query={hello}&variables={',
    'query={hello}&variables=[1]',
    'query={hello}&variables=5',
    'query={hello}&extensions=nope',
  ])('%j has one clear answer', async (search) => {
    const { status, code } = await get(search)
    const whole = search === 'query={hello}&variables='
    expect(status).toBe(whole || code === 'GRAPHQL_PARSE_FAILED' ? 200 : 400)
    if (!whole) expect(['BAD_REQUEST', 'GRAPHQL_PARSE_FAILED']).toContain(code)
  })
})
