/**
 * The private port: is it alive, is it ready, what does it count.
 *
 * It is bound to loopback unless told otherwise. Probes need no token and tell no names of tenants.
 * Metrics need one of an operator, except for who asks from this very machine; everything else always
 * does.
 */

import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import type { Registry } from 'prom-client'
import { fail } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import { requireOperator } from '../tenant/issue.ts'
import type { Identity } from '../tenant/types.ts'
import { sendJson, sendRefusal } from './answer.ts'
import { SERVER_SETTINGS } from './server.ts'
import { answerBrokenRequest } from './sockets.ts'
import { type UsageQuestion, usageQuestion } from './usage.ts'

export interface ShardState {
  readonly shard: string
  readonly isUp: boolean
}

export interface AdminOptions {
  readonly version: string
  readonly registry: Registry
  readonly draining: () => boolean
  /** Every shard of the configuration. */
  readonly shards: () => readonly ShardState[]
  /** What a tenant has used. Throws TENANT_UNKNOWN, DIRECTORY_UNAVAILABLE. */
  readonly usage: (question: UsageQuestion) => Promise<object>
  readonly authenticate: (authorization: string | undefined) => Promise<Identity>
  readonly emit: Emit
}

type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void

export function createAdminServer(options: AdminOptions): Server {
  const answers = answersOf(options)
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const requestId = randomUUID()
    response.setHeader('x-content-type-options', 'nosniff')
    response.setHeader('cache-control', 'no-store')
    if (options.draining()) response.setHeader('connection', 'close')
    try {
      const [path = ''] = (request.url ?? '').split('?', 1)
      const answer = answers.get(path) ?? unknownPath(options)
      if (request.method !== 'GET') fail('METHOD_NOT_ALLOWED', 'The private port takes GET alone.')
      await answer(request, response)
    } catch (error) {
      sendRefusal(request, response, { error, requestId, emit: options.emit })
    }
  }
  const server = createServer(SERVER_SETTINGS, handle)
  server.on('clientError', answerBrokenRequest)
  return server
}

function answersOf(options: AdminOptions): ReadonlyMap<string, Answer> {
  const { registry, version } = options
  return new Map<string, Answer>([
    ['/livez', (_, response) => sendText(response, 200, 'alive\n')],
    ['/readyz', (_, response) => sendReadiness(response, options)],
    [
      '/metrics',
      async (request, response) => {
        if (!isFromHere(request)) await operatorOnly(options, request)
        sendText(response, 200, await registry.metrics(), registry.contentType)
      },
    ],
    [
      '/version',
      async (request, response) => {
        await operatorOnly(options, request)
        sendJson(response, 200, { version, node: process.version })
      },
    ],
    [
      '/usage',
      async (request, response) => {
        await operatorOnly(options, request)
        const [, search = ''] = (request.url ?? '').split('?', 2)
        sendJson(response, 200, await options.usage(usageQuestion(search)))
      },
    ],
  ])
}

// A stranger does not even learn which paths there are.
function unknownPath(options: AdminOptions): Answer {
  return async (request) => {
    await operatorOnly(options, request)
    fail('NOT_FOUND', 'The private port has /livez, /readyz, /metrics, /version and /usage.')
  }
}

async function operatorOnly({ authenticate }: AdminOptions, request: IncomingMessage): Promise<void> {
  const [authorization, ...more] = request.headersDistinct.authorization ?? []
  if (more.length > 0) fail('UNAUTHENTICATED', 'The Authorization header came twice.', { reason: 'scheme' })
  requireOperator(await authenticate(authorization))
}

/**
 * One dead shard does not make the gateway unready: a balancer would take it, and then the next one,
 * from the tenants of all the others. No shard at all does.
 */
function sendReadiness(response: ServerResponse, { draining, shards }: AdminOptions): void {
  const states = shards()
  const isReady = !draining() && states.some(({ isUp }) => isUp)
  const lines = [
    ...states.map(({ shard, isUp }) => `[${isUp ? '+' : '-'}] shard ${shard} ${isUp ? 'up' : 'down'}`),
    ...(draining() ? ['[-] draining'] : []),
    isReady ? 'ready' : 'not ready',
  ]
  sendText(response, isReady ? 200 : 503, `${lines.join('\n')}\n`)
}

/**
 * Whether the request comes from this machine and nobody has passed it on: a proxy beside the gateway
 * asks from loopback too, and so does a browser whose page has a name that leads here (DNS rebinding).
 */
function isFromHere({ socket, headers }: IncomingMessage): boolean {
  const address = socket.remoteAddress ?? ''
  const isLoopback = address === '::1' || /^(::ffff:)?127\./.test(address)
  const isPassedOn = ['forwarded', 'via', 'x-forwarded-for', 'x-real-ip'].some((name) => name in headers)
  const host = (headers.host ?? '').replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
  return isLoopback && !isPassedOn && (isIP(host) !== 0 || host.toLowerCase() === 'localhost')
}

function sendText(
  response: ServerResponse,
  status: number,
  text: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) }).end(text)
}
