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
import { watchConfig } from './base/config-watch.ts'
import { fail } from './base/errors.ts'
import { type Emit, eventBus } from './base/events.ts'
import { createLog } from './base/log.ts'
import { createMetrics, type Metrics } from './base/metrics.ts'
import { systemClock } from './base/time.ts'
import type { RunGateway } from './commands/serve.ts'
import { withClient } from './db/client.ts'
import { type PlacementCache, placementCache } from './directory/cache.ts'
import { type DirectoryReader, directoryReader } from './directory/reader.ts'
import { listShards } from './directory/shards.ts'
import { buildApi } from './graphql/api.ts'
import { RequestScope } from './graphql/context.ts'
import { loadExtensions } from './graphql/extension.ts'
import type { Permissions } from './graphql/permissions.ts'
import { transactionPlugin } from './graphql/transaction.ts'
import { createHttpServer } from './http/server.ts'
import { type Admission, admitShards } from './shards/admission.ts'
import { openDoor } from './shards/door.ts'
import { type Fleet, openFleet, reconfigureFleet } from './shards/fleet.ts'
import { createRouter } from './shards/router.ts'
import { type Authenticator, authenticator } from './tenant/authenticate.ts'

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
  const metrics = createMetrics({ version: '0.1.0', logDropped: log.dropped })
  return { emit: eventBus(log.listener, metrics.listener), metrics }
}

/** Build the gateway and listen. Resolves when both ports are open. Throws as its parts do. */
export const runGateway: RunGateway = async ({ config: first, load }) => {
  let config = first
  const parts = await makeParts(() => config)
  const { emit, placements, fleet, api } = parts
  const door = openDoor({ router: createRouter(placements, emit), shards: fleet, emit })
  let gate = authenticatorOf(config, emit)
  const http = createHttpServer({
    config: () => config,
    permissions: () => api,
    authenticate: (authorization) => gate.authenticate(authorization),
    placementOf: (tenant) => placements.find(tenant),
    contextFor: (request) => ({ scope: new RequestScope({ ...request, door }) }),
    plugins: [transactionPlugin()],
    emit,
    clock: systemClock,
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
  await listen(http.server, config.port, config.host)
  const { promise: stopped, resolve } = Promise.withResolvers<void>()
  const stop = async (reason: string): Promise<void> => {
    emit({ kind: 'gateway.draining', reason })
    watch.stop()
    http.drain()
    http.server.close()
    http.server.closeAllConnections()
    endParts(parts)
    resolve()
  }
  process.once('SIGINT', () => void stop('SIGINT'))
  return { port: portOf(http.server), adminPort: 0, stopped, stop }
}

function endParts({ reader, fleet, admission }: Parts): void {
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

async function listen(server: Server, port: number, host: string): Promise<void> {
  server.listen(port, host)
  await once(server, 'listening').catch((cause: NodeJS.ErrnoException) =>
    fail(
      'SETUP_FAILED',
      cause.code === 'EADDRINUSE' ? takenPort(port) : `Port ${port}: ${cause.message}.`,
      {},
      { cause },
    ),
  )
}

const takenPort = (port: number): string =>
  `Port ${port} is taken by another program. Choose another: PORT=${port + 10} npm start`

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}
