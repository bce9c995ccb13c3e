/** The gateway over databases of several sizes, all running at once, which take turns under load. */

import { join } from 'node:path'
import { type BenchDatabase, type DatabaseOptions, openDatabase } from '../database.ts'
import { type SliceFigures, spreadOf, strangersLine } from '../figures.ts'
import { callersOf, type LoadName, writeRequests } from '../load.ts'
import type { ServerProcess } from '../processes.ts'
import { markdownTable, spreadText } from '../report.ts'
import { SERVERS, startServer } from '../servers.ts'
import { measureSlice, turned } from '../slices.ts'

export interface GrowthOptions {
  readonly rounds: number
  readonly seconds: number
}

/** One size of what grows. */
export interface Stage extends Omit<DatabaseOptions, 'report'> {
  readonly title: string
  /** On top of each shard's configuration. */
  readonly shardSettings?: Readonly<Record<string, number>>
  /** Shown beside the others, without a goal. */
  readonly isAside?: boolean
}

interface Running {
  readonly title: string
  readonly database: BenchDatabase
  readonly server: ServerProcess
  readonly files: ReadonlyMap<LoadName, string>
}

interface GrowthSlice extends SliceFigures {
  readonly stage: string
  readonly load: LoadName
  readonly round: number
}

const LOADS: readonly LoadName[] = ['Q1', 'Q3']
const CONNECTIONS = 32
/** Enough that each of 10,000 tenants asks. */
const REQUESTS = 20_000

export interface Growth {
  readonly text: string
  readonly figures: object
}

/** @param goal  CPU per request of each stage, of that of the first, at most */
export async function compareStages(
  title: string,
  stages: readonly Stage[],
  goal: number,
  { rounds, seconds }: GrowthOptions,
): Promise<Growth> {
  const running: Running[] = []
  try {
    for (const stage of stages) running.push(await start(stage))
    const slices: GrowthSlice[] = []
    for (const load of LOADS) {
      for (const one of running) await warmUp(one, load)
      for (let round = 0; round < rounds; round++) {
        for (const one of turned(running, round)) {
          const figures = await measure(one, load, round, seconds)
          console.error(
            `${one.title}, ${load}, round ${round + 1}/${rounds}: ${sumOf(figures).toFixed(0)} µs`,
          )
          slices.push({ stage: one.title, load, round, ...figures })
        }
      }
    }
    return { text: textOf(title, stages, slices, goal), figures: { slices } }
  } finally {
    for (const { server } of running) await server.stop()
    for (const { database } of running) await database.stop()
  }
}

async function start(stage: Stage): Promise<Running> {
  console.error(`Starting ${stage.title}.`)
  const database = await openDatabase({ ...stage, report: console.error })
  try {
    const { dir, shards } = database
    const configFile = database.configFile(stage.shardSettings && { shard: stage.shardSettings })
    const server = await startServer(SERVERS.ours, { configFile, databaseUrl: '', dir })
    const callers = await callersOf(shards.map(({ tenants }) => tenants))
    const files = new Map(LOADS.map((load) => [load, join(dir, `${load}.requests`)]))
    for (const [load, file] of files) writeRequests(file, load, callers, 'shardgate', REQUESTS)
    return { title: stage.title, database, server, files }
  } catch (error) {
    await database.stop()
    throw error
  }
}

/** Until each request has been sent once: tokens, placements and pages are in memory then. */
async function warmUp(one: Running, load: LoadName): Promise<void> {
  let sent = 0
  // Q3 meets the same tokens and tenants as Q1 did.
  const wanted = load === 'Q1' ? REQUESTS : 2_000
  while (sent < wanted) sent += (await measure(one, load, sent / 1_000, 1)).requests
}

function measure(
  { server, database, files }: Running,
  load: LoadName,
  round: number,
  seconds: number,
): Promise<SliceFigures> {
  const file = files.get(load) ?? ''
  const first = Math.floor(round * 1_000)
  return measureSlice({ server, database, file, connections: CONNECTIONS, seconds, first })
}

const sumOf = ({ serverCpu, postgresCpu }: SliceFigures): number => serverCpu + postgresCpu

function textOf(
  title: string,
  stages: readonly Stage[],
  slices: readonly GrowthSlice[],
  goal: number,
): string {
  const tables = LOADS.map((load) => {
    const of = (stage: string): GrowthSlice[] =>
      slices.filter((slice) => slice.load === load && slice.stage === stage)
    const base = of(stages[0]?.title ?? '')
    const rows = stages.map(({ title: stage, isAside }) => {
      const own = of(stage)
      const ratio = spreadOf(own.map((slice, i) => sumOf(slice) / sumOf(base[i] ?? slice)))
      return [
        stage,
        ...(['serverCpu', 'postgresCpu'] as const).map((figure) =>
          spreadText(spreadOf(own.map((slice) => slice[figure])), 0),
        ),
        spreadText(ratio, 2),
        isAside ? '' : ratio.median <= goal ? 'met' : '**missed**',
      ]
    })
    const head = [load, 'gateway CPU, µs', 'Postgres CPU, µs', 'both, of the first line', `goal: ≤ ${goal}`]
    return markdownTable(head, rows)
  })
  return [`## ${title}`, ...tables, strangersLine(slices)].join('\n\n')
}
