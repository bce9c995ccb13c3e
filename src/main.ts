/**
 * The gateway's process: reads the configuration, builds the parts from the ground up, listens, and drains
 * when it is told to stop. With parts.ts the only place that knows all parts.
 */

import { setFlagsFromString } from 'node:v8'
import type { Config } from './base/config.ts'
import { type ConfigWatch, watchConfig } from './base/config-watch.ts'
import { fail } from './base/errors.ts'
import { tenantId } from './base/ids.ts'
import { deadlineIn, systemClock } from './base/time.ts'
import { VERSION } from './base/version.ts'
import type { RunGateway, RunningGateway, RunOptions } from './commands/serve.ts'
import { withClient } from './db/client.ts'
import { listTenants } from './directory/tenants.ts'
import { usageOf } from './directory/usage-reader.ts'
import { readTrustedDocuments } from './graphql/documents/trusted.ts'
import { exampleQueries } from './graphql/examples.ts'
import { hearLostErrors } from './graphql/lost-errors.ts'
import { transactionPlugin } from './graphql/transaction.ts'
import { type AdminOptions, createAdminServer } from './http/admin.ts'
import { graphiqlRoutes, type Route } from './http/graphiql.ts'
import { ensureGraphiqlAssets } from './http/graphiql-assets.ts'
import { listenAdmin, listenOnBoth, portOf } from './http/listen.ts'
import { operationMetrics } from './http/operation-metrics.ts'
import { createHttpServer, type HttpServerOptions } from './http/server.ts'
import { createShutdown, stopOnSignals } from './http/shutdown.ts'
import { createTenantApis } from './http/tenant-apis.ts'
import { createTracing } from './http/tracing.ts'
import {
  authenticatorOf,
  type Closers,
  type Live,
  makeParts,
  observers,
  type Parts,
  tellUnfit,
} from './parts.ts'
import { reconfigureFleet } from './shards/fleet.ts'
import { signToken } from './tenant/sign.ts'

/** Tenants that GraphiQL's switcher offers. */
const GRAPHIQL_TENANTS = 200
/** Milliseconds that GraphiQL's page waits for a tenant's tables, for its examples. */
const EXAMPLES_MS = 5_000

/** Build the gateway and listen. Resolves when both ports are open. Throws as its parts do. */
export const runGateway: RunGateway = async ({ config, load, only }) => {
  keepYoungObjectsYoung()
  const closers: Closers = []
  try {
    const watchers = observers(config, closers)
    const { emit } = watchers
    const live: Live = {
      config,
      gate: authenticatorOf(config, emit),
      trusted: await readTrustedDocuments(config),
    }
    closers.push(watchers.statistics.end, hearLostErrors(emit))
    const parts = await makeParts(live, watchers, closers)
    const watch = watchConfig({ config, load, emit, apply: (next) => reconfigure(live, parts, next) })
    closers.push(watch.stop)
    if (only === 'jobs') requireJobs(parts)
    return await openPorts(live, parts, { watch, only }, closers)
  } catch (error) {
    await closeAll(closers)
    throw error
  }
}

/**
 * What belongs to requests in flight is alive whenever V8 looks, and V8 concludes that such objects live long: it makes
 * them old from the start, and only a full collection takes them away. Without that conclusion a batch costs a quarter
 * less CPU (18 µs instead of 24, with the time of the collector).
 */
function keepYoungObjectsYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
}

async function openPorts(
  live: Live,
  parts: Parts,
  { watch, only }: { readonly watch: ConfigWatch; readonly only: RunOptions['only'] },
  closers: Closers,
): Promise<RunningGateway> {
  const { emit, statistics, meter, jobs, startJobs } = parts
  const tracing = createTracing()
  const http = createHttpServer({ ...(await publicPort(live, parts, only)), tracing })
  const admin = createAdminServer(adminPort(live, parts, () => shutdown.draining()))
  const shutdown = createShutdown({
    http,
    admin,
    // On a developer's machine there is no balancer that has to notice.
    times: () => ({ ...live.config.http, ...(live.config.mode === 'development' && { drainMs: 1 }) }),
    begin: () => void jobs?.drain(live.config.http.stopMs),
    close: async () => {
      await jobs?.stop(live.config.http.stopMs)
      await Promise.all([statistics.flush(), meter?.flush(), tracing?.flush()])
      await closeAll(closers)
    },
    emit,
  })
  await (only === 'jobs' ? listenAdmin(admin, live.config) : listenOnBoth(http.server, admin, live.config))
  await startJobs().catch(async (error: unknown) => {
    await shutdown.stop('its jobs cannot be started')
    throw error
  })
  // Before anybody hears that it listens: a SIGHUP that comes at once would end the process otherwise.
  const stopped = stopOnSignals(shutdown, () => void watch.reload())
  emit({ kind: 'gateway.listening', port: portOf(http.server), adminPort: portOf(admin) })
  return { port: portOf(http.server), adminPort: portOf(admin), stopped, stop: shutdown.stop }
}

function requireJobs({ jobs }: Parts): void {
  if (!jobs)
    fail('CONFIG_INVALID', 'extensions: wanted one that defines jobs; there is nothing else to work on.')
}

async function publicPort(live: Live, parts: Parts, only: RunOptions['only']): Promise<HttpServerOptions> {
  const { emit, metrics, placements, shapes, apiOf, parse, limiter } = parts
  const operations = operationMetrics(metrics.registry)
  const options: HttpServerOptions = {
    config: () => live.config,
    trusted: () => live.trusted,
    authenticate: (authorization) => live.gate.authenticate(authorization),
    placementOf: (tenant) => placements.find(tenant),
    apis: createTenantApis({ shapes, apiOf, placements }),
    parse,
    plugins: [operations.plugin, transactionPlugin()],
    countCompiled: operations.countCompiled,
    limiter,
    emit,
    clock: systemClock,
  }
  if (live.config.mode === 'production' || only) return options
  return { ...options, graphiql: await graphiqlOf(live.config, parts) }
}

function adminPort(live: Live, { emit, metrics, fleet }: Parts, draining: () => boolean): AdminOptions {
  return {
    version: VERSION,
    registry: metrics.registry,
    draining,
    shards: () => [...fleet.values()].map(({ key, available }) => ({ shard: key, isUp: available })),
    usage: (question) => usageOf(live.config.directory.url, question),
    authenticate: (authorization) => live.gate.authenticate(authorization),
    emit,
  }
}

/** Take over a configuration whose changes may be made at run time. Throws CONFIG_INVALID, and changes nothing. */
async function reconfigure(live: Live, { emit, fleet, shapes, apiOf }: Parts, next: Config): Promise<void> {
  const trusted = await readTrustedDocuments(next)
  live.gate = authenticatorOf(next, emit, live.gate)
  live.trusted = trusted
  reconfigureFleet(fleet, next)
  live.config = next
  await tellUnfit(live, apiOf(shapes.main), emit)
}

async function closeAll(closers: Closers): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close()
}

/** GraphiQL with tokens for every tenant: for development alone. */
async function graphiqlOf(config: Config, { placements, shapes }: Parts): Promise<Route> {
  const { baseDomain } = config.http
  return graphiqlRoutes({
    assets: await ensureGraphiqlAssets(),
    tenants: () => withClient(config.directory.url, (client) => listTenants(client, GRAPHIQL_TENANTS)),
    token: async (tenant, role) => {
      const request = { tenant: tenantId(tenant), roles: [role], subject: 'graphiql', ttlS: 8 * 3_600 }
      return (await signToken(config.tokens, request)).token
    },
    examples: async (tenant) => {
      const placement = tenant === null ? null : await placements.find(tenantId(tenant))
      const shape = placement ? await shapes.of(placement, deadlineIn(EXAMPLES_MS)) : shapes.main
      return exampleQueries(shape.model)
    },
    ...(baseDomain !== undefined && { baseDomain }),
  })
}
