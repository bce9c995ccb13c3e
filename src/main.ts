/**
 * The gateway's process: reads the configuration, builds the parts from the ground up, listens, and drains
 * when it is told to stop. This is the only place that knows all parts.
 *
 *     config ─▶ events, log, metrics ─▶ directory ─▶ shards, admitted ─▶ model ─▶ API ─▶ public and admin port
 */

import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname } from 'node:path'
import type { Config } from './base/config.ts'
import { type ConfigWatch, watchConfig } from './base/config-watch.ts'
import { fail } from './base/errors.ts'
import { type Emit, eventBus } from './base/events.ts'
import { tenantId } from './base/ids.ts'
import { createLog } from './base/log.ts'
import { createMetrics, type Metrics } from './base/metrics.ts'
import { systemClock } from './base/time.ts'
import { VERSION } from './base/version.ts'
import type { RunGateway } from './commands/serve.ts'
import { withClient } from './db/client.ts'
import { type PlacementCache, placementCache } from './directory/cache.ts'
import { type DirectoryReader, directoryReader } from './directory/reader.ts'
import { listShards } from './directory/shards.ts'
import { listTenants } from './directory/tenants.ts'
import { buildApi } from './graphql/api.ts'
import { RequestScope } from './graphql/context.ts'
import { exampleQueries } from './graphql/examples.ts'
import { loadExtensions } from './graphql/extension.ts'
import type { Permissions } from './graphql/permissions.ts'
import { transactionPlugin } from './graphql/transaction.ts'
import { createAdminServer } from './http/admin.ts'
import { graphiqlRoutes, type Route } from './http/graphiql.ts'
import { ensureGraphiqlAssets } from './http/graphiql-assets.ts'
import { operationMetrics } from './http/operation-metrics.ts'
import { createHttpServer } from './http/server.ts'
import { createShutdown, type Shutdown } from './http/shutdown.ts'
import type { Model } from './model/types.ts'
import { type Admission, admitShards } from './shards/admission.ts'
import { openDoor } from './shards/door.ts'
import { type Fleet, openFleet, reconfigureFleet } from './shards/fleet.ts'
import { createRouter } from './shards/router.ts'
import { type Authenticator, authenticator } from './tenant/authenticate.ts'
import { signToken } from './tenant/sign.ts'

/** Tenants that GraphiQL's switcher offers. */
const GRAPHIQL_TENANTS = 200

/** What a gateway is made of, in the order in which it is made. */
interface Parts {
  readonly emit: Emit
  readonly metrics: Metrics
  readonly reader: DirectoryReader
  readonly placements: PlacementCache
  readonly fleet: Fleet
  readonly admission: Admission
  readonly api: Permissions
}

async function makeParts(config: () => Config): Promise<Parts> {
  const { emit, metrics } = observers(config())
  const { url, cacheTenants, cacheMs } = config().directory
  const ids = await withClient(url, listShards).catch((cause: Error) =>
    fail('DIRECTORY_UNAVAILABLE', `The directory cannot be reached: ${cause.message}.`, {}, { cause }),
  )
  const reader = directoryReader({ url })
  const placements = placementCache({
    find: reader.find,
    load: reader.list,
    max: cacheTenants,
    ttlMs: cacheMs,
    emit,
  })
  await placements.preload()
  const fleet = openFleet(config(), new Map(ids.map(({ key, id }) => [key, id])), emit)
  const admission = await admitShards([...fleet.values()], config(), emit)
  const extensions = await loadExtensions(config().extensions, dirname(config().file))
  const api = buildApi(admission.model, () => config().limits, extensions, emit)
  return { emit, metrics, reader, placements, fleet, admission, api }
}

function observers(config: Config): { emit: Emit; metrics: Metrics } {
  const log = createLog(config.logLevel)
  const metrics = createMetrics({ version: VERSION, logDropped: log.dropped })
  return { emit: eventBus(log.listener, metrics.listener), metrics }
}

/** Build the gateway and listen. Resolves when both ports are open. Throws as its parts do. */
export const runGateway: RunGateway = async ({ config: first, load }) => {
  let config = first
  const parts = await makeParts(() => config)
  const { emit, metrics, placements, fleet, api } = parts
  const door = openDoor({ router: createRouter(placements, emit), shards: fleet, emit })
  let gate = authenticatorOf(config, emit)
  const authenticate: Authenticator['authenticate'] = (authorization) => gate.authenticate(authorization)
  const http = createHttpServer({
    config: () => config,
    permissions: () => api,
    authenticate,
    placementOf: (tenant) => placements.find(tenant),
    contextFor: (request) => ({ scope: new RequestScope({ ...request, door }) }),
    plugins: [operationMetrics(metrics.registry), transactionPlugin()],
    emit,
    clock: systemClock,
    ...(config.mode === 'development' && { graphiql: await graphiqlOf(config, parts.admission.model) }),
  })
  const admin = createAdminServer({
    version: VERSION,
    registry: metrics.registry,
    draining: () => shutdown.draining(),
    shards: () => [...fleet.values()].map(({ key, available }) => ({ shard: key, isUp: available })),
    authenticate,
    emit,
  })
  const watch = watchConfig({
    config,
    load,
    emit,
    apply(next) {
      gate = authenticatorOf(next, emit, gate)
      reconfigureFleet(fleet, next)
      config = next
    },
  })
  const shutdown = createShutdown({
    http,
    admin,
    // On a developer's machine there is no balancer that has to notice.
    times: () => ({ ...config.http, ...(config.mode === 'development' && { drainMs: 0 }) }),
    close: async () => endParts(parts, watch),
    emit,
  })
  await listenOnBoth(http.server, admin, config).catch((error: unknown) => {
    endParts(parts, watch)
    throw error
  })
  emit({ kind: 'gateway.listening', port: portOf(http.server), adminPort: portOf(admin) })
  const stopped = stopOnSignals(shutdown, () => void watch.reload())
  return { port: portOf(http.server), adminPort: portOf(admin), stopped, stop: shutdown.stop }
}

/** GraphiQL with tokens for every tenant: for development alone. */
async function graphiqlOf(config: Config, model: Model): Promise<Route> {
  const { baseDomain } = config.http
  return graphiqlRoutes({
    assets: await ensureGraphiqlAssets(),
    tenants: () => withClient(config.directory.url, (client) => listTenants(client, GRAPHIQL_TENANTS)),
    token: async (tenant, role) => {
      const request = { tenant: tenantId(tenant), roles: [role], subject: 'graphiql', ttlS: 8 * 3_600 }
      return (await signToken(config.tokens, request)).token
    },
    examples: exampleQueries(model),
    ...(baseDomain !== undefined && { baseDomain }),
  })
}

/** Resolves once the gateway has stopped after SIGINT or SIGTERM; a second one hurries it. */
async function stopOnSignals(shutdown: Shutdown, reload: () => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const stop = (signal: NodeJS.Signals): void => void shutdown.stop(signal).then(resolve, reject)
  process.on('SIGINT', stop).on('SIGTERM', stop).on('SIGHUP', reload)
  try {
    await promise
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop).off('SIGHUP', reload)
  }
}

async function listenOnBoth(http: Server, admin: Server, config: Config): Promise<void> {
  await listen(admin, config.adminPort, config.adminHost, 'ADMIN_PORT')
  await listen(http, config.port, config.host, 'PORT').catch((error: unknown) => {
    admin.close()
    throw error
  })
}

function endParts({ reader, fleet, admission }: Parts, watch: ConfigWatch): void {
  watch.stop()
  admission.end()
  reader.end()
  for (const shard of fleet.values()) shard.end()
}

function authenticatorOf(config: Config, emit: Emit, previous?: Authenticator): Authenticator {
  return authenticator({
    issuers: config.tokens,
    configDir: dirname(config.file),
    clock: systemClock,
    emit,
    ...(previous && { previous }),
  })
}

async function listen(server: Server, port: number, host: string, name: string): Promise<void> {
  server.listen(port, host)
  await once(server, 'listening').catch((cause: NodeJS.ErrnoException) => {
    const taken = `Port ${port} of ${host} is taken by another program. Choose another: ${name}=${port + 10}`
    return fail(
      'SETUP_FAILED',
      cause.code === 'EADDRINUSE' ? taken : `${name}: ${cause.message}.`,
      {},
      { cause },
    )
  })
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}
