/**
 * The parts of a gateway, in the order in which they are made:
 *
 *     config ─▶ events, log, metrics ─▶ directory ─▶ shards, admitted ─▶ shapes ─▶ APIs
 */

import { dirname } from 'node:path'
import type { Config } from './base/config.ts'
import { fail } from './base/errors.ts'
import { type Emit, eventBus } from './base/events.ts'
import { createLog } from './base/log.ts'
import { watchPools } from './base/metric-readings.ts'
import { createMetrics, type Metrics } from './base/metrics.ts'
import { systemClock } from './base/time.ts'
import { VERSION } from './base/version.ts'
import { withClient } from './db/client.ts'
import { connectionHint } from './db/connection-hint.ts'
import type { PlacementCache } from './directory/cache.ts'
import { openCopies } from './directory/copies.ts'
import { listShards } from './directory/shards.ts'
import { type StatisticsRecorder, statisticsRecorder } from './directory/statistics.ts'
import { type Api, createApis } from './graphql/apis.ts'
import { type TrustedDocuments, unfitDocuments } from './graphql/documents/trusted.ts'
import { loadExtensions } from './graphql/extension.ts'
import { documentParser, type ParseDocument } from './graphql/limits/limits.ts'
import { admitShards } from './shards/admission.ts'
import type { Door } from './shards/door.ts'
import { openDoors } from './shards/doors.ts'
import { type Fleet, openFleet } from './shards/fleet.ts'
import { watchRecorded } from './shards/recorded.ts'
import { createRouter } from './shards/router.ts'
import { type Fits, ownHomesOnly } from './shards/routing.ts'
import { openShapes, type Shape, type Shapes } from './shards/shapes.ts'
import { type Authenticator, authenticator } from './tenant/authenticate.ts'

/** Those who hear of what happens. */
export interface Watchers {
  readonly emit: Emit
  readonly metrics: Metrics
  readonly statistics: StatisticsRecorder
}

/** What a gateway is made of, in the order in which it is made. */
export interface Parts extends Watchers {
  readonly placements: PlacementCache
  readonly fleet: Fleet
  readonly shapes: Shapes
  readonly apiOf: (shape: Shape) => Api
  readonly parse: ParseDocument
}

/** What a reload may replace while the gateway runs. */
export interface Live {
  config: Config
  gate: Authenticator
  trusted: TrustedDocuments
}

/** Undoes what has been opened, the latest first. */
export type Closers = (() => void)[]

export async function makeParts(live: Live, watchers: Watchers, closers: Closers): Promise<Parts> {
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

export async function tellUnfit({ trusted, config }: Live, { permissions }: Api, emit: Emit): Promise<void> {
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

export function observers(config: Config, closers: Closers): Watchers {
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

export function authenticatorOf(config: Config, emit: Emit, previous?: Authenticator): Authenticator {
  return authenticator({
    issuers: config.tokens,
    configDir: dirname(config.file),
    clock: systemClock,
    emit,
    ...(previous && { previous }),
  })
}
