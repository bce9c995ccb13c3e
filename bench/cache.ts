/**
 * What a kept answer costs and saves: CPU of gateway and Postgres for each request of Q1 to Q3.
 *
 *     npm run bench:cache                    3 s a slice, 5 rounds
 *     SLICE_S=6 ROUNDS=9 npm run bench:cache
 *
 * Three gateways that differ in `cache` alone, asked the same requests in turn: `off` keeps nothing; `miss` keeps each
 * answer for a millisecond, so that hardly one is given again and each is looked for, read and kept; `hit` keeps them for
 * an hour, and has them all. A hit is to cost less than half of what it saves: of gateway and Postgres together with `off`.
 */

import { join } from 'node:path'
import { type BenchDatabase, openDatabase, SCHEMA } from './database.ts'
import { type SliceFigures, spreadOf, strangersLine } from './figures.ts'
import { type Caller, callersOf, runLoad, writeRequests } from './load.ts'
import type { ServerProcess } from './processes.ts'
import { SERVERS, startServer } from './servers.ts'
import { measureSlice, turned } from './slices.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 5)
const SLICE_S = Number(process.env.SLICE_S ?? 3)
const WARM_S = 3
const CONNECTIONS = 32
/** Different requests: a slice asks each many times. */
const REQUESTS = 1_000
const LOADS = ['Q1', 'Q2', 'Q3'] as const
const KINDS = ['off', 'miss', 'hit'] as const
const GOAL = 0.5

type Kind = (typeof KINDS)[number]
type Load = (typeof LOADS)[number]
interface Slice extends SliceFigures {
  readonly kind: Kind
  readonly load: Load
  readonly round: number
}

const TTL_MS: Readonly<Record<Kind, number>> = { off: 0, miss: 1, hit: 3_600_000 }
const SIZES = [{ size: 'S', tenants: 20, users: 20, tickets: 250 }]

const database = await openDatabase({
  name: 'cache',
  sizes: SIZES,
  sharedBuffers: '64MB',
  report: console.error,
})
try {
  const callers = await callersOf(database.shards.map(({ tenants }) => tenants))
  console.log(reportOf(await measure(database, callers)))
} finally {
  await database.stop()
}

async function measure(db: BenchDatabase, callers: readonly Caller[]): Promise<Slice[]> {
  const gateways = new Map<Kind, ServerProcess>()
  for (const kind of KINDS) gateways.set(kind, await startServer(SERVERS.ours, placesOf(db, kind)))
  const slices: Slice[] = []
  try {
    for (const load of LOADS) {
      const file = join(db.dir, `${load}.requests`)
      writeRequests(file, load, callers, 'shardgate', REQUESTS)
      for (const server of gateways.values())
        await runLoad({ port: server.port, file, connections: CONNECTIONS, seconds: WARM_S, first: 0 })
      for (let round = 0; round < ROUNDS; round++) {
        for (const [kind, server] of turned([...gateways], round)) {
          const options = { server, database: db, file, connections: CONNECTIONS, seconds: SLICE_S, first: 0 }
          slices.push({ kind, load, round, ...(await measureSlice(options)) })
        }
      }
    }
  } finally {
    for (const server of gateways.values()) await server.stop()
  }
  return slices
}

function placesOf(db: BenchDatabase, kind: Kind) {
  const kept = ['tickets', 'comments', 'users'].map((table) => [
    `${SCHEMA}.${table}`,
    { ttlMs: TTL_MS[kind] },
  ])
  const settings = kind === 'off' ? {} : { cache: { tables: Object.fromEntries(kept) } }
  return {
    configFile: db.configFile({ name: kind, settings }),
    databaseUrl: db.shards[0]?.appUrl ?? '',
    dir: db.dir,
  }
}

function reportOf(slices: readonly Slice[]): string {
  const rows = LOADS.flatMap((load) =>
    KINDS.map((kind) => {
      const own = slices.filter((slice) => slice.load === load && slice.kind === kind)
      const of = (figure: (slice: Slice) => number): string => spreadOf(own.map(figure)).median.toFixed(0)
      return [
        load,
        kind,
        of(({ rate }) => rate),
        of(({ serverCpu }) => serverCpu),
        of(({ postgresCpu }) => postgresCpu),
      ]
    }),
  )
  const head = ['', '', 'requests/s', 'gateway µs', 'Postgres µs']
  const table = [head, ...rows].map((row) => row.map((cell) => cell.padStart(12)).join(''))
  const ratios = LOADS.map((load) => {
    const { median, min, max } = spreadOf(ratiosOf(slices, load))
    const words = median < GOAL ? 'less than half' : 'NOT LESS THAN HALF'
    return `${load}: a hit costs ${median.toFixed(2)} (${min.toFixed(2)} to ${max.toFixed(2)}) of the query that it saves: ${words}`
  })
  return [...table, '', ...ratios, strangersLine(slices)].join('\n')
}

/** Hit by off, of slices of the same round. */
function ratiosOf(slices: readonly Slice[], load: Load): number[] {
  const cpu = (kind: Kind, round: number): number => {
    const slice = slices.find((one) => one.load === load && one.kind === kind && one.round === round)
    return (slice?.serverCpu ?? 0) + (slice?.postgresCpu ?? 0)
  }
  return Array.from({ length: ROUNDS }, (_, round) => cpu('hit', round) / cpu('off', round))
}
