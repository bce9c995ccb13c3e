/**
 * What is new costs more: a document that was never seen, and a process that has just started.
 *
 *     npm run bench:first
 *     DOCUMENTS=100 STARTS=3 SERVERS=ours,yoga npm run bench:first
 *
 * First sight: each document, Q3 with columns and names of its own, is asked for three times, one request at a time. The
 * first time less the third is what the server and Postgres do for a document once: parse, validate, plan, compile,
 * prepare. (Mercurius compiles the second time.)
 *
 * First hundred: a server is started anew and asked the six operations in turn, one request at a time, a hundred times.
 * The servers take turns; medians.
 */

import { type Client, openClient } from './ask.ts'
import { cpuOf } from './cpu.ts'
import { type BenchDatabase, openDatabase, SCHEMA } from './database.ts'
import { type Spread, spreadOf } from './figures.ts'
import { bodyOf, type Caller, callersOf, type Question } from './load.ts'
import { OPERATIONS, variablesOf } from './operations.ts'
import { chosen } from './options.ts'
import { ensurePeers, peerVersions } from './peers.ts'
import type { ServerProcess } from './processes.ts'
import { markdownTable, spreadText } from './report.ts'
import { keepResults, machineLines, showOnPage } from './results.ts'
import { removeMadeRows, SIZES } from './rows.ts'
import { SERVERS, type ServerName, startServer } from './servers.ts'
import { cpuNow } from './slices.ts'
import { variantOfQ3 } from './variants.ts'

const DOCUMENT_COUNT = Number(process.env.DOCUMENTS ?? 300)
const STARTS = Number(process.env.STARTS ?? 7)
/** Documents before those that count: the server's own code is compiled by then. */
const WARM_UP = 100
/** Documents that are asked for before they come again: near each other in time, and enough for the CPU's clock. */
const TOGETHER = 25
/** Tenants that ask for documents; the warm-up has made their tokens known. */
const ASKING = 50
const REQUESTS = 100
const GOAL_MS = 3
const NAMES: readonly ServerName[] = ['ours', 'postgraphile', 'mercurius', 'yoga']

const names = chosen('SERVERS', NAMES)
ensurePeers(names, console.error)
const database = await openDatabase({
  name: 'peers',
  sizes: SIZES,
  sharedBuffers: '1GB',
  report: console.error,
})
try {
  await run(database)
} finally {
  await database.stop()
}

async function run(db: BenchDatabase): Promise<void> {
  const callers = await callersOf(db.shards.map(({ tenants }) => tenants))
  const sights = new Map<ServerName, FirstSight>()
  for (const name of names) sights.set(name, await firstSight(db, name, callers))
  const starts = new Map<ServerName, Start[]>(names.map((name) => [name, []]))
  for (let turn = 0; turn < STARTS; turn++) {
    for (const name of names) {
      starts.get(name)?.push(await firstHundred(db, name, callers))
      console.error(`Start ${turn + 1}/${STARTS} of ${name}.`)
    }
  }
  for (const { superuserUrl } of db.shards) await removeMadeRows(superuserUrl, SCHEMA)
  const figures = [
    [...machineLines(), ...peerVersions(names)].map((line) => `- ${line}`).join('\n'),
    `## First sight of a document: ${DOCUMENT_COUNT} variants of Q3\n\n${sightTable(sights)}`,
    `## The first ${REQUESTS} requests of a new process, ${STARTS} starts\n\n${startTable(starts)}`,
  ].join('\n\n')
  const data = { sights: Object.fromEntries(sights), starts: Object.fromEntries(starts) }
  const report = `# What is new\n\n${figures}\n`
  const whole = names.length === NAMES.length
  const file = keepResults(whole ? 'first' : 'partial-first', report, data)
  if (whole) showOnPage('first', figures)
  console.log(`${report}\nKept in ${file} and beside it.`)
}

interface FirstSight {
  /** Milliseconds of the first answer, of the second and the third, and of the first less the third. */
  readonly first: Spread
  readonly second: Spread
  readonly third: Spread
  readonly more: Spread
  /** Milliseconds of CPU that the first answer takes more than the third: of the server, and of Postgres. */
  readonly serverCpu: number
  readonly postgresCpu: number
}

async function firstSight(
  db: BenchDatabase,
  name: ServerName,
  callers: readonly Caller[],
): Promise<FirstSight> {
  console.error(`First sight: ${name}.`)
  return withServer(db, name, async (server, client) => {
    const warmUp = questions(name, callers, 0, WARM_UP)
    for (let pass = 0; pass < 3; pass++) await askAll(client, warmUp)
    const passes = Array.from({ length: 3 }, (): Pass => ({ times: [], serverCpu: 0, postgresCpu: 0 }))
    for (let from = 0; from < DOCUMENT_COUNT; from += TOGETHER) {
      const some = questions(name, callers, WARM_UP + from, Math.min(TOGETHER, DOCUMENT_COUNT - from))
      for (const pass of passes) await addTo(pass, db, server, client, some)
    }
    const [first, second, third] = passes as [Pass, Pass, Pass]
    return {
      first: spreadOf(first.times),
      second: spreadOf(second.times),
      third: spreadOf(third.times),
      more: spreadOf(first.times.map((ms, i) => ms - (third.times[i] ?? 0))),
      serverCpu: (first.serverCpu - third.serverCpu) / DOCUMENT_COUNT,
      postgresCpu: (first.postgresCpu - third.postgresCpu) / DOCUMENT_COUNT,
    }
  })
}

/** What all documents have taken when they were asked for the first, the second or the third time. */
interface Pass {
  /** Milliseconds of each. */
  readonly times: number[]
  /** Milliseconds of all. */
  serverCpu: number
  postgresCpu: number
}

async function addTo(
  pass: Pass,
  db: BenchDatabase,
  { pid }: ServerProcess,
  client: Client,
  some: readonly Question[],
): Promise<void> {
  const before = cpuNow(db, pid)
  pass.times.push(...(await askAll(client, some)))
  const after = cpuNow(db, pid)
  pass.serverCpu += (after.server - before.server) / 1_000
  pass.postgresCpu += (after.postgres - before.postgres) / 1_000
}

function questions(name: ServerName, callers: readonly Caller[], from: number, count: number): Question[] {
  const { dialect } = SERVERS[name]
  return Array.from({ length: count }, (_, i) => {
    const caller = callers[i % ASKING]!
    const variables = variablesOf('Q3', caller, i, dialect)
    return {
      token: caller.token,
      body: JSON.stringify({ query: variantOfQ3(dialect, from + i), variables }),
    }
  })
}

interface Start {
  /** Milliseconds of the first request, and of the first hundred together. */
  readonly first: number
  readonly all: number
  /** Milliseconds of CPU of the server for all of them. */
  readonly cpu: number
}

function firstHundred(db: BenchDatabase, name: ServerName, callers: readonly Caller[]): Promise<Start> {
  return withServer(db, name, async ({ pid }, client) => {
    const all = Array.from({ length: REQUESTS }, (_, turn) => {
      const operation = OPERATIONS[turn % OPERATIONS.length]!
      return bodyOf(operation, callers[turn % callers.length]!, turn, SERVERS[name].dialect)
    })
    const before = cpuOf(pid)
    const times = await askAll(client, all)
    const cpu = (cpuOf(pid) - before) / 1_000
    return { first: times[0] ?? 0, all: times.reduce((sum, ms) => sum + ms, 0), cpu }
  })
}

async function withServer<T>(
  db: BenchDatabase,
  name: ServerName,
  work: (server: ServerProcess, client: Client) => Promise<T>,
): Promise<T> {
  const databaseUrl = db.shards[0]?.appUrl ?? ''
  const server = await startServer(SERVERS[name], { configFile: db.configFile(), databaseUrl, dir: db.dir })
  const client = openClient(server.port)
  try {
    return await work(server, client)
  } finally {
    client.end()
    await server.stop()
  }
}

async function askAll(client: Client, all: readonly Question[]): Promise<number[]> {
  const times: number[] = []
  for (const question of all) times.push(await client.ask(question))
  return times
}

function sightTable(sights: ReadonlyMap<ServerName, FirstSight>): string {
  const head = [
    '',
    'first, ms',
    'second, ms',
    'third, ms',
    'first less third, ms',
    'the same in CPU, server',
    'Postgres',
    `goal: ≤ ${GOAL_MS} ms`,
  ]
  const rows = [...sights].map(([name, sight]) => [
    SERVERS[name].title,
    ...[sight.first, sight.second, sight.third, sight.more].map(({ median }) => median.toFixed(2)),
    sight.serverCpu.toFixed(2),
    sight.postgresCpu.toFixed(2),
    name === 'ours' ? verdict(sight.more.median <= GOAL_MS) : '',
  ])
  return markdownTable(head, rows)
}

function startTable(starts: ReadonlyMap<ServerName, readonly Start[]>): string {
  const totalOf = (name: ServerName): number => spreadOf(starts.get(name)?.map(({ all }) => all) ?? []).median
  const rows = [...starts].map(([name, list]) => [
    SERVERS[name].title,
    spreadText(spreadOf(list.map(({ first }) => first)), 1),
    spreadText(spreadOf(list.map(({ all }) => all)), 0),
    spreadText(spreadOf(list.map(({ cpu }) => cpu)), 0),
    name === 'ours' && starts.has('yoga') ? verdict(totalOf('ours') <= totalOf('yoga')) : '',
  ])
  return markdownTable(
    ['', 'the first, ms', 'all, ms', 'CPU of the server, ms', "goal: not above Yoga's"],
    rows,
  )
}

function verdict(met: boolean): string {
  return met ? 'met' : '**missed**'
}
