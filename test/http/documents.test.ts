/** The contract of http/documents.ts over both lanes: documents by their hash and by their id, and every abuse of it. */

import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { TrustedDocuments } from '../../src/graphql/documents/trusted.ts'
import { persistedDocuments } from '../../src/http/documents.ts'
import type { Exchange } from '../../src/http/exchange.ts'
import { type Edge, type EdgeOptions, startEdge } from '../kit/edge.ts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const persistedQuery = (sha256Hash: unknown, more: object = {}) => ({
  extensions: { persistedQuery: { version: 1, sha256Hash, ...more } },
})
const search = (parameters: Record<string, unknown>): string => {
  const texts = Object.entries(parameters).map(([name, value]) => [
    name,
    typeof value === 'string' ? value : JSON.stringify(value),
  ])
  return `/graphql?${new URLSearchParams(texts)}`
}
const modern = { accept: 'application/graphql-response+json' }

const TRUSTED = 'query Trusted($t: String) { echo(text: $t) }'
const OPAQUE = '{ mine }'
const trusted: TrustedDocuments = {
  all: [],
  find: (id) =>
    new Map([
      [sha256(TRUSTED), TRUSTED],
      [`sha256:${sha256(TRUSTED)}`, TRUSTED],
      ['mine-1', OPAQUE],
    ]).get(id),
  has: (text) => [TRUSTED, OPAQUE].includes(text),
}

/** Texts that no test has sent before. */
let count = 0
function fresh(comment = ''): string {
  count += 1
  return `query Fresh { f${count}: hello } ${comment}`
}

describe.each([
  ['compiled', true],
  ['resolver', false],
] as const)('in the %s lane', (lane, compiledLane) => {
  const edges: Edge[] = []
  let edge: Edge
  let listed: Edge
  beforeAll(async () => {
    const start = async (documents: EdgeOptions['documents'] = {}, more: EdgeOptions = {}): Promise<Edge> => {
      const made = await startEdge({ documents, http: { compiledLane }, trusted: () => trusted, ...more })
      edges.push(made)
      return made
    }
    edge = await start()
    listed = await start({ trusted: [{ file: 'any' }], trustedOnly: true })
  })
  afterAll(() => Promise.all(edges.map((one) => one.close())))
  afterEach(() => {
    edge.events.length = 0
  })

  const byGet = async (one: Edge, parameters: Record<string, unknown>, csrf: string | null = '1') => {
    const headers = { authorization: `Bearer ${await one.token()}` }
    return one.request(search(parameters), {
      headers: csrf === null ? headers : { ...headers, 'x-graphql-yoga-csrf': csrf },
    })
  }
  const register = async (text: string, tenant = 'acme') =>
    edge.post(
      { query: text, ...persistedQuery(sha256(text)) },
      { authorization: `Bearer ${await edge.token(['viewer'], tenant)}` },
    )
  const knows = async (text: string): Promise<boolean> =>
    (await edge.post(persistedQuery(sha256(text)))).code !== 'PERSISTED_QUERY_NOT_FOUND'

  describe('a hash (APQ)', () => {
    it('is asked for its text once, and is enough from then on, for every tenant', async () => {
      const text = 'query Say($t: String) { echo(text: $t) mine }'
      const hash = persistedQuery(sha256(text))
      const first = await edge.post(hash)
      expect([first.status, first.json.errors?.[0]]).toEqual([
        200,
        expect.objectContaining({
          message: 'PersistedQueryNotFound',
          extensions: expect.objectContaining({ code: 'PERSISTED_QUERY_NOT_FOUND', retryable: false }),
        }),
      ])
      expect(first.json.data).toBeUndefined()
      const variables = { t: 'x' }
      const data = { echo: '{"text":"x"}', mine: 'acme' }
      expect((await edge.post({ query: text, variables, ...hash })).json).toEqual({ data })
      edge.events.length = 0
      expect((await edge.post({ variables, ...hash })).json).toEqual({ data })
      expect(await edge.lastDone()).toMatchObject({ lane, operation: 'Say' })
      const globex = { authorization: `Bearer ${await edge.token(['viewer'], 'globex')}` }
      expect((await edge.post({ variables, ...hash }, globex)).json.data).toEqual({ ...data, mine: 'globex' })
    })

    it('has status 200 and the same words whatever is accepted, and the code in the log', async () => {
      const { status, json } = await edge.post(persistedQuery(sha256('unknown')), modern)
      expect([status, json.errors?.[0]?.message]).toEqual([200, 'PersistedQueryNotFound'])
      expect(await edge.lastDone()).toMatchObject({ code: 'PERSISTED_QUERY_NOT_FOUND', status: 200 })
    })

    it('may come by GET, with its text or without, and nothing is stored on the way', async () => {
      const text = 'query ($t: String) { echo(text: $t) old }'
      const asked = { variables: { t: 'y' }, ...persistedQuery(sha256(text)) }
      expect((await byGet(edge, asked)).code).toBe('PERSISTED_QUERY_NOT_FOUND')
      expect((await byGet(edge, { query: text, ...asked })).json.data).toEqual({
        echo: '{"text":"y"}',
        old: 'still here',
      })
      const again = await byGet(edge, asked)
      expect(again.json.data).toEqual({ echo: '{"text":"y"}', old: 'still here' })
      expect(again.headers.get('cache-control')).toBe('no-store')
      expect((await byGet(edge, asked, null)).code).toBe('BAD_REQUEST')
    })

    it('runs no mutation by GET', async () => {
      const text = 'mutation { deleteItem }'
      const admin = { authorization: `Bearer ${await edge.token(['admin'])}` }
      const hash = persistedQuery(sha256(text))
      expect((await edge.post({ query: text, ...hash }, admin)).json.data).toEqual({ deleteItem: '1' })
      const headers = { ...admin, 'x-graphql-yoga-csrf': '1' }
      expect((await edge.request(search(hash), { headers })).status).toBe(405)
    })

    it('of another text is refused, and neither text is known by it', async () => {
      const [text, other] = [fresh(), fresh()]
      const { status, code } = await edge.post({ query: text, ...persistedQuery(sha256(other)) }, modern)
      expect([status, code]).toEqual([400, 'BAD_USER_INPUT'])
      expect([await knows(text), await knows(other)]).toEqual([false, false])
      await register(other)
      const stolen = await edge.post({ query: text, ...persistedQuery(sha256(other)) })
      expect(stolen.code).toBe('BAD_USER_INPUT')
      const own = await edge.post(persistedQuery(sha256(other)))
      expect(Object.keys(own.json.data ?? {})).toEqual([/f\d+/.exec(other)?.[0]])
    })

    it('is compared digit for digit', async () => {
      const text = fresh()
      await register(text)
      const capitals = sha256(text).toUpperCase()
      expect((await edge.post(persistedQuery(capitals))).code).toBe('PERSISTED_QUERY_NOT_FOUND')
      expect((await edge.post({ query: text, ...persistedQuery(capitals) })).code).toBe('BAD_USER_INPUT')
      const spaced = ` ${sha256(text)}`
      expect((await edge.post(persistedQuery(spaced))).code).toBe('PERSISTED_QUERY_NOT_FOUND')
    })

    it.each([
      ['that is not GraphQL', '{'],
      ['that is not valid', '{ nothing }'],
      ['that is beyond the limits', `{ ${'hello '.repeat(40)} }`],
      ['that the caller may not run', '{ ruleless }'],
      ['that cannot be written in UTF-8', '{ echo(text: "\ud800") }'],
      ['without an operation', 'fragment F on Query { hello }'],
    ])('is not kept for a text %s', async (_, text) => {
      const { json } = await register(text)
      expect(json.errors?.length).toBeGreaterThan(0)
      expect(await knows(text)).toBe(false)
    })

    it('is kept for a text in which a field fails: it has run', async () => {
      const text = '{ away }'
      await register(text)
      expect(await knows(text)).toBe(true)
    })

    it('never gives a text away', async () => {
      const text = '{ first: echo(text: "written in the document") second: helo }'
      await register('{ first: echo(text: "written in the document") }')
      const asked = [sha256(text), 'x', '', '__proto__']
      for (const hash of asked) {
        const { text: answer } = await edge.post(persistedQuery(hash))
        expect(answer).not.toContain('written in')
      }
    })

    it('needs a token like anything else', async () => {
      const text = fresh()
      await register(text)
      const without = await edge.post(persistedQuery(sha256(text)), { authorization: null })
      expect(without.code).toBe('UNAUTHENTICATED')
    })

    it.each([
      ['a hash that is an object', persistedQuery({ a: 1 })],
      ['a hash that is a list', persistedQuery([sha256('x')])],
      ['a hash that is a number', persistedQuery(1)],
      ['no hash', persistedQuery(undefined)],
      ['version 2', persistedQuery(sha256('x'), { version: 2 })],
      ['version "1"', persistedQuery(sha256('x'), { version: '1' })],
      ['no version', persistedQuery(sha256('x'), { version: undefined })],
      ['a text in place of the extension', { extensions: { persistedQuery: sha256('x') } }],
      ['a list in place of the extension', { extensions: { persistedQuery: [] } }],
      ['a document id beside it', { documentId: 'a', ...persistedQuery(sha256('x')) }],
      ['a document id and a text', { documentId: 'a', query: '{ hello }' }],
      ['a document id that is a number', { documentId: 1 }],
      ['a document id that is an object', { documentId: {} }],
    ])('%s is refused', async (_, body) => {
      const { status, code } = await edge.post(body)
      expect([status, code]).toEqual([400, 'BAD_REQUEST'])
      const withText = await edge.post({ query: '{ hello }', ...body })
      expect([withText.status, withText.code]).toEqual([400, 'BAD_REQUEST'])
    })

    it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', '', '\u0000', 'sha256:'])(
      'named %j is none that is known',
      async (name) => {
        expect((await edge.post(persistedQuery(name))).code).toBe('PERSISTED_QUERY_NOT_FOUND')
        expect((await edge.post({ documentId: name })).code).toBe('PERSISTED_QUERY_NOT_IN_LIST')
      },
    )

    it('of 200 kB costs nothing and is not repeated; of a megabyte it is too large', async () => {
      const { code, text } = await edge.post(persistedQuery('a'.repeat(200_000)))
      expect([code, text.length < 1_000]).toEqual(['PERSISTED_QUERY_NOT_FOUND', true])
      expect((await edge.post(persistedQuery('a'.repeat(1_000_000)))).code).toBe('PAYLOAD_TOO_LARGE')
    })

    it.each([null, {}, { persistedQuery: null }, { other: 1 }])(
      'is none in extensions of %j',
      async (extensions) => {
        expect((await edge.post({ query: '{ hello }', extensions })).json.data).toEqual({ hello: 'world' })
      },
    )

    it('with nothing beside it, and null for the text, is a hash alone', async () => {
      const text = fresh()
      await register(text)
      const body = { query: null, documentId: null, ...persistedQuery(sha256(text), { miss: true }) }
      expect((await edge.post(body)).json.data).toBeDefined()
      expect((await edge.post({ documentId: null })).code).toBe('BAD_REQUEST')
    })

    it('is not known where the configuration says no, and clients stop sending it', async () => {
      const off = await startEdge({
        documents: { apq: false },
        http: { compiledLane },
        trusted: () => trusted,
      })
      edges.push(off)
      const text = fresh()
      const hash = persistedQuery(sha256(text))
      expect((await off.post({ query: text, ...hash })).json.data).toBeDefined()
      const { status, code, json } = await off.post(hash)
      expect([status, code]).toEqual([200, 'PERSISTED_QUERY_NOT_SUPPORTED'])
      expect(json.errors?.[0]?.message).toBe('PersistedQueryNotSupported')
      expect((await off.post({ query: '{ hello }', ...hash })).code).toBe('BAD_USER_INPUT')
      expect((await off.post(persistedQuery(sha256(TRUSTED)))).json.data).toEqual({ echo: '{}' })
    })
  })

  describe('one who registers without end', () => {
    it('pushes out documents of its own, not those of others', async () => {
      const ours = fresh()
      await register(ours, 'globex')
      const flood = Array.from({ length: 14 }, () => fresh(`# ${'x'.repeat(200_000)}`))
      for (const text of flood) expect((await register(text)).json.data).toBeDefined()
      expect(await knows(ours)).toBe(true)
      expect([await knows(flood[0]!), await knows(flood.at(-1)!)]).toEqual([false, true])
    })
  })

  describe('a trusted document', () => {
    it.each([
      ['its hash', { documentId: `sha256:${sha256(TRUSTED)}` }],
      ['the bare digits', { documentId: sha256(TRUSTED) }],
      ['a hash of APQ', persistedQuery(sha256(TRUSTED))],
    ])('is run by %s, by POST and by GET', async (_, body) => {
      const asked = { ...body, variables: { t: 'z' } }
      const wanted = { data: { echo: '{"text":"z"}' } }
      for (const one of [edge, listed]) {
        expect((await one.post(asked)).json).toEqual(wanted)
        expect(await one.lastDone()).toMatchObject({ lane, operation: 'Trusted' })
        expect((await byGet(one, asked)).json).toEqual(wanted)
      }
    })

    it('may have any name', async () => {
      expect((await listed.post({ documentId: 'mine-1' })).json.data).toEqual({ mine: 'acme' })
      expect((await listed.post(persistedQuery('mine-1'))).json.data).toEqual({ mine: 'acme' })
      expect((await listed.post({ documentId: 'sha256:mine-1' })).code).toBe('PERSISTED_QUERY_NOT_IN_LIST')
    })

    it('runs as operation that is named, with the same refusals as its text', async () => {
      const [byId, byText] = [{ documentId: 'mine-1' }, { query: OPAQUE }].map((body) => ({
        ...body,
        operationName: 'Nope',
      }))
      const answers = await Promise.all(
        [byId, byText].map((body) => edge.post(body, { 'x-request-id': 'same' })),
      )
      expect(answers[0]?.text).toBe(answers[1]?.text)
    })

    it('is by its id also what a client has registered', async () => {
      const text = fresh()
      await register(text)
      expect((await edge.post({ documentId: `sha256:${sha256(text)}` })).json.data).toBeDefined()
    })
  })

  describe('trusted documents only', () => {
    const refused = { status: 403, code: 'PERSISTED_QUERY_NOT_IN_LIST' }
    it.each<[string, object]>([
      ['a text', { query: '{ hello }' }],
      ['a trusted text with a space more', { query: `${TRUSTED} ` }],
      ['a text with its hash', { query: '{ hello }', ...persistedQuery(sha256('{ hello }')) }],
      ['a text with a trusted hash', { query: '{ hello }', ...persistedQuery(sha256(TRUSTED)) }],
      ['a hash', persistedQuery(sha256('{ hello }'))],
      ['an id', { documentId: 'mine-2' }],
      ['introspection', { query: '{ __schema { queryType { name } } }' }],
      ['a text that is empty', { query: '' }],
      ['a text that is a list', { query: [TRUSTED] }],
      ['a text that is a document', { query: { kind: 'Document', definitions: [] } }],
    ])('refuse %s, with what to do', async (_, body) => {
      const { status, code, json } = await listed.post(body)
      expect({ status, code }).toEqual(refused)
      expect(json.errors?.[0]?.extensions.hint).toContain('manifest')
    })

    it('take a text that is one of them, with its hash and without', async () => {
      expect((await listed.post({ query: TRUSTED })).json.data).toEqual({ echo: '{}' })
      const withHash = { query: TRUSTED, ...persistedQuery(sha256(TRUSTED)) }
      expect((await listed.post(withHash)).json.data).toEqual({ echo: '{}' })
      expect((await listed.post({ query: TRUSTED, ...persistedQuery(sha256('x')) })).code).toBe(
        'BAD_USER_INPUT',
      )
    })

    it('tell nobody without a token what is one of them', async () => {
      expect((await listed.post({ documentId: 'mine-2' }, { authorization: null })).code).toBe(
        'UNAUTHENTICATED',
      )
    })
  })
})

describe('a change of the configuration', () => {
  it('holds for what was registered before it', () => {
    let documents = { apq: true, trusted: [], trustedOnly: false }
    const stage = persistedDocuments({ config: () => ({ documents }), trusted: () => trusted })
    const hash = persistedQuery(sha256('{ hello }'))
    const exchange = { lane: 'resolver', identity: { tenant: 'acme' } } as unknown as Exchange
    stage.resolve(exchange, { query: '{ hello }', ...hash })
    stage.keep(exchange)
    const ask = () => stage.resolve({} as Exchange, hash).query
    expect(ask()).toBe('{ hello }')
    documents = { ...documents, trustedOnly: true }
    expect(ask).toThrow('No trusted document')
    expect(() => stage.resolve({} as Exchange, { documentId: sha256('{ hello }') })).toThrow('No document')
    documents = { ...documents, apq: false, trustedOnly: false }
    expect(ask).toThrow('PersistedQueryNotSupported')
  })
})
