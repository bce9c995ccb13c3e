/**
 * One of two shards goes down in each way in which a shard can, while tenants of both ask: what those of the other feel,
 * how long its own wait for their refusal, and when they are served again.
 *
 *     npm run bench:shard-down             three rounds, some five minutes
 *     ROUNDS=1 npm run bench:shard-down
 *
 * - stopped      its port refuses, and its connections are cut
 * - paused       its processes are stopped (SIGSTOP), its port takes connections and nobody answers
 * - black hole   a proxy takes every byte and passes none on
 *
 * Tenants of the other shard ask 500 requests a second; a request that had to be sent while others were waiting counts
 * from when it should have been sent. Eight callers of the shard's own ask one thing after the other.
 */

import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type WireProxy, wireProxy } from '../test/kit/wire-proxy.ts'
import { type BenchDatabase, openDatabase } from './database.ts'
import { spreadOf } from './figures.ts'
import { bodyOf, type Caller, callersOf, writeRequests } from './load.ts'
import type { ServerProcess } from './processes.ts'
import { keepResults, machineLines } from './results.ts'
import { SERVERS, startServer } from './servers.ts'
import { percentile, startSteady } from './steady-load.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 3)
const RATE = 500
/** Of a window without a fault, and of one with it once the gateway knows. */
const WINDOW_MS = 8_000
const CALLERS = 8
const SIZES = [{ size: 'M', tenants: 40, users: 80, tickets: 1_000 }]

interface Stage {
  readonly db: BenchDatabase
  readonly gateway: ServerProcess
  readonly proxy: WireProxy
}

interface Fault {
  readonly name: string
  readonly breakIt: (stage: Stage) => unknown
  readonly mendIt: (stage: Stage) => unknown
}

const FAULTS: readonly Fault[] = [
  {
    name: 'stopped',
    async breakIt({ proxy }) {
      await proxy.refuse()
      proxy.cut()
    },
    mendIt: ({ proxy }) => proxy.restore(),
  },
  {
    name: 'paused',
    breakIt: ({ db }) => signalAll(db.shards[1]!.pid, 'SIGSTOP'),
    mendIt: ({ db }) => signalAll(db.shards[1]!.pid, 'SIGCONT'),
  },
  {
    name: 'black hole',
    breakIt: ({ proxy }) => proxy.blackhole(),
    mendIt({ proxy }) {
      proxy.pass()
      proxy.cut()
    },
  },
]

/** To the server and each of its sessions and workers. */
function signalAll(pid: number, signal: NodeJS.Signals): void {
  const children = execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
  for (const each of [pid, ...children.split(/\s+/).filter(Boolean).map(Number)]) process.kill(each, signal)
}

const seen = new Map<string, number[]>()
const note = (name: string, value: number): void => void seen.set(name, [...(seen.get(name) ?? []), value])

interface Answer {
  readonly caller: number
  readonly at: number
  readonly ms: number
  readonly isOk: boolean
}

/** Callers of the shard that goes down, one request after the other. */
function startOwn(port: number, callers: readonly Caller[]): { answers: Answer[]; stop(): Promise<void> } {
  const answers: Answer[] = []
  let isOver = false
  const call = async (caller: number): Promise<void> => {
    for (let turn = 0; !isOver; turn++) {
      const { token, body } = bodyOf('Q1', callers[caller]!, turn, 'shardgate')
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
      const sent = performance.now()
      const reply = await fetch(`http://127.0.0.1:${port}/graphql`, { method: 'POST', headers, body })
      const text = await reply.text()
      answers.push({
        caller,
        at: Date.now(),
        ms: performance.now() - sent,
        isOk: !text.includes('"errors":'),
      })
      await sleep(10)
    }
  }
  const running = Array.from({ length: CALLERS }, (_, i) => call(i))
  return {
    answers,
    async stop() {
      isOver = true
      await Promise.all(running)
    },
  }
}

/** Waits for a line of the log that is written from now on. Reads only what is new: the log has megabytes. */
function nextDown(logFile: string): () => boolean {
  let at = statSync(logFile).size
  let end = ''
  return () => {
    const length = statSync(logFile).size - at
    if (length <= 0) return false
    const bytes = Buffer.alloc(length)
    const file = openSync(logFile, 'r')
    readSync(file, bytes, 0, length, at)
    closeSync(file)
    at += length
    const text = end + bytes.toString()
    end = text.slice(-100)
    return text.includes('"kind":"shard.down"')
  }
}

async function until(is: () => boolean): Promise<void> {
  while (!is()) await sleep(5)
}

async function suffer(stage: Stage, { name, breakIt, mendIt }: Fault, answers: Answer[]): Promise<Window> {
  const [isDown, from] = [nextDown(stage.gateway.logFile), Date.now()]
  await breakIt(stage)
  await until(isDown)
  // What was sent before counts as such.
  await sleep(100)
  const [knownAt, known] = [Date.now(), answers.length]
  note(`${name}: known after, s`, (knownAt - from) / 1_000)
  await sleep(WINDOW_MS)
  const refusals = answers.slice(known).filter(({ at, ms }) => at - ms >= knownAt)
  if (refusals.some(({ isOk }) => isOk)) throw new Error(`${name}: a shard that is down has answered.`)
  note(
    `${name}: refused p99, ms`,
    percentile(
      refusals.map(({ ms }) => ms),
      0.99,
    ),
  )
  note(`${name}: refused`, refusals.length)
  const to = Date.now()
  await mendIt(stage)
  const served = new Set<number>()
  let next = answers.length
  await until(() => {
    for (; next < answers.length; next++) if (answers[next]!.isOk) served.add(answers[next]!.caller)
    return served.size === CALLERS
  })
  note(`${name}: recovered after, s`, (Date.now() - to) / 1_000)
  await sleep(2_000)
  return { name, from, to }
}

interface Window {
  readonly name: string
  readonly from: number
  readonly to: number
}

async function run(stage: Stage, others: readonly Caller[], own: readonly Caller[]): Promise<void> {
  const file = join(stage.db.dir, 'others.requests')
  writeRequests(file, 'Q7', others, 'shardgate')
  const load = startSteady({ port: stage.gateway.port, rate: RATE, connections: 64, file })
  const callers = startOwn(stage.gateway.port, own)
  const windows: Window[] = []
  try {
    await sleep(4_000)
    for (let round = 1; round <= ROUNDS; round++) {
      for (const fault of FAULTS) {
        const from = Date.now()
        await sleep(WINDOW_MS)
        windows.push({ name: `before ${fault.name}`, from, to: Date.now() })
        windows.push(await suffer(stage, fault, callers.answers))
      }
      console.log(`Round ${round} of ${ROUNDS}.`)
    }
  } finally {
    await callers.stop()
    const answers = await load.stop()
    note('others: answers', answers(0, Number.POSITIVE_INFINITY).length)
    for (const { name, from, to } of windows) note(`others ${name}`, percentile(answers(from, to), 0.99))
  }
}

function report(): string {
  const of = (name: string) => spreadOf(seen.get(name) ?? [])
  const rows = FAULTS.map(({ name }) => {
    const [before, meanwhile] = [seen.get(`others before ${name}`) ?? [], seen.get(`others ${name}`) ?? []]
    const ratio = spreadOf(meanwhile.map((ms, i) => ms / before[i]!))
    const [p99, known] = [spreadOf(meanwhile), of(`${name}: known after, s`)]
    const [refused, recovered] = [of(`${name}: refused p99, ms`), of(`${name}: recovered after, s`)]
    return `| ${name} | ${p99.median.toFixed(1)} | ${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)}) | ${known.max.toFixed(1)} | ${refused.median.toFixed(1)} (${refused.max.toFixed(1)}) | ${recovered.max.toFixed(1)} |`
  })
  return [
    '# A shard that is down',
    [
      ...machineLines(),
      `${ROUNDS} rounds; ${RATE} requests a second of the other shard's tenants: 0 errors of ${(seen.get('others: answers') ?? [])[0]}`,
    ]
      .map((line) => `- ${line}`)
      .join('\n'),
    [
      '| the shard is | others: p99, ms | times that of before (goal ≤ 1.1) | known after, s | its own refused within, p99, ms, median (most) (goal ≤ 20) | served again after, s (goal ≤ 3) |',
      '| --- | --- | --- | --- | --- | --- |',
      ...rows,
    ].join('\n'),
  ].join('\n\n')
}

const db = await openDatabase({
  ...{ name: 'shard-down', sizes: SIZES, shards: 2, sharedBuffers: '256MB' },
  report: (sentence) => console.log(sentence),
})
try {
  const down = db.shards[1]!
  const proxy = await wireProxy(Number(new URL(down.appUrl).port))
  const configFile = db.configFile()
  const config = JSON.parse(readFileSync(configFile, 'utf8'))
  config.shards[down.key].url = proxy.url(down.appUrl)
  writeFileSync(configFile, JSON.stringify(config))
  const gateway = await startServer(SERVERS.ours, { configFile, databaseUrl: down.appUrl, dir: db.dir })
  try {
    const callers = await callersOf(db.shards.map(({ tenants }) => tenants))
    const own = callers.filter(({ tenant }) => down.tenants.includes(tenant))
    const others = callers.filter((caller) => !own.includes(caller))
    await run({ db, gateway, proxy }, others, own)
    const text = report()
    console.log(`\n${text}\n`)
    console.log(`Kept in ${keepResults('shard-down', `${text}\n`, Object.fromEntries(seen))} and beside it.`)
  } finally {
    await gateway.stop()
    await proxy.close()
  }
} finally {
  await db.stop()
}
