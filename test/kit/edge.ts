/**
 * The public port with a small schema behind it: real sockets and tokens, no database.
 *
 * For tests of what happens before a shard is asked; `startGateway` has the whole thing.
 */

import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { buildSchema, type GraphQLFieldResolver, type GraphQLSchema } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import type { Config } from '../../src/base/config.ts'
import { configFile } from '../../src/base/config-schema.ts'
import { fail } from '../../src/base/errors.ts'
import type { Event } from '../../src/base/events.ts'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { systemClock } from '../../src/base/time.ts'
import type { Placement } from '../../src/directory/types.ts'
import type { Api } from '../../src/graphql/apis.ts'
import type { Lane } from '../../src/graphql/compiled/types.ts'
import type { GatewayContext } from '../../src/graphql/context.ts'
import type { TrustedDocuments } from '../../src/graphql/documents/trusted.ts'
import { documentParser } from '../../src/graphql/limits/limits.ts'
import { createPermissions } from '../../src/graphql/permissions/permissions.ts'
import { defaultRules } from '../../src/graphql/permissions/rules.ts'
import type { CompiledRun } from '../../src/http/front.ts'
import type { Route } from '../../src/http/graphiql.ts'
import { createHttpServer, type HttpServer, SERVER_SETTINGS } from '../../src/http/server.ts'
import { authenticator } from '../../src/tenant/authenticate.ts'
import { issueToken } from '../../src/tenant/issue.ts'
import type { Limiter } from '../../src/tenant/limits/limiter.ts'
import type { Role } from '../../src/tenant/types.ts'
import { edgeLane } from './edge-lane.ts'
import { placementOf } from './placements.ts'

export const EDGE_SECRET = 'a-secret-of-the-edge-that-is-long-enough'
export const INNER_CANARY = 'inner-canary-91c4'

const FIELDS = {
  Query: {
    hello: () => 'world',
    mine: (_: unknown, __: unknown, { scope }: GatewayContext) => scope.identity.tenant,
    items: (_: unknown, { count }: { count: number }) => Array.from({ length: count }, (_, i) => ({ id: i })),
    echo: (_: unknown, args: object) => JSON.stringify(args),
    big: (_: unknown, { bytes }: { bytes: number }) => 'x'.repeat(bytes),
    boom: () => {
      throw new Error(INNER_CANARY)
    },
    away: () => fail('SHARD_UNAVAILABLE', 'The shard of this tenant does not answer.', { shard: 'a' }),
    never: () => new Promise(() => {}),
    ruleless: () => 'seen by nobody',
    old: () => 'still here',
  },
  Mutation: {
    createItem: () => ({ id: 1 }),
    deleteItem: () => 1,
    createNever: () => new Promise(() => {}),
  },
}

function edgeSchema(): GraphQLSchema {
  const schema = buildSchema(`
    enum Color { RED GREEN }
    input Where { and: [Where!] color: Color }
    type Item { id: ID next: Item }
    type Query {
      hello: String mine: String items(count: Int = 1): [Item] boom: String away: String never: String
      echo(text: String, color: Color, where: Where, first: Int): String big(bytes: Int!): String ruleless: String
      old: String @deprecated(reason: "Use hello.")
    }
    type Mutation { createItem(name: String): Item deleteItem: ID createNever: String }`)
  for (const type of [schema.getQueryType(), schema.getMutationType()]) {
    for (const [name, field] of Object.entries(type?.getFields() ?? {})) {
      const resolvers = type?.name === 'Query' ? FIELDS.Query : FIELDS.Mutation
      field.resolve = Reflect.get(resolvers, name) as GraphQLFieldResolver<unknown, unknown>
    }
  }
  return schema
}

export interface EdgeOptions {
  readonly mode?: Config['mode']
  readonly limits?: object
  /** Of tenants, which are all on the plan 'standard'. */
  readonly plans?: object
  readonly limiter?: Limiter
  readonly http?: object
  readonly documents?: object
  readonly trusted?: () => TrustedDocuments
  readonly graphiql?: Route
  readonly plugins?: readonly Plugin[]
  readonly countCompiled?: (run: CompiledRun) => void
  /** Default is the lane of edge-lane.ts; what it gives may be put in front of it. */
  readonly lane?: (own: Lane) => Lane
  /** Settings of the server on top of its own. */
  readonly settings?: Partial<typeof SERVER_SETTINGS>
}

export interface Edge extends HttpServer {
  readonly port: number
  readonly url: string
  readonly events: Event[]
  /** Placements by tenant; a test may add and take away. */
  readonly placements: Map<string, Placement>
  /** Replaces limits while it runs. */
  setLimits(limits: object): void
  token(roles?: readonly Role[], tenant?: string): Promise<string>
  /** POST `body` as JSON with the token of a viewer; headers on top, null takes one away. */
  post(body: unknown, headers?: Record<string, string | null>): Promise<Answered>
  request(path: string, init?: RequestInit): Promise<Answered>
  /** Bytes as they are on a fresh connection; what came back until it was closed. */
  raw(text: string | Buffer): Promise<string>
  /** The event of the request that was answered last, once it is there. */
  lastDone(): Promise<Extract<Event, { kind: 'request.done' }>>
  close(): Promise<void>
}

export interface Answered {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly json: {
    data?: Record<string, unknown> | null
    errors?: { message: string; path?: unknown; extensions: Record<string, unknown> }[]
  }
  readonly code: unknown
}

export async function startEdge(options: EdgeOptions = {}): Promise<Edge> {
  let config = edgeConfig(options)
  const { lane = (own) => own } = options
  const events: Event[] = []
  const emit = (event: Event): void => {
    events.push(event)
  }
  const placements = new Map(
    [placementOf('acme'), placementOf('globex')].map((found) => [found.tenant, found]),
  )
  const permissions = edgePermissions(emit)
  const api: Api = {
    permissions,
    lane: lane(edgeLane(permissions, () => config)),
    contextFor: (scope) => ({ scope: { rowsTaken: 0, ...scope } }) as unknown as GatewayContext,
    jobTools: {} as Api['jobTools'],
  }
  const { authenticate } = authenticator({ issuers: config.tokens, clock: systemClock, emit })
  const made = createHttpServer({
    config: () => config,
    apis: { of: () => api, renewed: async (served) => served },
    authenticate,
    placementOf: async (tenant) => placements.get(tenant) ?? null,
    emit,
    limiter: options.limiter,
    clock: systemClock,
    parse: documentParser(() => config.limits),
    ...(options.countCompiled ? { countCompiled: options.countCompiled } : {}),
    settings: { ...SERVER_SETTINGS, ...options.settings },
    ...(options.trusted ? { trusted: options.trusted } : {}),
    ...(options.graphiql ? { graphiql: options.graphiql } : {}),
    ...(options.plugins ? { plugins: options.plugins } : {}),
  })
  made.server.listen(0, '127.0.0.1')
  await once(made.server, 'listening')
  const { port } = made.server.address() as AddressInfo
  const origin = `http://127.0.0.1:${port}`
  const request: Edge['request'] = async (path, init) => answered(await fetch(origin + path, init))
  const token: Edge['token'] = (roles = ['viewer'], tenant = 'acme') => edgeToken(roles, tenantId(tenant))
  return {
    ...made,
    port,
    url: `${origin}/graphql`,
    events,
    placements,
    setLimits: (limits) => {
      config = edgeConfig({ ...options, limits })
    },
    token,
    request,
    async post(body, more = {}) {
      const plain = { authorization: `Bearer ${await token()}`, 'content-type': 'application/json', ...more }
      const headers = Object.entries(plain).filter((pair): pair is [string, string] => pair[1] !== null)
      const text = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
      return request('/graphql', { method: 'POST', headers, body: text as BodyInit })
    },
    raw: (text) => rawExchange(port, text),
    lastDone: () => lastDone(events),
    close: () => closeServer(made),
  }
}

function edgePermissions(emit: (event: Event) => void) {
  const queries = Object.keys(FIELDS.Query).filter((name) => name !== 'ruleless')
  return createPermissions(
    edgeSchema(),
    defaultRules({ queries, mutations: Object.keys(FIELDS.Mutation) }),
    emit,
  )
}

function edgeConfig(options: EdgeOptions): Config {
  const { mode = 'development', limits = {}, plans = {}, http = {}, documents = {} } = options
  const file = configFile.parse({
    directory: { url: 'postgres://u:p@h/d' },
    shards: { a: { url: 'postgres://u:p@h/a' } },
    tokens: [{ issuer: 'edge', audience: 'edge', algorithms: ['HS256'], secrets: [EDGE_SECRET] }],
    limits,
    plans,
    http,
    documents,
  })
  const local = { port: 0, host: '127.0.0.1', adminPort: 0, adminHost: '127.0.0.1' }
  return { ...file, ...local, file: 'edge', mode, logLevel: 'info', dataDir: '/nowhere', operator: 'nobody' }
}

export function edgeToken(roles: readonly Role[], tenant: TenantId, ttlS = 600): Promise<string> {
  const subject = 'somebody'
  const issuer = { secret: EDGE_SECRET, issuer: 'edge', audience: 'edge' }
  return issueToken({ ...issuer, tenant, roles, subject, ttlS, clock: systemClock })
}

async function answered(response: Response): Promise<Answered> {
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('json')
  const json = isJson ? (JSON.parse(text) as Answered['json']) : {}
  return {
    status: response.status,
    headers: response.headers,
    text,
    json,
    code: json.errors?.[0]?.extensions.code,
  }
}

function rawExchange(port: number, text: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    let came = ''
    socket.on('data', (chunk) => {
      came += chunk.toString('latin1')
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(came))
  })
}

async function lastDone(events: readonly Event[]): Promise<Extract<Event, { kind: 'request.done' }>> {
  for (;;) {
    const found = events.findLast((event) => event.kind === 'request.done')
    if (found?.kind === 'request.done') return found
    await new Promise(setImmediate)
  }
}

async function closeServer({ server }: HttpServer): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
