/**
 * The parts of a gateway, in the order in which they are made:
 *
 *     config ─▶ events, log, metrics ─▶ directory ─▶ shards, admitted ─▶ shapes ─▶ APIs
 */

import { dirname } from 'node:path'
import type { Config } from './base/config.ts'
import { watchDirectory } from './base/directory-metrics.ts'
import { fail } from './base/errors.ts'
import { type Emit, eventBus } from './base/events.ts'
import type { TenantId } from './base/ids.ts'
import { createLog } from './base/log.ts'
import { watchPools, watchRedis } from './base/metric-readings.ts'
import { createMetrics, type Metrics } from './base/metrics.ts'
import { systemClock } from './base/time.ts'
import { VERSION } from './base/version.ts'
import { type JobService, openJobs } from './control/jobs/service.ts'
import { withClient } from './db/client.ts'
import { connectionHint } from './db/connection-hint.ts'
import { openRedis, type Redis } from './db/redis.ts'
import type { PlacementCache } from './directory/cache.ts'
import { openCopies } from './directory/copies.ts'
import { directoryLedger, type UsageMeter, usageMeter } from './directory/meter.ts'
import { listShards } from './directory/shards.ts'
import { type StatisticsRecorder, statisticsRecorder } from './directory/statistics.ts'
import type { Placement } from './directory/types.ts'
import { monthsOf } from './directory/usage-periods.ts'
import { ownUsage } from './directory/usage-reader.ts'
import { type Api, createApis } from './graphql/apis.ts'
import { AnswerCache } from './graphql/cache/answers.ts'
import { type TrustedDocuments, unfitDocuments } from './graphql/documents/trusted.ts'
import { loadExtensions } from './graphql/extension.ts'
import { jobsOfExtensions, type KnownJobs } from './graphql/jobs/rules.ts'
import { jobRunner } from './graphql/jobs/runner.ts'
import { documentParser, type ParseDocument } from './graphql/limits/limits.ts'
import type { TenantAccount } from './graphql/tenant-view.ts'
import { admitShards } from './shards/admission.ts'
import type { Door } from './shards/door.ts'
import { type Doors, openDoors } from './shards/doors.ts'
import { type Fleet, openFleet } from './shards/fleet.ts'
import { watchRecorded } from './shards/recorded.ts'
import { createRouter } from './shards/router.ts'
import { type Fits, ownHomesOnly } from './shards/routing.ts'
import { openShapes, type Shape, type Shapes } from './shards/shapes.ts'
import { type Authenticator, authenticator } from './tenant/authenticate.ts'
import type { Pair } from './tenant/limits/counts.ts'
import { createLimiter, type Limiter } from './tenant/limits/limiter.ts'
import { limitsOf } from './tenant/limits.ts'

/** Those who hear of what happens. */
export interface Watchers {
  readonly emit: Emit
  readonly metrics: Metrics
  readonly statistics: StatisticsRecorder
  readonly meter: UsageMeter | undefined
}

/** What a gateway is made of, in the order in which it is made. */
export interface Parts extends Watchers {
  readonly placements: PlacementCache
  readonly fleet: Fleet
  readonly shapes: Shapes
  readonly apiOf: (shape: Shape) => Api
  readonly parse: ParseDocument
  /** Left out where no extension defines a job. */
  readonly jobs?: JobService | undefined
  /** Take jobs from the queue from now on: once the ports are open, as a process that cannot listen is to do nothing. */
  readonly startJobs: () => Promise<void>
  /** Left out where no address is configured. */
  readonly redis: Redis | undefined
  readonly limiter: Limiter
}

/** What a reload may replace while the gateway runs. */
export interface Live {
  config: Config
  gate: Authenticator
  trusted: TrustedDocuments
}

/** Undoes what has been opened, the latest first. */
export type Closers = (() => unknown)[]

export async function makeParts(live: Live, watchers: Watchers, closers: Closers): Promise<Parts> {
  const { config } = live
  const { emit, metrics } = watchers
  const { url } = config.directory
  const ids = await withClient(url, listShards).catch((cause: unknown) => directoryAway(cause, url))
  const { placements, structures, figures, end: endCopies } = await openCopies(config, emit)
  closers.push(endCopies)
  watchDirectory(metrics.registry, figures)
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
  const doors = doorsOf(live, placements, fleet, emit)
  const doorFor = (shape: Shape): Door => doorTo(shape, doors, live, () => shapes)
  const known = jobsOfExtensions(extensions)
  const jobs = await jobsOf(live, known, doors, { emit, closers })
  const redis = redisOf(config, watchers, closers)
  const account = accountOf(live, closers)
  const limiter = createLimiter({ redis, usedThisMonth: (tenant) => usedThisMonth(account, tenant) })
  closers.push(() => limiter.end())
  const cache = new AnswerCache({ config: () => live.config.cache, emit, redis })
  closers.push(() => cache.end())
  const apiOf = createApis({ limits, extensions, parse, doorFor, account, cache, jobs: jobs?.book, emit })
  const prepare = (shape: Shape): void => void apiOf(shape)
  const shapes: Shapes = openShapes({
    shards: fleet,
    config: () => live.config,
    recorded,
    admission,
    prepare,
    emit,
  })
  closers.push(() => shapes.end())
  await tellUnfit(live, apiOf(shapes.main), emit)
  const startJobs = async (): Promise<void> =>
    jobs?.start(jobRunner({ ...known, find: (tenant) => placements.find(tenant), shapes, apiOf }))
  return { ...watchers, placements, fleet, shapes, apiOf, parse, jobs, startJobs, redis, limiter }
}

/** Without an address there is none, and each gateway has limits and copies of its own. */
function redisOf(config: Config, { emit, metrics }: Watchers, closers: Closers): Redis | undefined {
  const { url, ...settings } = config.redis
  if (url === undefined) {
    emit({ kind: 'redis.none' })
    return undefined
  }
  const redis = openRedis({ url, ...settings, emit })
  closers.push(() => redis.end())
  watchRedis(metrics.registry, redis)
  return redis
}

/** What ran in this month, and what it cost, as the ledger has it; undefined where nobody knows now. */
async function usedThisMonth(account: TenantAccount, tenant: TenantId): Promise<Pair | undefined> {
  const now = systemClock.now()
  const used = await account.usage(tenant, monthsOf({ from: now, to: now + 1 }))?.catch(() => undefined)
  return used && [used.operations, Math.ceil(used.cost)]
}

/** The way into the queue of jobs, where an extension defines some. */
async function jobsOf(
  live: Live,
  { rules }: KnownJobs,
  doors: Doors,
  { emit, closers }: { readonly emit: Emit; readonly closers: Closers },
): Promise<JobService | undefined> {
  if (rules.size === 0) return undefined
  const jobs = await openJobs({ config: () => live.config, rules, door: doors.door(), emit })
  closers.push(() => jobs.stop(0))
  return jobs
}

function doorsOf(live: Live, placements: PlacementCache, shards: Fleet, emit: Emit): Doors {
  const [schema = 'public'] = live.config.tenancy.schemas
  const router = createRouter(placements, emit)
  const shareOf = ({ plan }: Placement): number => live.config.plans[plan]?.share ?? 1
  return openDoors({ router, shards, schema, moves: () => live.config.moves, shareOf, emit })
}

/** Statements reach tables of the shape that they were made for, and never those of others: a tenant may be moved. */
function doorTo({ id, model }: Shape, doors: Doors, { config }: Live, shapes: () => Shapes): Door {
  const { global } = config.tenancy
  const fits: Fits = (placement, deadline) => {
    const found = shapes().of(placement, deadline)
    return found instanceof Promise ? found.then((shape) => shape.id === id) : found.id === id
  }
  const isForAll = model.tables.every((table) => table.tenantColumn !== null || global.includes(table.id))
  return doors.door(isForAll ? fits : ownHomesOnly(fits))
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
  const { topTenants } = config.metrics
  const metrics = createMetrics({ version: VERSION, logDropped: log.dropped, topTenants })
  const statistics = statisticsRecorder({ url: config.directory.url })
  const { usage: settings, directory } = config
  const emit: Emit = (event) => tell(event)
  const meter = settings.meter
    ? usageMeter({ settings, ledger: directoryLedger(directory.url), emit })
    : undefined
  if (meter) closers.push(meter.end)
  const tell = eventBus(
    log.listener,
    metrics.listener,
    statistics.listener,
    ...(meter ? [meter.listener] : []),
  )
  return { emit, metrics, statistics, meter }
}

/** What tenants may know of their usage and limits. */
function accountOf(live: Live, closers: Closers): TenantAccount {
  const { url } = live.config.directory
  const own = ownUsage(url)
  closers.push(own.end)
  return {
    usage: (tenant, span) => (live.config.usage.meter ? own.of(tenant, span) : null),
    limits: (placement) => limitsOf(live.config.plans, placement),
  }
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
