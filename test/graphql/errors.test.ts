/** The contract of graphql/errors.ts: what of a failure leaves the process. */

import { GraphQLError, parse, Source } from 'graphql'
import { describe, expect, it } from 'vitest'
import { ERRORS, type ErrorCode, GatewayError } from '../../src/base/errors.ts'
import type { Event } from '../../src/base/events.ts'
import { finishErrors, firstCode, maskError } from '../../src/graphql/errors.ts'

const CANARY = 'canary-7f3a'

function finish(error: unknown): { error: GraphQLError; events: Event[] } {
  const events: Event[] = []
  const scope = { requestId: 'r-1', tenant: 'acme', emit: (event: Event) => events.push(event) }
  const [finished] = finishErrors([error], scope)
  if (!finished) throw new Error('no error')
  return { error: finished, events }
}

/** An error as execution wraps what a resolver threw. */
const located = (thrown: Error): GraphQLError =>
  new GraphQLError(thrown.message, { originalError: thrown, path: ['ticket', 'title'] })

describe('our own errors', () => {
  it.each(Object.keys(ERRORS).filter((code) => code !== 'INTERNAL_SERVER_ERROR') as ErrorCode[])(
    '%s has the status of the table before execution and none inside an answer',
    (code) => {
      const { error } = finish(new GatewayError(code, 'A sentence.', { wanted: 'x' }))
      expect(error.message).toBe('A sentence.')
      expect(error.extensions).toMatchObject({
        code,
        requestId: 'r-1',
        retryable: ERRORS[code].retryable,
        hint: ERRORS[code].hint,
        details: { wanted: 'x' },
        http: { status: ERRORS[code].status },
      })
      const inside = finish(located(new GatewayError(code, 'A sentence.')))
      expect(inside.error.extensions).not.toHaveProperty('http')
      expect(inside.error.extensions.code).toBe(code)
      expect(inside.error.path).toEqual(['ticket', 'title'])
      expect(inside.events).toEqual([])
    },
  )

  it('never let out what caused them', () => {
    const { error } = finish(new GatewayError('TIMEOUT', 'Too late.', {}, { cause: new Error(CANARY) }))
    expect(JSON.stringify(error)).not.toContain(CANARY)
    expect(JSON.stringify(error.extensions)).not.toContain(CANARY)
  })

  it('keep the place in the document', () => {
    const cause = new GraphQLError('x', { source: new Source('{ a'), positions: [3] })
    const { error } = finish(new GatewayError('GRAPHQL_PARSE_FAILED', 'x', {}, { cause }))
    expect(error.locations).toEqual([{ line: 1, column: 4 }])
  })

  it('may carry a hint of their own', () => {
    const { error } = finish(new GatewayError('BAD_REQUEST', 'x', {}, { hint: 'Type this.' }))
    expect(error.extensions.hint).toBe('Type this.')
  })

  it.each(Object.keys(ERRORS) as ErrorCode[])(
    '%s says in seconds when, only if later may be better',
    (code) => {
      const whole = finish(new GatewayError(code, 'x')).error.extensions
      const inside = finish(located(new GatewayError(code, 'x'))).error.extensions
      expect(inside.retryAfter).toBe(whole.retryAfter)
      const { headers } = whole.http as { headers?: Record<string, string> }
      expect(headers?.['retry-after']).toBe(
        whole.retryAfter === undefined ? undefined : `${whole.retryAfter}`,
      )
      if (whole.retryAfter !== undefined) expect(whole.retryable).toBe(true)
    },
  )

  it('say how to come back', () => {
    expect(finish(new GatewayError('UNAUTHENTICATED', 'x')).error.extensions.http).toMatchObject({
      headers: { 'www-authenticate': 'Bearer' },
    })
    expect(finish(new GatewayError('SHARD_UNAVAILABLE', 'x')).error.extensions.http).toMatchObject({
      headers: { 'retry-after': '1' },
    })
  })
})

describe('everything else is masked', () => {
  const unknown: [string, unknown][] = [
    ['an Error', new Error(CANARY)],
    ['an Error of a resolver', located(new TypeError(CANARY))],
    ['an Error of Postgres', Object.assign(new Error(CANARY), { code: '23505', detail: CANARY })],
    ['a text', CANARY],
    ['an object', { message: CANARY, toString: () => CANARY }],
    ['null', null],
    ['undefined', undefined],
    ['a fault of ours', new GatewayError('INTERNAL_SERVER_ERROR', CANARY, { at: CANARY })],
    ['a value that a scalar cannot hold', located(new GraphQLError(`Int cannot represent: ${CANARY}`))],
    ['a null where none may be', located(new Error(`Cannot return null for ${CANARY}`))],
    [
      'a code on something that is no GraphQL error',
      Object.assign(new Error(CANARY), { extensions: { code: 'X' } }),
    ],
    ['an aggregate', new AggregateError([new Error(CANARY)], CANARY)],
  ]
  it.each(unknown)('%s', (_, thrown) => {
    const { error, events } = finish(thrown)
    expect(JSON.stringify([error, error.extensions, error.message])).not.toContain(CANARY)
    expect(error.stack ?? '').not.toContain(CANARY)
    expect(error.extensions).toMatchObject({
      code: 'INTERNAL_SERVER_ERROR',
      requestId: 'r-1',
      retryable: false,
    })
    expect(events).toMatchObject([{ kind: 'request.failed', requestId: 'r-1', tenant: 'acme' }])
  })

  it('and told to the log once, however often it passes', () => {
    const events: Event[] = []
    const scope = { requestId: 'r-1', emit: (event: Event) => events.push(event) }
    const once = finishErrors([maskError(new Error('x'))], scope)
    finishErrors(once, scope)
    expect(events).toHaveLength(1)
  })
})

describe('errors of others that were meant for the client', () => {
  it('a code of an extension goes out as it is', () => {
    const thrown = new GraphQLError('Only on Mondays.', { extensions: { code: 'NOT_TODAY' } })
    expect(finish(located(thrown)).error).toMatchObject({
      message: 'Only on Mondays.',
      extensions: { code: 'NOT_TODAY', requestId: 'r-1' },
    })
  })

  it.each([
    ['Variable "$id" of required type "ID!" was not provided.', undefined],
    ['Argument "first" of non-null type "Int!" must not be null.', ['tickets']],
  ])('%s', (message, path) => {
    const error = new GraphQLError(message, { nodes: parse('{ a }').definitions, ...(path ? { path } : {}) })
    expect(finish(error).error).toMatchObject({ message, extensions: { code: 'BAD_USER_INPUT' } })
  })

  it.each([
    ['REQUEST_ENTITY_TOO_LARGE', 'PAYLOAD_TOO_LARGE', 413],
    ['OPERATION_RESOLUTION_FAILURE', 'BAD_REQUEST', 400],
  ])('the server calls it %s, the table %s', (theirs, ours, status) => {
    const error = new GraphQLError('x', { extensions: { code: theirs } })
    expect(finish(error).error.extensions).toMatchObject({ code: ours, http: { status } })
  })

  it('a mutation by GET is a matter of the method', () => {
    const extensions = { code: 'BAD_REQUEST', http: { status: 405, headers: { Allow: 'POST' } } }
    const { error } = finish(new GraphQLError('x', { extensions }))
    expect(error.extensions).toMatchObject({ code: 'METHOD_NOT_ALLOWED', http: { status: 405 } })
  })

  it('names of every object are no codes', () => {
    const error = new GraphQLError('x', { extensions: { code: 'constructor' } })
    expect(finish(error).error.extensions.code).toBe('constructor')
    expect(finish(error).error.extensions).not.toHaveProperty('hint')
    expect(firstCode([finish(error).error])).toBeUndefined()
  })
})
