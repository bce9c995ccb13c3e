/**
 * Persisted documents as clients ask for them: Apollo Client's own link, urql's own document ids, and Relay's
 * `fetchFn` of its documentation. What goes over the wire is read off their fetch.
 */

import { createHash } from 'node:crypto'
import { ApolloClient, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache } from '@apollo/client'
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries'
import { Client, createRequest, fetchExchange, makeOperation } from '@urql/core'
import { Kind } from 'graphql'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { gatewayFetch } from '../../examples/clients/transport.ts'
import type { TrustedDocuments } from '../../src/graphql/documents/trusted.ts'
import { type Edge, startEdge } from '../kit/edge.ts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

const TRUSTED = 'query Trusted($t: String) { echo(text: $t) }'
const trusted: TrustedDocuments = {
  all: [],
  find: (id) => ([`sha256:${sha256(TRUSTED)}`, sha256(TRUSTED)].includes(id) ? TRUSTED : undefined),
  has: (text) => text === TRUSTED,
}
const lists = { trusted: [{ file: 'any' }], trustedOnly: true }

let open: Edge
let without: Edge
let listed: Edge
/** What was asked: the method, and whether a text and a hash came. */
const asked: string[] = []

beforeAll(async () => {
  open = await startEdge()
  without = await startEdge({ documents: { apq: false } })
  listed = await startEdge({ documents: lists, trusted: () => trusted })
})
afterAll(() => Promise.all([open, without, listed].map((edge) => edge.close())))
beforeEach(() => {
  asked.length = 0
})

const optionsFor = (edge: Edge) => ({ url: edge.url, token: () => edge.token(['admin']), fetch: watched })

const watched: typeof fetch = (input, init) => {
  const sent = `${input} ${init?.body ?? ''}`
  const parts = ['query', 'persistedQuery', 'documentId'].filter((name) =>
    new RegExp(`["?&]${name}["=]|%22${name}%22`).test(sent),
  )
  asked.push([init?.method ?? 'GET', ...parts].join(' '))
  return fetch(input, init)
}

describe('Apollo Client', () => {
  const clientOf = (edge: Edge, useGETForHashedQueries = false): ApolloClient =>
    new ApolloClient({
      link: new PersistedQueryLink({ sha256, useGETForHashedQueries }).concat(
        new HttpLink({ uri: edge.url, fetch: gatewayFetch(optionsFor(edge)) }),
      ),
      cache: new InMemoryCache(),
      defaultOptions: { query: { fetchPolicy: 'no-cache' } },
    })

  it('sends a hash, then its text, and from then on the hash, any client of it', async () => {
    const query = gql`query First { hello mine }`
    for (const client of [clientOf(open), clientOf(open), clientOf(open, true)]) {
      expect((await client.query({ query })).data).toEqual({ hello: 'world', mine: 'acme' })
    }
    expect(asked).toEqual([
      'POST persistedQuery',
      'POST query persistedQuery',
      'POST persistedQuery',
      'GET persistedQuery',
    ])
  })

  it('asks by GET and falls back to POST with the text', async () => {
    const query = gql`query ByGet($t: String) { echo(text: $t) }`
    const { data } = await clientOf(open, true).query({ query, variables: { t: 'a' } })
    expect(data).toEqual({ echo: '{"text":"a"}' })
    expect(asked).toEqual(['GET persistedQuery', 'POST query persistedQuery'])
  })

  it('changes by a hash too, and never by GET', async () => {
    const mutation = gql`mutation Delete { deleteItem }`
    const client = clientOf(open, true)
    for (const _ of [1, 2]) expect((await client.mutate({ mutation })).data).toEqual({ deleteItem: '1' })
    expect(asked).toEqual(['POST persistedQuery', 'POST query persistedQuery', 'POST persistedQuery'])
  })

  it('leaves hashes alone where the gateway takes none', async () => {
    const client = clientOf(without)
    const query = gql`query Off { hello }`
    for (const _ of [1, 2]) expect((await client.query({ query })).data).toEqual({ hello: 'world' })
    expect(asked).toEqual(['POST persistedQuery', 'POST query', 'POST query'])
  })

  it('tells what is not trusted by its code, after one request', async () => {
    const error = await clientOf(listed)
      .query({ query: gql`query Other { hello }` })
      .catch((cause: unknown) => cause)
    expect(CombinedGraphQLErrors.is(error) && error.errors[0]?.extensions?.code).toBe(
      'PERSISTED_QUERY_NOT_IN_LIST',
    )
    expect(asked).toEqual(['POST persistedQuery'])
  })
})

describe('urql', () => {
  const clientOf = (edge: Edge, preferGetMethod: boolean): Client =>
    new Client({
      url: edge.url,
      exchanges: [fetchExchange],
      fetch: gatewayFetch(optionsFor(edge)),
      preferGetMethod,
    })

  it('asks for a trusted document by its id, by POST and by GET', async () => {
    const document = {
      kind: Kind.DOCUMENT as const,
      definitions: [],
      documentId: `sha256:${sha256(TRUSTED)}`,
    }
    const request = createRequest<object, { t: string }>(document, { t: 'u' })
    for (const preferGet of [false, true]) {
      const client = clientOf(listed, preferGet)
      // Not `client.query`: outside of production it looks for the operation in the text that is left out.
      const context = { url: listed.url, requestPolicy: 'network-only', preferGetMethod: preferGet } as const
      const operation = makeOperation('query', request, {
        ...context,
        fetch: gatewayFetch(optionsFor(listed)),
      })
      const { data, error } = await client.executeRequestOperation(operation).toPromise()
      expect([data, error]).toEqual([{ echo: '{"text":"u"}' }, undefined])
    }
    expect(asked).toEqual(['POST documentId', 'GET documentId'])
  })

  it('tells what is not trusted by its code', async () => {
    const { error } = await clientOf(listed, false).query('{ hello }', {}).toPromise()
    expect(error?.graphQLErrors[0]?.extensions.code).toBe('PERSISTED_QUERY_NOT_IN_LIST')
  })
})

describe('Relay', () => {
  it('asks by the id of its artifact', async () => {
    const params = { id: sha256(TRUSTED), name: 'Trusted', text: null }
    const response = await gatewayFetch(optionsFor(listed))(listed.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ documentId: params.id, operationName: params.name, variables: { t: 'r' } }),
    })
    expect(await response.json()).toEqual({ data: { echo: '{"text":"r"}' } })
  })
})
