/**
 * Requests to the public port as bytes, put together of parts: what clients send, and what they had better not.
 *
 * Each part has one or more values that an ordinary client has, first in its list, and then odd ones. A request is
 * made of one choice a part, so that one oddity can be tried alone and many together.
 */

import type { Random } from './random.ts'

export interface Part {
  readonly ordinary: readonly string[]
  readonly odd: readonly string[]
}

/** A choice of each part. */
export type Choice = Readonly<Record<keyof typeof PARTS, string>>

const TWO = 'query A { hello } query B($t: String) { echo(text: $t) }'

/** Values are what stands in the request: of a header all its lines, of a parameter its JSON. '' leaves it out. */
export const PARTS = {
  method: { ordinary: ['POST', 'GET'], odd: ['HEAD', 'PUT', 'OPTIONS', 'DELETE'] },
  type: {
    ordinary: ['content-type: application/json', 'Content-Type: application/graphql+json; charset=utf-8'],
    odd: [
      '',
      'content-type:',
      'content-type: application/jsonx',
      'content-type: application/json; charset=utf-16',
      'content-type: APPLICATION/JSON;charset="UTF-8"',
      'content-type: text/plain',
      'content-type: text/plain;application/json',
      'content-type: multipart/form-data; boundary=x',
      'content-type: application/json\r\ncontent-type: text/plain',
      'content-type: text/plain\r\ncontent-type: application/json',
    ],
  },
  accept: {
    ordinary: [
      '',
      'accept: */*',
      'accept: application/json',
      'accept: application/graphql-response+json',
      'Accept: application/graphql-response+json, application/json;q=0.9',
    ],
    odd: [
      'accept:',
      'accept: text/csv',
      'accept: text/event-stream',
      'accept: */event-stream',
      'accept: multipart/mixed, application/json',
      'accept: application/json; charset=latin1',
      'accept: application/json; charset=utf-8, */*',
      'accept: application/xml, application/*',
      'accept: APPLICATION/JSON',
      'accept: text/html\r\naccept: application/graphql-response+json',
      `accept: ${'application/xml, '.repeat(20)}application/json`,
      'accept: application/json/x',
      'accept: *',
    ],
  },
  query: {
    ordinary: ['{ hello mine }', TWO, '{ items(count: 3) { id } old }', 'query N { hello }'].map(json),
    odd: [
      ...['', '{', '{ helo }', 'query A { hello } query A { mine }', '{ ruleless }', '{ boom }', '{ away }'],
      ...['mutation { createItem { id } }', 'mutation { deleteItem }', 'subscription { x }'],
      ...['query ($t: String!) { echo(text: $t) }', 'query ($n: Int) { echo(first: $n) }'],
      ...['{ __typename }', '{ __schema { queryType { name } } }', 'fragment F on Query { hello }'],
      ...[`{ ${'items { id } '.repeat(40)} }`, `{ hello ${'# x '.repeat(200)}\n}`, '\ufeff{ hello }', 'é😀'],
    ]
      .map(json)
      .concat('null', '1', '["{ hello }"]', '{"kind":"Document"}', ''),
  },
  operation: {
    ordinary: ['', 'null', '"A"', '"B"', '"N"'],
    odd: ['""', '"nope"', '1', '[]', 'false', '{"a":1}'],
  },
  variables: {
    ordinary: ['', 'null', '{}', '{"t":"é€😀"}'],
    odd: [
      ...['[]', '"x"', '1', 'true', '{"t":1}', '{"n":"x"}', '{"n":99999999999}', '{"__proto__":{"t":"x"}}'],
      `{"t":${'['.repeat(70)}${']'.repeat(70)}}`,
    ],
  },
  more: {
    ordinary: ['', '"extensions":{}', '"extensions":null'],
    odd: [
      ...['"extensions":[]', '"extensions":1', '"debug":true', '"debug":null', '"__proto__":{"query":"{"}'],
      ...['"query":"{ old }"', '"extensions":{"persistedQuery":{"version":1,"sha256Hash":"x"}}'],
      ...['"extensions":{"persistedQuery":{"version":2}}', '"extensions":{"persistedQuery":[]}'],
      ...['"documentId":"sha256:x"', '"documentId":null', '"documentId":1'],
    ],
  },
  token: {
    ordinary: ['authorization: Bearer VIEWER', 'Authorization: bearer ADMIN'],
    odd: [
      ...['', 'authorization:', 'authorization: Basic x', 'authorization: Bearer x.y.z'],
      ...['authorization: Bearer NOBODY', 'authorization: Bearer EXPIRED', 'authorization: Bearer  GLOBEX'],
      'authorization: Bearer VIEWER\r\nauthorization: Bearer VIEWER',
      'authorization: Bearer VIEWER\r\nauthorization: Bearer x',
    ],
  },
  tenant: {
    ordinary: ['', 'x-tenant-id: acme'],
    odd: [
      'x-tenant-id: globex',
      'x-tenant-id:',
      'x-tenant-id: acme\r\nx-tenant-id: acme',
      'x-tenant-id: ACME',
    ],
  },
  host: {
    ordinary: ['host: acme.api.test', 'Host: localhost:4000'],
    odd: ['host: globex.api.test', 'host: a b', 'host:', 'host: ACME.API.TEST.:80', 'host: @'],
  },
  origin: {
    ordinary: ['', 'origin: https://app.test'],
    odd: [
      'origin: https://evil.test',
      'origin: null',
      'origin: https://app.test\r\norigin: https://app.test',
    ],
  },
  forgery: {
    ordinary: ['x-graphql-yoga-csrf: 1', ''],
    odd: ['x-graphql-yoga-csrf:', 'apollo-require-preflight: x'],
  },
  key: {
    ordinary: [''],
    odd: ['idempotency-key: k', 'idempotency-key:', 'idempotency-key: a\r\nidempotency-key: b'],
  },
  expect: { ordinary: [''], odd: ['expect: 100-continue', 'expect: 200-ok'] },
  encoding: {
    ordinary: ['', 'content-encoding: identity'],
    odd: ['content-encoding: gzip', 'content-encoding:'],
  },
  id: {
    ordinary: ['x-request-id: web-42'],
    odd: ['x-request-id: a b', 'x-request-id: a\r\nx-request-id: b', 'x-request-id:'],
  },
  body: {
    ordinary: ['whole', 'chunked'],
    odd: [
      'cut',
      'bom',
      'not utf-8',
      'spaces',
      'trailing comma',
      'too large',
      'large and chunked',
      'none',
      'a list',
    ],
  },
  path: { ordinary: ['/graphql'], odd: ['/graphql?x=1', '/graphql/', '/graphql?', '/graphql#x', '/health'] },
} as const satisfies Record<string, Part>

type Name = keyof typeof PARTS
const NAMES = Object.keys(PARTS) as Name[]

function json(value: string): string {
  return JSON.stringify(value)
}

/** The plainest request of each method. */
export function ordinary(method: 'POST' | 'GET' = 'POST'): Choice {
  return { ...fromEach(({ ordinary: [first = ''] }) => first), method }
}

/** `method` with one oddity: every one there is. */
export function withOneOddity(method: 'POST' | 'GET'): Choice[] {
  return NAMES.flatMap((name) => [
    ...PARTS[name].ordinary.map((value) => ({ ...ordinary(method), [name]: value })),
    ...PARTS[name].odd.map((value) => ({ ...ordinary(method), [name]: value })),
  ])
}

/** Any mixture of what is ordinary, and each part odd with the chance `oddness`. */
export function randomChoice(random: Random, oddness: number): Choice {
  return fromEach(({ ordinary: usual, odd }) => random.pick<string>(random.chance(oddness) ? odd : usual))
}

function fromEach(pick: (part: Part) => string): Choice {
  return Object.fromEntries(NAMES.map((name) => [name, pick(PARTS[name])])) as Choice
}

/** The bytes of a request; names of tokens in capitals are replaced by `tokens`. */
export function bytesOf(choice: Choice, tokens: Readonly<Record<string, string>>): Buffer {
  const { method, path, body } = choice
  const content = method === 'GET' ? undefined : contentOf(choice)
  const target = method === 'GET' && !path.includes('?') ? `${path}?${searchOf(choice)}` : path
  const headers = [
    ...[choice.host, choice.token, choice.type, choice.accept, choice.tenant, choice.origin, choice.forgery],
    ...[choice.key, choice.expect, choice.encoding, choice.id, 'connection: close'],
    ...(content ? [content.header] : []),
  ].filter((line) => line !== '')
  const head = [`${method} ${target} HTTP/1.1`, ...headers]
    .join('\r\n')
    .replace(/Bearer +([A-Z]+)/gi, (all, name) => (tokens[name] ? all.replace(name, tokens[name]) : all))
  const sent = content && body === 'cut' ? content.bytes.subarray(0, -3) : (content?.bytes ?? Buffer.alloc(0))
  return Buffer.concat([Buffer.from(`${head}\r\n\r\n`, 'utf8'), sent])
}

function contentOf(choice: Choice): { readonly header: string; readonly bytes: Buffer } {
  const text = textOf(choice)
  const plain = Buffer.from(text)
  if (choice.body === 'chunked' || choice.body === 'large and chunked') {
    const half = Math.ceil(plain.length / 2)
    const chunks = [plain.subarray(0, half), plain.subarray(half)].filter(({ length }) => length > 0)
    const framed = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk.toString('latin1')}\r\n`)
    return {
      header: 'transfer-encoding: chunked',
      bytes: Buffer.from(`${framed.join('')}0\r\n\r\n`, 'latin1'),
    }
  }
  const bytes = choice.body === 'not utf-8' ? Buffer.concat([plain, Buffer.from([0xc3, 0x28])]) : plain
  return { header: `content-length: ${bytes.length}`, bytes }
}

function textOf(choice: Choice): string {
  const members = [
    choice.query && `"query":${choice.query}`,
    choice.operation && `"operationName":${choice.operation}`,
    choice.variables && `"variables":${choice.variables}`,
    choice.more,
  ].filter((member) => member !== '')
  const text = `{${members.join(',')}}`
  if (choice.body === 'none') return ''
  if (choice.body === 'bom') return `\ufeff${text}`
  if (choice.body === 'spaces') return `\n ${text} `
  if (choice.body === 'trailing comma') return text.replace(/}$/, ',}')
  if (choice.body === 'a list') return `[${text}]`
  return choice.body.includes('large') ? text + ' '.repeat(6_000) : text
}

function searchOf({ query, operation, variables, more }: Choice): string {
  const given: [string, string][] = [
    ['query', unquoted(query)],
    ['operationName', unquoted(operation)],
    ['variables', variables],
    ['extensions', more.startsWith('"extensions":') ? more.slice(13) : ''],
  ]
  return new URLSearchParams(given.filter(([, value]) => value !== '')).toString()
}

function unquoted(text: string): string {
  return text.startsWith('"') ? JSON.parse(text) : text
}
