/**
 * Shardgate beside others, on the same rows: requests per second, times, and CPU per request.
 *
 *     npm run bench                                              everything, some 14 minutes
 *     QUERIES=Q1,Q3 SERVERS=ours,limit-rows npm run bench        a part of it
 *     ROUNDS=3 SLICE_S=1 WARM_S=1 npm run bench                  shorter
 *
 * Starts Postgres and the servers, asks each the same and compares the answers, and then lets them take turns in short
 * slices: on a machine that others use too, only figures of the same minute can be compared. Ratios are medians of
 * the ratios of single rounds. Results are printed and kept in bench/results/.
 */

import { join } from 'node:path'
import { startRedis } from '../test/kit/redis.ts'
import { type Asked, requireAgreement } from './agreement.ts'
import { type BenchDatabase, openDatabase, SCHEMA } from './database.ts'
import { type Slice, strangersLine } from './figures.ts'
import { LOADS } from './goals.ts'
import { lanesLine } from './lanes.ts'
import { type Caller, callersOf, type LoadName, loadProgram, runLoad, writeRequests } from './load.ts'
import { MIX, OPERATIONS, type OperationName } from './operations.ts'
import { chosen } from './options.ts'
import { ensurePeers, peerVersions } from './peers.ts'
import type { ServerProcess } from './processes.ts'
import { glanceOf, loadTable, reportOf } from './report.ts'
import { keepResults, machineLines, showOnPage } from './results.ts'
import { removeMadeRows, SIZES } from './rows.ts'
import { SERVER_NAMES, SERVERS, type ServerName, startServer } from './servers.ts'
import { measureSlice, turned } from './slices.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 5)
const SLICE_S = Number(process.env.SLICE_S ?? 2)
/** Before each slice: a server that has waited for its turn has yet to find its code and memory in the caches again. */
const LEAD_S = Number(process.env.LEAD_S ?? 1)
/** Before the first round: V8 is still compiling what is new to it, the more the larger a server is. */
const WARM_S = Number(process.env.WARM_S ?? 5)
const CONNECTIONS = Number(process.env.CONNECTIONS ?? 32)
const loads = chosen('QUERIES', LOADS)
const names = chosen('SERVERS', SERVER_NAMES)

interface Contender extends Asked {
  readonly process: ServerProcess
  /** Files of requests by operation. */
  readonly files: ReadonlyMap<LoadName, string>
}

const started = performance.now()
ensurePeers(names, say)
const database = await openDatabase({ name: 'peers', sizes: SIZES, sharedBuffers: '1GB', report: say })
const redis = await startRedis()
const contenders: Contender[] = []
try {
  await run(database)
} finally {
  await Promise.all(contenders.map((contender) => contender.process.stop()))
  await redis?.remove()
  await database.stop()
}

async function run(db: BenchDatabase): Promise<void> {
  const callers = await callersOf(db.shards.map(({ tenants }) => tenants))
  for (const name of names) contenders.push(await start(name, db, callers))
  say(`Comparing answers of ${names.join(', ')}.`)
  const compared = await requireAgreement(contenders, sample(callers), asked())
  const ours = contenders.find(({ plan }) => plan.name === 'ours')
  const lanes = ours ? [lanesLine(ours.process.logFile, asked())] : []
  say([`${compared} answers agree`, ...lanes].join('; '))
  const slices: Slice[] = []
  for (const load of loads) {
    slices.push(...(await measure(db, load)))
    console.log(`\n${load}\n${loadTable(slices, load, names)}\n`)
  }
  await removeMade(db)
  const conditions = [
    ...machineLines(),
    ...peerVersions(names),
    `${CONNECTIONS} connections, ${ROUNDS} rounds of slices of ${SLICE_S} s after ${LEAD_S} s, and ${WARM_S} s at first, that do not count, load by ${loadProgram().at(-1)?.split('/').at(-1)}`,
    `limits of Shardgate counted ${redis ? 'by way of Redis' : 'without a Redis'}`,
    `${callers.length} tenants, ${compared} answers compared and equal before the first slice`,
    ...lanes,
    strangersLine(slices),
  ]
  const done = { title: 'Shardgate beside others', conditions, loads, servers: names, slices }
  const report = reportOf(done)
  const whole = loads.length === LOADS.length && names.length === SERVER_NAMES.length
  const file = keepResults(whole ? 'bench' : 'partial', report, { conditions, slices })
  if (whole) showOnPage('bench', glanceOf(done))
  console.log(report)
  say(`Kept in ${file} and beside it.`)
}

async function start(name: ServerName, db: BenchDatabase, callers: readonly Caller[]): Promise<Contender> {
  say(`Starting ${name}.`)
  const plan = SERVERS[name]
  const databaseUrl = db.shards[0]?.appUrl ?? ''
  const configFile = db.configFile(plan)
  const server = await startServer(plan, { configFile, databaseUrl, dir: db.dir, redisUrl: redis?.url })
  const files = new Map(loads.map((load) => [load, join(db.dir, `${name}-${load}.requests`)]))
  for (const [load, file] of files) writeRequests(file, load, callers, plan.dialect)
  return { plan, port: server.port, process: server, files }
}

/** Q7 is made of the others. */
function asked(): OperationName[] {
  return OPERATIONS.filter((name) => loads.includes(name) || (loads.includes('Q7') && MIX[name] > 0))
}

/** Some tenants of each size. */
function sample(callers: readonly Caller[]): Caller[] {
  const sizes = new Set(callers.map(({ tenant }) => tenant.size))
  return [...sizes].flatMap((size) => callers.filter(({ tenant }) => tenant.size === size).slice(0, 4))
}

/** All rounds of one operation; each server is warm before the first. */
async function measure(db: BenchDatabase, load: LoadName): Promise<Slice[]> {
  const slices: Slice[] = []
  for (let round = 0; round <= ROUNDS; round++) {
    for (const contender of turned(contenders, round)) {
      const slice = await measureOnce(db, contender, load, round)
      if (round > 0) slices.push(slice)
      const { rate, serverCpu, postgresCpu } = slice
      const figures = `${rate.toFixed(0)}/s, ${serverCpu.toFixed(0)} + ${postgresCpu.toFixed(0)} µs`
      say(
        `${load} ${round === 0 ? 'warm-up' : `round ${round}/${ROUNDS}`} ${contender.plan.name}: ${figures}`,
      )
    }
  }
  return slices
}

async function measureOnce(
  database: BenchDatabase,
  { plan, process: server, files }: Contender,
  load: LoadName,
  round: number,
): Promise<Slice> {
  const file = files.get(load) ?? ''
  const first = round * 1_000
  if (round > 0 && LEAD_S > 0) {
    await runLoad({ file, port: server.port, connections: CONNECTIONS, seconds: LEAD_S, first })
  }
  const figures = await measureSlice({
    server,
    database,
    file,
    connections: CONNECTIONS,
    seconds: round === 0 ? WARM_S : SLICE_S,
    first,
  })
  if (load === 'Q5' || load === 'Q7') await removeMade(database)
  return { server: plan.name, load, round, ...figures }
}

async function removeMade(db: BenchDatabase): Promise<void> {
  for (const { superuserUrl } of db.shards) await removeMadeRows(superuserUrl, SCHEMA)
}

function say(sentence: string): void {
  console.error(`${((performance.now() - started) / 1_000).toFixed(0).padStart(4)} s  ${sentence}`)
}
