/**
 * The public port: one list of stages, and nothing else knows their order.
 *
 *     request id, deadline ─▶ headers of every answer ─▶ health · preflight · pages · the API ─▶ answer
 *     the API: CSRF ─▶ headers ─▶ token ─▶ tenant ─▶ body ─▶ document ─▶ lane
 *         compiled (front.ts)    document, known or compiled ─▶ permissions ─▶ plan ─▶ text
 *         resolver (graphql.ts)  limits ─▶ validation ─▶ permissions ─▶ estimate ─▶ execution
 *
 * Limits of rates are met between tenant and body, where nothing has been read yet; limits of cost where an operation is
 * known and has not run: in front.ts before `run`, in graphql.ts beside the estimate of rows (rates.ts).
 *
 * Node's own defaults would let a client hold a connection for minutes by sending slowly (D17); they
 * are set here. What breaks before there is a request is answered on the socket (sockets.ts).
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { GatewayError } from '../base/errors.ts'
import type { TrustedDocuments } from '../graphql/documents/trusted.ts'
import { sendJson, sendRefusal } from './answer.ts'
import { answerPreflight, corsHeaders } from './cors.ts'
import { persistedDocuments } from './documents.ts'
import { beginExchange, doneEvent, type Exchange } from './exchange.ts'
import { createFront, type FrontOptions } from './front.ts'
import type { Route } from './graphiql.ts'
import { createGraphql, type GraphqlOptions } from './graphql.ts'
import { OpenExchanges } from './open-exchanges.ts'
import { rateHeaders } from './rates.ts'
import { answerBrokenRequest } from './sockets.ts'
import type { Tracing } from './tracing.ts'

export interface HttpServerOptions
  extends Omit<GraphqlOptions, 'documents'>,
    Omit<FrontOptions, 'documents' | 'headersOf'> {
  /** Documents that are known by an id; default is none. */
  readonly trusted?: () => TrustedDocuments
  /** GraphiQL's pages; left out, there are none. Production leaves them out. */
  readonly graphiql?: Route
  /** Left out, there are no traces. */
  readonly tracing?: Tracing | undefined
  /** Default SERVER_SETTINGS. */
  readonly settings?: typeof SERVER_SETTINGS
}

export interface HttpServer {
  readonly server: Server
  /** From now on each answer ends its connection, and `/health` says 503. Serving goes on. */
  drain(): void
}

type Setting =
  | 'headersTimeout'
  | 'requestTimeout'
  | 'keepAliveTimeout'
  | 'connectionsCheckingInterval'
  | 'maxHeaderSize'
  | 'maxConnections'
  | 'maxRequestsPerSocket'
  | 'leavingMs'

/** D17: Node's defaults are 60 s, 300 s, 5 s, 30 s and no bound. Milliseconds, bytes, counts. */
export const SERVER_SETTINGS: Readonly<Record<Setting, number>> = Object.freeze({
  headersTimeout: 5_000,
  requestTimeout: 15_000,
  keepAliveTimeout: 65_000, // more than the 60 s of common balancers, so that they close first
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16_384,
  maxConnections: 10_000,
  maxRequestsPerSocket: 10_000,
  /** After its deadline, for an answer to leave on a slow line; then the connection is cut. */
  leavingMs: 5_000,
})

export function createHttpServer(options: HttpServerOptions): HttpServer {
  const { config, clock, emit, tracing, settings = SERVER_SETTINGS } = options
  const { leavingMs } = settings
  const documents = persistedDocuments(options)
  const answerApi = createGraphql({ ...options, documents })
  const open = new OpenExchanges()
  let draining = false

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const exchange = beginExchange(
      request,
      response,
      { requestMs: config().limits.requestMs, leavingMs },
      clock,
    )
    const close = open.add(exchange)
    if (tracing && exchange.path === '/graphql') tracing.begin(exchange)
    response.once('close', () => {
      close()
      const done = doneEvent(exchange, clock)
      emit(done)
      tracing?.end(exchange, done)
    })
    try {
      await answer(exchange)
    } catch (error) {
      const { requestId, identity, trace } = exchange
      setHeaders(response, headersOf(exchange))
      const scope = { requestId, traceId: trace?.traceId, tenant: identity?.tenant, emit }
      const code = sendRefusal(request, response, { error, ...scope })
      if (code) exchange.code = code
      exchange.errors = 1
    }
  }

  /** Of every answer, as names and values in turn. */
  const headersOf = (exchange: Exchange): readonly string[] => [
    ...['x-request-id', exchange.requestId, 'x-content-type-options', 'nosniff', 'cache-control', 'no-store'],
    ...(draining ? CLOSING : []),
    ...corsHeaders(exchange.request, config().http.corsOrigins),
    ...rateHeaders(exchange),
  ]
  const front = createFront({ ...options, documents, headersOf })

  const answer = async (exchange: Exchange): Promise<void> => {
    const { request, response, path } = exchange
    // A page has its headers set one by one; the front writes all in one go, which takes half the time.
    const isOfApi = path === '/graphql' && request.method !== 'OPTIONS' && !options.graphiql
    if (!isOfApi) setHeaders(response, headersOf(exchange))
    if (path === '/health') return answerHealth(exchange, draining)
    if (path === '/graphql' && request.method === 'OPTIONS') {
      exchange.route = 'graphql'
      return answerPreflight(response)
    }
    exchange.route = 'page'
    if (options.graphiql && (await options.graphiql(request, response))) return
    exchange.route = path === '/graphql' ? 'graphql' : 'none'
    if (path !== '/graphql') throw new GatewayError('NOT_FOUND', 'Nothing is served under this path.')
    if (!(await front(exchange))) await sendAnswer(exchange, await answerApi(exchange), headersOf(exchange))
    documents.keep(exchange)
  }

  const server = createServer(settings, handle)
  // `Expect: 100-continue`: the same stages; body.ts says "continue" once it wants the body.
  server.on('checkContinue', handle)
  server.on('clientError', answerBrokenRequest)
  // One timer for all: one for each request would cost a point query 2 µs.
  const sweep = setInterval(() => giveUp(open, clock.elapsed()), settings.connectionsCheckingInterval).unref()
  server.once('close', () => clearInterval(sweep))
  server.maxConnections = settings.maxConnections
  server.maxRequestsPerSocket = settings.maxRequestsPerSocket
  const drain = (): void => {
    draining = true
    for (const { response } of open) if (!response.headersSent) response.setHeader('connection', 'close')
  }
  return { server, drain }
}

const CLOSING = ['connection', 'close'] as const

function setHeaders(response: ServerResponse, headers: readonly string[]): void {
  if (response.headersSent) return
  for (let i = 0; i < headers.length; i += 2) response.setHeader(headers[i]!, headers[i + 1]!)
}

/** Cut the connections of those that do not take their answers. */
function giveUp(open: Iterable<Exchange>, now: number): void {
  for (const { response, endsAt } of open) if (now >= endsAt) response.destroy()
}

function answerHealth(exchange: Exchange, draining: boolean): void {
  exchange.route = 'health'
  sendJson(exchange.response, draining ? 503 : 200, { status: draining ? 'draining' : 'ok' })
}

async function sendAnswer(
  { response }: Exchange,
  answer: Response,
  headers: readonly string[],
): Promise<void> {
  const body = await answer.text()
  if (response.destroyed) return
  // Yoga says "not acceptable" without a word.
  if (answer.status >= 400 && body === '') {
    throw new GatewayError('BAD_REQUEST', 'Wanted "application/json" in the Accept header, or "*/*".')
  }
  setHeaders(response, headers)
  answer.headers.forEach((value, name) => {
    response.setHeader(name, value)
  })
  response.writeHead(answer.status, { 'content-length': Buffer.byteLength(body) })
  response.end(body)
}
