/**
 * What a tenant feels of one beside it that wants twenty times its part of their shard, and what the tenants of another
 * shard feel of that.
 *
 *     npm run bench:neighbour              five rounds, some five minutes
 *     ROUNDS=3 PARTS=beside BESIDE=cheap npm run bench:neighbour
 *
 * Two shards of 20 equal tenants and a large one each, behind one gateway. What the tenants of one shard can do together
 * is measured first; the part of each is a twentieth of it. One of them, and those of the other shard together, ask for one
 * part at a steady rate; a request that had to be sent while others were waiting counts from when it should have been sent. In
 * each round they are alone first, then beside one of these; what comes before the first round does not count
 *
 * - cheap  twenty parts of reads of one ticket each, over 64 connections
 * - flood  the same without a pause: as many as there is room for
 * - heavy  8 connections with reads that look at each of 20,000 tickets
 * - lock   16 connections with transactions that wait for a lock until their deadline
 * - apart  as cheap, of the other shard and by another gateway: what they share with the victim is the machine
 *
 * At last four equal tenants with 16, 32, 64 and 128 connections, all without a pause: who gets how much.
 */

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { withClient } from '../src/db/client.ts'
import { type BenchDatabase, openDatabase, SCHEMA } from './database.ts'
import { spreadOf } from './figures.ts'
import { type Caller, callersOf, runLoad, writeQuestions, writeRequests } from './load.ts'
import { chosen } from './options.ts'
import { keepResults, machineLines } from './results.ts'
import { rowId } from './rows.ts'
import { SERVERS, startServer } from './servers.ts'
import { percentile, startSteady } from './steady-load.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 5)
const SLICE_S = 6
const PARTS = chosen('PARTS', ['beside', 'together'])
/** Of the four equal tenants: all ask for more than their part. */
const CONNECTIONS = [16, 32, 64, 128]
const TENANTS = 20
const TICKETS = 20_000
const SIZES = [
  { size: 'X', tenants: 2, users: 200, tickets: TICKETS },
  { size: 'M', tenants: 2 * TENANTS, users: 80, tickets: 1_000 },
]

const AGGRESSORS = chosen('BESIDE', ['cheap', 'flood', 'heavy', 'lock', 'apart'])
type Aggressor = 'cheap' | 'flood' | 'heavy' | 'lock' | 'apart'

/** Milliseconds and rates by what they are of, a value a round. */
const seen = new Map<string, number[]>()
const note = (name: string, value: number): void => void seen.set(name, [...(seen.get(name) ?? []), value])
const median = (name: string): number => spreadOf(seen.get(name) ?? []).median

interface Stage {
  readonly db: BenchDatabase
  readonly port: number
  /** Of another gateway. */
  readonly apart: number
  /** Equal tenants of the first shard; the first is the victim, the second floods. */
  readonly equal: readonly Caller[]
  readonly large: Caller
  readonly elsewhere: readonly Caller[]
}

const fileOf = ({ db }: Stage, name: string): string => join(db.dir, `${name}.requests`)

const AGGRESSION: Readonly<Record<Aggressor, (stage: Stage) => Promise<void>>> = {
  cheap: (stage) => flood(stage, 'cheap', Math.round(median('capacity'))),
  flood: (stage) => flood(stage, 'flood'),
  apart: (stage) => flood(stage, 'apart', Math.round(median('capacity'))),
  async heavy(stage) {
    const file = fileOf(stage, 'heavy')
    const load = { port: stage.port, file, connections: 8, seconds: SLICE_S, first: 0 }
    note('heavy: requests', (await runLoad(load)).requests)
  },
  lock: (stage) =>
    withClient(stage.db.shards[0]!.superuserUrl, async (client) => {
      await client.query('begin')
      await client.query(
        `select id from ${SCHEMA}.tickets where tenant_id = '${stage.large.tenant.id}' order by id limit 64 for update`,
      )
      const until = Date.now() + SLICE_S * 1_000
      const waiting = Array.from({ length: 16 }, (_, i) => askLocked(stage, i, until))
      await sleep(SLICE_S * 1_000)
      await client.query('rollback')
      await Promise.all(waiting)
    }),
}

/** @param rate  requests per second; left out, all that there is room for */
async function flood(stage: Stage, name: 'cheap' | 'flood' | 'apart', rate?: number): Promise<void> {
  const file = fileOf(stage, name === 'apart' ? 'apart' : 'cheap')
  const port = name === 'apart' ? stage.apart : stage.port
  const load = { port, file, connections: 64, seconds: SLICE_S, first: 0, ...(rate && { rate }) }
  const { requests, seconds } = await runLoad(load)
  note(`${name}: parts`, (requests / seconds / median('capacity')) * TENANTS)
}

/** Two comments on tickets that somebody else has locked: a transaction that waits. */
async function askLocked({ port, large }: Stage, n: number, until: number): Promise<void> {
  const comment = (name: string, k: number): string => {
    const input = `{ ticketId: "${rowId(k, large.index, large.of)}", authorId: "${rowId(0, large.index, large.of)}", body: "?" }`
    return `${name}: createComment(input: ${input}) { __typename }`
  }
  const body = JSON.stringify({ query: `mutation { ${comment('a', n)} ${comment('b', n + 16)} }` })
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${large.token}` }
  while (Date.now() < until)
    await (await fetch(`http://127.0.0.1:${port}/graphql`, { method: 'POST', headers, body })).text()
}

function writeFiles(stage: Stage): void {
  const [victim, flood] = stage.equal
  writeRequests(fileOf(stage, 'all'), 'Q7', stage.equal, 'shardgate')
  writeRequests(fileOf(stage, 'victim'), 'Q7', [victim!], 'shardgate')
  writeRequests(fileOf(stage, 'elsewhere'), 'Q7', stage.elsewhere, 'shardgate')
  writeRequests(fileOf(stage, 'cheap'), 'Q1', [flood!], 'shardgate')
  writeRequests(fileOf(stage, 'apart'), 'Q1', stage.elsewhere.slice(0, 1), 'shardgate')
  const query = '{ tickets(first: 1, filter: { body: { ilike: "%z%z%z%z%" } }) { totalCount } }'
  writeQuestions(fileOf(stage, 'heavy'), [{ token: stage.large.token, body: JSON.stringify({ query }) }])
  for (const [i, caller] of stage.equal.slice(2, 6).entries())
    writeRequests(fileOf(stage, `equal-${i}`), 'Q2', [caller], 'shardgate', 1_000)
}

async function beside(stage: Stage): Promise<void> {
  // One part each, of the victim and of the other shard's tenants together: who asks for more is no victim.
  const rate = Math.max(1, Math.round(median('capacity') / TENANTS))
  const loadOf = (name: string) =>
    startSteady({ port: stage.port, rate, connections: 32, file: fileOf(stage, name) })
  const loads = { victim: loadOf('victim'), elsewhere: loadOf('elsewhere') }
  const windows: { name: string; from: number; to: number }[] = []
  const forget = (): void => {
    windows.length = 0
    for (const name of ['cheap: parts', 'flood: parts', 'apart: parts', 'heavy: requests']) seen.delete(name)
  }
  const during = async (name: string, work: () => Promise<unknown>): Promise<void> => {
    const from = Date.now()
    await work()
    windows.push({ name, from, to: Date.now() })
    await sleep(500)
  }
  try {
    await sleep(3_000)
    for (let round = 0; round <= ROUNDS; round++) {
      await during('alone', () => sleep(SLICE_S * 1_000))
      for (const name of AGGRESSORS) await during(name, () => AGGRESSION[name](stage))
      // What is new to the gateway is compiled and learned in the first round.
      if (round === 0) forget()
      console.log(round === 0 ? 'Warmed up.' : `Round ${round} of ${ROUNDS}.`)
    }
  } finally {
    for (const [who, load] of Object.entries(loads)) {
      const answers = await load.stop()
      for (const { name, from, to } of windows) {
        const times = answers(from, to)
        note(`${who} ${name} p50`, percentile(times, 0.5))
        note(`${who} ${name} p99`, percentile(times, 0.99))
        note(`${who} answers`, times.length)
      }
    }
  }
}

async function together(stage: Stage): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const rates = await Promise.all(
      CONNECTIONS.map(async (connections, i) => {
        const file = fileOf(stage, `equal-${i}`)
        const load = { port: stage.port, file, connections, seconds: SLICE_S, first: 0 }
        const { requests, seconds } = await runLoad(load)
        return requests / seconds
      }),
    )
    for (const [i, rate] of rates.entries()) note(`rate of ${CONNECTIONS[i]} connections`, rate)
    note('min–max', Math.min(...rates) / Math.max(...rates))
  }
}

const GOALS = { victim: 1.5, elsewhere: 1.05 } as const

function report(): string {
  const rows = (['victim', 'elsewhere'] as const).flatMap((who) =>
    ['alone', ...AGGRESSORS].map((name) => {
      const p99s = seen.get(`${who} ${name} p99`) ?? []
      const alone = seen.get(`${who} alone p99`) ?? []
      const ratio = spreadOf(p99s.map((ms, round) => ms / alone[round]!))
      const times =
        name === 'alone' ? '' : `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)})`
      const goal = ['alone', 'apart'].includes(name) ? '' : `≤ ${GOALS[who]}`
      const [p50, p99] = [median(`${who} ${name} p50`), median(`${who} ${name} p99`)]
      return `| ${who} | ${name} | ${p50.toFixed(1)} | ${p99.toFixed(1)} | ${times} | ${goal} |`
    }),
  )
  const answers = (who: string): number => (seen.get(`${who} answers`) ?? []).reduce((sum, n) => sum + n, 0)
  const ratio = spreadOf(seen.get('min–max') ?? [])
  const rates = CONNECTIONS.map((n) => `${median(`rate of ${n} connections`).toFixed(0)} with ${n}`)
  return [
    '# A tenant beside a greedy one',
    [
      ...machineLines(),
      `${ROUNDS} rounds of ${SLICE_S} s slices; the shard's tenants together ${median('capacity').toFixed(0)} requests/s, a part is a twentieth`,
      `cheap had ${median('cheap: parts').toFixed(1)} parts, flood ${median('flood: parts').toFixed(1)}, heavy ${median('heavy: requests').toFixed(0)} reads a slice`,
      `errors of the victim: 0 of ${answers('victim')}; of the other shard's tenants: 0 of ${answers('elsewhere')}`,
    ]
      .map((line) => `- ${line}`)
      .join('\n'),
    [
      '| who | beside | p50, ms | p99, ms | p99, times that of alone | goal |',
      '| --- | --- | --- | --- | --- | --- |',
      ...rows,
    ].join('\n'),
    ...(PARTS.includes('together')
      ? [
          `Four equal tenants without a pause: ${rates.join(', ')} connections (requests/s); least to most ${ratio.median.toFixed(3)} (${ratio.min.toFixed(3)}–${ratio.max.toFixed(3)}), goal ≥ 0.95.`,
        ]
      : []),
  ].join('\n\n')
}

const db = await openDatabase({
  ...{ name: 'neighbour', sizes: SIZES, shards: 2, sharedBuffers: '256MB' },
  report: (sentence) => console.log(sentence),
})
try {
  const callers = await callersOf(db.shards.map(({ tenants }) => tenants))
  const [here, elsewhere] = db.shards.map(({ tenants }) =>
    callers.filter(({ tenant }) => tenants.includes(tenant)),
  )
  // The two cores that the servers share with everything else are not to be had by heavy reads alone.
  const configFile = db.configFile({ shard: { slowConnections: 2 } })
  const places = { configFile, databaseUrl: db.shards[0]!.appUrl, dir: db.dir }
  const gateway = await startServer(SERVERS.ours, places)
  const apart = await startServer(SERVERS.ours, places)
  try {
    const stage: Stage = {
      db,
      port: gateway.port,
      apart: apart.port,
      equal: here!.filter(({ tenant }) => tenant.size === 'M'),
      large: here!.find(({ tenant }) => tenant.size === 'X')!,
      elsewhere: elsewhere!.filter(({ tenant }) => tenant.size === 'M'),
    }
    writeFiles(stage)
    const load = { port: gateway.port, file: fileOf(stage, 'all'), connections: 32, seconds: 5, first: 0 }
    await runLoad(load)
    const { requests, seconds } = await runLoad(load)
    note('capacity', requests / seconds)
    if (PARTS.includes('beside')) await beside(stage)
    if (PARTS.includes('together')) await together(stage)
    const text = report()
    console.log(`\n${text}\n`)
    console.log(`Kept in ${keepResults('neighbour', `${text}\n`, Object.fromEntries(seen))} and beside it.`)
  } finally {
    await gateway.stop()
    await apart.stop()
  }
} finally {
  await db.stop()
}
