/** The contract of http/front.ts: what the compiled lane is asked, and what becomes of what it says. */

import { once } from 'node:events'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { GraphQLError } from 'graphql'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { GatewayError } from '../../src/base/errors.ts'
import { lineOf } from '../../src/base/log-lines.ts'
import { createMetrics } from '../../src/base/metrics.ts'
import { systemClock } from '../../src/base/time.ts'
import type { Lane, LaneOperation, LaneRequest } from '../../src/graphql/compiled/types.ts'
import { readParameters } from '../../src/http/body.ts'
import { beginExchange } from '../../src/http/exchange.ts'
import { operationMetrics } from '../../src/http/operation-metrics.ts'
import { type Edge, INNER_CANARY, startEdge } from '../kit/edge.ts'

const metrics = createMetrics({ version: '1.2.3' })
const { plugin, countCompiled } = operationMetrics(metrics.registry)
const found: string[] = []
const ran: LaneRequest[] = []
/** What the lane says in place of its own answer. */
let says: LaneOperation['run'] | undefined

/** The lane of the edge, watched. */
const watched = (own: Lane): Lane => ({
  find(query, operationName) {
    found.push(query)
    const operation = own.find(query, operationName)
    if (!operation) return null
    const run = (request: LaneRequest) => {
      ran.push(request)
      return says ? says(request) : operation.run(request)
    }
    return { ...operation, run }
  },
})

let edge: Edge
beforeAll(async () => {
  edge = await startEdge({ lane: watched, plugins: [plugin], countCompiled })
})
afterAll(() => edge.close())
beforeEach(() => {
  edge.events.length = 0
  found.length = 0
  ran.length = 0
  says = undefined
})

const admin = async () => ({ authorization: `Bearer ${await edge.token(['admin'])}` })
const modern = { accept: 'application/graphql-response+json' }
const failed = (error: Error) => new GraphQLError(error.message, { originalError: error })
const TIMES = { requestMs: 1_000, leavingMs: 1_000 }
const search = (parameters: Record<string, string>) => `/graphql?${new URLSearchParams(parameters)}`

describe('the lane', () => {
  it('answers, with the identity, the deadline and the variables of the request', async () => {
    const query = 'query Say($t: String) { echo(text: $t) }'
    const { text, headers } = await edge.post({ query, variables: { t: 'x' } }, { 'x-request-id': 'id-1' })
    expect([text, headers.get('x-request-id')]).toEqual(['{"data":{"echo":"{\\"text\\":\\"x\\"}"}}', 'id-1'])
    expect(ran).toEqual([
      expect.objectContaining({
        requestId: 'id-1',
        identity: expect.objectContaining({ tenant: 'acme' }),
        variables: { t: 'x' },
      }),
    ])
    expect(ran[0]!.deadline.remainingMs()).toBeGreaterThan(0)
    const done = await edge.lastDone()
    expect(done).toMatchObject({ lane: 'compiled', operation: 'Say', tenant: 'acme', status: 200 })
    expect(lineOf(done).fields).toMatchObject({ lane: 'compiled', operation: 'Say' })
  })

  it('answers a GET that no page can forge', async () => {
    const headers = { authorization: `Bearer ${await edge.token()}`, 'x-graphql-yoga-csrf': '1' }
    const path = search({ query: 'query ($t: String) { echo(text: $t) }', variables: '{"t":"x"}' })
    expect((await edge.request(path, { headers })).json.data).toEqual({ echo: '{"text":"x"}' })
    expect(ran).toHaveLength(1)
    const refused = await edge.request(path, { headers: { authorization: headers.authorization } })
    expect([refused.code, found.length]).toEqual(['BAD_REQUEST', 1])
  })

  it('runs no mutation by GET', async () => {
    const headers = { ...(await admin()), 'x-graphql-yoga-csrf': '1' }
    expect((await edge.request(search({ query: 'mutation { deleteItem }' }), { headers })).status).toBe(405)
    expect(ran).toEqual([])
  })

  it.each<[string, unknown, Record<string, string | null>]>([
    ['without a token', { query: '{ hello }' }, { authorization: null }],
    ['of another tenant', { query: '{ hello }' }, { 'x-tenant-id': 'globex' }],
    ['with a query that is a list', { query: ['{ hello }'] }, {}],
    ['with a key that nobody knows', { query: '{ hello }', debug: null }, {}],
    ['with variables that are a list', { query: '{ hello }', variables: [] }, {}],
    ['with variables that are a text', { query: '{ hello }', variables: '{}' }, {}],
    ['with extensions that are a list', { query: '{ hello }', extensions: [] }, {}],
    ['with a name that is a number', { query: '{ hello }', operationName: 1 }, {}],
    ['that accepts nothing we have', { query: '{ hello }' }, { accept: 'text/csv' }],
    ['that accepts a stream in any disguise', { query: '{ hello }' }, { accept: '*/event-stream' }],
    ['in a form', { query: '{ hello }' }, { 'content-type': 'text/plain' }],
  ])('is not asked for a request %s', async (_, body, headers) => {
    await edge.post(body, headers)
    expect(found).toEqual([])
  })

  it('is not asked where the configuration says so', async () => {
    const without = await startEdge({ lane: watched, http: { compiledLane: false } })
    expect((await without.post({ query: '{ hello }' })).status).toBe(200)
    expect([found, (await without.lastDone()).lane]).toEqual([[], 'resolver'])
    await without.close()
  })

  it('gets the Idempotency-Key of a mutation, and "" for two of them', async () => {
    const send = async (query: string, key: string) =>
      edge.post({ query }, { ...(await admin()), 'idempotency-key': key })
    await send('mutation { deleteItem }', 'k')
    await send('{ hello }', 'k')
    expect(ran.map(({ idempotencyKey }) => idempotencyKey)).toEqual(['k', undefined])
    const head = `POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n`
    const body = '{"query":"mutation { deleteItem }"}'
    const { authorization } = await admin()
    await edge.raw(
      `${head}authorization: ${authorization}\r\nidempotency-key: a\r\nidempotency-key: b\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    )
    expect(ran.at(-1)?.idempotencyKey).toBe('')
  })
})

describe('a lane that steps back', () => {
  it('leaves the operation to resolvers, which check nothing again', async () => {
    const lookUps = vi.spyOn(edge.placements, 'get')
    says = async () => null
    expect((await edge.post({ query: 'query Again { hello }' })).json.data).toEqual({ hello: 'world' })
    expect(lookUps).toHaveBeenCalledTimes(1)
    expect(await edge.lastDone()).toMatchObject({ lane: 'resolver', operation: 'Again' })
    lookUps.mockRestore()
  })

  it('leaves a refusal of the intake as it is, met once', async () => {
    const lookUps = vi.spyOn(edge.placements, 'get')
    const authorization = `Bearer ${await edge.token(['viewer'], 'nobody')}`
    const { status, code } = await edge.post({ query: '{ hello }' }, { ...modern, authorization })
    expect({ status, code, looked: lookUps.mock.calls.length }).toEqual({
      status: 404,
      code: 'TENANT_UNKNOWN',
      looked: 1,
    })
    lookUps.mockRestore()
  })
})

describe('a result with errors', () => {
  it('is finished like any other, and no resolver runs', async () => {
    says = async () => ({ errors: [failed(new GatewayError('OUTCOME_UNKNOWN', 'Lost.'))] })
    const answer = await edge.post({ query: 'mutation M { deleteItem }' }, { ...modern, ...(await admin()) })
    expect({ status: answer.status, code: answer.code }).toEqual({ status: 504, code: 'OUTCOME_UNKNOWN' })
    expect(answer.json.errors?.[0]?.extensions.requestId).toBe(answer.headers.get('x-request-id'))
    expect(answer.json.data).toBeUndefined()
    expect(await edge.lastDone()).toMatchObject({
      lane: 'compiled',
      operation: 'M',
      code: 'OUTCOME_UNKNOWN',
      status: 504,
    })
  })

  it('is masked, and told to the log', async () => {
    says = async () => ({ data: { boom: null }, errors: [failed(new Error(INNER_CANARY))] })
    const { text, code, json } = await edge.post({ query: '{ boom }' })
    expect([code, json.data]).toEqual(['INTERNAL_SERVER_ERROR', { boom: null }])
    expect(text).not.toContain(INNER_CANARY)
    expect(edge.events.filter(({ kind }) => kind === 'request.failed')).toHaveLength(1)
  })
})

describe('a lane that fails', () => {
  it('costs that answer, masked, and nothing runs again', async () => {
    says = () => Promise.reject(new Error(INNER_CANARY))
    const { status, code, text } = await edge.post({ query: '{ hello }' })
    expect({ status, code }).toEqual({ status: 500, code: 'INTERNAL_SERVER_ERROR' })
    expect(text).not.toContain(INNER_CANARY)
    expect(edge.events.filter(({ kind }) => kind === 'request.failed')).toHaveLength(1)
    says = undefined
    expect((await edge.post({ query: '{ hello }' })).status).toBe(200)
  })
})

describe('a client that hangs up', () => {
  it('before its body is whole is refused, so that nothing waits for it', async () => {
    const request = Object.assign(new IncomingMessage(new Socket()), { method: 'POST' })
    const exchange = beginExchange(request, new ServerResponse(request), TIMES, systemClock)
    const reading = readParameters(exchange, { bodyBytes: 1_000, bodyValues: 10 })
    request.push('{"query":"{ hel')
    request.destroy()
    await expect(reading).rejects.toMatchObject({ code: 'BAD_REQUEST', message: 'The body was cut off.' })
  })

  it('while the lane works breaks nothing, whatever the lane then says', async () => {
    const lost = failed(new GatewayError('OUTCOME_UNKNOWN', 'Lost.'))
    for (const late of ['{"data":{"hello":"late"}}', null, { errors: [lost] }]) {
      const { promise, resolve } = Promise.withResolvers<string | null | { errors: GraphQLError[] }>()
      says = () => promise
      const stop = new AbortController()
      const headers = { authorization: `Bearer ${await edge.token()}`, 'content-type': 'application/json' }
      const body = '{"query":"{ hello }"}'
      const asked = fetch(edge.url, { method: 'POST', signal: stop.signal, headers, body })
      const [, response] = await once(edge.server, 'request')
      stop.abort()
      await expect(asked).rejects.toThrow()
      await once(response, 'close')
      resolve(late)
    }
    says = undefined
    expect((await edge.post({ query: '{ hello }' })).status).toBe(200)
    expect(edge.events.filter(({ kind }) => kind === 'request.failed')).toEqual([])
  })
})

describe('metrics', () => {
  const seriesOf = async (...words: string[]): Promise<string[]> =>
    (await metrics.registry.metrics())
      .split('\n')
      .filter((line) => words.every((word) => line.includes(word)))

  it('count what plans run in the series of what resolvers run', async () => {
    await edge.post({ query: 'query Both { hello old }' })
    says = async () => null
    await edge.post({ query: 'query Both { hello old }' })
    const labels = '{operationType="query",operationName="Both"}'
    expect(await seriesOf('graphql_envelop_request{', 'Both')).toEqual([`graphql_envelop_request${labels} 2`])
    for (const name of ['request_duration', 'phase_execute']) {
      expect(await seriesOf(`graphql_envelop_${name}_count`, 'Both')).toEqual([
        `graphql_envelop_${name}_count${labels} 2`,
      ])
    }
    expect(await seriesOf('graphql_envelop_deprecated_field', 'Both')).toEqual([
      'graphql_envelop_deprecated_field{operationType="query",operationName="Both",typeName="Query",fieldName="old"} 2',
    ])
  })

  it('count errors of plans, and know the lane of each operation', async () => {
    says = async () => ({ errors: [new GraphQLError('one'), new GraphQLError('two')] })
    await edge.post({ query: 'query Failing { hello }' })
    expect(await seriesOf('graphql_envelop_error_result', 'Failing')).toEqual([
      'graphql_envelop_error_result{operationType="query",operationName="Failing"} 2',
    ])
    for (const event of edge.events) metrics.listener(event)
    expect(await seriesOf('gateway_operations_total{')).toEqual([
      'gateway_operations_total{lane="compiled"} 1',
    ])
  })
})
