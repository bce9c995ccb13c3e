/**
 * The gateway's process: reads the configuration, builds the parts from the ground up, listens, and drains
 * when it is told to stop. This is the only place that knows all parts.
 *
 *     config ─▶ events, log, metrics ─▶ directory ─▶ shards, admitted ─▶ shapes ─▶ APIs ─▶ public and admin port
 */

import { dirname } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import type { Config } from './base/config.ts'
import { type ConfigWatch, watchConfig } from './base/config-watch.ts'
import { fail } from './base/errors.ts'
import { type Emit, eventBus } from './base/events.ts'
import { tenantId } from './base/ids.ts'
import { createLog } from './base/log.ts'
import { createMetrics, type Metrics, watchPools } from './base/metrics.ts'
import { deadlineIn, systemClock } from './base/time.ts'
import { VERSION } from './base/version.ts'
import type { RunGateway, RunningGateway } from './commands/serve.ts'
import { withClient } from './db/client.ts'
import { connectionHint } from './db/connection-hint.ts'
import type { PlacementCache } from './directory/cache.ts'
import { openCopies } from './directory/copies.ts'
import { listShards } from './directory/shards.ts'
import { type StatisticsRecorder, statisticsRecorder } from './directory/statistics.ts'
import { listTenants } from './directory/tenants.ts'
import { type Api, createApis } from './graphql/apis.ts'
import { readTrustedDocuments, type TrustedDocuments, unfitDocuments } from './graphql/documents/trusted.ts'
import { exampleQueries } from './graphql/examples.ts'
import { loadExtensions } from './graphql/extension.ts'
import { documentParser, type ParseDocument } from './graphql/limits/limits.ts'
import { hearLostErrors } from './graphql/lost-errors.ts'
import { transactionPlugin } from './graphql/transaction.ts'
import { type AdminOptions, createAdminServer } from './http/admin.ts'
import { graphiqlRoutes, type Route } from './http/graphiql.ts'
import { ensureGraphiqlAssets } from './http/graphiql-assets.ts'
import { listenOnBoth, portOf } from './http/listen.ts'
import { operationMetrics } from './http/operation-metrics.ts'
import { createHttpServer, type HttpServerOptions } from './http/server.ts'
import { createShutdown, stopOnSignals } from './http/shutdown.ts'
import { createTenantApis } from './http/tenant-apis.ts'
import { admitShards } from './shards/admission.ts'
import type { Door } from './shards/door.ts'
import { openDoors } from './shards/doors.ts'
import { type Fleet, openFleet, reconfigureFleet } from './shards/fleet.ts'
import { watchRecorded } from './shards/recorded.ts'
import { createRouter } from './shards/router.ts'
import { type Fits, ownHomesOnly } from './shards/routing.ts'
import { openShapes, type Shape, type Shapes } from './shards/shapes.ts'
import { type Authenticator, authenticator } from './tenant/authenticate.ts'
import { signToken } from './tenant/sign.ts'

/** Tenants that GraphiQL's switcher offers. */
const GRAPHIQL_TENANTS = 200
/** Milliseconds that GraphiQL's page waits for a tenant's tables, for its examples. */
const EXAMPLES_MS = 5_000

/** Those who hear of what happens. */
interface Watchers {
  readonly emit: Emit
  readonly metrics: Metrics
  readonly statistics: StatisticsRecorder
}

/** What a gateway is made of, in the order in which it is made. */
interface Parts extends Watchers {
  readonly placements: PlacementCache
  readonly fleet: Fleet
  readonly shapes: Shapes
  readonly apiOf: (shape: Shape) => Api
  readonly parse: ParseDocument
}

/** What a reload may replace while the gateway runs. */
interface Live {
  config: Config
  gate: Authenticator
  trusted: TrustedDocuments
}

/** Undoes what has been opened, the latest first. */
type Closers = (() => void)[]

/** Build the gateway and listen. Resolves when both ports are open. Throws as its parts do. */
export const runGateway: RunGateway = async ({ config, load }) => {
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
    return await openPorts(live, parts, watch, closers)
  } catch (error) {
    closeAll(closers)
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

async function makeParts(live: Live, watchers: Watchers, closers: Closers): Promise<Parts> {
  const { config } = live
  const { emit, metrics } = watchers
  const { url } = config.directory
  const ids = await withClient(url, listShards).catch((cause: unknown) => directoryAway(cause, url))
  const { placements, structures, end: endCopies } = await openCopies(config, emit)
  closers.push(endCopies)
  const fleet = openFleet(config, new Map(ids.map(({ key, id }) => [key, id])), emit)
  closers.push(() => endFleet(fleet))
  watchPools(metrics.registry, () => [...fleet.values()].map(({ key, stats }) => ({ shard: key, ...stats })))
  const recorded = await watchRecorded(structures)
  closers.push(recorded.end)
  const admission = await admitShards([...fleet.values()], config, emit, recorded)
  closers.push(admission.end)
  const extensions = await loadExtensions(config.extensions, dirname(config.file))
  const limits = () => live.config.limits
  const parse = documentParser(limits)
  const doorFor = doorsOf(live, placements, fleet, { emit, shapes: () => shapes })
  const apiOf = createApis({ limits, extensions, parse, doorFor, emit })
  const prepare = (shape: Shape): void => void apiOf(shape)
  const shapes: Shapes = openShapes({
    shards: fleet,
    config: () => live.config,
    recorded,
    admission,
    prepare,
    emit,
  })
  await tellUnfit(live, apiOf(shapes.main), emit)
  return { ...watchers, placements, fleet, shapes, apiOf, parse }
}

/** Statements reach tables of the shape that they were made for, and never those of others: a tenant may be moved. */
function doorsOf(
  live: Live,
  placements: PlacementCache,
  shards: Fleet,
  { emit, shapes }: { readonly emit: Emit; readonly shapes: () => Shapes },
): (shape: Shape) => Door {
  const { schemas, global } = live.config.tenancy
  const [schema = 'public'] = schemas
  const router = createRouter(placements, emit)
  const doors = openDoors({ router, shards, schema, moves: () => live.config.moves, emit })
  return ({ id, model }) => {
    const fits: Fits = (placement, deadline) => {
      const found = shapes().of(placement, deadline)
      return found instanceof Promise ? found.then((shape) => shape.id === id) : found.id === id
    }
    const isForAll = model.tables.every((table) => table.tenantColumn !== null || global.includes(table.id))
    return doors.door(isForAll ? fits : ownHomesOnly(fits))
  }
}

async function tellUnfit({ trusted, config }: Live, { permissions }: Api, emit: Emit): Promise<void> {
  if (trusted.all.length === 0) return
  const unfit = await unfitDocuments(trusted, permissions.schema, config.limits)
  emit({ kind: 'documents.read', documents: trusted.all.length, unfit })
}

function directoryAway(cause: unknown, url: string): never {
  const hint = connectionHint(cause, url)
  const reason = cause instanceof Error ? cause.message || cause.name : String(cause)
  const options = { cause, ...(hint !== undefined && { hint }) }
  return fail('DIRECTORY_UNAVAILABLE', `The directory cannot be reached: ${reason}.`, {}, options)
}

async function openPorts(
  live: Live,
  parts: Parts,
  watch: ConfigWatch,
  closers: Closers,
): Promise<RunningGateway> {
  const { emit, statistics } = parts
  const http = createHttpServer(await publicPort(live, parts))
  const admin = createAdminServer(adminPort(live, parts, () => shutdown.draining()))
  const shutdown = createShutdown({
    http,
    admin,
    // On a developer's machine there is no balancer that has to notice.
    times: () => ({ ...live.config.http, ...(live.config.mode === 'development' && { drainMs: 1 }) }),
    close: async () => {
      await statistics.flush()
      closeAll(closers)
    },
    emit,
  })
  await listenOnBoth(http.server, admin, live.config)
  // Before anybody hears that it listens: a SIGHUP that comes at once would end the process otherwise.
  const stopped = stopOnSignals(shutdown, () => void watch.reload())
  emit({ kind: 'gateway.listening', port: portOf(http.server), adminPort: portOf(admin) })
  return { port: portOf(http.server), adminPort: portOf(admin), stopped, stop: shutdown.stop }
}

async function publicPort(live: Live, parts: Parts): Promise<HttpServerOptions> {
  const { emit, metrics, placements, shapes, apiOf, parse } = parts
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
    emit,
    clock: systemClock,
  }
  if (live.config.mode === 'production') return options
  return { ...options, graphiql: await graphiqlOf(live.config, parts) }
}

function adminPort(live: Live, { emit, metrics, fleet }: Parts, draining: () => boolean): AdminOptions {
  return {
    version: VERSION,
    registry: metrics.registry,
    draining,
    shards: () => [...fleet.values()].map(({ key, available }) => ({ shard: key, isUp: available })),
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

function observers(config: Config, closers: Closers): Watchers {
  const log = createLog(config.logLevel)
  process.on('exit', log.flush)
  closers.push(() => process.off('exit', log.flush))
  const metrics = createMetrics({ version: VERSION, logDropped: log.dropped })
  const statistics = statisticsRecorder({ url: config.directory.url })
  return { emit: eventBus(log.listener, metrics.listener, statistics.listener), metrics, statistics }
}

function endFleet(fleet: Fleet): void {
  for (const shard of fleet.values()) shard.end()
}

function closeAll(closers: Closers): void {
  for (const close of closers.splice(0).reverse()) close()
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

function authenticatorOf(config: Config, emit: Emit, previous?: Authenticator): Authenticator {
  return authenticator({
    issuers: config.tokens,
    configDir: dirname(config.file),
    clock: systemClock,
    emit,
    ...(previous && { previous }),
  })
}
