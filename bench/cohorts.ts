/**
 * Load by cohort: what tenants of each size get and cost, and all of them together, with limits and metering and without.
 *
 *     npm run bench:cohorts                              four cohorts, some four minutes
 *     COHORTS=S,mixed LOADS=Q1 ROUNDS=3 npm run bench:cohorts
 *
 * The tenants are those of `npm run bench`: S, M and L differ in their rows, and `mixed` asks as all of them. Each cohort
 * asks the mix of reads and writes (Q7) and the point query (Q1) of two gateways in turn, one that limits and meters as in
 * production and one that does neither; ratios are medians of the ratios of single rounds.
 */

import { join } from 'node:path'
import { startRedis } from '../test/kit/redis.ts'
import { type BenchDatabase, openDatabase, SCHEMA } from './database.ts'
import { type SliceFigures, type Spread, spreadOf, strangersLine } from './figures.ts'
import { type Caller, callersOf, type LoadName, runLoad, writeRequests } from './load.ts'
import { TITLES } from './operations.ts'
import { chosen } from './options.ts'
import type { ServerProcess } from './processes.ts'
import { markdownTable, spreadText } from './report.ts'
import { keepResults, machineLines } from './results.ts'
import { removeMadeRows, SIZES } from './rows.ts'
import { SERVERS, startServer } from './servers.ts'
import { measureSlice, turned } from './slices.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 5)
const SLICE_S = Number(process.env.SLICE_S ?? 3)
const WARM_S = 3
const CONNECTIONS = Number(process.env.CONNECTIONS ?? 32)
const cohorts = chosen('COHORTS', ['S', 'M', 'L', 'mixed'])
const loads = chosen<LoadName>('LOADS', ['Q7', 'Q1'])
const KINDS = ['ours', 'ours-free'] as const
/** Of the requests per second without limits and metering. */
const GOAL = 0.85

const HEAD = [
  'cohort',
  'tenants',
  'tickets each',
  'requests/s',
  'p50, ms',
  'p99, ms',
  'gateway, µs',
  'Postgres, µs',
]

type Kind = (typeof KINDS)[number]
interface Slice extends SliceFigures {
  readonly cohort: string
  readonly load: LoadName
  readonly kind: Kind
}

const database = await openDatabase({
  ...{ name: 'peers', sizes: SIZES, sharedBuffers: '1GB' },
  report: console.error,
})
const redis = await startRedis()
const gateways: [Kind, ServerProcess][] = []
try {
  for (const kind of KINDS) gateways.push([kind, await start(database, kind)])
  const callers = await callersOf(database.shards.map(({ tenants }) => tenants))
  const slices: Slice[] = []
  for (const load of loads)
    for (const cohort of cohorts) slices.push(...(await measure(cohort, load, membersOf(cohort, callers))))
  const text = reportOf(slices, callers)
  console.log(`\n${text}\n`)
  console.log(`Kept in ${keepResults('cohorts', `${text}\n`, { slices })} and beside it.`)
} finally {
  for (const [, gateway] of gateways) await gateway.stop()
  await redis?.remove()
  await database.stop()
}

function start(db: BenchDatabase, kind: Kind): Promise<ServerProcess> {
  const configFile = db.configFile(SERVERS[kind])
  return startServer(SERVERS[kind], { configFile, databaseUrl: '', dir: db.dir, redisUrl: redis?.url })
}

function membersOf(cohort: string, callers: readonly Caller[]): Caller[] {
  return callers.filter(({ tenant }) => cohort === 'mixed' || tenant.size === cohort)
}

async function measure(cohort: string, load: LoadName, members: readonly Caller[]): Promise<Slice[]> {
  const file = join(database.dir, `${cohort}-${load}.requests`)
  writeRequests(file, load, members, 'shardgate')
  const options = { database, file, connections: CONNECTIONS, first: 0 }
  for (const [, { port }] of gateways) await runLoad({ ...options, port, seconds: WARM_S })
  const slices: Slice[] = []
  for (let round = 0; round < ROUNDS; round++) {
    for (const [kind, server] of turned(gateways, round)) {
      slices.push({ cohort, load, kind, ...(await measureSlice({ ...options, server, seconds: SLICE_S })) })
      for (const { superuserUrl } of database.shards) await removeMadeRows(superuserUrl, SCHEMA)
    }
  }
  console.error(`${cohort} ${load}: ${spreadText(ratioOf(slices, cohort, load), 2)} of the rate without.`)
  return slices
}

function ratioOf(slices: readonly Slice[], cohort: string, load: LoadName): Spread {
  const [withThem = [], without = []] = KINDS.map((kind) => figures(slices, cohort, load, kind, 'rate'))
  return spreadOf(withThem.map((rate, round) => rate / without[round]!))
}

function figures(
  slices: readonly Slice[],
  cohort: string,
  load: LoadName,
  kind: Kind,
  figure: keyof SliceFigures,
): number[] {
  const own = slices.filter((slice) => slice.cohort === cohort && slice.load === load && slice.kind === kind)
  return own.map((slice) => slice[figure])
}

function reportOf(slices: readonly Slice[], callers: readonly Caller[]): string {
  const conditions = [
    ...machineLines(),
    `${CONNECTIONS} connections, ${ROUNDS} rounds of slices of ${SLICE_S} s; medians, and least–most of ratios`,
    `limits counted ${redis ? 'by way of Redis' : 'without a Redis'}`,
    strangersLine(slices),
  ]
  const parts = loads.map((load) => `## ${load}: ${TITLES[load]}\n\n${tableOf(slices, load, callers)}`)
  return ['# Load by cohort', conditions.map((line) => `- ${line}`).join('\n'), ...parts].join('\n\n')
}

function tableOf(slices: readonly Slice[], load: LoadName, callers: readonly Caller[]): string {
  const rows = cohorts.map((cohort) => {
    const members = membersOf(cohort, callers)
    const of = (figure: keyof SliceFigures, digits = 0): string =>
      spreadOf(figures(slices, cohort, load, 'ours', figure)).median.toFixed(digits)
    const sizes = SIZES.filter(({ size }) => cohort === 'mixed' || size === cohort)
    return [
      ...[cohort, `${members.length}`, sizes.map(({ tickets }) => tickets).join(', ')],
      ...[of('rate'), of('p50', 1), of('p99', 1), of('serverCpu'), of('postgresCpu')],
      spreadText(ratioOf(slices, cohort, load), 2),
    ]
  })
  return markdownTable([...HEAD, `of the rate without limits and metering (Q1: ≥ ${GOAL})`], rows)
}
